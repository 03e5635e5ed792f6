// The move to the next version of the plugin.
#include "internal.h"

void rtd_export(rtd_bytes schema, rtd_bytes state) { rtd_effect(EFFECT_STATE, schema, state, NONE); }

bool rtd_next_member(rtd_bytes *list, rtd_event *join) {
	*join = (rtd_event){.kind = EVENT_JOIN, .flags = REPLAY};
	return rtd_cut_field(list, &join->member) && rtd_cut_field(list, &join->payload);
}

bool rtd_next_join(rtd_bytes *members, rtd_event *join) {
	return rtd_next_member(members, join) && rtd_cut_field(members, &join->assigns);
}

// The import of a process lists pid and arguments.
rtd_bytes rtd_imported_args(const rtd_event *import) {
	rtd_bytes list = import->extra, field;
	rtd_cut_field(&list, &field);
	rtd_cut_field(&list, &field);
	return field;
}

bool rtd_is_process(rtd_bytes list) {
	int n = 0;
	for (rtd_bytes field; rtd_cut_field(&list, &field);) n++;
	return n == 2;
}
