// The tree of processes that the plugin consists of.
#include "internal.h"

// member appends a member to a JSON object that is not closed yet, if there is a value.
static rtd_bytes member(rtd_bytes object, const char *key, const char *value) {
	return value ? rtd_format("%s,%q:%q", object, rtd_text(key), rtd_text(value)) : object;
}

static rtd_bytes number(rtd_bytes object, const char *key, int n) {
	return n ? rtd_format("%s,%q:%d", object, rtd_text(key), n < 0 ? 0 : n) : object;
}

void rtd_declare(const rtd_child *c) {
	static const char *const types[] = {"worker", "supervisor", "dynamic"};
	static const char *const restarts[] = {0, "transient", "temporary"};
	static const char *const strategies[] = {0, "one_for_all", "rest_for_one"};
	rtd_bytes spec = rtd_format("{\"type\":%q", rtd_text(types[c->type]));
	spec = member(spec, "under", c->under);
	spec = member(spec, "module", c->module);
	spec = member(spec, "name", c->anonymous ? "" : c->name);
	spec = member(spec, "restart", restarts[c->restart]);
	spec = member(spec, "strategy", strategies[c->strategy]);
	spec = number(spec, "shutdown", c->shutdown);
	spec = number(spec, "max_restarts", c->max_restarts);
	spec = number(spec, "max_seconds", c->max_seconds);
	rtd_effect(EFFECT_CHILD, rtd_text(c->id), rtd_text(c->args), rtd_format("%s}", spec));
}
