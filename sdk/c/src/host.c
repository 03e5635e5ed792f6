// The way out to the host: effects, operations and the log.
#include "internal.h"

__attribute__((import_module("rtd_v1"), import_name("op")))
int32_t op(const void *record, uint32_t size, void *answer, uint32_t room);

static rtd_event record(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail, rtd_bytes extra) {
	return (rtd_event){kind, kind >> 16, {name}, {payload}, {detail}, {extra}};
}

void rtd_effect(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail) {
	rtd_code code = rtd_try_effect(kind, name, payload, detail).code;
	if (code) rtd_crash(rtd_format("effect %d %s: code %d", kind, name, code));
}

rtd_result rtd_try_effect(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail) {
	char *mark = rtd_top;
	rtd_event e = record(kind, name, payload, detail, NONE);
	rtd_bytes b = rtd_write(&e);
	int32_t code = op(rtd_at(b), rtd_size(b), 0, 0);
	rtd_top = mark;
	return (rtd_result){code < 0 ? (rtd_code)code : RTD_OK, NONE};
}

rtd_result rtd_ask(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail, rtd_bytes extra) {
	rtd_event e = record(kind, name, payload, detail, extra);
	return rtd_op(&e);
}

// rtd_op has little room for the answer at first. A longer one is fetched once more.
rtd_result rtd_op(const rtd_event *r) {
	enum { ROOM = 128 };
	char *answer = rtd_alloc(ROOM), *mark = rtd_top;
	rtd_bytes b = rtd_write(r);
	int32_t n = op(rtd_at(b), rtd_size(b), answer, ROOM);
	rtd_top = mark;
	rtd_result result = {n < 0 ? (rtd_code)n : RTD_OK, rtd_make(answer, n < 0 ? 0 : n)};
	if (n > ROOM || n == RTD_ENDED) {
		const uint16_t take[6] = {OP_TAKE};
		uint32_t size = n > ROOM ? n : op(take, sizeof take, 0, 0);
		answer = rtd_alloc(size);
		op(take, sizeof take, answer, size);
		result.bytes = rtd_make(answer, size);
	}
	return result;
}

_Noreturn void rtd_crash(rtd_bytes cause) {
	rtd_try_effect(OP_ABORT, NONE, cause, NONE);
	__builtin_trap(); // only if the host knows no abort
}

rtd_result rtd_named(uint16_t kind, rtd_bytes name) { return rtd_ask(kind, name, NONE, NONE, NONE); }

rtd_result rtd_about(uint16_t kind, rtd_bytes name, rtd_bytes payload, uint32_t ms) {
	return rtd_ask(kind, name, payload, ms ? rtd_format("%d", ms) : NONE, NONE);
}

void rtd_log(rtd_bytes level, rtd_bytes text) { rtd_about(OP_LOG, level, text, 0); }
