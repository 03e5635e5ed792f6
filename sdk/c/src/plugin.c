// The plugin as the host is told of it in the event start.
#include "internal.h"

void rtd_depends(rtd_bytes plugin) { rtd_effect(EFFECT_DEPENDS, plugin, NONE, NONE); }

void rtd_durable(rtd_bytes pattern) { rtd_effect(EFFECT_DURABLE, pattern, NONE, NONE); }

void rtd_want(rtd_bytes event) { rtd_effect(EFFECT_WANTS, event, NONE, NONE); }

void rtd_start(const rtd_event *e) {
	// The stack means nothing between events.
	extern char __global_base;
	const uint32_t stack[2] = {0, (uint32_t)&__global_base};
	rtd_try_effect(EFFECT_SCRATCH, NONE, rtd_make(stack, sizeof stack), NONE);

	bool exports = false;
	for (const rtd_channel *const *c = rtd_this.channels; c && *c; c++) {
		rtd_effect(EFFECT_HANDLES, rtd_text((*c)->topic), NONE, (*c)->per_topic ? RTD("topic") : NONE);
		exports |= !!(*c)->export;
	}
	for (const rtd_module *const *m = rtd_this.modules; m && *m; m++)
		exports |= (*m)->export || ((*m)->behaviour && (*m)->behaviour->exports);
	if (exports) rtd_want(RTD("export"));
	if (rtd_this.connect) rtd_want(RTD("connect"));
	if (rtd_this.stop) rtd_want(RTD("stop"));
	rtd_run_handler(rtd_this.start, e);
}
