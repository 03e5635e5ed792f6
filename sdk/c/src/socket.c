// Replies, pushes and broadcasts of a channel to its clients.
#include "internal.h"

rtd_bytes rtd_at_hand;
bool rtd_rejoining;

void rtd_reply_by(rtd_bytes status, rtd_bytes response, rtd_bytes token) {
	if (!rtd_rejoining) rtd_effect(EFFECT_REPLY, status, response, token);
}

void rtd_reply(rtd_bytes status, rtd_bytes response) { rtd_reply_by(status, response, NONE); }

void rtd_reply_to(rtd_bytes ref, rtd_bytes status, rtd_bytes response) {
	if (rtd_size(ref)) rtd_reply_by(status, response, ref);
}

void rtd_refuse(rtd_bytes response) { rtd_reply(RTD("error"), response); }

void rtd_push(rtd_bytes event, rtd_bytes payload) { rtd_push_to(rtd_at_hand, event, payload); }
void rtd_push_to(rtd_bytes member, rtd_bytes event, rtd_bytes payload) { rtd_effect(EFFECT_PUSH, event, payload, member); }
void rtd_broadcast(rtd_bytes event, rtd_bytes payload) { rtd_effect(EFFECT_BROADCAST, event, payload, NONE); }
void rtd_broadcast_from(rtd_bytes event, rtd_bytes payload) { rtd_effect(EFFECT_BROADCAST_FROM, event, payload, rtd_at_hand); }
