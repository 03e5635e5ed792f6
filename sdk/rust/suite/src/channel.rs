use crate::operate::{operate, Order};
use crate::{check_schema, record, word, SCHEMA};
use rtd::abi::Record;
use rtd::{json, Binary, Channel, Code, Error, Pid, Ref, Result, Socket, SocketRef, State};
use std::time::Duration;

/// One client's join.
pub struct Suite {
    config: Vec<u8>,
    name: String,
    count: u32,
    later: SocketRef,
    held: SocketRef,
}

impl Suite {
    pub fn new(config: &[u8]) -> Suite {
        let (later, held) = (SocketRef::default(), SocketRef::default());
        Suite { config: config.to_vec(), name: String::new(), count: 0, later, held }
    }
}

impl Channel for Suite {
    const INTERCEPTS: &'static [&'static str] = &["masked"];
    const TERMINATES: bool = true;
    const MIGRATES: bool = true;
    const RETURNS: bool = true;

    fn away(&mut self, _s: &Socket, reason: &str) -> Result {
        if !self.name.is_empty() {
            record(&format!("away {} {}", self.name, reason));
        }
        Ok(())
    }

    fn back(&mut self, s: &Socket, payload: &[u8]) -> Result {
        let o = Order::of(payload);
        if let Some(reason) = o.some("refuse") {
            return rtd::refuse(json::object().string("reason", &reason));
        }
        self.name = o.text("record");
        if !self.name.is_empty() {
            record(&format!("back {}", self.name));
        }
        joined(&o, s);
        if let Some(text) = o.some("welcome") {
            s.reply("ok", json::object().string("welcome", &text));
        }
        Ok(())
    }

    fn join(&mut self, s: &Socket, payload: &[u8]) -> Result {
        let o = Order::of(payload);
        if let Some(cause) = o.some("crash") {
            return Err(cause.into());
        }
        if let Some(reason) = o.some("refuse") {
            return rtd::refuse(json::object().string("reason", &reason));
        }
        self.name = o.text("record");
        arrive(&self.name, s);
        joined(&o, s);
        if let Some(text) = o.some("welcome") {
            s.reply("ok", json::object().string("welcome", &text));
        }
        Ok(())
    }

    fn handle_in(&mut self, s: &Socket, event: &str, payload: &[u8]) -> Result {
        self.count += 1;
        let o = Order::of(payload);
        match event {
            "quiet" => {}
            "config" => s.reply("ok", &self.config),
            "count" => s.reply("ok", json::object().integer("count", self.count.into())),
            "later" => {
                self.later = rtd::socket_ref();
                rtd::send_after(o.ms(), "reply later")?;
            }
            "hold" => self.held = rtd::socket_ref(),
            "release" => {
                if rtd::is_binary() {
                    self.held.reply("ok", Binary(payload));
                } else {
                    self.held.reply("ok", json::object().string("text", &o.text("text")));
                }
                s.reply("ok", "");
            }
            "stop" => {
                s.reply("ok", "");
                rtd::stop(&o.text("reason"));
            }
            "stop_quietly" => rtd::stop(&o.text("reason")),
            "vector" => match Record::parse(payload) {
                Some(r) => s.reply("ok", Binary(&r.encode())),
                None => s.reply("error", r#"{"reason":"malformed"}"#),
            },
            "push" | "publish" => send(s, event, &o, payload),
            _ if common(s, event, &o, payload)? => {}
            _ => match operate(s, event, &o) {
                Some(Ok(response)) => s.reply("ok", response),
                Some(Err(e)) => refuse(s, &e),
                None => return Err(format!("unknown event {}", event).into()),
            },
        }
        Ok(())
    }

    fn handle_out(&mut self, s: &Socket, _event: &str, payload: &[u8]) -> Result {
        s.push("unmasked", payload);
        Ok(())
    }

    fn handle_broadcast(&mut self, s: &Socket, topic: &str, event: &str, payload: &[u8]) -> Result {
        if rtd::is_binary() {
            s.push("heard", Binary(payload));
        } else {
            s.push("heard", json::object().string("topic", topic).string("event", event).raw("payload", payload));
        }
        Ok(())
    }

    fn handle_info(&mut self, s: &Socket, message: &[u8]) -> Result {
        match std::str::from_utf8(message)? {
            "reply later" => self.later.reply("ok", r#"{"late":true}"#),
            text => s.push("info", json::object().string("text", text)),
        }
        Ok(())
    }

    fn handle_down(&mut self, s: &Socket, monitor: Ref, process: Pid, reason: &str) -> Result {
        s.push("down", json::object().string("ref", &monitor).string("pid", &process).string("reason", reason));
        Ok(())
    }

    fn handle_exit(&mut self, s: &Socket, process: Pid, reason: &str) -> Result {
        s.push("exit", json::object().string("pid", &process).string("reason", reason));
        Ok(())
    }

    fn handle_reply(&mut self, s: &Socket, request: Ref, answer: Result<&[u8], Code>) -> Result {
        let reply = json::object().string("ref", &request);
        s.push(
            "reply",
            match answer {
                Ok(answer) => reply.string("answer", std::str::from_utf8(answer)?),
                Err(code) => reply.string("reason", &word(&code)),
            },
        );
        Ok(())
    }

    fn terminate(&mut self, _s: &Socket, reason: &str) -> Result {
        if !self.name.is_empty() {
            record(&format!("terminate {} {}", self.name, reason));
        }
        Ok(())
    }

    fn export(&self, _s: &Socket) -> Result<State> {
        Ok(State::new(SCHEMA, self.count.to_string()))
    }

    fn import(&mut self, _s: &Socket, schema: &str, state: &[u8]) -> Result {
        check_schema(schema)?;
        self.count = std::str::from_utf8(state)?.parse()?;
        Ok(())
    }
}

/// Records a join.
pub fn arrive(name: &str, s: &Socket) {
    match (name, s.replay()) {
        ("", _) => {}
        (_, true) => record(&format!("rejoin {}", name)),
        (_, false) => record(&format!("join {}", name)),
    }
}

/// Pushes what a join asks for.
pub fn joined(o: &Order, s: &Socket) {
    if let Some(text) = o.some("push") {
        s.push("joined", json::object().string("text", &text).boolean("replay", s.replay()));
    }
}

/// Messages that both kinds of channel take.
pub fn common(s: &Socket, event: &str, o: &Order, payload: &[u8]) -> Result<bool> {
    match event {
        "echo" if rtd::is_binary() => s.reply("ok", Binary(payload)),
        "echo" => s.reply("ok", payload),
        "status" => s.reply(&o.text("status"), json::object().string("text", &o.text("text"))),
        "assigns" => s.reply("ok", s.assigns()),
        "socket" => {
            let socket = json::object().string("topic", s.topic()).string("member", s.member());
            s.reply("ok", socket.boolean("replay", s.replay()).string("pid", &rtd::this()));
        }
        "broadcast" | "broadcast_from" => send(s, event, o, payload),
        "crash" => {
            s.push("never", "");
            return Err(o.text("text").into());
        }
        "trap" => {
            s.push("never", "");
            panic!("trap");
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Sends the text, or the bytes.
fn send(s: &Socket, how: &str, o: &Order, payload: &[u8]) {
    let text = json::object().string("text", &o.text("text"));
    let (topic, event) = (o.text("topic"), o.text("event"));
    let sent = match (how, rtd::is_binary()) {
        ("publish", true) => rtd::publish("suite:bytes", "bytes", Binary(payload)),
        ("publish", false) => rtd::publish(&topic, &event, text),
        ("push", true) => Ok(s.push("bytes", Binary(payload))),
        ("push", false) => Ok(s.push(&event, text)),
        ("broadcast", true) => Ok(s.broadcast("bytes", Binary(payload))),
        ("broadcast", false) => Ok(s.broadcast(&event, text)),
        (_, true) => Ok(s.broadcast_from("bytes", Binary(payload))),
        (_, false) => Ok(s.broadcast_from(&event, text)),
    };
    match sent {
        Ok(()) => s.reply("ok", ""),
        Err(e) => refuse(s, &e),
    }
}

pub fn refuse(s: &Socket, e: &Error) {
    s.reply("error", json::object().string("reason", &word(e.code())));
}

/// Milliseconds of a payload; 0 stands for the default.
pub fn patience(time: Duration) -> Duration {
    if time.is_zero() {
        rtd::TIMEOUT
    } else {
        time
    }
}
