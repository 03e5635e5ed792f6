// The way in: which part of the plugin takes an event.
#include "internal.h"

static void dispatch(rtd_event *e) {
	switch (e->kind) {
	case EVENT_START:
		rtd_start(e);
		return;
	case EVENT_STOP:
		rtd_run_handler(rtd_this.stop, e);
		return;
	case EVENT_CONNECT:
		rtd_run_handler(rtd_this.connect, e);
		return;
	case EVENT_JOIN:
	case EVENT_MEMBERS:
		rtd_begin_channel(e);
		break;
	case EVENT_INIT:
		if (rtd_open_module(e->name)) break;
		if (!rtd_this.modules || !(e->flags & REPLAY)) rtd_crash(RTD("no such module"));
		rtd_stop(rtd_format("shutdown: no module %s", e->name)); // this version does without it
		return;
	case EVENT_IMPORT:
		if (!rtd_this.modules || !rtd_is_process(e->extra)) rtd_open_channel(e->topic);
		else if (!rtd_open_module(e->name)) {
			rtd_refuse(rtd_format("{\"reason\":%q}", rtd_format("no module %s", e->name)));
			return;
		}
		break;
	case EVENT_TERMINATE: // the reason in one
		e->reason = rtd_size(e->reason) ? rtd_format("%s: %s", e->name, e->reason) : e->name;
		break;
	case EVENT_EXIT:
		e->pid = e->name;
		break;
	}
	// An instance that is neither gets an event of a newer host, which this SDK does not know.
	if (!rtd_handle_channel(e)) rtd_handle_module(e);
}

__attribute__((export_name("handle"))) int32_t handle(uint32_t size) {
	rtd_event e;
	if (!rtd_read(rtd_inbox(size), &e)) return 1;
	dispatch(&e);
	rtd_at_hand = NONE;
	rtd_wipe();
	return 0;
}
