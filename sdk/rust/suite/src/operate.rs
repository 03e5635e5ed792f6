use crate::channel::patience;
use crate::processes::{ADD, CRASH, EVENTS, GET, JOB, SET};
use rtd::{json, Clock, Error, HandlerSpec, HistoryPage, Level, Presence, Ref, Socket, Span, SpawnOptions, TaskOptions, Time, TIMEOUT};
use std::time::Duration;

/// What a payload can say.
pub struct Order<'a>(&'a [u8]);

impl Order<'_> {
    pub fn of(payload: &[u8]) -> Order {
        Order(if rtd::is_binary() { b"" } else { payload })
    }

    pub fn text(&self, key: &str) -> String {
        json::string(self.0, key).unwrap_or_default()
    }

    /// A text that is not empty.
    pub fn some(&self, key: &str) -> Option<String> {
        json::string(self.0, key).filter(|text| !text.is_empty())
    }

    pub fn ms(&self) -> Duration {
        Duration::from_millis(json::integer(self.0, "ms").unwrap_or(0) as u64)
    }

    fn integer(&self, key: &str) -> i64 {
        json::integer(self.0, key).unwrap_or(0)
    }

    fn yes(&self, key: &str) -> bool {
        self.text(key) == "yes"
    }

    fn presence(&self, s: &Socket) -> Presence {
        self.some("topic").map_or(s.presence(), |topic| Presence::of(&topic).for_client(s))
    }
}

type Response = Result<Vec<u8>, Error>;

/// Does what can fail, and returns the response; `None` for unknown events.
pub fn operate(s: &Socket, event: &str, o: &Order) -> Option<Response> {
    presence(s, event, o)
        .or_else(|| topics(event, o))
        .or_else(|| clock(event, o))
        .or_else(|| messages(event, o))
        .or_else(|| processes(event, o))
        .or_else(|| behaviours(event, o))
}

fn presence(s: &Socket, event: &str, o: &Order) -> Option<Response> {
    let (presence, key) = (o.presence(s), o.text("key"));
    let meta = json::object().string("text", &o.text("text"));
    Some(match event {
        "track" => presence.track(&key, meta).map(|phx_ref| one("ref", &phx_ref)),
        "update" => presence.update(&key, meta).map(|phx_ref| one("ref", &phx_ref)),
        "untrack" => presence.untrack(&key).map(nothing),
        "track_self" => Presence::of(s.topic()).track(&key, meta).map(|phx_ref| one("ref", &phx_ref)),
        "presences" => presence.list(),
        "presence_count" => presence.count().map(|(keys, metas)| {
            json::object().integer("keys", keys as i64).integer("metas", metas as i64).into()
        }),
        "present" if o.some("topic").is_some() => presence.push_to(s).map(nothing),
        "present" => done(s.push_presence()),
        _ => return None,
    })
}

fn topics(event: &str, o: &Order) -> Option<Response> {
    Some(match event {
        "subscribe" => rtd::subscribe(&o.text("topic")).map(nothing),
        "unsubscribe" => done(rtd::unsubscribe(&o.text("topic"))),
        "history" => rtd::history(&o.text("topic"), o.integer("after") as u64, o.integer("limit") as usize).map(past),
        "disconnect" => done(rtd::disconnect(&o.text("id"))),
        "hibernate" => done(rtd::hibernate()),
        "log" => done(rtd::log(level(&o.text("level")), &o.text("text"))),
        _ => return None,
    })
}

/// All of a page.
fn past(page: HistoryPage) -> Vec<u8> {
    let mut messages = Vec::new();
    for m in &page.messages {
        let form = if m.binary { "binary " } else { "" };
        messages.push(format!("{} {} {}{}", m.offset, m.event, form, String::from_utf8_lossy(&m.payload)));
    }
    let object = json::object().string("position", &page.position).integer("oldest", page.oldest as i64);
    let object = object.raw("messages", json::strings(&messages));
    object.integer("ms", page.messages.last().map_or(0, |m| m.unix_ms)).into()
}

fn clock(event: &str, o: &Order) -> Option<Response> {
    let (zone, text, layout, ms) = (o.text("zone"), o.text("text"), o.text("layout"), o.integer("ms"));
    let clock = Clock(&zone);
    Some(match event {
        "clock_now" => clock.now().map(whole),
        "clock_at" => clock.at(ms).map(whole),
        "clock_parse" => clock.parse(&text, &layout).map(whole),
        "clock_add" => {
            let part = |key| o.integer(key) as i32;
            clock.add(ms, Span { years: part("years"), months: part("months"), days: part("days") }).map(whole)
        }
        "clock_format" => clock.format(ms, &layout).map(|text| one("text", &text)),
        _ => return None,
    })
}

/// All of a time.
fn whole(t: Time) -> Vec<u8> {
    let o = json::object().integer("unix_ms", t.unix_ms).string("zone", &t.zone);
    let o = o.string("abbreviation", &t.abbreviation).boolean("dst", t.dst);
    let numbers = [
        ("offset", t.offset),
        ("year", t.year),
        ("month", t.month),
        ("day", t.day),
        ("hour", t.hour),
        ("minute", t.minute),
        ("second", t.second),
        ("ms", t.milliseconds),
        ("weekday", t.weekday),
        ("yearday", t.year_day),
    ];
    let o = numbers.iter().fold(o, |o, (key, n)| o.integer(key, i64::from(*n)));
    o.boolean("skipped", t.skipped).boolean("twice", t.twice).into()
}

