// The time in time zones, of the server's service rtd/clock.
#include "internal.h"

static rtd_bytes find(rtd_bytes answer, const char *key) { return rtd_find(answer, rtd_text(key)); }
static int part(rtd_bytes answer, const char *key) { return rtd_number(find(answer, key)); }
static bool holds(rtd_bytes answer, const char *key) { return rtd_equal(find(answer, key), RTD("true")); }

// ask asks with the beginning of a question, to which it adds the zone.
static rtd_result ask(rtd_bytes zone, rtd_bytes question, rtd_time *time) {
	rtd_result r = rtd_call(RTD("rtd/clock"), rtd_format("{%s\"zone\":%q}", question, zone), 0);
	if (r.code == RTD_OK && rtd_size(find(r.bytes, "error")))
		r = (rtd_result){RTD_MALFORMED, rtd_find_text(r.bytes, RTD("message"))};
	if (time) *time = (rtd_time){0};
	if (r.code || !time) return r;
	*time = (rtd_time){
		.unix_ms = rtd_number(find(r.bytes, "unix_ms")),
		.zone = rtd_find_text(r.bytes, RTD("zone")),
		.abbreviation = rtd_find_text(r.bytes, RTD("abbreviation")),
		.offset = part(r.bytes, "offset"),
		.dst = holds(r.bytes, "dst"),
		.year = part(r.bytes, "year"),
		.month = part(r.bytes, "month"),
		.day = part(r.bytes, "day"),
		.hour = part(r.bytes, "hour"),
		.minute = part(r.bytes, "minute"),
		.second = part(r.bytes, "second"),
		.milliseconds = part(r.bytes, "ms"),
		.weekday = part(r.bytes, "weekday"),
		.year_day = part(r.bytes, "yearday"),
		.skipped = holds(r.bytes, "skipped"),
		.twice = holds(r.bytes, "twice"),
	};
	return r;
}

rtd_result rtd_clock_now(rtd_bytes zone, rtd_time *now) { return ask(zone, NONE, now); }

rtd_result rtd_clock_at(rtd_bytes zone, int64_t unix_ms, rtd_time *time) {
	return ask(zone, rtd_format("\"unix_ms\":%s,", rtd_decimal(unix_ms)), time);
}

rtd_result rtd_clock_parse(rtd_bytes zone, rtd_bytes text, rtd_bytes layout, rtd_time *time) {
	return ask(zone, rtd_format("\"text\":%q,\"layout\":%q,", text, layout), time);
}

rtd_result rtd_clock_format(rtd_bytes zone, int64_t unix_ms, rtd_bytes layout) {
	rtd_result r = ask(zone, rtd_format("\"unix_ms\":%s,\"format\":%q,", rtd_decimal(unix_ms), layout), 0);
	if (r.code == RTD_OK) r.bytes = rtd_find_text(r.bytes, RTD("text"));
	return r;
}

rtd_result rtd_clock_add(rtd_bytes zone, int64_t unix_ms, rtd_span s, rtd_time *time) {
	return ask(zone, rtd_format("\"unix_ms\":%s,\"add\":{\"years\":%d,\"months\":%d,\"days\":%d},", rtd_decimal(unix_ms), s.years, s.months, s.days), time);
}
