#include "suite.h"

// ---- recorder

static char lines[4000];
static uint32_t recorded;

static void recorder_cast(const rtd_event *e) {
	if (recorded + rtd_size(e->message) + 1 > sizeof lines) return;
	recorded += rtd_copy(lines + recorded, rtd_size(e->message), e->message);
	lines[recorded++] = '\n';
}

static void recorder_call(const rtd_event *e) {
	if (is(e->question, "clear")) recorded = 0;
	rtd_answer(e->from, rtd_make(lines, recorded));
}

const rtd_module recorder_module = {.name = "recorder", .call = recorder_call, .cast = recorder_cast};

// ---- server

static RTD_KEPT(1000) args;
static int calls;
static RTD_KEPT(64) kept;

static void server_init(const rtd_event *e) {
	if (is(e->args, "crash")) rtd_crash(RTD("init crashed"));
	rtd_keep(args, e->args);
	record(rtd_format("init %s", e->args));
}

static void server_call(const rtd_event *e) {
	calls++;
	rtd_bytes answer = rtd_format("echo: %s", e->question), name = e->question;
	if (is(e->question, "args")) answer = rtd_kept(args);
	else if (is(e->question, "count")) answer = rtd_format("%d", calls);
	else if (is(e->question, "self")) answer = rtd_self();
	else if (is(e->question, "later")) {
		rtd_keep(kept, e->from);
		rtd_send_after(RTD("answer"), 20);
		return;
	} else if (is(e->question, "never")) return;
	else if (is(e->question, "crash")) rtd_crash(RTD("told to crash"));
	else if (is(e->question, "trap")) __builtin_trap();
	else if (is(e->question, "stop")) {
		answer = RTD("stopped");
		rtd_stop(RTD("normal"));
	} else if (rtd_cut(&name, RTD("ask "))) {
		rtd_result r = rtd_call(name, RTD("args"), 0);
		answer = r.code ? word(r) : r.bytes;
	}
	rtd_answer(e->from, answer);
}

static void server_cast(const rtd_event *e) {
	rtd_bytes reason = e->message;
	if (is(e->message, "crash")) rtd_crash(RTD("told to crash"));
	else if (rtd_cut(&reason, RTD("stop "))) rtd_stop(reason);
	else record(rtd_format("cast %s", e->message));
}

static void server_info(const rtd_event *e) {
	if (is(e->message, "answer")) rtd_answer(rtd_kept(kept), RTD("late"));
	else record(rtd_format("info %s", e->message));
}

static void server_terminate(const rtd_event *e) { record(rtd_format("terminate %s %s", rtd_kept(args), e->reason)); }

static void server_export(const rtd_event *e) {
	(void)e;
	rtd_export(RTD("1"), rtd_format("%d %s", calls, rtd_kept(args)));
}

static void server_import(const rtd_event *e) {
	if (!check_schema(e)) return;
	rtd_bytes rest = e->state;
	calls = rtd_number(rest);
	rtd_cut(&rest, rtd_format("%d ", calls));
	rtd_keep(args, rest);
}

const rtd_module server_module = {
	.name = "server",
	.init = server_init,
	.call = server_call,
	.cast = server_cast,
	.info = server_info,
	.terminate = server_terminate,
	.export = server_export,
	.import = server_import,
};

// ---- counter

static int64_t number;

static rtd_bytes decimal(void) { return rtd_format("%d", (int)number); }

static void counter_init(const rtd_event *e) { number = rtd_number(e->args); }

static rtd_bytes counter_get(rtd_bytes arg) {
	(void)arg;
	return decimal();
}

static rtd_bytes counter_set(rtd_bytes arg) {
	number = rtd_number(arg);
	return NONE;
}

static rtd_bytes counter_add(rtd_bytes arg) {
	number += rtd_number(arg);
	return decimal();
}

static rtd_bytes counter_crash(rtd_bytes arg) {
	(void)arg;
	rtd_crash(RTD("told to crash"));
}

static const rtd_function get = {"get", counter_get}, set = {"set", counter_set}, add = {"add", counter_add}, crash = {"crash", counter_crash};

const rtd_module counter_module = {
	.name = "counter",
	.init = counter_init,
	.behaviour = &rtd_agent,
	.functions = RTD_LIST(rtd_function, &get, &set, &add, &crash),
};

// ---- job

static rtd_bytes run(rtd_bytes job) {
	if (is(job, "crash")) rtd_crash(RTD("job crashed"));
	if (is(job, "slow")) {
		rtd_sleep(100);
		return RTD("slow");
	}
	record(rtd_format("job %s", job));
	return rtd_format("done %s", job);
}

const rtd_module job_module = {.name = "job", .behaviour = &rtd_task, .run = run};

// ---- events and listener

static const rtd_handler_spec keeper = {.id = "keeper", .module = "listener", .args = "keeper", .restart = true};
static const rtd_handler_spec flimsy = {.id = "flimsy", .module = "listener", .args = "flimsy"};

const rtd_module events_module = {
	.name = "events",
	.behaviour = &rtd_event_manager,
	.handlers = RTD_LIST(rtd_handler_spec, &keeper, &flimsy),
};

static RTD_KEPT(500) heard;

static void listener_init(const rtd_event *e) {
	rtd_keep(args, e->args);
	record(rtd_format("listening %s", e->args));
	if (is(e->args, "crash")) rtd_crash(RTD("init crashed"));
}

static void listener_event(rtd_bytes event) {
	if (rtd_equal(event, rtd_format("crash %s", rtd_kept(args)))) rtd_crash(RTD("told to crash"));
	if (rtd_equal(event, rtd_format("leave %s", rtd_kept(args)))) rtd_stop(RTD("normal"));
	else rtd_keep(heard, heard.size ? rtd_format("%s,%s", rtd_kept(heard), event) : event);
}

static void listener_call(const rtd_event *e) {
	if (is(e->question, "crash")) rtd_crash(RTD("told to crash"));
	rtd_answer(e->from, rtd_kept(heard));
}

const rtd_module listener_module = {
	.name = "listener",
	.behaviour = &rtd_event_handler,
	.init = listener_init,
	.event = listener_event,
	.call = listener_call,
};

// ---- archive: a listener that hands on what it has heard

static void archive_export(const rtd_event *e) {
	(void)e;
	rtd_export(RTD("1"), rtd_format("%s %s", rtd_kept(args), rtd_kept(heard)));
}

static void archive_import(const rtd_event *e) {
	if (!check_schema(e)) return;
	rtd_keep(args, rtd_imported_args(e));
	rtd_bytes state = e->state;
	if (rtd_cut(&state, rtd_format("%s ", rtd_kept(args)))) rtd_keep(heard, state);
}

const rtd_module archive_module = {
	.name = "archive",
	.behaviour = &rtd_event_handler,
	.init = listener_init,
	.event = listener_event,
	.call = listener_call,
	.export = archive_export,
	.import = archive_import,
};
