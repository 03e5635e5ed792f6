// The way of an event to its handler.
#include "kinds.h"

// What this instance is, from its first event on.
static const rtd_channel *channel;
static const rtd_module *module;

static rtd_bytes at_hand; // the member that the event is about
static bool replaying;    // members join again, whose clients wait for no reply

// ---- effects that depend on the event at hand

static void reply(rtd_bytes status, rtd_bytes response, rtd_bytes token) {
	if (!replaying) rtd_effect(EFFECT_REPLY, status, response, token);
}

void rtd_reply(rtd_bytes status, rtd_bytes response) { reply(status, response, NONE); }

void rtd_reply_to(rtd_bytes ref, rtd_bytes status, rtd_bytes response) {
	if (rtd_size(ref)) reply(status, response, ref);
}

void rtd_refuse(rtd_bytes response) { rtd_reply(RTD("error"), response); }
void rtd_refuse_status(int status) { rtd_reply(rtd_format("%d", status), NONE); }
void rtd_accept(rtd_bytes id, rtd_bytes assigns) { reply(RTD("ok"), assigns, id); }

void rtd_push(rtd_bytes event, rtd_bytes payload) { rtd_push_to(at_hand, event, payload); }
void rtd_push_to(rtd_bytes member, rtd_bytes event, rtd_bytes payload) { rtd_effect(EFFECT_PUSH, event, payload, member); }
void rtd_broadcast(rtd_bytes event, rtd_bytes payload) { rtd_effect(EFFECT_BROADCAST, event, payload, NONE); }
void rtd_broadcast_from(rtd_bytes event, rtd_bytes payload) { rtd_effect(EFFECT_BROADCAST_FROM, event, payload, at_hand); }
rtd_result rtd_present(rtd_bytes topic) { return rtd_try_effect(EFFECT_PRESENT, topic, NONE, at_hand); }
void rtd_export(rtd_bytes schema, rtd_bytes state) { rtd_effect(EFFECT_STATE, schema, state, NONE); }

static void wants(rtd_bytes event) { rtd_effect(EFFECT_WANTS, event, NONE, NONE); }

// ---- events

