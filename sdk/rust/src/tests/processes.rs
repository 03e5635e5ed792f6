use super::host::{fields, Host};
use crate::abi::{self, Record};
use crate::*;
use std::time::Duration;

#[derive(Default)]
struct Counter {
    n: u8,
    kept: Option<Caller>,
}

impl Server for Counter {
    const TERMINATES: bool = true;

    fn init(&mut self, args: &[u8]) -> Result {
        self.n = std::str::from_utf8(args)?.parse()?;
        Ok(())
    }

    fn handle_call(&mut self, caller: Caller, question: &[u8]) -> Result {
        match question {
            b"later" => self.kept = Some(caller),
            _ => caller.reply(self.n.to_string()),
        }
        Ok(())
    }

    fn handle_info(&mut self, message: &[u8]) -> Result {
        match &self.kept {
            Some(caller) => caller.reply(message),
            None => stop(std::str::from_utf8(message)?),
        }
        Ok(())
    }

    fn handle_down(&mut self, monitor: Ref, process: Pid, reason: &str) -> Result {
        log(Level::Info, &format!("{} {} {}", monitor, process, reason));
        Ok(())
    }

    fn handle_reply(&mut self, request: Ref, answer: Result<&[u8], Code>) -> Result {
        log(Level::Info, &format!("{} {:?}", request, answer));
        Ok(())
    }
}

fn counters(p: &mut Plugin) -> Result {
    if let Some(cause) = json::string(p.config(), "fail") {
        return Err(cause.into());
    }
    assert_eq!((p.name(), p.version()), ("test", "v1"));
    p.server("counter", Counter::default);
    p.depends_on("accounts");
    p.durable("process:counter");
    p.on_stop(|| {
        log(Level::Info, "first registered");
        Ok(())
    });
    p.on_stop(|| {
        log(Level::Info, "last registered");
        Ok(())
    });
    p.child(Worker::new("counter").args("3"));
    let other = Worker::new("other").module("counter").name("").restart(Restart::Transient);
    let mail = Supervisor::new("mail").strategy(Strategy::RestForOne).intensity(9, 2);
    p.child(mail.child(other.shutdown(Duration::from_micros(1))));
    p.child(Dynamic::new("jobs").restart(Restart::Temporary).shutdown(Duration::ZERO));
    Ok(())
}

