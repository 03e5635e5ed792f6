// The table of handlers, the same for channels and modules.
#include "internal.h"

// The handlers lie in the order of the events' numbers, of which join is the first.
#define IN_PLACE(handler, kind) \
	_Static_assert(offsetof(rtd_channel, handler) - offsetof(rtd_channel, join) == (kind - EVENT_JOIN) * sizeof(rtd_handler *), #handler)
IN_PLACE(init, EVENT_INIT);
IN_PLACE(leave, EVENT_LEAVE);
IN_PLACE(members, EVENT_MEMBERS);
IN_PLACE(out, EVENT_OUT);
IN_PLACE(import, EVENT_IMPORT);
IN_PLACE(back, EVENT_BACK);
_Static_assert(offsetof(rtd_module, back) - offsetof(rtd_module, join) == offsetof(rtd_channel, back) - offsetof(rtd_channel, join), "modules");

void rtd_run_handler(rtd_handler *h, const rtd_event *e) {
	if (h) h(e);
}

void rtd_call_back(rtd_handler *const *handlers, const rtd_event *e) {
	rtd_handler *h = e->kind <= EVENT_BACK ? handlers[e->kind - EVENT_JOIN] : 0;
	if (h) h(e);
	else if (e->kind == EVENT_CALL || e->kind == EVENT_CAST || e->kind == EVENT_IMPORT) rtd_crash(RTD("no handler for it"));
}
