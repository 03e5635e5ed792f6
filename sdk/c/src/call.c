// Questions to processes, and their answers.
#include "internal.h"

rtd_result rtd_call(rtd_bytes process, rtd_bytes question, uint32_t timeout) { return rtd_about(OP_CALL, process, question, timeout); }

rtd_result rtd_request(rtd_bytes process, rtd_bytes question, bool notify) {
	return rtd_ask(OP_REQUEST | (notify ? NOTIFY << 16 : 0), process, question, NONE, NONE);
}

rtd_result rtd_await(rtd_bytes ref, uint32_t timeout) { return rtd_about(OP_AWAIT, ref, NONE, timeout); }
rtd_result rtd_cast(rtd_bytes process, rtd_bytes message) { return rtd_about(OP_CAST, process, message, 0); }

void rtd_answer(rtd_bytes from, rtd_bytes answer) {
	rtd_effect(EFFECT_ANSWER, from, answer, NONE);
}
