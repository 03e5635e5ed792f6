// A room that remembers: its last messages, and a vote. All of it is in static variables, and there again after a
// crash, a restart of rtd, or kill -9. It is plugins/board in C, and built as room.c is.
#include <rtd.h>

enum { MESSAGES = 20, VOTES = 100, MEMBERS = 200 };

// All that is remembered, in one place: the next version gets it as it is.
static struct {
	int said; // messages so far
	RTD_KEPT(400) messages[MESSAGES]; // message N at N % MESSAGES
	struct {
		RTD_KEPT(40) user;
		RTD_KEPT(40) what;
	} votes[VOTES];
	struct {
		RTD_KEPT(20) member; // empty: free
		RTD_KEPT(40) user;
	} here[MEMBERS];
} room;

// seat is where a member is, or the first that is free.
static int seat(rtd_bytes member) {
	int i = 0, none = -1;
	for (; i < MEMBERS; i++) {
		if (room.here[i].member.size == 0 && none < 0) none = i;
		if (room.here[i].member.size && rtd_equal(rtd_kept(room.here[i].member), member)) return i;
	}
	return none;
}

// forget is called when the room wakes: join follows for each who is there.
static void forget(const rtd_event *e) {
	(void)e;
	__builtin_memset(room.here, 0, sizeof room.here);
}

static void enter(const rtd_event *join) {
	rtd_bytes user = rtd_find_text(join->payload, RTD("user"));
	int i = seat(join->member);
	if (i < 0) {
		rtd_refuse(RTD("{\"reason\":\"the room is full\"}"));
		return;
	}
	if (!rtd_size(user)) user = RTD("anonymous");
	rtd_keep(room.here[i].member, join->member);
	rtd_keep(room.here[i].user, user);
	rtd_result r = rtd_track(RTD(""), rtd_kept(room.here[i].user), RTD("{}"));
	if (r.code) rtd_crash(RTD("not present"));
	rtd_present(RTD(""));
	if (rtd_is_replay(join)) return;
	int64_t seen = rtd_find_int(join->payload, RTD("seen")); // the last message that the client has seen
	for (int n = room.said > MESSAGES ? room.said - MESSAGES : 0; n < room.said; n++)
		if (n + 1 > seen) rtd_push(RTD("new_message"), rtd_kept(room.messages[n % MESSAGES]));
}

static void leave(const rtd_event *e) {
	int i = seat(e->member);
	if (i >= 0) __builtin_memset(&room.here[i], 0, sizeof room.here[i]);
}

// vote notes what a user is for, and replies how many are for what.
static void vote(rtd_bytes user, rtd_bytes what) {
	int i = 0;
	while (i < VOTES && room.votes[i].user.size && !rtd_equal(rtd_kept(room.votes[i].user), user)) i++;
	if (i == VOTES) {
		rtd_reply(RTD("error"), RTD("{\"reason\":\"too many votes\"}"));
		return;
	}
	if (rtd_size(what)) {
		rtd_keep(room.votes[i].user, user);
		rtd_keep(room.votes[i].what, what);
	}
	rtd_bytes tally = RTD("{");
	for (i = 0; i < VOTES && room.votes[i].user.size; i++) {
		int n = 0;
		bool first = true;
		for (int j = 0; j < VOTES && room.votes[j].user.size; j++)
			if (rtd_equal(rtd_kept(room.votes[i].what), rtd_kept(room.votes[j].what))) n++, first = first && j >= i;
		if (first) tally = rtd_format("%s%s%q:%d", tally, rtd_size(tally) > 1 ? RTD(",") : RTD(""), rtd_kept(room.votes[i].what), n);
	}
	rtd_reply(RTD("ok"), rtd_format("%s}", tally));
}

static void message(const rtd_event *m) {
	rtd_bytes user = rtd_kept(room.here[seat(m->member)].user);
	if (rtd_equal(m->event, RTD("new_message"))) {
		rtd_bytes text = rtd_format("{\"n\":%d,\"body\":%q,\"user\":%q}", room.said + 1, rtd_find_text(m->payload, RTD("body")), user);
		if (rtd_size(text) > sizeof room.messages[0].at) {
			rtd_reply(RTD("error"), RTD("{\"reason\":\"the message is too long\"}"));
			return;
		}
		rtd_keep(room.messages[room.said % MESSAGES], text);
		room.said++;
		rtd_broadcast(RTD("new_message"), text); // leaves when the message is stored
		rtd_reply(RTD("ok"), RTD(""));
	} else if (rtd_equal(m->event, RTD("vote"))) {
		vote(user, rtd_find_text(m->payload, RTD("for")));
	} else if (rtd_equal(m->event, RTD("echo"))) {
		rtd_reply(RTD("ok"), m->payload);
	} else {
		room.said = 0; // which nobody will ever see
		rtd_crash(RTD("told to crash"));
	}
}

// A state is kept in the version that wrote it until the next one takes it over. A version with another struct names another schema, and
// reads this one, too.
static void export(const rtd_event *e) {
	(void)e;
	rtd_export(RTD("1"), rtd_binary(rtd_make(&room, sizeof room)));
}

static void import(const rtd_event *e) {
	if (!rtd_equal(e->schema, RTD("1")) || rtd_size(e->state) != sizeof room) rtd_refuse(RTD("{\"reason\":\"unknown schema\"}"));
	else rtd_copy((char *)&room, sizeof room, e->state);
}

static const rtd_channel board = {
	.topic = "board:*", .per_topic = true, .members = forget, .join = enter, .leave = leave, .message = message,
	.export = export, .import = import};

static void start(const rtd_event *e) {
	(void)e;
	rtd_durable(RTD("board:*"));
}

const rtd_plugin rtd_this = {.channels = RTD_LIST(rtd_channel, &board), .start = start};
