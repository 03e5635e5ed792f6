// Agents.
#include "internal.h"

// A call is the function's name, as a field, and its argument

static void handle_agent(const rtd_module *m, const rtd_event *e) {
	if (e->kind != EVENT_CALL) {
		rtd_handle(m, e);
		return;
	}
	rtd_bytes name, arg = e->payload;
	if (rtd_cut_field(&arg, &name))
		for (const rtd_function *const *f = m->functions; f && *f; f++)
			if (rtd_equal(rtd_text((*f)->name), name)) {
				rtd_answer(e->name, (*f)->run(arg));
				return;
			}
	rtd_crash(RTD("agents take calls of their functions only; use rtd_run"));
}

const rtd_behaviour rtd_agent = {handle_agent, false};

rtd_result rtd_run(rtd_bytes agent, rtd_bytes function, rtd_bytes arg) {
	return rtd_call(agent, rtd_format("%s%s", rtd_join_field(NONE, function), arg), 0);
}
