use crate::abi::{self, Record};
use crate::callbacks::{call_back, callbacks, want_terminate};
use crate::error::{Failure, Result, Why};
use crate::host::effect;
use crate::module::Body;
use crate::payload::Payload;
use crate::presence::Presence;
use crate::record::text;
use crate::socket::{set_rejoining, Socket};

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

    /// Takes a message that the client pushed. The payload is JSON text, or any bytes if
    /// [`is_binary`](crate::is_binary).
    fn handle_in(&mut self, s: &Socket, event: &str, payload: &[u8]) -> Result;

    /// The events whose broadcasts go to [`handle_out`](Channel::handle_out) instead of to the
    /// client.
    const INTERCEPTS: &'static [&'static str] = &[];

    /// Takes a broadcast of one of these events: push it to the client, changed or not, or do not. A
    /// broadcast by `broadcast_from` of this client does not come here.
    fn handle_out(&mut self, s: &Socket, event: &str, payload: &[u8]) -> Result {
        Err("INTERCEPTS without handle_out".into())
    }

    /// Whether [`away`](Channel::away) and [`back`](Channel::back) are called. Else everybody is let back in who has the key,
    /// and the assigns stay those of [`join`](Channel::join).
    const RETURNS: bool = false;

    /// Is told that the client's connection has broken, if `linger` in the plugin's table of the server's config has the
    /// channel stay for that: the reason is `closed`, or `taken_over` if the client came back before the connection was
    /// noticed to be broken. What is pushed from now on is kept, up to 100 pushes and 64 KiB, until the client is back;
    /// more ends the process, as the time of `linger` does. See sdk/recovery.md.
    fn away(&mut self, s: &Socket, reason: &str) -> Result {
        Ok(())
    }

    /// Decides, as [`join`](Channel::join) does, whether the client may come back: the payload and the assigns are those of
    /// the new join and connection. The error of [`refuse`](crate::refuse) refuses this attempt, and the channel waits on.
    fn back(&mut self, s: &Socket, payload: &[u8]) -> Result {
        Ok(())
    }

    callbacks!(s: &Socket);
}

/// Handles all joins of one topic, its members. The methods get the socket of the member at hand.
/// After a crash, `join` runs again for every member, in the order in which they joined; see
/// [`Socket::replay`]. None can be refused then. One that is [`durable`](crate::Plugin::durable) still knows its
/// members: `join` runs for others only, after `leave` for those that have gone.
#[allow(unused_variables)]
pub trait TopicChannel {
    /// Decides whether a client may join, as [`Channel::join`] does.
    fn join(&mut self, t: &Topic, s: &Socket, payload: &[u8]) -> Result;

    /// Takes a message that a member pushed.
    fn handle_in(&mut self, t: &Topic, s: &Socket, event: &str, payload: &[u8]) -> Result;

    /// Is told that the member has gone, and why.
    fn leave(&mut self, t: &Topic, s: &Socket, reason: &str) -> Result {
        Ok(())
    }

    /// The events whose broadcasts go to [`handle_out`](TopicChannel::handle_out) instead of to
    /// the members.
    const INTERCEPTS: &'static [&'static str] = &[];

    /// Takes a broadcast of one of these events, once: push it to the members that it is for. `from` is
    /// the member that `broadcast_from` leaves out.
    fn handle_out(&mut self, t: &Topic, from: Option<&Socket>, event: &str, payload: &[u8]) -> Result {
        Err("INTERCEPTS without handle_out".into())
    }

    callbacks!(t: &Topic);
}

/// A topic and its members.
#[derive(Debug, Default)]
pub struct Topic {
    everybody: Socket,           // no member's: it stands for the topic
    members: Vec<(Socket, u64)>, // sorted by member; with how many joined before
    joins: u64,
}

impl Topic {
    /// Its name.
    pub fn name(&self) -> &str {
        self.everybody.topic()
    }

    /// The members, in the order in which they joined.
    pub fn members(&self) -> Vec<&Socket> {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_unstable_by_key(|(_, joined)| *joined);
        members.into_iter().map(|(s, _)| s).collect()
    }

    /// The member of this [`Socket::member`]; `None` if it has left.
    pub fn member(&self, member: &str) -> Option<&Socket> {
        self.position(member).ok().map(|at| &self.members[at].0)
    }

    /// Sends a message to all members.
    pub fn broadcast(&self, event: &str, payload: impl Payload) {
        self.everybody.broadcast(event, payload);
    }

    /// Says who is present in the topic, and makes this process present there. [`Socket::presence`] makes
    /// members present.
    pub fn presence(&self) -> Presence {
        self.everybody.presence()
    }