// The handlers lie in the order of the events' numbers, of which join is the first.
#define IN_PLACE(handler, kind) \
	_Static_assert(offsetof(rtd_channel, handler) - offsetof(rtd_channel, join) == (kind - EVENT_JOIN) * sizeof(rtd_handler *), #handler)
IN_PLACE(init, EVENT_INIT);
IN_PLACE(leave, EVENT_LEAVE);
IN_PLACE(out, EVENT_OUT);
IN_PLACE(import, EVENT_IMPORT);
_Static_assert(offsetof(rtd_module, import) - offsetof(rtd_module, join) == offsetof(rtd_channel, import) - offsetof(rtd_channel, join), "modules");

static void run(rtd_handler *h, const rtd_event *e) {
	if (h) h(e);
}

static void start(const rtd_event *e) {
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
	if (exports) wants(RTD("export"));
	if (rtd_this.connect) wants(RTD("connect"));
	if (rtd_this.stop) wants(RTD("stop"));
	run(rtd_this.start, e);
}

static bool serves(const char *pattern, rtd_bytes topic) {
	const char *at = rtd_at(topic), *end = at + rtd_size(topic);
	for (; *pattern != '*'; pattern++, at++)
		if (at == end || *at != *pattern) return at == end && *pattern == 0;
	return true;
}

static void open_channel(rtd_bytes topic) {
	const rtd_channel *const *c = rtd_this.channels;
	if (!c) __builtin_trap(); // the config gives topics to a plugin without channels
	channel = *c;
	for (; *c; c++)
		if (serves((*c)->topic, topic)) {
			channel = *c;
			return;
		}
}

static bool open_module(rtd_bytes name) {
	for (const rtd_module *const *m = rtd_this.modules; m && *m; m++)
		if (rtd_equal(rtd_text((*m)->name), name)) module = *m;
	return module != 0;
}

// first is a channel's first event: it says what else it wants.
static void first(const rtd_event *e) {
	open_channel(e->topic);
	if (channel->terminate) wants(RTD("terminate"));
	for (const char *const *event = channel->intercepts; event && *event; event++)
		rtd_effect(EFFECT_INTERCEPT, rtd_text(*event), NONE, NONE);
}

static bool next_member(rtd_bytes *list, rtd_event *join) {
	*join = (rtd_event){.kind = EVENT_JOIN, .flags = REPLAY};
	return rtd_cut_field(list, &join->member) && rtd_cut_field(list, &join->payload);
}

bool rtd_next_join(rtd_bytes *members, rtd_event *join) {
	return next_member(members, join) && rtd_cut_field(members, &join->assigns);
}

// rejoin lets members join again after a crash: payload lists each with its join payload,
// extra their assigns.
static void rejoin(const rtd_event *e) {
	rtd_bytes list = e->payload, assigns = e->extra;
	replaying = true;
	for (rtd_event j; next_member(&list, &j);) {
		rtd_cut_field(&assigns, &j.assigns);
		j.topic = e->topic;
		at_hand = j.member;
		run(channel->join, &j);
	}
	replaying = false;
}

// Of a process, what import lists is pid and arguments.
rtd_bytes rtd_imported_args(const rtd_event *import) {
	rtd_bytes list = import->extra, field;
	rtd_cut_field(&list, &field);
	rtd_cut_field(&list, &field);
	return field;
}

static bool is_process(rtd_bytes list) {
	int n = 0;
	for (rtd_bytes field; rtd_cut_field(&list, &field);) n++;
	return n == 2;
}

// init answers who asked for it, such as an event manager.
static void init(const rtd_module *m, const rtd_event *e) {
	if (m->terminate) wants(RTD("terminate"));
	run(m->init, e);
	if (e->flags & REQUEST) rtd_answer(e->extra, NONE);
}

static void handle_any(rtd_handler *const *handlers, const rtd_event *e) {
	rtd_handler *h = e->kind <= EVENT_IMPORT ? handlers[e->kind - EVENT_JOIN] : 0;
	if (h) h(e);
	else if (e->kind == EVENT_CALL || e->kind == EVENT_CAST || e->kind == EVENT_IMPORT) rtd_crash(RTD("no handler for it"));
}

void rtd_handle(const rtd_module *m, const rtd_event *e) {
	if (e->kind == EVENT_INIT) init(m, e);
	else handle_any(&m->join, e);
}

static void handle_channel(const rtd_event *e) {
	switch (e->kind) {
	case EVENT_JOIN:
	case EVENT_MESSAGE:
	case EVENT_LEAVE:
	case EVENT_OUT:
		at_hand = e->member;
		break;
	case EVENT_MEMBERS:
		rejoin(e);
		return;
	}
	handle_any(&channel->join, e);
}

static void dispatch(rtd_event *e) {
	switch (e->kind) {
	case EVENT_START:
		start(e);
		return;
	case EVENT_STOP:
		run(rtd_this.stop, e);
		return;
	case EVENT_CONNECT:
		run(rtd_this.connect, e);
		return;
	case EVENT_JOIN:
	case EVENT_MEMBERS:
		if (!channel) first(e);
		break;
	case EVENT_INIT:
		if (!open_module(e->name)) rtd_crash(RTD("no such module"));
		break;
	case EVENT_IMPORT:
		if (!rtd_this.modules || !is_process(e->extra) || !open_module(e->name)) open_channel(e->topic);
		break;
	case EVENT_TERMINATE: // the reason in one
		e->reason = rtd_size(e->reason) ? rtd_format("%s: %s", e->name, e->reason) : e->name;
		break;
	case EVENT_EXIT:
		e->pid = e->name;
		break;
	}
	// Without either, a newer host tells of something that this SDK does not know.
	if (channel) handle_channel(e);
	else if (module && module->behaviour) module->behaviour->handle(module, e);
	else if (module) rtd_handle(module, e);
}

__attribute__((export_name("handle"))) int32_t handle(uint32_t size) {
	rtd_event e;
	if (!rtd_read(rtd_inbox(size), &e)) return 1;
	dispatch(&e);
	at_hand = NONE;
	rtd_wipe();
	return 0;
}
