use crate::{check_schema, record, word, SCHEMA};
use rtd::{Agent, AgentFn, Caller, EventHandler, EventManager, HandlerSpec, Result, State, Task, NORMAL};
use std::str::from_utf8;
use std::time::Duration;

/// Keeps lines.
#[derive(Default)]
pub struct Recorder {
    lines: Vec<u8>,
}

impl rtd::Server for Recorder {
    fn handle_cast(&mut self, line: &[u8]) -> Result {
        if self.lines.len() + line.len() < 4000 {
            self.lines.extend_from_slice(line);
            self.lines.push(b'\n');
        }
        Ok(())
    }

    fn handle_call(&mut self, caller: Caller, question: &[u8]) -> Result {
        if question == b"clear" {
            self.lines.clear();
        }
        caller.reply(&self.lines);
        Ok(())
    }
}

/// Does what it is told.
#[derive(Default)]
pub struct Server {
    args: String,
    n: u32,
    kept: Option<Caller>,
}

impl rtd::Server for Server {
    const TERMINATES: bool = true;
    const MIGRATES: bool = true;

    fn init(&mut self, args: &[u8]) -> Result {
        self.args = from_utf8(args)?.to_string();
        if self.args == "crash" {
            return Err("init crashed".into());
        }
        record(&format!("init {}", self.args));
        Ok(())
    }

    fn handle_call(&mut self, caller: Caller, question: &[u8]) -> Result {
        self.n += 1;
        let question = from_utf8(question)?;
        let answer = match question {
            "args" => self.args.clone(),
            "count" => self.n.to_string(),
            "self" => rtd::this().to_string(),
            "later" => {
                self.kept = Some(caller);
                rtd::send_after(Duration::from_millis(20), "answer")?;
                return Ok(());
            }
            "never" => return Ok(()),
            "crash" => return Err("told to crash".into()),
            "trap" => panic!("trap"),
            "stop" => {
                rtd::stop(NORMAL);
                "stopped".to_string()
            }
            _ => match question.strip_prefix("ask ") {
                Some(name) => match rtd::call(name, "args") {
                    Ok(args) => from_utf8(&args)?.to_string(),
                    Err(e) => word(e.code()),
                },
                None => format!("echo: {}", question),
            },
        };
        caller.reply(answer);
        Ok(())
    }

    fn handle_cast(&mut self, message: &[u8]) -> Result {
        let message = from_utf8(message)?;
        match message.strip_prefix("stop ") {
            _ if message == "crash" => return Err("told to crash".into()),
            Some(reason) => rtd::stop(reason),
            None => record(&format!("cast {}", message)),
        }
        Ok(())
    }

    fn handle_info(&mut self, message: &[u8]) -> Result {
        match (from_utf8(message)?, &self.kept) {
            ("answer", Some(caller)) => caller.reply("late"),
            (message, _) => record(&format!("info {}", message)),
        }
        Ok(())
    }

    fn terminate(&mut self, reason: &str) -> Result {
        record(&format!("terminate {} {}", self.args, reason));
        Ok(())
    }

    fn export(&self) -> Result<State> {
        Ok(State::new(SCHEMA, format!("{} {}", self.n, self.args)))
    }

    fn import(&mut self, schema: &str, state: &[u8]) -> Result {
        check_schema(schema)?;
        let (n, args) = from_utf8(state)?.split_once(' ').ok_or("no state")?;
        self.n = n.parse()?;
        self.args = args.to_string();
        Ok(())
    }
}

/// The agent.
pub static COUNTER: Agent<i64> = Agent::new("counter", number, &[&GET, &SET, &ADD, &CRASH]);

pub static GET: AgentFn<i64> = AgentFn { name: "get", run: |n, _| Ok(n.to_string().into_bytes()) };

pub static SET: AgentFn<i64> = AgentFn {
    name: "set",
    run: |n, arg| {
        *n = number(arg)?;
        Ok(Vec::new())
    },
};

pub static ADD: AgentFn<i64> = AgentFn {
    name: "add",
    run: |n, arg| {
        *n += number(arg)?;
        Ok(n.to_string().into_bytes())
    },
};

pub static CRASH: AgentFn<i64> = AgentFn { name: "crash", run: |_, _| Err("told to crash".into()) };

fn number(text: &[u8]) -> Result<i64> {
    Ok(from_utf8(text)?.parse()?)
}

pub static JOB: Task = Task::new("job", |args| match args {
    b"crash" => Err("job crashed".into()),
    b"slow" => {
        rtd::sleep(Duration::from_millis(100))?;
        Ok(b"slow".to_vec())
    }
    _ => {
        record(&format!("job {}", from_utf8(args)?));
        Ok([b"done ", args].concat())
    }
});

pub static EVENTS: EventManager = EventManager::new(
    "events",
    &[
        HandlerSpec::new("keeper").module("listener").args(b"keeper").restart(),
        HandlerSpec::new("flimsy").module("listener").args(b"flimsy"),
    ],
);

/// Handles events.
#[derive(Default)]
pub struct Listener {
    id: String,
    heard: Vec<String>,
}

impl rtd::Server for Listener {
    fn init(&mut self, args: &[u8]) -> Result {
        self.id = from_utf8(args)?.to_string();
        record(&format!("listening {}", self.id));
        match self.id.as_str() {
            "crash" => Err("init crashed".into()),
            _ => Ok(()),
        }
    }

    fn handle_call(&mut self, caller: Caller, question: &[u8]) -> Result {
        if question == b"crash" {
            return Err("told to crash".into());
        }
        caller.reply(self.heard.join(","));
        Ok(())
    }
}

impl EventHandler for Listener {
    fn handle_event(&mut self, event: &[u8]) -> Result {
        let event = from_utf8(event)?;
        match event.split_once(' ') {
            Some(("crash", id)) if id == self.id => return Err("told to crash".into()),
            Some(("leave", id)) if id == self.id => rtd::stop(NORMAL),
            _ => self.heard.push(event.to_string()),
        }
        Ok(())
    }
}

/// A listener that hands on what it has heard.
#[derive(Default)]
pub struct Archive(Listener);

impl rtd::Server for Archive {
    const MIGRATES: bool = true;

    fn init(&mut self, args: &[u8]) -> Result {
        self.0.init(args)
    }

    fn handle_call(&mut self, caller: Caller, question: &[u8]) -> Result {
        self.0.handle_call(caller, question)
    }

    fn export(&self) -> Result<State> {
        Ok(State::new(SCHEMA, format!("{} {}", self.0.id, self.0.heard.join(","))))
    }

    fn import(&mut self, schema: &str, state: &[u8]) -> Result {
        check_schema(schema)?;
        let (id, heard) = from_utf8(state)?.split_once(' ').ok_or("no state")?;
        self.0.id = id.to_string();
        self.0.heard = heard.split(',').map(str::to_string).collect();
        Ok(())
    }
}

impl EventHandler for Archive {
    fn handle_event(&mut self, event: &[u8]) -> Result {
        self.0.handle_event(event)
    }
}
