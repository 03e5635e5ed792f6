// A room that remembers: its last messages, and a vote. All of it is in static variables, and there again after a
// crash, a restart of rtd, or kill -9. It is plugins/board in C, and built as room.c is.
#include <rtd.h>

enum { MESSAGES = 20, VOTES = 100, MEMBERS = 200 };

static int said; // messages so far
static RTD_KEPT(400) messages[MESSAGES]; // message N at N % MESSAGES
static struct {
	RTD_KEPT(40) user;
	RTD_KEPT(40) what;
} votes[VOTES];
static struct {
	RTD_KEPT(20) member; // empty: free
	RTD_KEPT(40) user;
} here[MEMBERS];

// seat is where a member is, or the first that is free.
static int seat(rtd_bytes member) {
	int i = 0, none = -1;
	for (; i < MEMBERS; i++) {
		if (here[i].member.size == 0 && none < 0) none = i;
		if (here[i].member.size && rtd_equal(rtd_kept(here[i].member), member)) return i;
	}
	return none;
}

// forget is called when the room wakes: join follows for each who is there.
static void forget(const rtd_event *e) {
	(void)e;
	__builtin_memset(here, 0, sizeof here);
}

static void enter(const rtd_event *join) {
	rtd_bytes user = rtd_find_text(join->payload, RTD("user"));
	int i = seat(join->member);
	if (i < 0) {
		rtd_refuse(RTD("{\"reason\":\"the room is full\"}"));
		return;
	}
	if (!rtd_size(user)) user = RTD("anonymous");
	rtd_keep(here[i].member, join->member);
	rtd_keep(here[i].user, user);
	rtd_result r = rtd_track(RTD(""), rtd_kept(here[i].user), RTD("{}"));
	if (r.code) rtd_crash(RTD("not present"));
	rtd_present(RTD(""));
	if (rtd_is_replay(join)) return;
	int64_t since = rtd_find_int(join->payload, RTD("since")); // the last message that the client has seen
	for (int n = said > MESSAGES ? said - MESSAGES : 0; n < said; n++)
		if (n + 1 > since) rtd_push(RTD("new_message"), rtd_kept(messages[n % MESSAGES]));
}

static void leave(const rtd_event *e) {
	int i = seat(e->member);
	if (i >= 0) __builtin_memset(&here[i], 0, sizeof here[i]);
}

// vote notes what a user is for, and replies how many are for what.
static void vote(rtd_bytes user, rtd_bytes what) {
	int i = 0;
	while (i < VOTES && votes[i].user.size && !rtd_equal(rtd_kept(votes[i].user), user)) i++;
	if (i == VOTES) {
		rtd_reply(RTD("error"), RTD("{\"reason\":\"too many votes\"}"));
		return;
	}
	if (rtd_size(what)) {
		rtd_keep(votes[i].user, user);
		rtd_keep(votes[i].what, what);
	}
	rtd_bytes tally = RTD("{");
	for (i = 0; i < VOTES && votes[i].user.size; i++) {
		int n = 0;
		bool first = true;
		for (int j = 0; j < VOTES && votes[j].user.size; j++)
			if (rtd_equal(rtd_kept(votes[i].what), rtd_kept(votes[j].what))) n++, first = first && j >= i;
		if (first) tally = rtd_format("%s%s%q:%d", tally, rtd_size(tally) > 1 ? RTD(",") : RTD(""), rtd_kept(votes[i].what), n);
	}
	rtd_reply(RTD("ok"), rtd_format("%s}", tally));
}

static void message(const rtd_event *m) {
	rtd_bytes user = rtd_kept(here[seat(m->member)].user);
	if (rtd_equal(m->event, RTD("new_message"))) {
		rtd_bytes text = rtd_format("{\"n\":%d,\"body\":%q,\"user\":%q}", said + 1, rtd_find_text(m->payload, RTD("body")), user);
		if (rtd_size(text) > sizeof messages[0].at) {
			rtd_reply(RTD("error"), RTD("{\"reason\":\"the message is too long\"}"));
			return;
		}
		rtd_keep(messages[said % MESSAGES], text);
		said++;
		rtd_broadcast(RTD("new_message"), text); // leaves when the message is stored
		rtd_reply(RTD("ok"), RTD(""));
	} else if (rtd_equal(m->event, RTD("vote"))) {
		vote(user, rtd_find_text(m->payload, RTD("for")));
	} else if (rtd_equal(m->event, RTD("echo"))) {
		rtd_reply(RTD("ok"), m->payload);
	} else {
		said = 0; // which nobody will ever see
		rtd_crash(RTD("told to crash"));
	}
}

static const rtd_channel board = {
	.topic = "board:*", .per_topic = true, .members = forget, .join = enter, .leave = leave, .message = message};

static void start(const rtd_event *e) {
	(void)e;
	rtd_durable(RTD("board:*"));
}

const rtd_plugin rtd_this = {.channels = RTD_LIST(rtd_channel, &board), .start = start};
