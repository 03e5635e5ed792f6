// Event managers. One never waits for a handler, whose answers come back as replies. A question to it
// is a field with a verb, a field with the handler's id, and the rest; its answer is a field with an
// error's code, empty if there is none, and the rest.
#include "internal.h"

enum { HANDLERS = 32, WAITS = 32, REQUESTS = 64, CRASHES = 3 };

static const uint64_t within = 5000000000; // nanoseconds

typedef struct {
	bool used, restart;
	bool added; // its first init went well
	RTD_KEPT(64) id;
	RTD_KEPT(64) module;
	RTD_KEPT(128) args;
	RTD_KEPT(16) pid; // enough for the first 34 billion processes of a server
	uint64_t crashes[CRASHES]; // when it was restarted, the last first
} handler;

// A wait is somebody who waits for handlers.
typedef struct {
	enum { NOBODY, SYNC, CALL, ADD } verb;
	uint32_t left; // how many handlers
	uint32_t of;   // which handler is added, counted from 1
	RTD_KEPT(32) from;
} wait;

typedef struct {
	uint32_t of; // which wait, counted from 1; 0: free
	RTD_KEPT(32) ref;
} request;

static handler handlers[HANDLERS]; // in the order in which they were added
static wait waits[WAITS];
static request requests[REQUESTS];

__attribute__((import_module("wasi_snapshot_preview1"), import_name("clock_time_get")))
uint32_t clock_time_get(uint32_t clock, uint64_t precision, uint64_t *now);

static void respond(rtd_bytes from, rtd_code code, rtd_bytes rest) {
	rtd_answer(from, rtd_format("%s%s", rtd_join_field(NONE, code ? rtd_format("%d", code) : NONE), rest));
}

// ---- handlers

static handler *find(rtd_bytes id) {
	for (handler *h = handlers; h < handlers + HANDLERS && h->used; h++)
		if (rtd_equal(rtd_kept(h->id), id)) return h;
	return 0;
}

static handler *add(rtd_bytes id, rtd_bytes module, rtd_bytes args, bool restart) {
	handler *h = handlers;
	while (h < handlers + HANDLERS && h->used) h++;
	if (h == handlers + HANDLERS || rtd_size(id) > sizeof h->id.at || rtd_size(module) > sizeof h->module.at || rtd_size(args) > sizeof h->args.at)
		return 0;
	h->used = true;
	h->restart = restart;
	rtd_keep(h->id, id);
	rtd_keep(h->module, rtd_size(module) ? module : id);
	rtd_keep(h->args, args);
	return h;
}

// drop closes the gap, so that the order stays.
static void drop(handler *gone) {
	uint32_t number = gone - handlers + 1;
	for (wait *w = waits; w < waits + WAITS; w++) {
		if (w->of == number) w->of = 0;
		if (w->of > number) w->of--;
	}
	uint32_t behind = handlers + HANDLERS - 1 - gone;
	__builtin_memmove(gone, gone + 1, behind * sizeof *gone);
	__builtin_memset(handlers + HANDLERS - 1, 0, sizeof *gone);
}

// launch starts the handler's process; the answer's second field is the ref, if flags
// ask for one.
static rtd_result launch(handler *h, uint16_t flags) {
	rtd_result r = rtd_start_process(rtd_kept(h->module), rtd_kept(h->args), (rtd_spawning){.link = true}, flags);
	rtd_bytes rest = r.bytes, pid;
	if (r.code == RTD_OK && rtd_cut_field(&rest, &pid)) {
		rtd_keep(h->pid, pid);
		rtd_cut_field(&rest, &r.bytes);
	}
	return r;
}

static bool may_restart(handler *h) {
	uint64_t now = 0;
	clock_time_get(1, 1, &now);
	bool often = h->crashes[CRASHES - 1] && now - h->crashes[CRASHES - 1] <= within;
	if (!h->restart || !h->added || often) return false;
	__builtin_memmove(h->crashes + 1, h->crashes, (CRASHES - 1) * sizeof now);
	h->crashes[0] = now;
	return true;
}

// ---- who waits

static wait *begin(int verb, rtd_bytes from) {
	for (wait *w = waits; w < waits + WAITS; w++)
		if (!w->verb) {
			w->verb = verb;
			w->left = 0;
			w->of = 0;
			rtd_keep(w->from, from);
			return w;
		}
	respond(from, RTD_LIMIT, NONE);
	return 0;
}

