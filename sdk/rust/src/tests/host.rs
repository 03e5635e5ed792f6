use crate::abi::{self, push_field, Record};
use crate::host::imports;
use crate::{entry, Plugin, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;

/// Stands in for the server around an instance: it notes what the crate asks for and answers as it was
/// told. Each test has a thread, and with it a plugin, of its own.
pub struct Host {
    setup: fn(&mut Plugin) -> Result,
    notes: Rc<RefCell<Notes>>,
}

#[derive(Default)]
struct Notes {
    asked: Vec<String>,
    answers: HashMap<String, Vec<(i32, Vec<u8>)>>,
    last: Vec<u8>, // for take
}

impl Host {
    /// A host around a plugin that has not started.
    pub fn new(setup: fn(&mut Plugin) -> Result) -> Host {
        let h = Host { setup, notes: Rc::default() };
        let notes = h.notes.clone();
        imports::FAKE.with(|fake| fake.replace(Some(Box::new(move |b, out| notes.borrow_mut().op(b, out)))));
        h
    }

    /// A host around a plugin that has started.
    pub fn started(setup: fn(&mut Plugin) -> Result) -> Host {
        let h = Host::new(setup);
        assert_eq!(h.start("{}"), None);
        h.asked();
        h
    }

    pub fn start(&self, config: &str) -> Option<String> {
        self.event(Record::new(abi::EVENT_START, "test").payload(config.as_bytes()).detail("v1"))
    }

    /// Gives the instance an event and returns the cause if it crashed.
    pub fn event(&self, e: Record) -> Option<String> {
        let bytes = e.encode();
        let at = entry::inbox(bytes.len());
        unsafe { at.copy_from(bytes.as_ptr(), bytes.len()) };
        match catch_unwind(AssertUnwindSafe(|| entry::handle(bytes.len(), self.setup))) {
            Ok(code) => {
                assert_eq!(code, 0);
                None
            }
            Err(panic) => Some(match panic.downcast::<String>() {
                Ok(cause) => *cause,
                Err(panic) => panic.downcast_ref::<&str>().unwrap_or(&"a panic").to_string(),
            }),
        }
    }

    /// Gives another instance its first event.
    pub fn first(&self, e: Record) -> Option<String> {
        entry::new_process();
        self.event(e)
    }

    pub fn init(&self, module: &str, args: &str) -> Option<String> {
        self.first(Record::new(abi::EVENT_INIT, module).payload(args.as_bytes()).detail("#7"))
    }

    pub fn join(&self, topic: &str, payload: &str, member: &str) -> Option<String> {
        self.event(Record::new(abi::EVENT_JOIN, topic).payload(payload.as_bytes()).detail(member))
    }

    pub fn message(&self, event: &str, payload: &str, member: &str) -> Option<String> {
        self.event(Record::new(abi::EVENT_MESSAGE, event).payload(payload.as_bytes()).detail(member))
    }

    pub fn call(&self, token: &str, question: &[u8]) -> Option<String> {
        self.event(Record::new(abi::EVENT_CALL, token).payload(question))
    }

    /// An event with a payload and nothing else.
    pub fn tell(&self, kind: u16, name: &str, payload: &str) -> Option<String> {
        self.event(Record::new(kind, name).payload(payload.as_bytes()))
    }

    /// Makes operations of this name, from the next one on, give these answers, and the last of them
    /// again and again.
    pub fn answers(&self, operation: &str, answers: &[&[u8]]) {
        let answers = answers.iter().map(|a| (a.len() as i32, a.to_vec())).collect();
        self.notes.borrow_mut().answers.insert(operation.to_string(), answers);
    }

    /// Makes an operation or effect fail; the reason is for -8.
    pub fn fails(&self, operation: &str, code: i32, reason: &str) {
        let answer = (code, reason.as_bytes().to_vec());
        self.notes.borrow_mut().answers.insert(operation.to_string(), vec![answer]);
    }

    /// What was asked for since the last look: kind, flags, and the fields up to the last that is not
    /// empty.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.borrow_mut().asked)
    }
}

impl Notes {
    fn op(&mut self, record: &[u8], out: &mut [u8]) -> i32 {
        let r = Record::parse(record).expect("a malformed record");
        if r.kind == abi::OP_TAKE {
            return answer(&self.last, out);
        }
        self.asked.push(text(&r));
        let list = match self.answers.get_mut(abi::name_of(r.kind)) {
            Some(list) => list,
            None => return 0,
        };
        let (code, bytes) = if list.len() > 1 { list.remove(0) } else { list[0].clone() };
        self.last = bytes;
        if code < 0 {
            return code;
        }
        answer(&self.last, out)
    }
}

fn answer(bytes: &[u8], out: &mut [u8]) -> i32 {
    let n = bytes.len().min(out.len());
    out[..n].copy_from_slice(&bytes[..n]);
    bytes.len() as i32
}

fn text(r: &Record) -> String {
    let mut text = abi::name_of(r.kind).to_string();
    let flags =
        [(abi::BINARY, "+binary"), (abi::LINK, "+link"), (abi::REQUEST, "+request"), (abi::NOTIFY, "+notify")];
    flags.iter().filter(|(flag, _)| r.has(*flag)).for_each(|(_, name)| text.push_str(name));
    for field in [r.name, r.payload, r.detail, r.extra] {
        text.push('|');
        text.push_str(&String::from_utf8_lossy(field));
    }
    text.trim_end_matches('|').to_string()
}

/// A list of fields, as an answer may be.
pub fn fields(fields: &[&str]) -> Vec<u8> {
    let mut list = Vec::new();
    fields.iter().for_each(|field| push_field(&mut list, field.as_bytes()));
    list
}

/// The list as the notes have it.
pub fn shown(list: &[u8]) -> String {
    String::from_utf8_lossy(list).into_owned()
}
