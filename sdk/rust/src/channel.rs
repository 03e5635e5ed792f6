use crate::abi::{self, text, Record};
use crate::callbacks::{call_back, callbacks, want_terminate};
use crate::error::Why;
use crate::guest::effect;
use crate::plugin::Body;
use crate::{Failure, Result, Socket};

/// Handles one client's join of one topic. Its methods are called one at a time. An error that is
/// no refusal crashes the process, as a panic does.
///
/// A channel is a process like any other: it can call, spawn, monitor and so on. All callbacks but
/// the first two are optional.
#[allow(unused_variables)]
pub trait Channel {
    /// Decides whether the client may join. `Ok` accepts, with the response given to
    /// `s.reply("ok", …)` if any; the error of [`refuse`](crate::refuse) refuses. Pushes and
    /// broadcasts made here follow the reply.
    fn join(&mut self, s: &Socket, payload: &[u8]) -> Result;

    /// Takes a message that the client pushed. The payload is what it sent: JSON text, or any bytes
    /// if [`is_binary`](crate::is_binary).
    fn handle_in(&mut self, s: &Socket, event: &str, payload: &[u8]) -> Result;

    /// The events whose broadcasts go to [`handle_out`](Channel::handle_out) instead of to the
    /// client.
    const INTERCEPTS: &'static [&'static str] = &[];

    /// Takes a broadcast of one of these events. The client gets what is pushed here; what
    /// `broadcast_from` keeps from the client does not come here.
    fn handle_out(&mut self, s: &Socket, event: &str, payload: &[u8]) -> Result {
        Err("INTERCEPTS without handle_out".into())
    }

    callbacks!(s: &Socket);
}

/// The process of a [`Channel`].
pub(crate) struct ChannelBody<C> {
    channel: C,
    socket: Socket,
}

impl<C: Channel> ChannelBody<C> {
    pub(crate) fn new(channel: C) -> ChannelBody<C> {
        ChannelBody { channel, socket: Socket::default() }
    }
}

impl<C: Channel> Body for ChannelBody<C> {
    fn handle(&mut self, e: &Record) -> Result {
        let (channel, s) = (&mut self.channel, &self.socket);
        match e.kind {
            abi::EVENT_JOIN => {
                self.socket = Socket::joined(e);
                begin(C::TERMINATES, C::INTERCEPTS);
                answer(channel.join(&self.socket, e.payload))
            }
            abi::EVENT_IMPORT => {
                self.socket = imported(e).next().unwrap_or_default();
                call_back!(channel, C, e, &self.socket)
            }
            abi::EVENT_MESSAGE => channel.handle_in(s, text(e.name), e.payload),
            abi::EVENT_OUT => channel.handle_out(s, text(e.name), e.payload),
            _ => call_back!(channel, C, e, s),
        }
    }
}

/// What every channel asks for with its first join.
pub(crate) fn begin(terminates: bool, intercepts: &[&str]) {
    want_terminate(terminates);
    for event in intercepts {
        effect(&Record::new(abi::EFFECT_INTERCEPT, event));
    }
}

/// Answers a join that is refused.
pub(crate) fn answer(joined: Result) -> Result {
    if let Err(Why::Refused { status, response }) = joined.as_ref().map_err(Failure::why) {
        effect(&Record::new(abi::EFFECT_REPLY, status).payload(response));
        return Ok(());
    }
    joined
}

/// The sockets that an import tells of.
pub(crate) fn imported<'a>(e: &Record<'a>) -> impl Iterator<Item = Socket> + 'a {
    let topic = text(e.name).to_string();
    let mut list = abi::fields(e.extra);
    std::iter::from_fn(move || {
        let (member, _payload, assigns) = (list.next()?, list.next()?, list.next()?);
        Some(Socket::replayed(&topic, member, assigns))
    })
}
