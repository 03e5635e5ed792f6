//! The Rust SDK for rtd plugins: write a channel, build it to WebAssembly, drop it into the plugins
//! folder. It needs std alone, and Rust 1.63 or later.
//!
//! ```
//! use rtd::{Channel, Result, Socket};
//!
//! #[derive(Default)]
//! struct Room {
//!     sent: u32, // private to one client's join
//! }
//!
//! impl Channel for Room {
//!     fn join(&mut self, _s: &Socket, _payload: &[u8]) -> Result {
//!         Ok(())
//!     }
//!
//!     fn handle_in(&mut self, s: &Socket, event: &str, payload: &[u8]) -> Result {
//!         self.sent += 1;
//!         s.broadcast(event, payload);
//!         s.reply("ok", "");
//!         Ok(())
//!     }
//! }
//!
//! rtd::plugin! { "room:*" => Room::default }
//! ```
//!
//! README.md says how to build it.
//!
//! # How it runs
//!
//! Every join has a process of its own with its own copy of the whole program's memory: fields, statics,
//! everything. Nothing is shared with other clients, so nothing needs a lock. Events arrive one at a time.
//!
//! ```text
//! start                     join                handle_in, handle_info …
//! ─────                     ────                ────────────────────────
//! setup ──► memory ──┬────► Room ──► memory ──► Room ──► memory ──► …   one client's process
//!                    ├────► Room ──► …                                  another's
//!                    └────► Registry ──► …                              a server's
//! ```
//!
//! The effects of a channel (reply, push, broadcast …) happen when the callback returns `Ok`, in order. If it
//! panics, returns an error, loops past its deadline or outgrows its memory, none of them happens: the process
//! crashes, and its supervisor starts a new one with fresh memory, for which `join` runs again with the same
//! payload; see [`Socket::replay`].
//!
//! The function that [`plugin!`] names runs once for each version of the plugin; see [`Plugin`]. Every process
//! then begins with a copy of the memory that it leaves, made in microseconds. That is the place to read the
//! [config](Plugin::config) and to build tables.
//!
//! # Clients
//!
//! Phoenix.Socket and Phoenix.Channel have their counterparts here:
//!
//! ```text
//! connect/3, id/1                 Plugin::on_connect: refuse, or set the Conn's id and assigns
//! join/3                          Channel::join: reply, refuse, push
//! handle_in/3                     Channel::handle_in; is_binary
//! {:reply, …}                     Socket::reply, with any status
//! socket_ref/1, reply/2           socket_ref, SocketRef::reply: later, from any event
//! {:stop, …}                      stop, with or without a reply before
//! push, broadcast, broadcast_from Socket::push, broadcast, broadcast_from; with Binary, any bytes
//! intercept, handle_out/3         INTERCEPTS, handle_out
//! handle_info/2, send_after       handle_info, send, send_after
//! terminate/2                     TERMINATES, terminate
//!                                 RETURNS, away, back: the client's connection breaks, and it comes back
//! Endpoint.broadcast              publish: to any topic that the plugin serves or was granted
//! Endpoint.subscribe              subscribe and handle_broadcast
//! broadcast "disconnect" to an id disconnect
//! Presence.track/3, list/1        Socket::presence, Presence
//! ```
//!
//! A [`TopicChannel`] has no counterpart there: one process for all who join a topic. Its members are
//! present each for itself, by [`Socket::presence`]; by [`Topic::presence`] the process is.
//!
//! # Processes
//!
//! A plugin is an application: besides the channels it can have processes of its own. Each is made of a module,
//! which is registered by name; its memory is its own, and others reach it by messages.
//!
//! | | OTP | what you write |
//! | --- | --- | --- |
//! | [`Server`] | GenServer | `init`, `handle_call`, `handle_cast` … |
//! | [`Agent`] | Agent | a state, and functions that work on it |
//! | [`Task`] | Task | one function, whose answer is awaited |
//! | [`EventManager`] | event manager | handlers, a process each |
//! | [`Worker`], [`Supervisor`], [`Dynamic`] | Supervisor | who is there from the start, and what happens after a crash |
//! | [`Plugin`] | Application | what comes before and after |
//!
//! Processes find each other by name or [`Pid`]; [`call`](call()) and [`cast`] talk to servers, [`spawn`] starts what is not
//! in the tree, [`link`] and [`monitor`] tell of ends. All of it works in every process, channels among them, and
//! takes effect at once: it is not taken back if the event crashes later. Events go to the same optional
//! callbacks everywhere. A call or cast without a callback is a crash; any other event without one is logged
//! and dropped.
//!
//! # The next version
//!
//! A process whose type says `MIGRATES` takes its state along when the next version is deployed, by `export` and
//! `import`. All others begin anew: `join` is called with [`Socket::replay`], or `init`; so do handlers of an
//! [`EventManager`], in their place. One that was spawned without a supervisor stays in its version. Sockets stay open
//! either way.
//!
//! # Questions
//!
//! **Why are payloads bytes?** A channel that passes a payload on need not parse it. Decode with what you like;
//! [`json`] is there for those who want no dependency. The same holds for what processes say to each other.
//!
//! **How long is a payload valid?** Until the callback returns, as its lifetime says. Answers of [`call`](call()),
//! [`await_reply`] and the like are yours.
//!
//! **Why does every callback of a channel get the socket?** A type that need not keep it is made by `default`, and
//! has no `Option` to unwrap. A clone may be kept.
//!
//! **Why are there consts besides the callbacks, such as `TERMINATES`?** Some events are sent only to those who want
//! them, because they cost something even if nobody looks. A trait cannot see which of its methods were
//! overridden, so the type says it.
//!
//! **Why do `reply` and its like return nothing?** They fail only when a callback asks for more than one event may,
//! which is a bug: the process crashes with that as its cause. A function that depends on another process, which can
//! fail any time, or on the server's config, as [`publish`](publish()) does, returns an [`Error`].
//!
//! **Why is [`Failure`] no `std::error::Error`?** So that `?` makes one of any error, and `.into()` of a text. It
//! becomes the cause in the log, and nothing else.
//!
//! **May statics be used?** They may, without fear: a guest has one thread. But each process has its own copy. One that
//! is set in a callback is set there alone.
//!
//! **What of std does not work?** Threads, files, sockets, `Instant` and `SystemTime`: the target has none. There are
//! [`now`], [`monotonic`] and [`sleep`]. Printed text goes nowhere; [`log()`] writes to the server's log, which also has
//! a panic's message and location.
//!
//! **And `HashMap`?** It works, but on this target its keys are hashed without a secret: a client that chooses them can
//! make it slow. `BTreeMap` is safe for keys of clients, and smaller.
//!
//! **Why does the crate bring an allocator?** An idle process costs what its memory differs by from that of a new one.
//! The allocator is std's, but wipes what is freed, so that garbage does not count: about a quarter less for the
//! RoomChannel.
//!
//! **Why is each handler of an event manager a process, where OTP runs them in the manager's?** A crash takes a memory
//! along, and there is no catching a trap in WebAssembly. With a memory for each, the crash of one is nobody else's.
//!
//! **How is a plugin unit-tested?** Code that calls nothing of this crate runs under `cargo test` as any other. Code that
//! does needs a server around it, or panics.

