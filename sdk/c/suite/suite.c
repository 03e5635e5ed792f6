// The plugin suite in C; ../../suite/README.md says what it does. What its processes do
// is in processes.c.
#include "suite.h"

static RTD_KEPT(1000) config;

static void start(const rtd_event *e) {
	rtd_bytes fail = rtd_find_text(e->config, RTD("fail"));
	if (rtd_size(fail)) rtd_crash(fail);
	rtd_keep(config, e->config);
	rtd_depends(RTD("base"));
	if (rtd_size(rtd_find_text(e->config, RTD("durable")))) {
		rtd_durable(RTD("durable:*"));
		rtd_durable(RTD("process:ledger"));
		rtd_keep_history(RTD("suite:stored*"), (rtd_keeping){.durable = true});
	}
	if (rtd_size(rtd_find_text(e->config, RTD("greeting")))) rtd_keep_history(RTD("suite:kept*"), (rtd_keeping){.messages = 3, .age = 3600000});
	static const rtd_child tree[] = {
		{.id = "recorder"},
		{.id = "pair", .type = RTD_SUPERVISOR, .strategy = RTD_ONE_FOR_ALL, .max_restarts = 100, .max_seconds = 5},
		{.id = "left", .under = "pair", .module = "server", .args = "left"},
		{.id = "right", .under = "pair", .module = "server", .args = "right"},
		{.id = "chain", .type = RTD_SUPERVISOR, .strategy = RTD_REST_FOR_ONE, .max_restarts = 100, .max_seconds = 5},
		{.id = "one", .under = "chain", .module = "server", .args = "one"},
		{.id = "two", .under = "chain", .module = "server", .args = "two"},
		{.id = "three", .under = "chain", .module = "server", .args = "three"},
		{.id = "nameless", .module = "server", .args = "nameless", .anonymous = true, .restart = RTD_TRANSIENT, .shutdown = 1000},
		{.id = "counter", .args = "10"},
		{.id = "events"},
		{.id = "jobs", .type = RTD_DYNAMIC, .restart = RTD_TEMPORARY},
		{.id = "pool", .type = RTD_DYNAMIC, .restart = RTD_TRANSIENT, .max_restarts = 100, .max_seconds = 5},
	};
	for (unsigned i = 0; i < sizeof tree / sizeof *tree; i++) rtd_declare(&tree[i]);
	static const rtd_child ledger = {.id = "ledger"};
	// Without these it has the tree that guests of earlier SDKs have.
	if (rtd_size(rtd_find_text(e->config, RTD("greeting"))) || rtd_size(rtd_find_text(e->config, RTD("durable")))) rtd_declare(&ledger);
}

static void stop(const rtd_event *e) {
	(void)e;
	rtd_log(RTD("info"), RTD("suite has stopped"));
}

static void connect(const rtd_event *e) {
	rtd_bytes params = rtd_find(e->payload, RTD("params"));
	rtd_bytes user = rtd_find_text(params, RTD("user"));
	if (!rtd_size(user)) return;
	if (rtd_equal(user, RTD("nobody"))) rtd_refuse_status(401);
	else if (rtd_equal(user, RTD("banned"))) rtd_refuse(NONE);
	else if (rtd_equal(user, RTD("crash"))) rtd_crash(RTD("told to crash"));
	else
		rtd_accept(rtd_format("users:%s", user),
			rtd_format("{\"user\":%q,\"mount\":%q,\"token\":%q,\"agent\":%q,\"header\":%q,\"address\":%q,\"nested\":%q}", user, e->mount,
				rtd_find_text(e->payload, RTD("auth_token")), rtd_find_text(e->payload, RTD("user_agent")),
				rtd_find_text(rtd_find(e->payload, RTD("x_headers")), RTD("x-suite")),
				rtd_find_text(rtd_find(e->payload, RTD("peer")), RTD("address")),
				rtd_find_text(rtd_find(params, RTD("a")), RTD("b"))));
}

// ---- conventions

rtd_bytes text(const rtd_event *e, rtd_bytes key) { return rtd_find_text(e->payload, key); }

bool is(rtd_bytes b, const char *string) { return rtd_equal(b, rtd_text(string)); }

void record(rtd_bytes line) { rtd_cast(RTD("recorder"), line); }

