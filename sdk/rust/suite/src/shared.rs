use crate::channel::{arrive, common, joined, refuse};
use crate::operate::{operate, Order};
use crate::{check_schema, SCHEMA};
use rtd::{json, Result, Socket, State, Topic, TopicChannel};

/// One topic and all who join it.
#[derive(Default)]
pub struct Shared {
    total: u32,
    names: Vec<(String, String)>, // of members
}

impl Shared {
    /// The names in the order of joins.
    fn here<'a>(&'a self, t: &'a Topic) -> impl Iterator<Item = &'a str> {
        t.members().into_iter().map(move |s| self.name(s))
    }

    fn name(&self, s: &Socket) -> &str {
        self.names.iter().find(|(member, _)| member == s.member()).map_or("", |(_, name)| name)
    }

    fn set_name(&mut self, s: &Socket, name: &str) {
        self.names.push((s.member().to_string(), name.to_string()));
    }
}

impl TopicChannel for Shared {
    const INTERCEPTS: &'static [&'static str] = &["masked"];
    const MIGRATES: bool = true;

    fn join(&mut self, _t: &Topic, s: &Socket, payload: &[u8]) -> Result {
        let o = Order::of(payload);
        if let (Some(reason), false) = (o.some("refuse"), s.replay()) {
            return rtd::refuse(json::object().string("reason", &reason));
        }
        self.set_name(s, &o.text("name"));
        arrive(&o.text("name"), s);
        joined(&o, s);
        if let Some(key) = o.some("track") {
            s.presence().track(&key, json::object().string("text", &o.text("name")))?;
        }
        Ok(())
    }

    fn handle_in(&mut self, t: &Topic, s: &Socket, event: &str, payload: &[u8]) -> Result {
        let o = Order::of(payload);
        match event {
            "total" => {
                self.total += 1;
                s.reply("ok", json::object().integer("total", self.total.into()));
            }
            "names" => s.reply("ok", json::object().raw("names", json::strings(self.here(t)))),
            "tell" => {
                for other in t.members().into_iter().filter(|other| self.name(other) == o.text("name")) {
                    other.push("told", json::object().string("text", &o.text("text")));
                }
                s.reply("ok", "");
            }
            "present" | "track" | "update" | "untrack" | "track_self" => match operate(s, event, &o) {
                Some(Err(e)) => refuse(s, &e),
                response => s.reply("ok", response.unwrap_or(Ok(vec![]))?),
            },
            "status" => return Err("unknown event status".into()),
            _ if common(s, event, &o, payload)? => {}
            _ => return Err(format!("unknown event {}", event).into()),
        }
        Ok(())
    }

    fn leave(&mut self, t: &Topic, s: &Socket, reason: &str) -> Result {
        t.broadcast("left", json::object().string("name", self.name(s)).string("reason", reason));
        self.names.retain(|(member, _)| member != s.member());
        Ok(())
    }

    fn handle_out(&mut self, t: &Topic, from: Option<&Socket>, _event: &str, payload: &[u8]) -> Result {
        let from = from.map(Socket::member);
        for s in t.members().into_iter().filter(|s| Some(s.member()) != from) {
            s.push("unmasked", payload);
        }
        Ok(())
    }

    fn export(&self, t: &Topic) -> Result<State> {
        let mut state = self.total.to_string();
        for name in self.here(t) {
            state.push(',');
            state.push_str(name);
        }
        Ok(State::new(SCHEMA, state))
    }

    fn import(&mut self, t: &Topic, schema: &str, state: &[u8]) -> Result {
        check_schema(schema)?;
        let mut state = std::str::from_utf8(state)?.split(',');
        self.total = state.next().unwrap_or_default().parse()?;
        for (s, name) in t.members().into_iter().zip(state) {
            self.set_name(s, name);
        }
        Ok(())
    }
}
