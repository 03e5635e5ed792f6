use rtd::{json, Channel, Result, Socket};

#[derive(Default)]
struct RoomChannel {
    user: String,
    sent: i64,
}

impl Channel for RoomChannel {
    fn join(&mut self, _s: &Socket, payload: &[u8]) -> Result {
        self.user = json::string(payload, "user").unwrap_or_default();
        if self.user.is_empty() {
            return rtd::refuse(r#"{"reason":"no user"}"#);
        }
        Ok(())
    }

    fn handle_in(&mut self, s: &Socket, event: &str, payload: &[u8]) -> Result {
        match event {
            "new_message" => {
                self.sent += 1;
                s.broadcast(event, payload);
                s.reply("ok", json::object().integer("count", self.sent));
            }
            "whoami" => s.reply("ok", json::object().string("user", &self.user)),
            "crash" => return Err("told to crash".into()),
            _ => s.reply("error", r#"{"reason":"unknown event"}"#),
        }
        Ok(())
    }
}

rtd::plugin! { "room:*" => RoomChannel::default }
