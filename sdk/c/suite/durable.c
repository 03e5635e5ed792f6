// The topics durable:* and the process ledger: accounts, which count texts and keep the last ones.
#include "suite.h"

enum { LAST = 3, MEMBERS = 16 };

static int count;
static RTD_KEPT(64) last[LAST]; // from the oldest on; empty: there are fewer

// add crashes after it has added a text that spoils it.
static void add(rtd_bytes text) {
	count++;
	int i = 0;
	while (i < LAST && last[i].size) i++;
	if (i == LAST) __builtin_memmove(last, last + 1, --i * sizeof *last);
	rtd_keep(last[i], text);
	if (rtd_cut(&text, RTD("spoil "))) rtd_crash(RTD("told to crash"));
}

// due adds the message of a timer, or of another process, and returns it.
static rtd_bytes due(const rtd_event *e) {
	rtd_bytes text = rtd_number(e->late) ? rtd_format("%s late", e->message) : e->message;
	add(text);
	return text;
}

// texts are the last ones, in a format of each.
static rtd_bytes texts(const char *format) {
	rtd_bytes list = NONE;
	for (int i = 0; i < LAST && last[i].size; i++) list = rtd_format("%s%s%s", list, i ? RTD(",") : NONE, rtd_format(format, rtd_kept(last[i])));
	return list;
}

static void export(const rtd_event *e) {
	(void)e;
	rtd_export(RTD("1"), rtd_format("%d,%s", count, texts("%s")));
}

static void import(const rtd_event *e) {
	if (!check_schema(e)) return;
	rtd_bytes state = e->state;
	int n = rtd_number(cut_name(&state));
	while (rtd_size(state)) add(cut_name(&state));
	count = n;
}

// ---- ledger

static void ledger_call(const rtd_event *e) {
	rtd_bytes question = e->question, answer;
	if (is(question, "state")) answer = rtd_format("%d %s", count, texts("%s"));
	else if (is(question, "id")) answer = rtd_event_id();
	else if (is(question, "stop")) {
		answer = RTD("stopped");
		rtd_stop(RTD("normal"));
	} else if (rtd_cut(&question, RTD("timer "))) {
		int ms = rtd_number(question);
		rtd_cut(&question, rtd_format("%d ", ms));
		rtd_send_after(question, ms);
		answer = RTD("set");
	} else {
		add(question);
		answer = rtd_format("%d", count);
	}
	rtd_answer(e->from, answer);
}

static void ledger_cast(const rtd_event *e) { add(e->message); }

static void ledger_info(const rtd_event *e) { due(e); }

const rtd_module ledger_module = {
	.name = "ledger",
	.call = ledger_call,
	.cast = ledger_cast,
	.info = ledger_info,
	.export = export,
	.import = import,
};

// ---- durable:*

static RTD_KEPT(256) topic;
static struct {
	RTD_KEPT(20) id; // empty: free, as are all behind it
	RTD_KEPT(64) name;
} here[MEMBERS]; // in the order of joins

static int seat(rtd_bytes member) {
	int i = 0;
	while (i < MEMBERS && here[i].id.size && !rtd_equal(rtd_kept(here[i].id), member)) i++;
	if (i == MEMBERS) rtd_crash(RTD("too many members"));
	return i;
}

// forget is called when the topic wakes: join follows for each who is there.
static void forget(const rtd_event *e) {
	(void)e;
	__builtin_memset(here, 0, sizeof here);
}

static void join(const rtd_event *e) {
	int i = seat(e->member);
	rtd_keep(topic, e->topic);
	rtd_keep(here[i].id, e->member);
	rtd_keep(here[i].name, text(e, RTD("name")));
}

static void leave(const rtd_event *e) {
	int i = seat(e->member);
	__builtin_memmove(here + i, here + i + 1, (MEMBERS - 1 - i) * sizeof *here);
	__builtin_memset(here + MEMBERS - 1, 0, sizeof *here);
}

static void info(const rtd_event *e) {
	rtd_bytes what = rtd_format("{\"text\":%q}", due(e));
	for (int i = 0; i < MEMBERS && here[i].id.size; i++) rtd_push_to(rtd_kept(here[i].id), RTD("due"), what);
}

static void down(const rtd_event *e) { add(rtd_format("down %s", e->reason)); }

static void message(const rtd_event *e) {
	if (is(e->event, "add")) {
		rtd_broadcast(RTD("added"), text_object(e));
		rtd_reply(RTD("ok"), rtd_format("{\"count\":%d}", count + 1));
		add(text(e, RTD("text")));
	} else if (is(e->event, "state")) rtd_reply(RTD("ok"), rtd_format("{\"count\":%d,\"last\":[%s]}", count, texts("%q")));
	else if (is(e->event, "names")) {
		rtd_bytes names = NONE;
		for (int i = 0; i < MEMBERS && here[i].id.size; i++) names = rtd_format("%s%s%q", names, i ? RTD(",") : NONE, rtd_kept(here[i].name));
		rtd_reply(RTD("ok"), rtd_format("{\"names\":[%s]}", names));
	} else if (is(e->event, "event_id")) rtd_reply(RTD("ok"), rtd_format("{\"id\":%q,\"again\":%q}", rtd_event_id(), rtd_event_id()));
	else if (is(e->event, "stop")) {
		rtd_reply(RTD("ok"), NONE);
		rtd_stop(text(e, RTD("reason")));
	} else if (!common(e, rtd_kept(topic), NONE, false) && !about_others(e)) rtd_crash(rtd_format("unknown event %s", e->event));
}

const rtd_channel durable_channel = {
	.topic = "durable:*",
	.per_topic = true,
	.members = forget,
	.join = join,
	.leave = leave,
	.message = message,
	.info = info,
	.down = down,
	.export = export,
	.import = import,
};
