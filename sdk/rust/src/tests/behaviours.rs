use super::host::{fields, shown, Host};
use crate::abi::{self, Record};
use crate::*;

static COUNTER: Agent<i32> = Agent::migrating(
    "counter",
    |args| Ok(std::str::from_utf8(args)?.parse()?),
    &[&ADD],
    |n| Ok(State::new("1", n.to_string())),
    |_schema, state| Ok(std::str::from_utf8(state)?.parse()?),
);

static ADD: AgentFn<i32> = AgentFn {
    name: "add",
    run: |n, arg| {
        *n += std::str::from_utf8(arg)?.parse::<i32>()?;
        Ok(n.to_string().into_bytes())
    },
};

static JOB: Task = Task::new("job", |args| match args {
    b"crash" => Err("job crashed".into()),
    _ => Ok([b"done ", args].concat()),
});

static EVENTS: EventManager =
    EventManager::new("events", &[HandlerSpec::new("audit").args(b"a"), HandlerSpec::new("strikes").restart()]);

struct Listener;

impl Server for Listener {
    fn handle_call(&mut self, caller: Caller, question: &[u8]) -> Result {
        caller.reply(question);
        Ok(())
    }
}

impl EventHandler for Listener {
    fn handle_event(&mut self, event: &[u8]) -> Result {
        log(Level::Info, &shown(event));
        Ok(())
    }
}

fn setup(p: &mut Plugin) -> Result {
    p.agent(&COUNTER);
    p.task(&JOB);
    p.event_manager(&EVENTS);
    p.event_handler("audit", || Listener);
    p.event_handler("strikes", || Listener);
    Ok(())
}

#[test]
fn agent() {
    let h = Host::started(setup);
    h.init("counter", "10");
    let add = [fields(&["add"]), b"5".to_vec()].concat();
    h.call("1", &add);
    assert_eq!(h.asked(), ["answer|1|15"]);
    h.answers("call", &[b"15"]);
    ADD.call("counter", "5").unwrap();
    assert_eq!(h.asked(), [format!("call|counter|{}|5000", shown(&add))]);
    h.tell(abi::EVENT_EXPORT, "counter", "");
    assert_eq!(h.asked(), ["state|1|15"]);
    let list = fields(&["#9", "10"]);
    h.first(Record { extra: &list, ..Record::new(abi::EVENT_IMPORT, "counter").payload(b"40").detail("1") });
    h.call("2", &add);
    assert_eq!(h.asked(), ["answer|2|45"]);
    assert!(h.call("3", b"add").unwrap().contains("AgentFn::call"));
}

#[test]
fn task() {
    let h = Host::started(setup);
    let init = |args: &'static str| Record::new(abi::EVENT_INIT, "job").payload(args.as_bytes()).detail("#7");
    h.answers("self", &[b"#7"]);
    h.first(init("x").flags(abi::REQUEST).extra("7.1"));
    h.tell(abi::EVENT_INFO, "", "");
    assert_eq!(h.asked(), ["self", "send|#7", "answer|7.1|done x", "stop|normal"]);
    h.first(init("x")); // nobody waits
    h.tell(abi::EVENT_EXPORT, "job", "");
    h.tell(abi::EVENT_INFO, "", "");
    let state = [fields(&[""]), b"x".to_vec()].concat();
    assert_eq!(
        h.asked(),
        ["self".to_string(), "send|#7".to_string(), format!("state|rtd task 1|{}", shown(&state)), "stop|normal".to_string()]
    );
    h.first(init("crash"));
    assert_eq!(h.tell(abi::EVENT_INFO, "", "").unwrap(), "job crashed");
    h.asked();

    h.answers("spawn", &[&fields(&["#8", "4"])]);
    h.answers("await", &[b"done"]);
    assert_eq!(JOB.spawn_link("x").unwrap().wait(TIMEOUT).unwrap(), b"done");
    JOB.spawn("x", TaskOptions { under: "jobs", notify: true }).unwrap();
    JOB.start("x", "").unwrap();
    let asked = ["spawn+link+request|job|x", "await|4||5000", "spawn+request+notify|job|x|jobs", "spawn|job|x"];
    assert_eq!(h.asked(), asked);
}

/// A manager with its two handlers #10 and #11.
fn manager() -> Host {
    let h = Host::started(setup);
    h.answers("spawn", &[&fields(&["#10"]), &fields(&["#11"])]);
    assert_eq!(h.init("events", ""), None);
    assert_eq!(h.asked(), ["trap_exit|on", "spawn+link|audit|a", "spawn+link|strikes"]);
    h
}

fn handlers(h: &Host) -> String {
    h.asked();
    h.call("list", &fields(&["list", ""]));
    let answer = h.asked().pop().unwrap();
    let ids: String = answer.chars().filter(|c| *c >= ' ').collect();
    ids.trim_start_matches("answer|list|").to_string()
}

#[test]
fn event_handler() {
    let h = Host::started(setup);
    h.init("audit", "");
    h.tell(abi::EVENT_CAST, "", "one");
    h.call("2", &[fields(&["sync", ""]), b"two".to_vec()].concat());
    h.call("3", &[fields(&["call", "audit"]), b"three".to_vec()].concat());
    assert_eq!(h.asked(), ["log|info|one", "log|info|two", "answer|2", "answer|3|three"]);
    assert!(h.call("4", b"past").unwrap().contains("EventManager::call"));
}

