//! The plugin suite in Rust; sdk/suite/README.md says what it does.

mod channel;
mod durable;
mod operate;
mod processes;
mod shared;

use channel::Suite;
use durable::{Durable, Ledger};
use processes::{Archive, Listener, Recorder, Server, COUNTER, EVENTS, JOB};
use rtd::{json, Code, Conn, Dynamic, Keep, Level, Plugin, Restart, Result, Strategy, Supervisor, Worker};
use shared::Shared;
use std::time::Duration;

rtd::plugin!(setup);

fn setup(p: &mut Plugin) -> Result {
    if let Some(cause) = json::string(p.config(), "fail") {
        return Err(cause.into());
    }
    if json::string(p.config(), "durable").is_some() {
        p.durable("durable:*");
        p.durable("process:ledger");
        p.keep_history("suite:stored*", Keep { durable: true, ..Keep::default() });
    }
    if json::string(p.config(), "greeting").is_some() {
        p.keep_history("suite:kept*", Keep { messages: 3, age: Duration::from_secs(3600), ..Keep::default() });
    }
    let config = p.config().to_vec();
    p.on_stop(|| {
        rtd::log(Level::Info, "suite has stopped");
        Ok(())
    });
    p.depends_on("base");
    p.on_connect(connect);
    p.channel("suite:*", move || Suite::new(&config));
    p.topic_channel("shared:*", Shared::default);
    p.topic_channel("durable:*", Durable::default);
    p.server("ledger", Ledger::default);
    p.server("recorder", Recorder::default);
    p.server("server", Server::default);
    p.agent(&COUNTER);
    p.task(&JOB);
    p.event_manager(&EVENTS);
    p.event_handler("listener", Listener::default);
    p.event_handler("archive", Archive::default);

    let worker = |id| Worker::new(id).module("server").args(id);
    p.child(Worker::new("recorder"));
    let pair = Supervisor::new("pair").strategy(Strategy::OneForAll).intensity(100, 5);
    p.child(pair.child(worker("left")).child(worker("right")));
    let chain = Supervisor::new("chain").strategy(Strategy::RestForOne).intensity(100, 5);
    p.child(chain.child(worker("one")).child(worker("two")).child(worker("three")));
    p.child(worker("nameless").name("").restart(Restart::Transient).shutdown(Duration::from_secs(1)));
    p.child(Worker::new("counter").args("10"));
    p.child(Worker::new("events"));
    if json::string(p.config(), "greeting").is_some() || json::string(p.config(), "durable").is_some() {
        p.child(Worker::new("ledger")); // else it has the tree that guests of earlier SDKs have
    }
    p.child(Dynamic::new("jobs").restart(Restart::Temporary));
    p.child(Dynamic::new("pool").restart(Restart::Transient).intensity(100, 5));
    Ok(())
}

fn connect(c: &mut Conn) -> Result {
    let user = c.param(&["user"]).unwrap_or_default();
    match user.as_str() {
        "" => return Ok(()),
        "nobody" => return rtd::refuse_status(401),
        "banned" => return rtd::refuse(""),
        "crash" => return Err("told to crash".into()),
        _ => {}
    }
    c.id = format!("users:{}", user);
    let assigns = json::object()
        .string("user", &user)
        .string("mount", c.mount())
        .string("token", &c.auth_token().unwrap_or_default())
        .string("agent", &c.user_agent().unwrap_or_default())
        .string("header", &c.header("X-Suite").unwrap_or_default())
        .string("address", &c.peer().0)
        .string("nested", &c.param(&["a", "b"]).unwrap_or_default());
    c.assigns = assigns.into();
    Ok(())
}

/// Tells the recorder.
fn record(line: &str) {
    let _ = rtd::cast("recorder", line);
}

/// What the README calls an error.
fn word(code: &Code) -> String {
    let word = match code {
        Code::Unknown => "unknown",
        Code::Malformed => "malformed",
        Code::TooMuch => "too_much",
        Code::NotNow => "not_now",
        Code::NoProcess => "no_process",
        Code::Timeout => "timeout",
        Code::Busy => "busy",
        Code::Ended(reason) => return format!("ended: {}", reason),
        Code::OwnAnswer => "self",
        Code::Full => "full",
        Code::Limit => "limit",
        Code::Taken => "taken",
        Code::Denied => "denied",
        Code::Deadlock => "deadlock",
        Code::TooLarge => "too_large",
        Code::NoHistory => "no_history",
        other => return other.to_string(),
    };
    word.to_string()
}

/// How all states are written.
const SCHEMA: &str = "1";

fn check_schema(schema: &str) -> Result {
    match schema {
        SCHEMA => Ok(()),
        _ => Err(format!("cannot read schema {}", schema).into()),
    }
}
