// The topics suite:*, a process for each join.
#include "suite.h"

static RTD_KEPT(256) topic;
static RTD_KEPT(1000) assigns;
static bool replay;
static RTD_KEPT(1000) name;
static int count;
static RTD_KEPT(64) later, held;

static void keep_join(const rtd_event *join) {
	rtd_keep(topic, join->topic);
	rtd_keep(assigns, join->assigns);
	replay = rtd_is_replay(join);
}

static void join(const rtd_event *e) {
	keep_join(e);
	rtd_bytes cause = text(e, RTD("crash")), welcome = text(e, RTD("welcome"));
	if (rtd_size(cause)) rtd_crash(cause);
	if (refuse(e)) return;
	rtd_keep(name, text(e, RTD("record")));
	if (rtd_size(welcome)) rtd_reply(RTD("ok"), rtd_format("{\"welcome\":%q}", welcome));
	arrive(rtd_kept(name), e);
}

static void away(const rtd_event *e) {
	if (name.size) record(rtd_format("away %s %s", rtd_kept(name), e->reason));
}

static void back(const rtd_event *e) {
	if (refuse(e)) return;
	keep_join(e);
	rtd_bytes push = text(e, RTD("push")), welcome = text(e, RTD("welcome"));
	rtd_keep(name, text(e, RTD("record")));
	if (name.size) record(rtd_format("back %s", rtd_kept(name)));
	if (rtd_size(push)) rtd_push(RTD("joined"), rtd_format("{\"text\":%q,\"replay\":%s}", push, rtd_bool(replay)));
	if (rtd_size(welcome)) rtd_reply(RTD("ok"), rtd_format("{\"welcome\":%q}", welcome));
}

static void terminate(const rtd_event *e) {
	if (name.size) record(rtd_format("terminate %s %s", rtd_kept(name), e->reason));
}

static void out(const rtd_event *e) { rtd_push(RTD("unmasked"), e->payload); }

static void broadcast(const rtd_event *e) {
	rtd_push(RTD("heard"), rtd_is_binary(e->payload) ? e->payload : rtd_format("{\"topic\":%q,\"event\":%q,\"payload\":%s}", e->of, e->event, e->payload));
}

static void info(const rtd_event *e) {
	if (is(e->message, "reply later")) rtd_reply_to(rtd_kept(later), RTD("ok"), RTD("{\"late\":true}"));
	else rtd_push(RTD("info"), rtd_format("{\"text\":%q}", e->message));
}

static void down(const rtd_event *e) {
	rtd_push(RTD("down"), rtd_format("{\"ref\":%q,\"pid\":%q,\"reason\":%q}", e->monitor, e->pid, e->reason));
}

static void gone(const rtd_event *e) { rtd_push(RTD("exit"), rtd_format("{\"pid\":%q,\"reason\":%q}", e->pid, e->reason)); }

static void reply(const rtd_event *e) {
	if (rtd_failed(e)) rtd_push(RTD("reply"), rtd_format("{\"ref\":%q,\"reason\":%q}", e->request, word((rtd_result){RTD_ENDED, e->reason})));
	else rtd_push(RTD("reply"), rtd_format("{\"ref\":%q,\"answer\":%q}", e->request, e->answer));
}

static void export(const rtd_event *e) {
	(void)e;
	rtd_export(RTD("1"), rtd_format("%d", count));
}

static void import(const rtd_event *e) {
	rtd_bytes members = e->members;
	rtd_event j;
	if (!check_schema(e) || !rtd_next_join(&members, &j)) return;
	j.topic = e->topic;
	keep_join(&j);
	count = rtd_number(e->state);
}

// ---- messages

static rtd_bytes list(rtd_bytes fields) {
	rtd_bytes text = RTD("["), field;
	for (bool more = false; rtd_cut_field(&fields, &field); more = true) text = rtd_format("%s%s%q", text, more ? RTD(",") : NONE, field);
	return rtd_format("%s]", text);
}

