use crate::abi::{self, cut_field, push_field, Record};
use crate::call::{call, Caller};
use crate::error::{Error, Result};
use crate::migrate::State;
use crate::module::Body;
use crate::record::text;
use crate::server::{Server, ServerBody};

/// OTP's Agent: a process that keeps a state and lets others work on it with functions. A function
/// cannot be sent from one memory to another, but every process of the plugin has the whole program:
/// functions are registered, and a call carries the name.
///
/// ```
/// use rtd::{Agent, AgentFn};
/// use std::collections::BTreeMap;
///
/// type Words = BTreeMap<Vec<u8>, u32>;
///
/// static WORDS: Agent<Words> = Agent::new("words", |_args| Ok(Words::new()), &[&ADD, &COUNT]);
///
/// static ADD: AgentFn<Words> = AgentFn {
///     name: "add",
///     run: |words, word| {
///         *words.entry(word.to_vec()).or_default() += 1;
///         Ok(vec![])
///     },
/// };
///
/// static COUNT: AgentFn<Words> = AgentFn {
///     name: "count",
///     run: |words, word| Ok(words.get(word).unwrap_or(&0).to_string().into_bytes()),
/// };
///
/// fn setup(p: &mut rtd::Plugin) -> rtd::Result {
///     p.agent(&WORDS);
///     p.child(rtd::Worker::new("words"));
///     Ok(())
/// }
///
/// fn hear(word: &str) -> Result<Vec<u8>, rtd::Error> {
///     ADD.call("words", word)?; // in any process
///     COUNT.call("words", word)
/// }
/// ```
pub struct Agent<S: 'static> {
    name: &'static str,
    create: fn(args: &[u8]) -> Result<S>,
    functions: &'static [&'static AgentFn<S>],
    migration: Option<Migration<S>>,
}

struct Migration<S> {
    export: fn(&S) -> Result<State>,
    import: fn(schema: &str, state: &[u8]) -> Result<S>,
}

impl<S: 'static> Agent<S> {
    /// A module whose processes begin with the state that `create` returns.
    pub const fn new(
        name: &'static str, create: fn(args: &[u8]) -> Result<S>, functions: &'static [&'static AgentFn<S>],
    ) -> Agent<S> {
        Agent { name, create, functions, migration: None }
    }

    /// The same, moved to the next version of the plugin with its state.
    pub const fn migrating(
        name: &'static str, create: fn(args: &[u8]) -> Result<S>, functions: &'static [&'static AgentFn<S>],
        export: fn(&S) -> Result<State>, import: fn(schema: &str, state: &[u8]) -> Result<S>,
    ) -> Agent<S> {
        Agent { name, create, functions, migration: Some(Migration { export, import }) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn migrates(&self) -> bool {
        self.migration.is_some()
    }

    pub(crate) fn body(&'static self) -> Box<dyn Body> {
        Box::new(AgentBody(ServerBody(AgentServer { agent: self, state: None })))
    }
}

/// A function of an agent.
pub struct AgentFn<S> {
    /// For the agent's process alone, which knows its functions by it.
    pub name: &'static str,
    /// Looks at the state, or changes it, and answers. An error crashes the agent, and the caller gets
    /// [`Code::Ended`](crate::Code).
    pub run: fn(state: &mut S, arg: &[u8]) -> Result<Vec<u8>>,
}

impl<S> AgentFn<S> {
    /// Runs the function in an agent's process and waits for the answer, as [`call`](crate::call()) does.
    pub fn call(&self, agent: &str, arg: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let mut question = Vec::with_capacity(4 + self.name.len() + arg.as_ref().len());
        push_field(&mut question, self.name.as_bytes());
        question.extend_from_slice(arg.as_ref());
        call(agent, question)
    }
}

struct AgentServer<S: 'static> {
    agent: &'static Agent<S>,
    state: Option<S>, // from its init on
}

impl<S> Server for AgentServer<S> {
    fn init(&mut self, args: &[u8]) -> Result {
        self.state = Some((self.agent.create)(args)?);
        Ok(())
    }

    fn handle_call(&mut self, caller: Caller, question: &[u8]) -> Result {
        let (name, arg) = cut_field(question).unwrap_or_default();
        let function = self.agent.functions.iter().find(|f| f.name.as_bytes() == name);
        match (function, &mut self.state) {
            (Some(f), Some(state)) => caller.reply((f.run)(state, arg)?),
            _ => return Err("agents take calls of their functions only; use AgentFn::call".into()),
        }
        Ok(())
    }
}

/// The process of an agent.
struct AgentBody<S: 'static>(ServerBody<AgentServer<S>>);

impl<S> Body for AgentBody<S> {
    fn handle(&mut self, e: &Record) -> Result {
        let server = &mut self.0 .0;
        match (e.kind, &server.agent.migration, &server.state) {
            (abi::EVENT_EXPORT, Some(m), Some(state)) => (m.export)(state)?.hand_over(),
            (abi::EVENT_IMPORT, Some(m), _) => server.state = Some((m.import)(text(e.detail), e.payload)?),
            _ => return self.0.handle(e),
        }
        Ok(())
    }
}