static rtd_code await(wait *w, rtd_result asked) {
	if (asked.code) return asked.code;
	for (request *r = requests; r < requests + REQUESTS; r++)
		if (!r->of) {
			r->of = w - waits + 1;
			rtd_keep(r->ref, asked.bytes);
			w->left++;
			return RTD_OK;
		}
	return RTD_LIMIT;
}

static void end(wait *w, rtd_code code, rtd_bytes answer) {
	if (w->left) return;
	respond(rtd_kept(w->from), code, answer);
	__builtin_memset(w, 0, sizeof *w);
}

// ---- events

static void init(const rtd_module *m) {
	rtd_trap_exit(true); // to outlive handlers, which do not outlive the manager
	for (const rtd_handler_spec *const *s = m->handlers; s && *s; s++) {
		handler *h = add(rtd_text((*s)->id), rtd_text((*s)->module), rtd_text((*s)->args), (*s)->restart);
		if (!h) rtd_crash(RTD("too many handlers, or too long texts in one"));
		h->added = true;
		rtd_result r = launch(h, 0);
		if (r.code) rtd_crash(rtd_format("spawn %s: code %d", rtd_kept(h->module), r.code));
	}
}

static void cast(const rtd_event *e) {
	for (handler *h = handlers; h < handlers + HANDLERS && h->used; h++)
		if (rtd_cast(rtd_kept(h->pid), e->message).code)
			rtd_log(RTD("warn"), rtd_format("event handler %s misses an event", rtd_kept(h->id)));
}

static void call_add(const rtd_event *e, rtd_bytes id, rtd_bytes rest) {
	rtd_bytes module, restart;
	rtd_cut_field(&rest, &module);
	rtd_cut_field(&rest, &restart);
	if (find(id)) {
		respond(e->from, RTD_TAKEN, NONE);
		return;
	}
	handler *h = add(id, module, rest, rtd_size(restart));
	if (!h) {
		respond(e->from, RTD_LIMIT, NONE);
		return;
	}
	wait *w = begin(ADD, e->from);
	if (!w) {
		drop(h);
		return;
	}
	w->of = h - handlers + 1;
	rtd_result r = launch(h, REQUEST | NOTIFY);
	rtd_code code = await(w, r);
	if (code) {
		drop(h);
		end(w, code, r.bytes);
	}
}

static void call(const rtd_event *e) {
	rtd_bytes verb, id, rest = e->question;
	rtd_cut_field(&rest, &verb);
	rtd_cut_field(&rest, &id);
	handler *h = find(id);
	wait *w;
	if (rtd_equal(verb, RTD("sync"))) {
		if (!(w = begin(SYNC, e->from))) return;
		for (h = handlers; h < handlers + HANDLERS && h->used; h++) await(w, rtd_request(rtd_kept(h->pid), e->question, true));
		end(w, RTD_OK, NONE);
	} else if (rtd_equal(verb, RTD("list"))) {
		rtd_bytes ids = NONE;
		for (h = handlers; h < handlers + HANDLERS && h->used; h++) ids = rtd_join_field(ids, rtd_kept(h->id));
		respond(e->from, RTD_OK, ids);
	} else if (rtd_equal(verb, RTD("add"))) {
		call_add(e, id, rest);
	} else if (!h) {
		respond(e->from, RTD_NO_PROCESS, NONE);
	} else if (rtd_equal(verb, RTD("call"))) {
		if ((w = begin(CALL, e->from))) end(w, await(w, rtd_request(rtd_kept(h->pid), e->question, true)), NONE);
	} else { // remove
		rtd_code code = rtd_exit(rtd_kept(h->pid), RTD("shutdown")).code;
		drop(h);
		respond(e->from, code, NONE);
	}
}

static void reply(const rtd_event *e) {
	for (request *r = requests; r < requests + REQUESTS; r++) {
		if (!r->of || !rtd_equal(rtd_kept(r->ref), e->request)) continue;
		wait *w = waits + r->of - 1;
		__builtin_memset(r, 0, sizeof *r);
		w->left--;
		if (w->verb == ADD && w->of) {
			handler *h = handlers + w->of - 1;
			h->added = true;
			if (rtd_failed(e)) drop(h);
		}
		if (w->verb == SYNC) end(w, RTD_OK, NONE); // a crash counts as handled
		else end(w, rtd_failed(e) ? RTD_ENDED : RTD_OK, e->answer);
		return;
	}
}

static void tell_removed(const handler *h, rtd_bytes reason) {
	rtd_log(RTD("warn"), rtd_format("event handler %s is removed: %s", rtd_kept(h->id), reason));
}

