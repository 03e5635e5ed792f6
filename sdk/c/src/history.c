// What was said in a topic lately.
#include "internal.h"

void rtd_keep_history(rtd_bytes pattern, rtd_keeping how) {
	rtd_bytes spec = rtd_format("{\"messages\":%s,\"bytes\":%s,\"age\":%s,\"durable\":%s}",
		rtd_decimal(how.messages), rtd_decimal(how.bytes), rtd_decimal(how.age), rtd_bool(how.durable));
	rtd_effect(EFFECT_HISTORY, pattern, NONE, spec);
}

static int64_t number(rtd_bytes *list) {
	rtd_bytes field;
	rtd_cut_field(list, &field);
	return rtd_number(field);
}

rtd_result rtd_history(rtd_bytes topic, int64_t after, int limit, rtd_history_page *page) {
	rtd_result r = rtd_ask(OP_HISTORY, topic, NONE, rtd_decimal(after), rtd_decimal(limit));
	*page = (rtd_history_page){0};
	if (r.code) return r;
	page->messages = r.bytes;
	rtd_cut_field(&page->messages, &page->position);
	page->oldest = number(&page->messages);
	return r;
}

bool rtd_next_past(rtd_history_page *page, rtd_past_message *m) {
	rtd_bytes *list = &page->messages, form;
	*m = (rtd_past_message){0};
	if (!rtd_size(*list)) return false;
	m->offset = number(list);
	m->unix_ms = number(list);
	rtd_cut_field(list, &m->event);
	rtd_cut_field(list, &m->payload);
	if (!rtd_cut_field(list, &form)) return false;
	if (rtd_size(form)) m->payload = rtd_binary(m->payload);
	return true;
}