static bool about_channel(const rtd_event *e) {
	if (common(e, rtd_kept(topic), rtd_kept(assigns), replay)) return true;
	if (is(e->event, "status")) rtd_reply(text(e, RTD("status")), text_object(e));
	else if (is(e->event, "quiet")) return true;
	else if (is(e->event, "count")) rtd_reply(RTD("ok"), rtd_format("{\"count\":%d}", count));
	else if (is(e->event, "config")) rtd_reply(RTD("ok"), config_given());
	else if (is(e->event, "later")) {
		rtd_keep(later, e->ref);
		rtd_send_after(RTD("reply later"), rtd_find_int(e->payload, RTD("ms")));
	} else if (is(e->event, "hold")) rtd_keep(held, e->ref);
	else if (is(e->event, "release")) {
		rtd_reply_to(rtd_kept(held), RTD("ok"), rtd_is_binary(e->payload) ? e->payload : text_object(e));
		rtd_reply(RTD("ok"), NONE);
	} else if (is(e->event, "stop") || is(e->event, "stop_quietly")) {
		if (is(e->event, "stop")) rtd_reply(RTD("ok"), NONE);
		rtd_stop(text(e, RTD("reason")));
	} else if (is(e->event, "trap")) {
		rtd_push(RTD("never"), NONE);
		__builtin_trap();
	} else if (is(e->event, "push")) send(e, rtd_push);
	else if (is(e->event, "vector")) {
		rtd_event r;
		if (rtd_read(e->payload, &r)) rtd_reply(RTD("ok"), rtd_binary(rtd_write(&r)));
		else rtd_reply(RTD("error"), RTD("{\"reason\":\"malformed\"}"));
	} else return false;
	return true;
}

// answered, pid_of and the like make a response of a result.
static bool of(rtd_result r, const char *format) {
	respond(r, rtd_format(format, r.bytes));
	return true;
}

static bool bare(rtd_result r) { return of(r, ""); }

// past replies all of a page.
static bool past(rtd_result r, rtd_history_page *page) {
	rtd_bytes messages = NONE;
	int64_t ms = 0;
	for (rtd_past_message m; rtd_next_past(page, &m); ms = m.unix_ms)
		messages = rtd_join_field(messages,
			rtd_format("%s %s %s%s", rtd_decimal(m.offset), m.event, rtd_is_binary(m.payload) ? RTD("binary ") : NONE, m.payload));
	respond(r, rtd_format("{\"position\":%q,\"oldest\":%s,\"messages\":%s,\"ms\":%s}", page->position, rtd_decimal(page->oldest), list(messages), rtd_decimal(ms)));
	return true;
}

