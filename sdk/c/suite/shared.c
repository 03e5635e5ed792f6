// The topics shared:*, one process for all members.
#include "suite.h"

enum { MEMBERS = 16 };

static RTD_KEPT(256) topic;
static int total;
static struct {
	RTD_KEPT(20) id; // empty: free, as are all behind it
	RTD_KEPT(64) name;
	RTD_KEPT(400) assigns;
	bool replay;
} here[MEMBERS]; // in the order of joins

static int seat(rtd_bytes member) {
	int i = 0;
	while (i < MEMBERS && here[i].id.size && !rtd_equal(rtd_kept(here[i].id), member)) i++;
	if (i == MEMBERS) rtd_crash(RTD("too many members"));
	return i;
}

static int take(const rtd_event *join, rtd_bytes name) {
	int i = seat(join->member);
	rtd_keep(here[i].id, join->member);
	rtd_keep(here[i].name, name);
	rtd_keep(here[i].assigns, join->assigns);
	here[i].replay = rtd_is_replay(join);
	return i;
}

static void join(const rtd_event *e) {
	if (!rtd_is_replay(e) && refuse(e)) return;
	rtd_keep(topic, e->topic);
	rtd_bytes name = rtd_kept(here[take(e, text(e, RTD("name")))].name), key = text(e, RTD("track"));
	arrive(name, e);
	if (!rtd_size(key)) return;
	rtd_result r = rtd_track(NONE, key, rtd_format("{\"text\":%q}", name));
	if (r.code) rtd_crash(rtd_format("track: %d", r.code));
}

static void leave(const rtd_event *e) {
	int i = seat(e->member);
	rtd_broadcast(RTD("left"), rtd_format("{\"name\":%q,\"reason\":%q}", rtd_kept(here[i].name), e->reason));
	__builtin_memmove(here + i, here + i + 1, (MEMBERS - 1 - i) * sizeof *here);
	__builtin_memset(here + MEMBERS - 1, 0, sizeof *here);
}

static void out(const rtd_event *e) {
	for (int i = 0; i < MEMBERS && here[i].id.size; i++)
		if (!rtd_equal(rtd_kept(here[i].id), e->member)) rtd_push_to(rtd_kept(here[i].id), RTD("unmasked"), e->payload);
}

static void message(const rtd_event *e) {
	int me = seat(e->member);
	if (common(e, rtd_kept(topic), rtd_kept(here[me].assigns), here[me].replay)) return;
	if (is(e->event, "total")) rtd_reply(RTD("ok"), rtd_format("{\"total\":%d}", ++total));
	else if (is(e->event, "names")) {
		rtd_bytes names = NONE;
		for (int i = 0; i < MEMBERS && here[i].id.size; i++) names = rtd_format("%s%s%q", names, i ? RTD(",") : NONE, rtd_kept(here[i].name));
		rtd_reply(RTD("ok"), rtd_format("{\"names\":[%s]}", names));
	} else if (is(e->event, "tell")) {
		for (int i = 0; i < MEMBERS && here[i].id.size; i++)
			if (rtd_equal(rtd_kept(here[i].name), text(e, RTD("name")))) rtd_push_to(rtd_kept(here[i].id), RTD("told"), text_object(e));
		rtd_reply(RTD("ok"), NONE);
	} else rtd_crash(rtd_format("unknown event %s", e->event));
}

static void export(const rtd_event *e) {
	(void)e;
	rtd_bytes state = rtd_format("%d", total);
	for (int i = 0; i < MEMBERS && here[i].id.size; i++) state = rtd_format("%s,%s", state, rtd_kept(here[i].name));
	rtd_export(RTD("1"), state);
}

rtd_bytes cut_name(rtd_bytes *names) {
	uint32_t n = 0, size = rtd_size(*names);
	const char *at = rtd_at(*names);
	while (n < size && at[n] != ',') n++;
	*names = rtd_make(at + n + (n < size), size - n - (n < size));
	return rtd_make(at, n);
}

static void import(const rtd_event *e) {
	if (!check_schema(e)) return;
	rtd_bytes names = e->state, members = e->members;
	rtd_keep(topic, e->topic);
	total = rtd_number(cut_name(&names));
	for (rtd_event j; rtd_next_join(&members, &j);) take(&j, cut_name(&names));
}

static const char *const intercepts[] = {"masked", 0};

const rtd_channel shared_channel = {
	.topic = "shared:*",
	.per_topic = true,
	.intercepts = intercepts,
	.join = join,
	.leave = leave,
	.out = out,
	.message = message,
	.export = export,
	.import = import,
};