static void gone(const rtd_event *e) {
	for (handler *h = handlers; h < handlers + HANDLERS && h->used; h++) {
		if (!rtd_equal(rtd_kept(h->pid), e->pid)) continue;
		rtd_bytes reason = e->reason;
		bool asked = rtd_equal(reason, RTD("normal")) || rtd_equal(reason, RTD("shutdown"));
		bool crash = !asked && !rtd_cut(&reason, RTD("shutdown: "));
		if (crash && may_restart(h) && launch(h, 0).code == RTD_OK) return;
		if (!asked) tell_removed(h, reason); // a crash, or it has no module any more
		drop(h);
		return;
	}
}

// ---- migration: the three tables are all there is, and nothing in them is an address

static const char schema[] = "rtd events 1";

static void export(void) {
	rtd_bytes state = rtd_join_field(NONE, rtd_make(handlers, sizeof handlers));
	state = rtd_join_field(state, rtd_make(waits, sizeof waits));
	rtd_export(rtd_text(schema), rtd_join_field(state, rtd_make(requests, sizeof requests)));
}

// import goes on with the same handlers, whichever the new version declares. Those whose module
// it does not have are removed.
static void import(const rtd_event *e) {
	rtd_bytes state = e->state, a, b, c;
	bool whole = rtd_cut_field(&state, &a) && rtd_cut_field(&state, &b) && rtd_cut_field(&state, &c);
	if (!whole || !rtd_equal(e->schema, rtd_text(schema)) || rtd_size(a) != sizeof handlers || rtd_size(b) != sizeof waits ||
	    rtd_size(c) != sizeof requests) {
		rtd_refuse(RTD("{\"reason\":\"the event manager is of another version of the SDK\"}"));
		return;
	}
	__builtin_memcpy(handlers, rtd_at(a), sizeof handlers);
	__builtin_memcpy(waits, rtd_at(b), sizeof waits);
	__builtin_memcpy(requests, rtd_at(c), sizeof requests);
	for (handler *h = handlers; h < handlers + HANDLERS && h->used;) {
		rtd_bytes module = rtd_kept(h->module);
		if (rtd_has_module(module)) {
			h++;
			continue;
		}
		tell_removed(h, rtd_format("no module %s", module));
		rtd_exit(rtd_kept(h->pid), RTD("shutdown")); // or it has ended
		drop(h);
	}
}

static void handle_manager(const rtd_module *m, const rtd_event *e) {
	switch (e->kind) {
	case EVENT_INIT:
		init(m);
		if (e->flags & REQUEST) rtd_answer(e->extra, NONE);
		break;
	case EVENT_CALL: call(e); break;
	case EVENT_CAST: cast(e); break;
	case EVENT_REPLY: reply(e); break;
	case EVENT_EXIT: gone(e); break;
	case EVENT_EXPORT: export(); break;
	case EVENT_IMPORT: import(e); break;
	}
}

const rtd_behaviour rtd_event_manager = {handle_manager, true};

// ---- questions to a manager

static rtd_result ask(rtd_bytes manager, rtd_bytes verb, rtd_bytes id, rtd_bytes rest, uint32_t timeout) {
	rtd_result r = rtd_call(manager, rtd_format("%s%s", rtd_join_field(rtd_join_field(NONE, verb), id), rest), timeout);
	rtd_bytes code;
	if (r.code == RTD_OK && rtd_cut_field(&r.bytes, &code)) r.code = rtd_number(code);
	return r;
}

rtd_result rtd_notify(rtd_bytes manager, rtd_bytes event) { return rtd_cast(manager, event); }

rtd_result rtd_sync_notify(rtd_bytes manager, rtd_bytes event, uint32_t timeout) {
	return ask(manager, RTD("sync"), NONE, event, timeout);
}

rtd_result rtd_ask_handler(rtd_bytes manager, rtd_bytes id, rtd_bytes question, uint32_t timeout) {
	return ask(manager, RTD("call"), id, question, timeout);
}

rtd_result rtd_add_handler(rtd_bytes manager, rtd_bytes id, rtd_bytes module, rtd_bytes args, bool restart) {
	rtd_bytes rest = rtd_join_field(rtd_join_field(NONE, module), restart ? RTD("restart") : NONE);
	return ask(manager, RTD("add"), id, rtd_format("%s%s", rest, args), 0);
}

rtd_result rtd_remove_handler(rtd_bytes manager, rtd_bytes id) { return ask(manager, RTD("remove"), id, NONE, 0); }

rtd_result rtd_handlers(rtd_bytes manager) { return ask(manager, RTD("list"), NONE, NONE, 0); }
