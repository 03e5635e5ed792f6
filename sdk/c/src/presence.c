// Who is in a topic.
#include "internal.h"

rtd_result rtd_track_of(rtd_bytes member, rtd_bytes topic, rtd_bytes key, rtd_bytes meta) {
	return rtd_ask(OP_TRACK, key, meta, topic, member);
}

rtd_result rtd_update_of(rtd_bytes member, rtd_bytes topic, rtd_bytes key, rtd_bytes meta) {
	return rtd_ask(OP_UPDATE, key, meta, topic, member);
}

rtd_result rtd_untrack_of(rtd_bytes member, rtd_bytes topic, rtd_bytes key) {
	return rtd_ask(OP_UNTRACK, key, NONE, topic, member);
}

rtd_result rtd_presences(rtd_bytes topic) { return rtd_named(OP_PRESENCES, topic); }

rtd_result rtd_presence_count(rtd_bytes topic, int64_t *keys, int64_t *metas) {
	rtd_result r = rtd_named(OP_PRESENCE_COUNT, topic);
	rtd_bytes first = NONE, second = NONE;
	rtd_cut_field(&r.bytes, &first);
	rtd_cut_field(&r.bytes, &second);
	*keys = rtd_number(first);
	*metas = rtd_number(second);
	return r;
}

rtd_result rtd_track(rtd_bytes topic, rtd_bytes key, rtd_bytes meta) { return rtd_track_of(rtd_at_hand, topic, key, meta); }
rtd_result rtd_update(rtd_bytes topic, rtd_bytes key, rtd_bytes meta) { return rtd_update_of(rtd_at_hand, topic, key, meta); }
rtd_result rtd_untrack(rtd_bytes topic, rtd_bytes key) { return rtd_untrack_of(rtd_at_hand, topic, key); }
rtd_result rtd_present(rtd_bytes topic) { return rtd_try_effect(EFFECT_PRESENT, topic, NONE, rtd_at_hand); }