fn messages(event: &str, o: &Order) -> Option<Response> {
    let (to, text) = (o.text("to"), o.text("text"));
    Some(match event {
        "send_after" => rtd::send_after(o.ms(), text).map(|timer| one("timer", &timer)),
        "cancel" => rtd::cancel(&reference(o, "timer")).map(|left| {
            json::object().integer("left", left.as_secs() as i64 * 1000 + i64::from(left.subsec_millis())).into()
        }),
        "sleep" => rtd::sleep(o.ms()).map(nothing),
        "send" => rtd::send(&to, text).map(nothing),
        "cast" => rtd::cast(&to, text).map(nothing),
        "call" => rtd::call_timeout(&to, text, patience(o.ms())).map(answer),
        "request" => rtd::request(&to, text).map(|r| one("ref", &r)),
        "request_notify" => rtd::request_notify(&to, text).map(|r| one("ref", &r)),
        "await" => rtd::await_reply(&reference(o, "ref"), patience(o.ms())).map(answer),
        _ => return None,
    })
}

fn processes(event: &str, o: &Order) -> Option<Response> {
    let (to, name) = (o.text("to"), o.text("name"));
    Some(match event {
        "spawn" => {
            let under = o.text("under");
            let options = SpawnOptions { under: &under, name: &name, link: o.yes("link") };
            rtd::spawn(&o.text("module"), o.text("args"), options).map(|pid| one("pid", &pid))
        }
        "children" => rtd::children(&o.text("under"))
            .map(|pids| json::object().raw("pids", json::strings(pids.iter().map(|pid| pid.to_string()))).into()),
        "stop_child" => rtd::stop_child(&to.as_str().into()).map(nothing),
        "monitor" => rtd::monitor(&to).map(|monitor| one("ref", &monitor)),
        "demonitor" => rtd::demonitor(&reference(o, "ref")).map(nothing),
        "link" => rtd::link(&to).map(nothing),
        "unlink" => rtd::unlink(&to).map(nothing),
        "trap_exit" => done(rtd::trap_exit(o.yes("on"))),
        "register" => rtd::register(&name, &to.as_str().into()).map(nothing),
        "unregister" => rtd::unregister(&name).map(nothing),
        "whereis" => rtd::whereis(&name).map(|pid| one("pid", &pid)),
        "exit" => rtd::exit(&to, &o.text("reason")).map(nothing),
        "process_info" => rtd::process_info(&to),
        _ => return None,
    })
}

fn behaviours(event: &str, o: &Order) -> Option<Response> {
    let (to, args, id, text) = (o.text("to"), o.text("args"), o.text("id"), o.text("text"));
    let n = json::integer(o.0, "n").unwrap_or(0).to_string();
    Some(match event {
        "agent_get" => GET.call(&to, "").map(number),
        "agent_set" => SET.call(&to, n),
        "agent_add" => ADD.call(&to, n).map(number),
        "agent_crash" => CRASH.call(&to, ""),
        "task_await" => JOB.spawn(args, TaskOptions::default()).and_then(|job| job.wait(TIMEOUT)).map(answer),
        "task_linked" => JOB.spawn_link(args).and_then(|job| job.wait(TIMEOUT)).map(answer),
        "task_notify" => {
            JOB.spawn(args, TaskOptions { under: "jobs", notify: true }).map(|job| one("ref", &job.request))
        }
        "task_start" => JOB.start(args, "jobs").map(|pid| one("pid", &pid)),
        "notify" => EVENTS.notify(text).map(nothing),
        "sync_notify" => EVENTS.sync_notify(text, TIMEOUT).map(nothing),
        "events_call" => EVENTS.call(&id, text, TIMEOUT).map(answer),
        "events_add" => {
            let module = o.text("module");
            let handler = HandlerSpec::new(&id).module(if module.is_empty() { "listener" } else { &module });
            let handler = handler.args(id.as_bytes());
            EVENTS.add(&HandlerSpec { restart: o.yes("restart"), ..handler }).map(nothing)
        }
        "events_remove" => EVENTS.remove(&id).map(nothing),
        "events_list" => EVENTS.handlers().map(|ids| json::object().raw("ids", json::strings(ids)).into()),
        _ => return None,
    })
}

fn nothing(_: ()) -> Vec<u8> {
    Vec::new()
}

fn done(_: ()) -> Response {
    Ok(Vec::new())
}

fn one(key: &str, value: &str) -> Vec<u8> {
    json::object().string(key, value).into()
}

fn answer(answer: Vec<u8>) -> Vec<u8> {
    one("answer", &String::from_utf8(answer).unwrap_or_default())
}

fn number(n: Vec<u8>) -> Vec<u8> {
    json::object().raw("n", n).into()
}

fn reference(o: &Order, key: &str) -> Ref {
    o.text(key).as_str().into()
}

fn level(name: &str) -> Level {
    match name {
        "debug" => Level::Debug,
        "warn" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Info,
    }
}