bool about_others(const rtd_event *e) {
	rtd_bytes to = text(e, RTD("to")), what = text(e, RTD("text")), named = text(e, RTD("name")),
		  where = text(e, RTD("topic")), ref = text(e, RTD("ref")), under = text(e, RTD("under"));
	uint32_t ms = rtd_find_int(e->payload, RTD("ms"));
	if (is(e->event, "publish")) {
		if (rtd_is_binary(e->payload)) return bare(rtd_publish(RTD("suite:bytes"), RTD("bytes"), e->payload));
		return bare(rtd_publish(where, text(e, RTD("event")), text_object(e)));
	}
	if (is(e->event, "subscribe")) return bare(rtd_subscribe(where));
	if (is(e->event, "unsubscribe")) return rtd_unsubscribe(where), rtd_reply(RTD("ok"), NONE), true;
	if (is(e->event, "disconnect")) return rtd_disconnect(text(e, RTD("id"))), rtd_reply(RTD("ok"), NONE), true;
	if (is(e->event, "log")) return rtd_log(text(e, RTD("level")), what), rtd_reply(RTD("ok"), NONE), true;
	if (is(e->event, "hibernate")) return rtd_hibernate(), rtd_reply(RTD("ok"), NONE), true;
	if (is(e->event, "presences")) return of(rtd_presences(where), "%s");
	if (is(e->event, "presence_count")) {
		int64_t keys, metas;
		rtd_result r = rtd_presence_count(where, &keys, &metas);
		respond(r, rtd_format("{\"keys\":%d,\"metas\":%d}", (int)keys, (int)metas));
		return true;
	}
	if (is(e->event, "history")) {
		rtd_history_page page;
		return past(rtd_history(where, rtd_find_int(e->payload, RTD("after")), rtd_find_int(e->payload, RTD("limit")), &page), &page);
	}
	if (is(e->event, "send_after")) return of(rtd_send_after(what, ms), "{\"timer\":%q}");
	if (is(e->event, "cancel")) return of(rtd_cancel(text(e, RTD("timer"))), "{\"left\":%s}");
	if (is(e->event, "sleep")) return bare(rtd_sleep(ms));
	if (is(e->event, "send")) return bare(rtd_send(to, what));
	if (is(e->event, "cast")) return bare(rtd_cast(to, what));
	if (is(e->event, "call")) return of(rtd_call(to, what, ms), "{\"answer\":%q}");
	if (is(e->event, "request")) return of(rtd_request(to, what, false), "{\"ref\":%q}");
	if (is(e->event, "request_notify")) return of(rtd_request(to, what, true), "{\"ref\":%q}");
	if (is(e->event, "await")) return of(rtd_await(ref, ms), "{\"answer\":%q}");
	if (is(e->event, "spawn"))
		return of(rtd_spawn(text(e, RTD("module")), text(e, RTD("args")), (rtd_spawning){under, named, is(text(e, RTD("link")), "yes")}), "{\"pid\":%q}");
	if (is(e->event, "children")) {
		rtd_result r = rtd_children(under);
		r.bytes = r.code ? r.bytes : list(r.bytes);
		return of(r, "{\"pids\":%s}");
	}
	if (is(e->event, "stop_child")) return bare(rtd_stop_child(to));
	if (is(e->event, "monitor")) return of(rtd_monitor(to), "{\"ref\":%q}");
	if (is(e->event, "demonitor")) return bare(rtd_demonitor(ref));
	if (is(e->event, "link")) return bare(rtd_link(to));
	if (is(e->event, "unlink")) return bare(rtd_unlink(to));
	if (is(e->event, "trap_exit")) return bare(rtd_trap_exit(is(text(e, RTD("on")), "yes")));
	if (is(e->event, "register")) return bare(rtd_register(named, to));
	if (is(e->event, "unregister")) return bare(rtd_unregister(named));
	if (is(e->event, "whereis")) return of(rtd_whereis(named), "{\"pid\":%q}");
	if (is(e->event, "exit")) return bare(rtd_exit(to, text(e, RTD("reason"))));
	if (is(e->event, "process_info")) return of(rtd_process_info(to), "%s");
	return false;
}

// moment replies all of a time.
static bool moment(rtd_result r, const rtd_time *t) {
	respond(r, r.code ? r.bytes : rtd_format("{\"unix_ms\":%s,\"zone\":%q,\"abbreviation\":%q,\"offset\":%d,\"dst\":%s,\"year\":%d,\"month\":%d,\"day\":%d,\"hour\":%d,\"minute\":%d,\"second\":%d,\"ms\":%d,\"weekday\":%d,\"yearday\":%d,\"skipped\":%s,\"twice\":%s}",
		rtd_decimal(t->unix_ms), t->zone, t->abbreviation, t->offset, rtd_bool(t->dst), t->year, t->month, t->day, t->hour, t->minute, t->second,
		t->milliseconds, t->weekday, t->year_day, rtd_bool(t->skipped), rtd_bool(t->twice)));
	return true;
}