#[test]
fn notify() {
    let h = manager();
    h.tell(abi::EVENT_CAST, "", "hello");
    assert_eq!(h.asked(), ["cast|#10|hello", "cast|#11|hello"]);
    h.answers("request", &[b"1", b"2"]);
    h.call("9.1", &fields(&["sync", ""]));
    h.asked();
    h.tell(abi::EVENT_REPLY, "2", "");
    assert!(h.asked().is_empty());
    h.event(Record::new(abi::EVENT_REPLY, "1").flags(abi::FAILED).payload(b"crashed")); // counts as handled
    assert_eq!(h.asked(), [format!("answer|9.1|{}", shown(&fields(&[""])))]);
}

#[test]
fn handlers_crash() {
    let h = manager();
    h.tell(abi::EVENT_EXIT, "#10", "told to fail");
    assert_eq!(h.asked(), ["log|warn|event handler audit is removed: told to fail"]);
    assert_eq!(handlers(&h), "strikes");
    for _ in 0..3 {
        h.tell(abi::EVENT_EXIT, "#11", "told to fail");
        assert_eq!(h.asked(), ["spawn+link|strikes"]);
    }
    h.tell(abi::EVENT_EXIT, "#99", "somebody else");
    h.tell(abi::EVENT_EXIT, "#11", "told to fail");
    assert_eq!(h.asked(), ["log|warn|event handler strikes is removed: told to fail"]);
    assert_eq!(handlers(&h), "");
}

#[test]
fn handlers_come_and_go() {
    let h = manager();
    let add = |id| [fields(&["add", id, "strikes", "true"]), b"args".to_vec()].concat();
    let answer = |token, code, rest| format!("answer|{}|{}{}", token, shown(&fields(&[code])), rest);
    h.call("1", &add("audit"));
    assert_eq!(h.asked(), [answer("1", "-12", "")]);
    h.answers("spawn", &[&fields(&["#12", "5"])]);
    h.call("2", &add("third"));
    h.tell(abi::EVENT_REPLY, "5", "");
    assert_eq!(h.asked(), ["spawn+link+request+notify|strikes|args".to_string(), answer("2", "", "")]);
    assert_eq!(handlers(&h), "auditstrikesthird");

    h.answers("spawn", &[&fields(&["#13", "6"])]);
    h.call("3", &add("fourth"));
    h.asked();
    h.tell(abi::EVENT_EXIT, "#13", "bad arguments"); // its init failed: no restart
    h.event(Record::new(abi::EVENT_REPLY, "6").flags(abi::FAILED).payload(b"bad arguments"));
    assert_eq!(h.asked()[1..], [answer("3", "-8", "bad arguments")]);

    h.call("4", &fields(&["remove", "audit"]));
    h.call("5", &fields(&["remove", "audit"]));
    assert_eq!(h.asked(), ["exit|#10|shutdown".to_string(), answer("4", "", ""), answer("5", "-5", "")]);
    assert_eq!(handlers(&h), "strikesthird");
}

#[test]
fn manager_migrates() {
    let h = manager();
    h.answers("request", &[b"1", b"2"]);
    h.call("9.1", &fields(&["sync", ""]));
    h.asked();
    h.tell(abi::EVENT_EXPORT, "events", "");
    let asked = h.asked().pop().unwrap();
    let state = asked.strip_prefix("state|rtd event manager 1|").unwrap();
    let list = fields(&["#7", ""]);
    let import = Record::new(abi::EVENT_IMPORT, "events").detail("rtd event manager 1");
    assert_eq!(h.first(Record { extra: &list, ..import.payload(state.as_bytes()) }), None);
    assert!(h.asked().is_empty());
    h.tell(abi::EVENT_REPLY, "1", "");
    h.tell(abi::EVENT_REPLY, "2", "");
    assert_eq!(h.asked(), [format!("answer|9.1|{}", shown(&fields(&[""])))]);
    assert_eq!(handlers(&h), "auditstrikes");
    h.tell(abi::EVENT_EXIT, "#11", "told to fail");
    assert_eq!(h.asked(), ["spawn+link|strikes"]);
}

/// The other side: what the methods ask the manager, and make of the answers.
#[test]
fn event_manager() {
    let h = manager();
    let (ok, taken) = (fields(&[""]), fields(&["-12"]));
    let ended = [fields(&["-8"]), b"why".to_vec()].concat();
    let other = [fields(&["error"]), b"why".to_vec()].concat();
    let ids = fields(&["", "audit", "strikes"]);
    h.answers("call", &[&ok, &ids, &taken, &ended, &other]);
    EVENTS.sync_notify("hello", TIMEOUT).unwrap();
    assert_eq!(EVENTS.handlers().unwrap(), ["audit", "strikes"]);
    let add = || EVENTS.add(&HandlerSpec::new("audit")).unwrap_err();
    assert_eq!(add().code(), &Code::Taken);
    assert_eq!(add().code(), &Code::Ended("why".to_string()));
    assert_eq!(EVENTS.remove("audit").unwrap_err().to_string(), "remove audit: why");
    assert_eq!(h.asked()[0], format!("call|events|{}hello|5000", shown(&fields(&["sync", ""]))));
}
