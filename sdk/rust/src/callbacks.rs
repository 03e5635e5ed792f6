//! The callbacks that processes of all kinds have in common. Two macros write them into the
//! traits, because they differ in the first parameter: the socket of a channel, the topic of a topic
//! channel, or nothing.

/// Writes the callbacks into a trait, each with a default.
macro_rules! callbacks {
    ($($context:ident: $type:ty)?) => {
        /// Whether [`terminate`](Self::terminate) is called.
        const TERMINATES: bool = false;

        /// Whether a process is moved to the next version of the plugin with its state, by
        /// [`export`](Self::export) and [`import`](Self::import). Else it begins anew.
        const MIGRATES: bool = false;

        /// Answers the questions that others ask with [`call`](crate::call()) or
        /// [`request`](crate::request): with `caller.reply(…)`, now or during a later event.
        fn handle_call(&mut self, $($context: $type,)? caller: crate::Caller, question: &[u8]) -> crate::Result {
            Err("a call to a process without handle_call".into())
        }

        /// Takes the messages that others send with [`cast`](crate::cast).
        fn handle_cast(&mut self, $($context: $type,)? message: &[u8]) -> crate::Result {
            Err("a cast to a process without handle_cast".into())
        }

        /// Takes the messages of [`send`](crate::send) and [`send_after`](crate::send_after).
        fn handle_info(&mut self, $($context: $type,)? message: &[u8]) -> crate::Result {
            crate::callbacks::unheard("message", "handle_info")
        }

        /// Takes the broadcasts of a topic after [`subscribe`](crate::subscribe).
        fn handle_broadcast(
            &mut self, $($context: $type,)? topic: &str, event: &str, payload: &[u8],
        ) -> crate::Result {
            crate::callbacks::unheard("broadcast of a topic", "handle_broadcast")
        }

        /// Is told that the process of a [`monitor`](crate::monitor) has ended.
        fn handle_down(
            &mut self, $($context: $type,)? monitor: crate::Ref, process: crate::Pid, reason: &str,
        ) -> crate::Result {
            crate::callbacks::unheard("end of a monitored process", "handle_down")
        }

        /// Is told that a linked process has ended, if [`trap_exit`](crate::trap_exit) is on.
        fn handle_exit(&mut self, $($context: $type,)? process: crate::Pid, reason: &str) -> crate::Result {
            crate::callbacks::unheard("end of a linked process", "handle_exit")
        }

        /// Takes the answer to a [`request_notify`](crate::request_notify), or of a task with
        /// [`notify`](crate::TaskOptions::notify). If there is none, [`Code::Ended`](crate::Code) says why.
        fn handle_reply(
            &mut self, $($context: $type,)? request: crate::Ref, answer: crate::Result<&[u8], crate::Code>,
        ) -> crate::Result {
            crate::callbacks::unheard("answer to a request", "handle_reply")
        }

        /// Is told that the process ends, unless by a crash or a kill. It is the last event, and
        /// comes if [`TERMINATES`](Self::TERMINATES) is true.
        fn terminate(&mut self, $($context: $type,)? reason: &str) -> crate::Result {
            Ok(())
        }

        /// Writes down the state for the next version of the plugin, and names the schema in which the
        /// bytes are to be read. It changes nothing: the process may have to go on without the move. An
        /// error is a crash.
        fn export(&self, $($context: $type)?) -> crate::Result<crate::State> {
            Err("MIGRATES without export".into())
        }

        /// Takes over the state that another version exported, in place of `init` or `join`. Pid, names,
        /// timers, monitors, links, subscriptions, intercepted events and presence are as before. An
        /// error says that this version cannot read the state; the server's config says what follows.
        fn import(&mut self, $($context: $type,)? schema: &str, state: &[u8]) -> crate::Result {
            Err("MIGRATES without import".into())
        }
    };
}

/// Gives an event to the callback that there is for it.
macro_rules! call_back {
    ($of:expr, $kind:ident, $e:expr $(, $context:expr)?) => {{
        use crate::{abi::*, record::text};
        let (of, e) = ($of, $e);
        match e.kind {
            EVENT_CALL => of.handle_call($($context,)? crate::Caller::new(e.name), e.payload),
            EVENT_CAST => of.handle_cast($($context,)? e.payload),
            EVENT_INFO => of.handle_info($($context,)? e.payload),
            EVENT_BROADCAST => of.handle_broadcast($($context,)? text(e.detail), text(e.name), e.payload),
            EVENT_DOWN => {
                of.handle_down($($context,)? crate::Ref::new(e.name), crate::Pid::new(e.detail), text(e.payload))
            }
            EVENT_EXIT => of.handle_exit($($context,)? crate::Pid::new(e.name), text(e.payload)),
            EVENT_REPLY if e.has(FAILED) => {
                let code = crate::Code::Ended(text(e.payload).to_string());
                of.handle_reply($($context,)? crate::Ref::new(e.name), Err(code))
            }
            EVENT_REPLY => of.handle_reply($($context,)? crate::Ref::new(e.name), Ok(e.payload)),
            EVENT_TERMINATE => of.terminate($($context,)? &crate::callbacks::reason_of(e)),
            EVENT_EXPORT if $kind::MIGRATES => of.export($($context)?).map(|state| state.hand_over()),
            EVENT_IMPORT if $kind::MIGRATES => of.import($($context,)? text(e.detail), e.payload),
            EVENT_IMPORT => Err("a state for what does not migrate; set MIGRATES".into()),
            _ => Ok(()), // a newer host tells of something that this crate does not know
        }
    }};
}

pub(crate) use {call_back, callbacks};

use crate::abi::{Record, EFFECT_WANTS};
use crate::error::Result;
use crate::host::{effect, log, Level};
use crate::record::text;

/// Asks for the event that is sent on request only.
pub(crate) fn want_terminate(wanted: bool) {
    if wanted {
        effect(&Record::new(EFFECT_WANTS, "terminate"));
    }
}

/// An event without a callback, for which nobody waits, is no reason to crash.
pub(crate) fn unheard(what: &str, callback: &str) -> Result {
    log(Level::Warn, &["dropped: the ", what, "; the process has no ", callback].concat());
    Ok(())
}

/// Joins a kind of reason and what more is known.
pub(crate) fn reason_of(e: &Record) -> String {
    let mut reason = text(e.name).to_string();
    if !e.payload.is_empty() {
        reason.push_str(": ");
        reason.push_str(text(e.payload));
    }
    reason
}
