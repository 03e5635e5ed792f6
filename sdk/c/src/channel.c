// The process of a channel.
#include "internal.h"

// The channel that this instance is, from its first event on.
static const rtd_channel *channel;

static bool serves(const char *pattern, rtd_bytes topic) {
	const char *at = rtd_at(topic), *end = at + rtd_size(topic);
	for (; *pattern != '*'; pattern++, at++)
		if (at == end || *at != *pattern) return at == end && *pattern == 0;
	return true;
}

void rtd_open_channel(rtd_bytes topic) {
	const rtd_channel *const *c = rtd_this.channels;
	if (!c) __builtin_trap(); // the config gives topics to a plugin without channels
	channel = *c;
	for (; *c; c++)
		if (serves((*c)->topic, topic)) {
			channel = *c;
			return;
		}
}

void rtd_begin_channel(const rtd_event *e) {
	if (channel) return;
	rtd_open_channel(e->topic);
	if (channel->terminate) rtd_want(RTD("terminate"));
	if (channel->away) rtd_want(RTD("away"));
	if (channel->back) rtd_want(RTD("back"));
	for (const char *const *event = channel->intercepts; event && *event; event++)
		rtd_effect(EFFECT_INTERCEPT, rtd_text(*event), NONE, NONE);
}

// rejoin lets members join again, after a crash or when a durable channel wakes: payload lists each with its
// join payload, extra their assigns.
static void rejoin(const rtd_event *e) {
	rtd_bytes list = e->payload, assigns = e->extra;
	rtd_rejoining = true;
	rtd_run_handler(channel->members, e);
	for (rtd_event j; rtd_next_member(&list, &j);) {
		rtd_cut_field(&assigns, &j.assigns);
		j.topic = e->topic;
		rtd_at_hand = j.member;
		rtd_run_handler(channel->join, &j);
	}
	rtd_rejoining = false;
}

bool rtd_handle_channel(const rtd_event *e) {
	if (!channel) return false;
	switch (e->kind) {
	case EVENT_JOIN:
	case EVENT_MESSAGE:
	case EVENT_LEAVE:
	case EVENT_OUT:
	case EVENT_BACK:
		rtd_at_hand = e->member;
		break;
	case EVENT_MEMBERS:
		rejoin(e);
		return true;
	}
	rtd_call_back(&channel->join, e);
	return true;
}