    fn add(&mut self, s: Socket) {
        self.everybody = Socket::replayed(s.topic(), b"", b"");
        self.joins += 1;
        match self.position(s.member()) {
            Ok(at) => self.members[at] = (s, self.joins),
            Err(at) => self.members.insert(at, (s, self.joins)),
        }
    }

    fn remove(&mut self, member: &str) -> Option<Socket> {
        self.position(member).ok().map(|at| self.members.remove(at).0)
    }

    /// Where a member is, or would be.
    fn position(&self, member: &str) -> Result<usize, usize> {
        self.members.binary_search_by(|(s, _)| s.member().cmp(member))
    }
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
                if C::RETURNS {
                    effect(&Record::new(abi::EFFECT_WANTS, "away"));
                    effect(&Record::new(abi::EFFECT_WANTS, "back"));
                }
                answer(channel.join(&self.socket, e.payload))
            }
            abi::EVENT_IMPORT => {
                self.socket = imported(e).next().unwrap_or_default();
                call_back!(channel, C, e, &self.socket)
            }
            abi::EVENT_MESSAGE => channel.handle_in(s, text(e.name), e.payload),
            abi::EVENT_OUT => channel.handle_out(s, text(e.name), e.payload),
            abi::EVENT_AWAY => channel.away(s, text(e.payload)),
            abi::EVENT_BACK => {
                let new = Socket::joined(e);
                let came = channel.back(&new, e.payload);
                if came.is_ok() {
                    self.socket = new;
                }
                answer(came)
            }
            _ => call_back!(channel, C, e, s),
        }
    }
}

/// The process of a [`TopicChannel`].
pub(crate) struct TopicBody<C> {
    channel: C,
    topic: Topic,
    begun: bool,
}

impl<C: TopicChannel> TopicBody<C> {
    pub(crate) fn new(channel: C) -> TopicBody<C> {
        TopicBody { channel, topic: Topic::default(), begun: false }
    }

    fn join(&mut self, s: Socket, payload: &[u8]) -> Result {
        self.topic.add(s.clone());
        self.channel.join(&self.topic, &s, payload)
    }

    /// Is told who is there, after a crash or when a durable channel wakes: the payload is a list of members,
    /// each with the payload of its join, extra one of their assigns, if there are any. Those that the channel does
    /// not know join, and those that it knows beyond them leave.
    fn rejoin(&mut self, e: &Record) -> Result {
        let topic = text(e.name);
        let mut there: Vec<&str> = abi::fields(e.payload).step_by(2).map(text).collect();
        there.sort_unstable();
        let known: Vec<Socket> = self.topic.members().into_iter().cloned().collect();
        for s in known {
            if there.binary_search(&s.member()).is_err() {
                self.topic.remove(s.member());
                self.channel.leave(&self.topic, &s, "shutdown: closed")?;
            }
        }
        let (mut members, mut assigns) = (abi::fields(e.payload), abi::fields(e.extra));
        while let (Some(member), Some(payload)) = (members.next(), members.next()) {
            let s = Socket::replayed(topic, member, assigns.next().unwrap_or_default());
            if self.topic.member(s.member()).is_none() {
                self.join(s, payload)?;
            }
        }
        Ok(())
    }
}

impl<C: TopicChannel> Body for TopicBody<C> {
    fn handle(&mut self, e: &Record) -> Result {
        let member = text(e.detail);
        if !self.begun && matches!(e.kind, abi::EVENT_JOIN | abi::EVENT_MEMBERS) {
            begin(C::TERMINATES, C::INTERCEPTS);
        }
        self.begun = true;
        match e.kind {
            abi::EVENT_JOIN => {
                let joined = self.join(Socket::joined(e), e.payload);
                if joined.is_err() {
                    self.topic.remove(member);
                }
                answer(joined)
            }
            abi::EVENT_MESSAGE => match self.topic.member(member) {
                Some(s) => self.channel.handle_in(&self.topic, s, text(e.name), e.payload),
                None => Err(["a message of member ", member, ", who has not joined"].concat().into()),
            },
            abi::EVENT_LEAVE => match self.topic.remove(member) {
                Some(s) => self.channel.leave(&self.topic, &s, text(e.payload)),
                None => Ok(()),
            },
            abi::EVENT_MEMBERS => {
                set_rejoining(true);
                let joined = self.rejoin(e);
                set_rejoining(false);
                joined
            }
            abi::EVENT_OUT => {
                let from = self.topic.member(member);
                self.channel.handle_out(&self.topic, from, text(e.name), e.payload)
            }
            _ => {
                if e.kind == abi::EVENT_IMPORT {
                    self.topic.everybody = Socket::replayed(text(e.name), b"", b"");
                    imported(e).for_each(|s| self.topic.add(s));
                }
                call_back!(&mut self.channel, C, e, &self.topic)
            }
        }
    }
}

/// Asks for what a channel wants besides joins and messages, with its first join.
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
