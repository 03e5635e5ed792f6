// Tasks.
#include "internal.h"

// Whoever starts a task under a supervisor waits for its init, so it works in an event after that,
// a message that it sends itself: who waits for the answer, as a field, and the arguments. Nothing
// else has to be kept.

static void handle_task(const rtd_module *m, const rtd_event *e) {
	switch (e->kind) {
	case EVENT_INIT:
		rtd_send(e->detail, rtd_format("%s%s", rtd_join_field(NONE, e->extra), e->payload));
		break;
	case EVENT_INFO: {
		rtd_bytes from, args = e->payload;
		rtd_cut_field(&args, &from);
		rtd_bytes answer = m->run(args);
		if (rtd_size(from)) rtd_answer(from, answer);
		rtd_stop(RTD("normal"));
		break;
	}
	case EVENT_EXPORT: // its message is on the way
		rtd_export(RTD("task"), NONE);
		break;
	}
}

const rtd_behaviour rtd_task = {handle_task, true};

rtd_result rtd_async(rtd_bytes task, rtd_bytes args, rtd_async_how how) {
	rtd_result r = rtd_start_process(task, args, (rtd_spawning){.under = how.under, .link = how.link}, REQUEST | (how.notify ? NOTIFY : 0));
	rtd_bytes pid, rest = r.bytes;
	if (r.code == RTD_OK && rtd_cut_field(&rest, &pid)) rtd_cut_field(&rest, &r.bytes);
	return r;
}