#[test]
fn start_and_stop() {
    let h = Host::new(counters);
    assert_eq!(h.start(r#"{"fail":"told to"}"#).unwrap(), "told to");
    h.asked();
    assert_eq!(h.start("{}"), None);
    let asked = [
        "depends|accounts",
        "durable|process:counter",
        "wants|stop",
        "child|counter|3|{}",
        r#"child|mail||{"type":"supervisor","strategy":"rest_for_one","max_restarts":9,"max_seconds":2}"#,
        r#"child|other||{"module":"counter","name":"","restart":"transient","shutdown":1,"under":"mail"}"#,
        r#"child|jobs||{"type":"dynamic","restart":"temporary","shutdown":0}"#,
    ];
    assert_eq!(h.asked(), asked);
    h.first(Record::new(abi::EVENT_STOP, "test"));
    assert_eq!(h.asked(), ["log|info|last registered", "log|info|first registered"]);
}

#[test]
fn mistakes() {
    fn unknown(p: &mut Plugin) -> Result {
        p.child(Worker::new("ghost"));
        Ok(())
    }
    fn twice(p: &mut Plugin) -> Result {
        p.server("counter", Counter::default);
        p.server("counter", Counter::default);
        Ok(())
    }
    assert!(Host::new(unknown).start("{}").unwrap().starts_with("child ghost: no module ghost"));
    assert!(Host::new(twice).start("{}").unwrap().contains("registered twice"));
    let h = Host::started(counters);
    assert!(h.init("ghost", "").unwrap().starts_with("no module ghost"));
    assert!(spawn("ghost", "", SpawnOptions::default())
        .unwrap_err()
        .to_string()
        .starts_with("spawn ghost: no module"));
}

#[test]
fn server() {
    let h = Host::started(counters);
    assert!(h.init("counter", "x").unwrap().contains("invalid digit"));
    h.asked();
    assert_eq!(h.init("counter", "3"), None);
    h.answers("self", &[b"#7", b"#8"]);
    assert_eq!((&*this(), &*this()), ("#7", "#8")); // it is another when it wakes
    h.answers("event_id", &[b"e1"]);
    assert_eq!(event_id(), "e1");
    h.call("1", b"n");
    assert_eq!(h.asked(), ["wants|terminate", "self", "self", "event_id", "answer|1|3"]);
    h.event(Record::new(abi::EVENT_DOWN, "6").payload(b"killed").detail("#9"));
    h.tell(abi::EVENT_REPLY, "4", "yes");
    h.event(Record::new(abi::EVENT_REPLY, "5").flags(abi::FAILED).payload(b"no"));
    assert_eq!(
        h.asked(),
        ["log|info|6 #9 killed", "log|info|4 Ok([121, 101, 115])", "log|info|5 Err(Ended(\"no\"))"]
    );
    for reason in ["normal", "shutdown", "shutdown: drained", "bored"] {
        h.tell(abi::EVENT_INFO, "", reason);
    }
    assert_eq!(h.asked(), ["stop|normal", "stop|shutdown", "stop|shutdown|drained", "stop|crash|bored"]);
    h.call("2", b"later");
    h.tell(abi::EVENT_INFO, "", "now");
    assert_eq!(h.asked(), ["answer|2|now"]);
    h.tell(abi::EVENT_BROADCAST, "news", "{}");
    assert!(h.asked()[0].starts_with("log|warn|dropped: the broadcast"));
    assert!(h.tell(abi::EVENT_CAST, "", "hi").unwrap().contains("handle_cast"));
    h.first(Record::new(abi::EVENT_INIT, "counter").payload(b"1").flags(abi::REQUEST).extra("7.1"));
    assert_eq!(h.asked().last().unwrap(), "answer|7.1");
}

#[test]
fn operations() {
    let h = Host::started(counters);
    h.answers("call", &[b"yes"]);
    h.answers("spawn", &[&fields(&["#8", ""])]);
    h.answers("cancel", &[b"1500"]);
    h.answers("children", &[&fields(&["#1", "#2"])]);
    assert_eq!(call("registry", "who").unwrap(), b"yes");
    call_timeout("registry", "", Duration::MAX).unwrap();
    let options = SpawnOptions { under: "jobs", name: "me", link: true };
    let pid = spawn("counter", "3", options).unwrap();
    send(&pid, "hi").unwrap();
    send_after(Duration::from_nanos(1), "tick").unwrap();
    assert_eq!(cancel(&"4".into()).unwrap(), Duration::from_millis(1500));
    assert_eq!(children("jobs").unwrap(), ["#1".into(), "#2".into()]);
    request_notify("a", "b").unwrap();
    trap_exit(false);
    register("name", &pid).unwrap();
    publish("news", "hi", Binary(b"x")).unwrap();
    let asked = [
        "call|registry|who|5000",
        "call|registry||31536000000",
        "spawn+link|counter|3|jobs|me",
        "send|#8|hi",
        "send_after||tick|1",
        "cancel|4",
        "children|jobs",
        "request+notify|a|b",
        "trap_exit|off",
        "register|name|#8",
        "publish+binary|hi|x|news",
    ];
    assert_eq!(h.asked(), asked);

    h.fails("call", -8, "told to crash");
    let e = call("registry", "").unwrap_err();
    assert_eq!(e.code(), &Code::Ended("told to crash".to_string()));
    assert_eq!(e.to_string(), "call registry: it ended before it answered: told to crash");
    h.fails("subscribe", -13, "");
    assert_eq!(subscribe("secret").unwrap_err().name(), "secret");
    h.fails("whereis", -99, "");
    assert_eq!(whereis("x").unwrap_err().to_string(), "whereis x: code -99");
}

#[test]
fn reasons() {
    for (reason, crash) in
        [("normal", false), ("shutdown", false), ("shutdown: why", false), ("shutdowns", true), ("", true)]
    {
        assert_eq!(is_crash(reason), crash, "{:?}", reason);
    }
}
