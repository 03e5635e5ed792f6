// Topics of others, for every process, not only for channels.
#include "internal.h"

rtd_result rtd_publish(rtd_bytes topic, rtd_bytes event, rtd_bytes payload) {
	return rtd_try_effect(EFFECT_PUBLISH, event, payload, topic);
}

rtd_result rtd_subscribe(rtd_bytes topic) { return rtd_try_effect(EFFECT_SUBSCRIBE, topic, NONE, NONE); }

void rtd_unsubscribe(rtd_bytes topic) { rtd_effect(EFFECT_UNSUBSCRIBE, topic, NONE, NONE); }

void rtd_disconnect(rtd_bytes id) {
	rtd_code code = rtd_try_effect(EFFECT_DISCONNECT, id, NONE, NONE).code;
	if (code == RTD_DENIED)
		rtd_crash(RTD("disconnect: not granted; it needs disconnect = true in [capabilities] of rtd.toml, and allows = [\"disconnect\"] in [plugin.NAME] of the server's config"));
	if (code) rtd_crash(rtd_format("disconnect %s: code %d", id, code));
}