rtd_bytes word(rtd_result r) {
	static const char *const words[] = {"", "unknown", "malformed", "too_much", "not_now", "no_process", "timeout", "busy", "",
		"self", "full", "limit", "taken", "denied", "deadlock", "too_large", "no_history"};
	return r.code == RTD_ENDED ? rtd_format("ended: %s", r.bytes) : rtd_text(words[-r.code]);
}

void respond(rtd_result r, rtd_bytes response) {
	if (r.code) rtd_reply(RTD("error"), rtd_format("{\"reason\":%q}", word(r)));
	else rtd_reply(RTD("ok"), response);
}

bool check_schema(const rtd_event *e) {
	if (is(e->schema, "1")) return true;
	rtd_refuse(rtd_format("{\"reason\":%q}", rtd_format("cannot read schema %s", e->schema)));
	return false;
}

// ---- what both kinds of channel do

rtd_bytes text_object(const rtd_event *e) { return rtd_format("{\"text\":%q}", text(e, RTD("text"))); }

void send(const rtd_event *e, void how(rtd_bytes event, rtd_bytes payload)) {
	if (rtd_is_binary(e->payload)) how(RTD("bytes"), e->payload);
	else how(text(e, RTD("event")), text_object(e));
	rtd_reply(RTD("ok"), NONE);
}

void arrive(rtd_bytes name, const rtd_event *join) {
	if (rtd_size(name)) record(rtd_format(rtd_is_replay(join) ? "rejoin %s" : "join %s", name));
	rtd_bytes push = text(join, RTD("push"));
	if (rtd_size(push)) rtd_push(RTD("joined"), rtd_format("{\"text\":%q,\"replay\":%s}", push, rtd_bool(rtd_is_replay(join))));
}

bool refuse(const rtd_event *join) {
	rtd_bytes reason = text(join, RTD("refuse"));
	if (rtd_size(reason)) rtd_refuse(rtd_format("{\"reason\":%q}", reason));
	return rtd_size(reason);
}

bool common(const rtd_event *e, rtd_bytes topic, rtd_bytes assigns, bool replay) {
	if (is(e->event, "echo")) rtd_reply(RTD("ok"), e->payload);
	else if (is(e->event, "assigns")) rtd_reply(RTD("ok"), assigns);
	else if (is(e->event, "socket"))
		rtd_reply(RTD("ok"), rtd_format("{\"topic\":%q,\"member\":%q,\"replay\":%s,\"pid\":%q}", topic, e->member, rtd_bool(replay), rtd_self()));
	else if (is(e->event, "broadcast")) send(e, rtd_broadcast);
	else if (is(e->event, "broadcast_from")) send(e, rtd_broadcast_from);
	else if (is(e->event, "crash")) {
		rtd_push(RTD("never"), NONE);
		rtd_crash(text(e, RTD("text")));
	} else if (is(e->event, "present")) respond(rtd_present(text(e, RTD("topic"))), NONE);
	else if (is(e->event, "track")) {
		rtd_result r = rtd_track(text(e, RTD("topic")), text(e, RTD("key")), text_object(e));
		respond(r, rtd_format("{\"ref\":%q}", r.bytes));
	} else if (is(e->event, "update")) {
		rtd_result r = rtd_update(text(e, RTD("topic")), text(e, RTD("key")), text_object(e));
		respond(r, rtd_format("{\"ref\":%q}", r.bytes));
	} else if (is(e->event, "track_self")) {
		rtd_result r = rtd_track_of(NONE, NONE, text(e, RTD("key")), text_object(e));
		respond(r, rtd_format("{\"ref\":%q}", r.bytes));
	} else if (is(e->event, "untrack")) respond(rtd_untrack(text(e, RTD("topic")), text(e, RTD("key"))), NONE);
	else return false;
	return true;
}

rtd_bytes config_given(void) { return rtd_kept(config); }

const rtd_plugin rtd_this = {
	.channels = RTD_LIST(rtd_channel, &join_channel, &shared_channel, &durable_channel),
	.modules = RTD_LIST(rtd_module, &recorder_module, &server_module, &counter_module, &job_module, &events_module, &listener_module,
	                    &archive_module, &ledger_module),
	.start = start,
	.stop = stop,
	.connect = connect,
};
