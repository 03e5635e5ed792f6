// GenServers, and the part of them that other modules share.
#include "internal.h"

// init answers who asked for it, such as an event manager.
static void init(const rtd_module *m, const rtd_event *e) {
	if (m->terminate) rtd_want(RTD("terminate"));
	rtd_run_handler(m->init, e);
	if (e->flags & REQUEST) rtd_answer(e->extra, NONE);
}

void rtd_handle(const rtd_module *m, const rtd_event *e) {
	if (e->kind == EVENT_INIT) init(m, e);
	else rtd_call_back(&m->join, e);
}
