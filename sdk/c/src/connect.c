// The decision about a client that connects.
#include "internal.h"

void rtd_refuse_status(int status) { rtd_reply(rtd_format("%d", status), NONE); }
void rtd_accept(rtd_bytes id, rtd_bytes assigns) { rtd_reply_by(RTD("ok"), assigns, id); }
