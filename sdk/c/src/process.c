// What a process can ask for.
#include "kinds.h"

// ---- clients

rtd_result rtd_publish(rtd_bytes topic, rtd_bytes event, rtd_bytes payload) {
	return rtd_try_effect(EFFECT_PUBLISH, event, payload, topic);
}

rtd_result rtd_subscribe(rtd_bytes topic) { return rtd_try_effect(EFFECT_SUBSCRIBE, topic, NONE, NONE); }

void rtd_unsubscribe(rtd_bytes topic) { rtd_effect(EFFECT_UNSUBSCRIBE, topic, NONE, NONE); }

void rtd_disconnect(rtd_bytes id) { rtd_effect(EFFECT_DISCONNECT, id, NONE, NONE); }

rtd_result rtd_track(rtd_bytes topic, rtd_bytes key, rtd_bytes meta) {
	return rtd_ask(OP_TRACK, key, meta, topic, NONE);
}

rtd_result rtd_update(rtd_bytes topic, rtd_bytes key, rtd_bytes meta) {
	return rtd_ask(OP_UPDATE, key, meta, topic, NONE);
}

rtd_result rtd_untrack(rtd_bytes topic, rtd_bytes key) {
	return rtd_ask(OP_UNTRACK, key, NONE, topic, NONE);
}

// named does an operation that has a name alone.
static rtd_result named(uint16_t kind, rtd_bytes name) { return rtd_ask(kind, name, NONE, NONE, NONE); }

rtd_result rtd_presences(rtd_bytes topic) { return named(OP_PRESENCES, topic); }

rtd_result rtd_presence_count(rtd_bytes topic, int64_t *keys, int64_t *metas) {
	rtd_result r = named(OP_PRESENCE_COUNT, topic);
	rtd_bytes first = NONE, second = NONE;
	rtd_cut_field(&r.bytes, &first);
	rtd_cut_field(&r.bytes, &second);
	*keys = rtd_number(first);
	*metas = rtd_number(second);
	return r;
}

// ---- processes

rtd_bytes rtd_self(void) { return named(OP_SELF, NONE).bytes; }

rtd_result rtd_start_process(rtd_bytes module, rtd_bytes args, rtd_spawning how, uint16_t flags) {
	return rtd_ask(OP_SPAWN | (flags | (how.link ? LINK : 0)) << 16, module, args, how.under, how.name);
}

rtd_result rtd_spawn(rtd_bytes module, rtd_bytes args, rtd_spawning how) {
	rtd_result r = rtd_start_process(module, args, how, 0);
	rtd_bytes pid, rest = r.bytes;
	if (r.code == RTD_OK && rtd_cut_field(&rest, &pid)) r.bytes = pid;
	return r;
}

rtd_result rtd_children(rtd_bytes supervisor) { return named(OP_CHILDREN, supervisor); }
rtd_result rtd_stop_child(rtd_bytes pid) { return named(OP_STOP_CHILD, pid); }

// about does an operation with a name, a payload, and a time unless that is 0.
static rtd_result about(uint16_t kind, rtd_bytes name, rtd_bytes payload, uint32_t ms) {
	return rtd_ask(kind, name, payload, ms ? rtd_format("%d", ms) : NONE, NONE);
}

rtd_result rtd_call(rtd_bytes process, rtd_bytes question, uint32_t timeout) { return about(OP_CALL, process, question, timeout); }

rtd_result rtd_request(rtd_bytes process, rtd_bytes question, bool notify) {
	return rtd_ask(OP_REQUEST | (notify ? NOTIFY << 16 : 0), process, question, NONE, NONE);
}

rtd_result rtd_await(rtd_bytes ref, uint32_t timeout) { return about(OP_AWAIT, ref, NONE, timeout); }
rtd_result rtd_cast(rtd_bytes process, rtd_bytes message) { return about(OP_CAST, process, message, 0); }
rtd_result rtd_send(rtd_bytes process, rtd_bytes message) { return about(OP_SEND, process, message, 0); }

rtd_result rtd_send_after(rtd_bytes message, uint32_t ms) {
	return rtd_ask(OP_SEND_AFTER, NONE, message, rtd_format("%d", ms), NONE);
}

rtd_result rtd_cancel(rtd_bytes timer) { return named(OP_CANCEL, timer); }
rtd_result rtd_sleep(uint32_t ms) { return rtd_ask(OP_SLEEP, NONE, NONE, rtd_format("%d", ms), NONE); }

void rtd_answer(rtd_bytes from, rtd_bytes answer) {
	rtd_effect(EFFECT_ANSWER, from, answer, NONE);
}

rtd_result rtd_monitor(rtd_bytes process) { return named(OP_MONITOR, process); }
rtd_result rtd_demonitor(rtd_bytes ref) { return named(OP_DEMONITOR, ref); }
rtd_result rtd_link(rtd_bytes process) { return named(OP_LINK, process); }
rtd_result rtd_unlink(rtd_bytes process) { return named(OP_UNLINK, process); }
rtd_result rtd_trap_exit(bool on) { return named(OP_TRAP_EXIT, on ? RTD("on") : RTD("off")); }
rtd_result rtd_register(rtd_bytes name, rtd_bytes pid) { return about(OP_REGISTER, name, pid, 0); }
rtd_result rtd_unregister(rtd_bytes name) { return named(OP_UNREGISTER, name); }
rtd_result rtd_whereis(rtd_bytes name) { return named(OP_WHEREIS, name); }
rtd_result rtd_exit(rtd_bytes process, rtd_bytes reason) { return about(OP_EXIT, process, reason, 0); }
rtd_result rtd_process_info(rtd_bytes process) { return named(OP_INFO, process); }

void rtd_log(rtd_bytes level, rtd_bytes text) { about(OP_LOG, level, text, 0); }
void rtd_hibernate(void) { rtd_effect(EFFECT_HIBERNATE, NONE, NONE, NONE); }

void rtd_stop(rtd_bytes reason) {
	rtd_bytes kind = RTD("crash");
	if (!rtd_size(reason) || rtd_equal(reason, RTD("normal"))) {
		kind = RTD("normal");
		reason = NONE;
	} else if (rtd_equal(reason, RTD("shutdown")) || rtd_cut(&reason, RTD("shutdown: "))) {
		kind = RTD("shutdown");
		if (rtd_equal(reason, kind)) reason = NONE;
	}
	rtd_effect(EFFECT_STOP, kind, reason, NONE);
}

// ---- the tree

void rtd_depends(rtd_bytes plugin) { rtd_effect(EFFECT_DEPENDS, plugin, NONE, NONE); }

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
