use super::host::{fields, Host};
use crate::abi::{self, Record};
use crate::{json, Binary, Channel, Plugin, Presence, Result, Socket, SocketRef, State, Topic, TopicChannel};

#[derive(Default)]
struct Room {
    later: SocketRef,
    sent: u8,
}

impl Channel for Room {
    const INTERCEPTS: &'static [&'static str] = &["joke"];
    const TERMINATES: bool = true;
    const MIGRATES: bool = true;

    fn join(&mut self, s: &Socket, payload: &[u8]) -> Result {
        if payload == b"no" {
            return crate::refuse(json::object().string("reason", "no"));
        }
        s.push("welcome", s.assigns());
        Ok(())
    }

    fn handle_in(&mut self, s: &Socket, event: &str, payload: &[u8]) -> Result {
        self.sent += 1;
        match event {
            "fail" => return Err("cause of death".into()),
            "later" => self.later = crate::socket_ref(),
            "bytes" if crate::is_binary() => s.reply("teapot", Binary(payload)),
            "sent" => s.reply("ok", json::object().integer("n", self.sent.into())),
            _ => {
                s.broadcast(event, payload);
                s.broadcast_from(event, payload);
                s.reply("ok", "");
            }
        }
        Ok(())
    }

    fn handle_out(&mut self, s: &Socket, event: &str, payload: &[u8]) -> Result {
        s.push(event, [b"not ", payload].concat());
        Ok(())
    }

    fn handle_info(&mut self, _s: &Socket, message: &[u8]) -> Result {
        self.later.reply("ok", message);
        Ok(())
    }

    fn terminate(&mut self, s: &Socket, reason: &str) -> Result {
        crate::log(crate::Level::Info, &[s.topic(), " ended: ", reason].concat());
        Ok(())
    }

    fn export(&self, _s: &Socket) -> Result<State> {
        Ok(State::new("1", [self.sent]))
    }

    fn import(&mut self, s: &Socket, schema: &str, state: &[u8]) -> Result {
        if schema != "1" {
            return Err("cannot read it".into());
        }
        self.sent = state[0];
        s.push("imported", s.assigns());
        Ok(())
    }
}

fn rooms(p: &mut Plugin) -> Result {
    p.channel("lobby", || -> Room { panic!("the wrong route") });
    p.channel("room:*", Room::default);
    p.topic_channel("doc:*", Doc::default);
    Ok(())
}

fn joined() -> Host {
    let h = Host::started(rooms);
    let assigned = Record::new(abi::EVENT_JOIN, "room:1").payload(b"{}").extra("ada");
    assert_eq!(h.event(assigned), None);
    assert_eq!(h.asked(), ["wants|terminate", "intercept|joke", "push|welcome|ada"]);
    h
}

#[test]
fn start() {
    let h = Host::new(rooms);
    assert_eq!(h.start("{}"), None);
    assert_eq!(h.asked(), ["wants|export", "handles|lobby", "handles|room:*", "handles|doc:*||topic"]);
}

#[test]
fn channel() {
    let h = joined();
    h.message("hi", "[1]", "");
    assert_eq!(h.asked(), ["broadcast|hi|[1]", "broadcast_from|hi|[1]", "reply|ok"]);
    h.event(Record::new(abi::EVENT_MESSAGE, "bytes").flags(abi::BINARY).payload(b"\x00"));
    assert_eq!(h.asked(), ["reply+binary|teapot|\x00"]);
    h.tell(abi::EVENT_OUT, "joke", "funny");
    assert_eq!(h.asked(), ["push|joke|not funny"]);
    h.event(Record::new(abi::EVENT_MESSAGE, "later").extra("3"));
    h.tell(abi::EVENT_INFO, "", "{}");
    assert_eq!(h.asked(), ["reply|ok|{}|3"]);
    h.message("later", "", ""); // nobody waits
    h.tell(abi::EVENT_INFO, "", "{}");
    h.tell(abi::EVENT_TERMINATE, "shutdown", "left");
    assert_eq!(h.asked(), ["log|info|room:1 ended: shutdown: left"]);
}