static bool about_time(const rtd_event *e) {
	rtd_bytes zone = text(e, RTD("zone")), what = text(e, RTD("text")), layout = text(e, RTD("layout"));
	int64_t ms = rtd_find_int(e->payload, RTD("ms"));
	rtd_time t;
	if (is(e->event, "clock_now")) return moment(rtd_clock_now(zone, &t), &t);
	if (is(e->event, "clock_at")) return moment(rtd_clock_at(zone, ms, &t), &t);
	if (is(e->event, "clock_parse")) return moment(rtd_clock_parse(zone, what, layout, &t), &t);
	if (is(e->event, "clock_add")) {
		rtd_span s = {rtd_find_int(e->payload, RTD("years")), rtd_find_int(e->payload, RTD("months")), rtd_find_int(e->payload, RTD("days"))};
		return moment(rtd_clock_add(zone, ms, s, &t), &t);
	}
	if (is(e->event, "clock_format")) return of(rtd_clock_format(zone, ms, layout), "{\"text\":%q}");
	return false;
}

static rtd_result awaited(rtd_result job) { return job.code ? job : rtd_await(job.bytes, 0); }

static bool about_behaviours(const rtd_event *e) {
	rtd_bytes to = text(e, RTD("to")), given = text(e, RTD("args")), id = text(e, RTD("id")), what = text(e, RTD("text"));
	rtd_bytes n = rtd_format("%d", (int)rtd_find_int(e->payload, RTD("n"))), job = RTD("job"), events = RTD("events");
	if (is(e->event, "agent_get")) return of(rtd_run(to, RTD("get"), NONE), "{\"n\":%s}");
	if (is(e->event, "agent_set")) return bare(rtd_run(to, RTD("set"), n));
	if (is(e->event, "agent_add")) return of(rtd_run(to, RTD("add"), n), "{\"n\":%s}");
	if (is(e->event, "agent_crash")) return bare(rtd_run(to, RTD("crash"), NONE));
	if (is(e->event, "task_await")) return of(awaited(rtd_async(job, given, (rtd_async_how){0})), "{\"answer\":%q}");
	if (is(e->event, "task_linked")) return of(awaited(rtd_async(job, given, (rtd_async_how){.link = true})), "{\"answer\":%q}");
	if (is(e->event, "task_notify")) return of(rtd_async(job, given, (rtd_async_how){.under = RTD("jobs"), .notify = true}), "{\"ref\":%q}");
	if (is(e->event, "task_start")) return of(rtd_spawn(job, given, (rtd_spawning){.under = RTD("jobs")}), "{\"pid\":%q}");
	if (is(e->event, "notify")) return bare(rtd_notify(events, what));
	if (is(e->event, "sync_notify")) return bare(rtd_sync_notify(events, what, 0));
	if (is(e->event, "events_call")) return of(rtd_ask_handler(events, id, what, 0), "{\"answer\":%q}");
	rtd_bytes module = text(e, RTD("module"));
	if (!rtd_size(module)) module = RTD("listener");
	if (is(e->event, "events_add")) return bare(rtd_add_handler(events, id, module, id, is(text(e, RTD("restart")), "yes")));
	if (is(e->event, "events_remove")) return bare(rtd_remove_handler(events, id));
	if (is(e->event, "events_list")) {
		rtd_result r = rtd_handlers(events);
		r.bytes = r.code ? r.bytes : list(r.bytes);
		return of(r, "{\"ids\":%s}");
	}
	return false;
}

static void message(const rtd_event *e) {
	count++;
	if (!about_channel(e) && !about_others(e) && !about_time(e) && !about_behaviours(e)) rtd_crash(rtd_format("unknown event %s", e->event));
}

static const char *const intercepts[] = {"masked", 0};

const rtd_channel join_channel = {
	.topic = "suite:*",
	.intercepts = intercepts,
	.join = join,
	.message = message,
	.out = out,
	.terminate = terminate,
	.broadcast = broadcast,
	.info = info,
	.down = down,
	.exit = gone,
	.reply = reply,
	.export = export,
	.import = import,
	.away = away,
	.back = back,
};
