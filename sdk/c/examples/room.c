#include <rtd.h>

// One client's place in a room: nobody else can reach these.
static RTD_KEPT(64) user;
static int said;

static void enter(const rtd_event *join) {
	rtd_keep(user, rtd_find_text(join->payload, RTD("user")));
	if (user.size == 0) rtd_refuse(RTD("{\"reason\":\"no user\"}"));
}

static void message(const rtd_event *m) {
	if (rtd_equal(m->event, RTD("new_message"))) {
		rtd_broadcast(m->event, m->payload);
		rtd_reply(RTD("ok"), rtd_format("{\"count\":%d}", ++said));
	} else if (rtd_equal(m->event, RTD("whoami"))) {
		rtd_reply(RTD("ok"), rtd_format("{\"user\":%q}", rtd_kept(user)));
	} else if (rtd_equal(m->event, RTD("crash"))) {
		rtd_crash(RTD("told to crash"));
	} else {
		rtd_reply(RTD("error"), RTD("{\"reason\":\"unknown event\"}"));
	}
}

static const rtd_channel room = {.topic = "room:*", .join = enter, .message = message};

const rtd_plugin rtd_this = {.channels = RTD_LIST(rtd_channel, &room)};
