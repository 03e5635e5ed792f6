// The functions of every process, for itself and for others.
#include "internal.h"

rtd_bytes rtd_self(void) { return rtd_named(OP_SELF, NONE).bytes; }
rtd_bytes rtd_event_id(void) { return rtd_named(OP_EVENT_ID, NONE).bytes; }

rtd_result rtd_start_process(rtd_bytes module, rtd_bytes args, rtd_spawning how, uint16_t flags) {
	return rtd_ask(OP_SPAWN | (flags | (how.link ? LINK : 0)) << 16, module, args, how.under, how.name);
}

rtd_result rtd_spawn(rtd_bytes module, rtd_bytes args, rtd_spawning how) {
	rtd_result r = rtd_start_process(module, args, how, 0);
	rtd_bytes pid, rest = r.bytes;
	if (r.code == RTD_OK && rtd_cut_field(&rest, &pid)) r.bytes = pid;
	return r;
}

rtd_result rtd_children(rtd_bytes supervisor) { return rtd_named(OP_CHILDREN, supervisor); }
rtd_result rtd_stop_child(rtd_bytes pid) { return rtd_named(OP_STOP_CHILD, pid); }

rtd_result rtd_send(rtd_bytes process, rtd_bytes message) { return rtd_about(OP_SEND, process, message, 0); }

rtd_result rtd_monitor(rtd_bytes process) { return rtd_named(OP_MONITOR, process); }
rtd_result rtd_demonitor(rtd_bytes ref) { return rtd_named(OP_DEMONITOR, ref); }
rtd_result rtd_link(rtd_bytes process) { return rtd_named(OP_LINK, process); }
rtd_result rtd_unlink(rtd_bytes process) { return rtd_named(OP_UNLINK, process); }
rtd_result rtd_trap_exit(bool on) { return rtd_named(OP_TRAP_EXIT, on ? RTD("on") : RTD("off")); }
rtd_result rtd_register(rtd_bytes name, rtd_bytes pid) { return rtd_about(OP_REGISTER, name, pid, 0); }
rtd_result rtd_unregister(rtd_bytes name) { return rtd_named(OP_UNREGISTER, name); }
rtd_result rtd_whereis(rtd_bytes name) { return rtd_named(OP_WHEREIS, name); }
rtd_result rtd_exit(rtd_bytes process, rtd_bytes reason) { return rtd_about(OP_EXIT, process, reason, 0); }
rtd_result rtd_process_info(rtd_bytes process) { return rtd_named(OP_INFO, process); }

void rtd_hibernate(void) { rtd_effect(EFFECT_HIBERNATE, NONE, NONE, NONE); }

void rtd_stop(rtd_bytes reason) {
	rtd_bytes kind = RTD("crash");
	if (!rtd_size(reason) || rtd_equal(reason, RTD("normal"))) {
		kind = RTD("normal");
		reason = NONE;
	} else if (rtd_equal(reason, RTD("shutdown")) || rtd_cut(&reason, RTD("shutdown: "))) {
		kind = RTD("shutdown");
		if (rtd_equal(reason, kind)) reason = NONE;
	}
	rtd_effect(EFFECT_STOP, kind, reason, NONE);
}