#[test]
fn refusal_and_crash() {
    let h = Host::started(rooms);
    assert_eq!(h.join("room:1", "no", ""), None);
    assert_eq!(h.asked().last().unwrap(), r#"reply|error|{"reason":"no"}"#);
    let h = joined();
    assert_eq!(h.message("fail", "", "").unwrap(), "cause of death");
    h.fails("broadcast", -3, "");
    plugin_again(&h);
    assert!(h.message("hi", "{}", "").unwrap().starts_with("broadcast hi: too many effects"));
}

fn plugin_again(h: &Host) {
    h.first(Record::new(abi::EVENT_JOIN, "room:1"));
}

#[test]
fn message_before_join() {
    let h = Host::started(rooms);
    assert!(h.message("hi", "{}", "").is_some());
    assert_eq!(h.tell(0xFF, "", ""), None); // of a newer host
}

#[test]
fn names_that_are_no_text() {
    let h = joined();
    let name = Record { name: b"\xFF\xFE", ..Record::new(abi::EVENT_MESSAGE, "") };
    assert_eq!(h.event(name.payload(b"{}")), None);
    assert_eq!(h.asked()[0], "broadcast|\u{FFFD}|{}");
}

#[test]
fn migration_of_a_channel() {
    let h = joined();
    h.message("hi", "", "");
    h.asked();
    h.tell(abi::EVENT_EXPORT, "room:1", "");
    assert_eq!(h.asked(), ["state|1|\x01"]);
    let list = fields(&["", "{}", "ada"]);
    let import = Record { extra: &list, ..Record::new(abi::EVENT_IMPORT, "room:1").payload(b"\x07") };
    h.first(import.detail("1"));
    h.message("sent", "", "");
    assert_eq!(h.asked(), ["push|imported|ada", r#"reply|ok|{"n":8}"#]);
    assert_eq!(h.first(import.detail("2")), None);
    assert_eq!(h.asked(), [r#"reply|error|{"reason":"cannot read it"}"#]);
}

/// A topic channel that intercepts for its members.
#[derive(Default)]
struct Doc;

impl TopicChannel for Doc {
    const INTERCEPTS: &'static [&'static str] = &["news"];
    const MIGRATES: bool = true;

    fn join(&mut self, t: &Topic, s: &Socket, payload: &[u8]) -> Result {
        if payload == b"no" {
            return crate::refuse("{}");
        }
        if !s.replay() {
            t.broadcast("welcome", payload);
        }
        s.reply("ok", s.member());
        Ok(())
    }

    fn handle_in(&mut self, t: &Topic, s: &Socket, event: &str, payload: &[u8]) -> Result {
        s.broadcast_from(event, payload);
        if let Some(other) = t.member(std::str::from_utf8(payload)?) {
            other.push("to", "");
        }
        Ok(())
    }

    fn leave(&mut self, t: &Topic, s: &Socket, reason: &str) -> Result {
        assert_eq!(t.name(), "doc:1");
        t.broadcast("left", [s.member(), " ", reason].concat());
        Ok(())
    }

    fn handle_out(&mut self, t: &Topic, from: Option<&Socket>, event: &str, payload: &[u8]) -> Result {
        let from = from.map(Socket::member);
        for s in t.members().iter().filter(|s| Some(s.member()) != from) {
            s.push(event, Binary(&[payload, s.assigns()].concat()));
        }
        Ok(())
    }

    fn export(&self, t: &Topic) -> Result<State> {
        Ok(State::new("1", t.members().len().to_string()))
    }

    fn import(&mut self, t: &Topic, _schema: &str, _state: &[u8]) -> Result {
        t.members().iter().for_each(|s| s.push("imported", s.assigns()));
        Ok(())
    }
}

#[test]
fn topic_channel() {
    let h = Host::started(rooms);
    for (member, payload) in [("b", "1"), ("x", "no"), ("a", "2")] {
        assert_eq!(h.join("doc:1", payload, member), None);
    }
    let joins = [
        "intercept|news",
        "broadcast|welcome|1",
        "reply|ok|b",
        "reply|error|{}",
        "broadcast|welcome|2",
        "reply|ok|a",
    ];
    assert_eq!(h.asked(), joins);
    h.message("edit", "b", "a");
    assert_eq!(h.asked(), ["broadcast_from|edit|b|a", "push|to||b"]);
    h.tell(abi::EVENT_OUT, "news", "n");
    h.event(Record::new(abi::EVENT_OUT, "news").payload(b"n").detail("a"));
    assert_eq!(h.asked(), ["push+binary|news|n|b", "push+binary|news|n|a", "push+binary|news|n|b"]);
    h.event(Record::new(abi::EVENT_LEAVE, "doc:1").payload(b"left").detail("b"));
    assert_eq!(h.asked(), ["broadcast|left|b left"]);
    assert!(h.message("edit", "", "b").is_some());
}

#[test]
fn topic_channel_begins_again() {
    let h = Host::started(rooms);
    let (members, assigns) = (fields(&["b", "2", "a", "3"]), fields(&["B", "A"]));
    let e = Record { payload: &members, extra: &assigns, ..Record::new(abi::EVENT_MEMBERS, "doc:1") };
    assert_eq!(h.first(e), None);
    assert_eq!(h.asked(), ["intercept|news"]); // and no replies
    h.tell(abi::EVENT_OUT, "news", "1");
    h.join("doc:1", "4", "c");
    let then = ["push+binary|news|1B|b", "push+binary|news|1A|a", "broadcast|welcome|4", "reply|ok|c"];
    assert_eq!(h.asked(), then);
    h.tell(abi::EVENT_EXPORT, "doc:1", "");
    assert_eq!(h.asked(), ["state|1|3"]);
    let list = fields(&["b", "{}", "B", "a", "{}", "A"]);
    h.first(Record { extra: &list, ..Record::new(abi::EVENT_IMPORT, "doc:1").detail("1") });
    assert_eq!(h.asked(), ["push|imported|B|b", "push|imported|A|a"]);
}

#[test]
fn topic_channel_wakes() {
    let h = Host::started(rooms);
    for member in ["a", "b"] {
        h.join("doc:1", "1", member);
    }
    h.asked();
    let members = fields(&["b", "1", "c", "2"]); // as the event says after a restart of the server
    h.event(Record { payload: &members, ..Record::new(abi::EVENT_MEMBERS, "doc:1") });
    assert_eq!(h.asked(), ["broadcast|left|a shutdown: closed"]);
    h.tell(abi::EVENT_OUT, "news", "n");
    assert_eq!(h.asked(), ["push+binary|news|n|b", "push+binary|news|n|c"]);
    h.tell(abi::EVENT_EXPORT, "doc:1", "");
    assert_eq!(h.asked(), ["state|1|2"]);
}

#[test]
fn presence() {
    let h = joined();
    let lobby = Presence::of("lobby");
    h.answers("track", &[b"r1"]);
    h.answers("presence_count", &[&fields(&["2", "3"])]);
    let large = vec![b'x'; 5000];
    h.answers("presences", &[&large]);
    assert_eq!(lobby.track("ada", "{}").unwrap(), "r1");
    lobby.untrack("ada").unwrap();
    assert_eq!(lobby.count().unwrap(), (2, 3));
    assert_eq!(lobby.list().unwrap(), large);
    lobby.push_to(&Socket::default()).unwrap();
    Socket::default().push_presence();
    let asked = [
        "track|ada|{}|lobby",
        "untrack|ada||lobby",
        "presence_count|lobby",
        "presences|lobby",
        "present|lobby",
        "present",
    ];
    assert_eq!(h.asked(), asked);
    let ada = Socket::replayed("doc:1", b"a", b"");
    ada.presence().track("ada", "{}").unwrap();
    Presence::of("lobby").for_client(&ada).untrack("ada").unwrap();
    assert_eq!(h.asked(), ["track|ada|{}|doc:1|a", "untrack|ada||lobby|a"]);
    h.fails("present", -13, "");
    let denied = lobby.push_to(&Socket::default()).unwrap_err();
    assert_eq!((denied.code(), denied.name()), (&crate::Code::Denied, "lobby"));
}

#[test]
fn history() {
    let h = joined();
    h.answers("history", &[&fields(&["abcdefghij:6", "6", "6", "1700000000001", "bytes", "x", "binary"])]);
    let page = crate::history("room:1", 5, 10).unwrap();
    let message = crate::PastMessage { offset: 6, unix_ms: 1_700_000_000_001, event: "bytes".into(), payload: b"x".to_vec(), binary: true };
    assert_eq!(page, crate::HistoryPage { position: "abcdefghij:6".into(), oldest: 6, messages: vec![message] });
    h.answers("history", &[&fields(&["abcdefghij:0", "1"])]);
    assert_eq!(crate::history("", 0, 0).unwrap().messages, []);
    assert_eq!(h.asked(), ["history|room:1||5|10", "history|||0|0"]);
    h.fails("history", -16, "");
    let none = crate::history("room:1", 0, 1).unwrap_err();
    assert_eq!(none.code(), &crate::Code::NoHistory);
    assert!(none.to_string().starts_with("history room:1: the topic has no history"), "{}", none);
    h.answers("history", &[b""]); // of the effect, which has the same name
    let mut plugin = Plugin::default();
    plugin.keep_history("room:*", crate::Keep::default());
    plugin.keep_history("lobby", crate::Keep { messages: 100, bytes: 1 << 20, age: std::time::Duration::from_nanos(1) });
    assert_eq!(h.asked()[1..], ["history|room:*||{}", r#"history|lobby||{"messages":100,"bytes":1048576,"age":1}"#]);
}

fn clients(p: &mut Plugin) -> Result {
    p.on_connect(|c| {
        match c.param(&["user", "name"]).as_deref() {
            None => return crate::refuse_status(401),
            Some("crash") => return Err("told to crash".into()),
            Some(name) => c.id = "users:".to_string() + name,
        }
        assert_eq!((c.mount(), c.header("X-Suite").as_deref()), ("socket", Some("yes")));
        assert_eq!((c.peer(), c.auth_token()), (("::1".to_string(), 7), None));
        c.assigns = c.uri().into_bytes();
        Ok(())
    });
    Ok(())
}

#[test]
fn connect() {
    let h = Host::new(clients);
    h.start("{}");
    assert_eq!(h.asked(), ["wants|connect"]);
    let info =
        br#"{"params":{"user":{"name":"ada"}},"x_headers":{"x-suite":"yes"},"peer":{"address":"::1","port":7},
        "uri":{"scheme":"ws","host":"::1","port":4000,"path":"/socket","query":"a=b"},"auth_token":null}"#;
    h.event(Record::new(abi::EVENT_CONNECT, "socket").payload(info));
    assert_eq!(h.asked(), ["reply|ok|ws://[::1]:4000/socket?a=b|users:ada"]);
    h.event(Record::new(abi::EVENT_CONNECT, "socket").payload(b"{}"));
    assert_eq!(h.asked(), ["reply|401"]);
    let cause = h.event(Record::new(abi::EVENT_CONNECT, "").payload(br#"{"params":{"user":{"name":"crash"}}}"#));
    assert_eq!(cause.unwrap(), "told to crash");
}