#![warn(missing_docs)]

#[allow(missing_docs)] // sandbox/abi has the tables
pub mod abi;
mod agent;
mod call;
mod callbacks;
mod channel;
mod clock;
mod connect;
mod entry;
mod error;
mod event_handler;
mod event_manager;
mod history;
mod host;
pub mod json;
#[cfg(target_arch = "wasm32")]
mod memory;
mod migrate;
mod module;
mod payload;
mod plugin;
mod presence;
mod process;
mod pubsub;
#[allow(missing_docs)]
mod record;
mod server;
mod socket;
mod supervisor;
mod task;
mod timer;

#[cfg(test)]
mod tests;

pub use agent::{Agent, AgentFn};
pub use call::{await_reply, call, call_timeout, cast, request, request_notify, Caller, TIMEOUT};
pub use channel::{Channel, Topic, TopicChannel};
pub use clock::{Clock, Span, Time};
pub use connect::Conn;
#[doc(hidden)]
pub use entry::{handle, inbox};
pub use error::{refuse, refuse_status, refuse_with, Code, Error, Failure, Result};
pub use event_handler::{EventHandler, HandlerSpec};
pub use event_manager::EventManager;
pub use history::{history, HistoryPage, Keep, PastMessage};
pub use host::{abort, log, random, Level};
pub use migrate::State;
pub use payload::{Binary, Payload};
pub use plugin::Plugin;
pub use presence::Presence;
pub use process::{
    children, demonitor, event_id, exit, hibernate, is_crash, link, monitor, process_info, register, send, spawn, stop,
    stop_child, this, trap_exit, unlink, unregister, whereis, Pid, Ref, SpawnOptions, KILLED, NORMAL, SHUTDOWN,
};
pub use pubsub::{disconnect, publish, subscribe, unsubscribe};
pub use server::Server;
pub use socket::{is_binary, socket_ref, Socket, SocketRef};
pub use supervisor::{Child, Dynamic, Restart, Strategy, Supervisor, Worker};
pub use task::{Job, Task, TaskOptions};
pub use timer::{cancel, late, monotonic, now, send_after, sleep};

/// Makes the crate a plugin: `rtd::plugin!(setup);` names the function that describes it.
///
/// ```
/// fn setup(p: &mut rtd::Plugin) -> rtd::Result {
///     p.depends_on("accounts");
///     Ok(())
/// }
///
/// rtd::plugin!(setup);
/// ```
///
/// Code that declares a channel and nothing else may write that down:
/// `rtd::plugin! { "room:*" => Room::default }`, any number of them.
#[macro_export]
macro_rules! plugin {
    ($($pattern:literal => $create:expr),+ $(,)?) => {
        fn setup(p: &mut $crate::Plugin) -> $crate::Result {
            $(p.channel($pattern, $create);)+
            Ok(())
        }

        $crate::plugin!(setup);
    };
    ($setup:path) => {
        const _: fn(&mut $crate::Plugin) -> $crate::Result = $setup;

        #[cfg(target_arch = "wasm32")]
        #[no_mangle]
        extern "C" fn inbox(size: usize) -> *mut u8 {
            $crate::inbox(size)
        }

        #[cfg(target_arch = "wasm32")]
        #[no_mangle]
        extern "C" fn handle(size: usize) -> i32 {
            $crate::handle(size, $setup)
        }
    };
}
