// The modules of the plugin, of which its processes are.
#include "internal.h"

// The module that this instance is a process of, from its first event on.
static const rtd_module *module;

bool rtd_has_module(rtd_bytes name) {
	for (const rtd_module *const *m = rtd_this.modules; m && *m; m++)
		if (rtd_equal(rtd_text((*m)->name), name)) return true;
	return false;
}

bool rtd_open_module(rtd_bytes name) {
	for (const rtd_module *const *m = rtd_this.modules; m && *m; m++)
		if (rtd_equal(rtd_text((*m)->name), name)) module = *m;
	return module != 0;
}

void rtd_handle_module(const rtd_event *e) {
	if (module && module->behaviour) module->behaviour->handle(module, e);
	else if (module) rtd_handle(module, e);
}
