// Timers.
#include "internal.h"

rtd_result rtd_send_after(rtd_bytes message, uint32_t ms) {
	return rtd_ask(OP_SEND_AFTER, NONE, message, rtd_format("%d", ms), NONE);
}

rtd_result rtd_cancel(rtd_bytes timer) { return rtd_named(OP_CANCEL, timer); }
rtd_result rtd_sleep(uint32_t ms) { return rtd_ask(OP_SLEEP, NONE, NONE, rtd_format("%d", ms), NONE); }
