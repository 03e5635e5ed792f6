// Handlers of event managers, each a process.
#include "internal.h"

static void handle_event(const rtd_module *m, const rtd_event *e) {
	if (e->kind == EVENT_CAST) {
		m->event(e->message);
		return;
	}
	if (e->kind == EVENT_EXPORT && !m->export) {
		rtd_effect(EFFECT_STATE | REPLAY << 16, NONE, NONE, NONE); // nothing is lost: init again
		return;
	}
	if (e->kind != EVENT_CALL) {
		rtd_handle(m, e);
		return;
	}
	rtd_bytes verb, id, rest = e->question;
	if (!rtd_cut_field(&rest, &verb) || !rtd_cut_field(&rest, &id)) rtd_crash(RTD("a call past the event manager; use rtd_ask_handler"));
	if (rtd_equal(verb, RTD("sync"))) {
		m->event(rest);
		rtd_answer(e->from, NONE);
		return;
	}
	rtd_event asked = *e;
	asked.question = rest;
	rtd_handle(m, &asked);
}

const rtd_behaviour rtd_event_handler = {handle_event, false};
