use crate::channel::{common, refuse};
use crate::operate::{operate, Order};
use crate::{check_schema, SCHEMA};
use rtd::{json, Caller, Pid, Ref, Result, Server, Socket, State, Topic, TopicChannel, NORMAL};
use std::str::from_utf8;
use std::time::Duration;

/// Counts texts, and keeps the last ones.
#[derive(Default)]
struct Account {
    count: u32,
    last: Vec<String>,
}

impl Account {
    /// Fails after it has added a text that spoils it.
    fn add(&mut self, text: &str) -> Result {
        self.count += 1;
        self.last.push(text.to_string());
        if self.last.len() > 3 {
            self.last.remove(0);
        }
        if text.starts_with("spoil ") {
            return Err("told to crash".into());
        }
        Ok(())
    }

    /// Adds the message of a timer, or of another process.
    fn due(&mut self, message: &[u8]) -> Result<String> {
        let late = if rtd::late().is_zero() { "" } else { " late" };
        let text = [from_utf8(message)?, late].concat();
        self.add(&text)?;
        Ok(text)
    }

    fn export(&self) -> State {
        State::new(SCHEMA, format!("{},{}", self.count, self.last.join(",")))
    }

    fn import(&mut self, schema: &str, state: &[u8]) -> Result {
        check_schema(schema)?;
        let (count, last) = from_utf8(state)?.split_once(',').ok_or("no state")?;
        self.count = count.parse()?;
        self.last = last.split(',').filter(|text| !text.is_empty()).map(str::to_string).collect();
        Ok(())
    }
}

/// An account as a process.
#[derive(Default)]
pub struct Ledger(Account);

impl Server for Ledger {
    const MIGRATES: bool = true;

    fn handle_call(&mut self, caller: Caller, question: &[u8]) -> Result {
        let (question, account) = (from_utf8(question)?, &mut self.0);
        let answer = match question {
            "state" => format!("{} {}", account.count, account.last.join(",")),
            "id" => rtd::event_id(),
            "stop" => {
                rtd::stop(NORMAL);
                "stopped".to_string()
            }
            _ => match question.strip_prefix("timer ").and_then(|rest| rest.split_once(' ')) {
                Some((ms, text)) => {
                    rtd::send_after(Duration::from_millis(ms.parse()?), text)?;
                    "set".to_string()
                }
                None => {
                    account.add(question)?;
                    account.count.to_string()
                }
            },
        };
        caller.reply(answer);
        Ok(())
    }

    fn handle_cast(&mut self, message: &[u8]) -> Result {
        self.0.add(from_utf8(message)?)
    }

    fn handle_info(&mut self, message: &[u8]) -> Result {
        self.0.due(message).map(drop)
    }

    fn export(&self) -> Result<State> {
        Ok(self.0.export())
    }

    fn import(&mut self, schema: &str, state: &[u8]) -> Result {
        self.0.import(schema, state)
    }
}

/// An account as a topic.
#[derive(Default)]
pub struct Durable {
    account: Account,
    names: Vec<(String, String)>, // of members
}

impl TopicChannel for Durable {
    const MIGRATES: bool = true;

    fn join(&mut self, _t: &Topic, s: &Socket, payload: &[u8]) -> Result {
        self.names.push((s.member().to_string(), Order::of(payload).text("name")));
        Ok(())
    }

    fn leave(&mut self, _t: &Topic, s: &Socket, _reason: &str) -> Result {
        self.names.retain(|(member, _)| member != s.member());
        Ok(())
    }

    fn handle_info(&mut self, t: &Topic, message: &[u8]) -> Result {
        let text = self.account.due(message)?;
        t.members().iter().for_each(|s| s.push("due", json::object().string("text", &text)));
        Ok(())
    }

    fn handle_down(&mut self, _t: &Topic, _monitor: Ref, _process: Pid, reason: &str) -> Result {
        self.account.add(&["down ", reason].concat())
    }

    fn handle_in(&mut self, t: &Topic, s: &Socket, event: &str, payload: &[u8]) -> Result {
        let (o, account) = (Order::of(payload), &mut self.account);
        match event {
            "add" => {
                t.broadcast("added", json::object().string("text", &o.text("text")));
                s.reply("ok", json::object().integer("count", i64::from(account.count) + 1));
                account.add(&o.text("text"))?;
            }
            "state" => {
                let last = json::strings(account.last.iter().map(String::as_str));
                s.reply("ok", json::object().integer("count", account.count.into()).raw("last", last));
            }
            "names" => {
                let known = |s: &Socket| self.names.iter().find(|(member, _)| member == s.member());
                let names = t.members().into_iter().map(|s| known(s).map_or("", |(_, name)| name.as_str()));
                s.reply("ok", json::object().raw("names", json::strings(names)));
            }
            "event_id" => {
                s.reply("ok", json::object().string("id", &rtd::event_id()).string("again", &rtd::event_id()));
            }
            "stop" => {
                s.reply("ok", "");
                rtd::stop(&o.text("reason"));
            }
            _ if common(s, event, &o, payload)? => {}
            _ => match operate(s, event, &o) {
                Some(Ok(response)) => s.reply("ok", response),
                Some(Err(e)) => refuse(s, &e),
                None => return Err(format!("unknown event {}", event).into()),
            },
        }
        Ok(())
    }

    fn export(&self, _t: &Topic) -> Result<State> {
        Ok(self.account.export())
    }

    fn import(&mut self, _t: &Topic, schema: &str, state: &[u8]) -> Result {
        self.account.import(schema, state)
    }
}
