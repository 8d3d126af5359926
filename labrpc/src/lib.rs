//! The network of the labs: remote procedure calls that can be lost, delayed, reordered and repeated.
//!
//! A lab's servers never share memory: what one wants of another it asks for by a call, which takes time and
//! may fail. This crate is the network between them, as `labrpc` is in MIT's course 6.824 (now 6.5840), with
//! the same faults in the same proportions. It lives inside one process. In the simulated world ([`labrt`]) a
//! message's way is a timer, so that seconds of traffic take microseconds and one seed decides every loss and
//! every delay.
//!
//! ```
//! use labrpc::{Network, RpcError, Server};
//! use labrt::node::Node;
//! use labrt::sync::Arc;
//! use labrt::sync::atomic::{AtomicU64, Ordering};
//!
//! labrpc::service! {
//!     /// A number that can grow.
//!     pub service Counter, client CounterClient {
//!         /// Adds and gives the sum.
//!         fn add(amount: u64) -> u64;
//!     }
//! }
//!
//! #[derive(Default)]
//! struct CounterServer {
//!     sum: AtomicU64,
//! }
//!
//! impl Counter for CounterServer {
//!     fn add(&self, amount: u64) -> u64 {
//!         self.sum.fetch_add(amount, Ordering::SeqCst) + amount
//!     }
//! }
//!
//! let outcome = labrt::run(labrt::Config::simulated(1), || {
//!     let network = Network::new();
//!     let node = Node::new("server-0");
//!     let counter = Arc::new(CounterServer::default());
//!     network.add_server(0, Server::new(&node).with(counter.into_service()));
//!
//!     let client = CounterClient::new(network.make_end("client -> server-0"));
//!     network.connect("client -> server-0", 0);
//!     assert_eq!(client.add(&5), Err(RpcError::Failed), "a new end is disabled");
//!
//!     network.enable("client -> server-0", true);
//!     assert_eq!(client.add(&5), Ok(5));
//!     assert_eq!(client.add(&2), Ok(7));
//! });
//! outcome.result.unwrap();
//! ```
//!
//! # What a call means
//!
//! A call blocks its thread until there is a reply or the network knows that none will come.
//! [`RpcError::Failed`] says no more than that: the request may have been lost, or the handler may have run
//! and the reply was lost, or the server may have crashed in between. A caller that tries again may have the
//! handler run twice. This is the whole difficulty of the labs, and no network that can lose messages offers
//! more (Saltzer, Reed and Clark: *End-to-end arguments in system design*, 1984; Birrell and Nelson:
//! *Implementing remote procedure calls*, 1984, section 1.5).
//!
//! Arguments and replies pass through [`labgob`], so that no memory is shared and messages have sizes that
//! can be counted. Each handler runs in a thread of its own on its server's node, so handlers run
//! concurrently, and requests may overtake one another even on a reliable network. When a handler panics, the
//! run fails.
//!
//! # What can go wrong
//!
//! | | what happens | when the caller learns it |
//! |---|---|---|
//! | end disabled or not connected, no such server | nothing arrives | after 0 to 99 ms; under long delays after 0 to 6999 ms |
//! | unreliable: request | takes 0 to 26 ms; one in ten is lost | when it would have arrived |
//! | unreliable: reply | one in ten is lost | at once |
//! | long reordering: reply | two in three take 200 to 2199 ms, mostly the shorter times | |
//! | the server dies while the handler runs | no reply | when the handler returns, or at the next multiple of 100 ms since its start |
//! | [`Network::cut_requests`], [`Network::cut_replies`] | as the names say | as for a disabled end |
//! | [`Network::hold`] | messages wait | when the link is released |
//! | [`Network::set_duplication`] | handlers run twice | never |
//!
//! A server is *dead* for a call when its end has been disabled, or its name has been deleted or given to
//! another
//! [`Server`], since the call was made, or its node has been killed. Messages keep to the server object that
//! they were sent to, so that those for a dead incarnation never reach the next one. A caller whose node has
//! been killed sends nothing: calls in the destructors of its threads end at once and are not made.
//!
//! Of a request that was delivered twice, each copy has a reply of its own. The caller gets the first that
//! comes, and fails only when both are lost.
//!
//! No fault changes a message's bytes. [`RpcError::Garbled`] says that the program reads them in another way
//! than it writes them, and the run's report has a warning with the line of the call.
//!
//! When nothing goes wrong a message takes 1 to 10 ms in the simulation (see [`DelayModel::default_here`] for
//! why), and no time of its own on real threads. Directed tests set other delays, for all links or for one,
//! or decide about each message by a tap ([`Network::set_tap`]).
//!
//! A large message takes no longer than a small one, unless the test sets a bandwidth
//! ([`Network::set_bandwidth`]). Then each end's link carries so many bytes a second to the server and as
//! many back. Messages in one direction leave one after the other: with 1 MB/s, a heartbeat behind a snapshot
//! of 10 MB arrives ten seconds late. The time on the link comes on top of the delay. A message that is lost
//! on the way, and one for whose reply the caller no longer waits, occupies the link all the same.
//!
//! # What a traced run tells
//!
//! With [`labrt::Config::trace`] on, each call leaves events of kind `message`, with its method as their
//! topic and its number in the network in front: `#17 server-0 -> server-1: request, 12 bytes` when it is
//! made (`…, lost` if it will not arrive), `#17 request arrives` on the server, `#17 reply, 8 bytes` (or `#17
//! reply, lost`) when the handler has returned, and `#17 reply arrives, 8 bytes` or `#17 fails: …` when the
//! caller goes on. The same thread tells the arguments just before the first of them, and the reply just
//! before the third. Programs read the field `leg` (`call`, `request`, `arrives`, `result`, `reply`,
//! `returns`, `fails`) and the fields `call`, `to`, `bytes` and `lost`.
//! What testers do to the network are events of kind `fault`.
//!
//! # How to read
//!
//! `service` has the declaration of services and their dispatch; `end` the caller's side; `rules` what the
//! network decides, in the order of the table above; `path` how a call goes from leg to leg; `network` what
//! testers do to it all. `bandwidth` has the links of limited bandwidth. `transport` is where a lab that also
//! runs as real processes puts its sockets in the network's place.
//!
//! # What is left out on purpose
//!
//! * Connections, streams, and calls that return before their reply: a thread that blocks is what the labs
//!   teach.
//! * Retries and the detection of duplicates: those are the labs' own tasks.
//! * Authentication and versions: all servers of a lab are built from one source and trust each other.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_types,
    reason = "counters and flags of the framework are no points to switch tasks at"
)]

mod bandwidth;
mod beside;
mod calls;
mod delay;
mod end;
mod error;
mod name;
mod network;
mod path;
mod rules;
mod service;
mod shared;
mod tap;
mod traffic;
mod transport;
#[doc(hidden)]
pub mod words;

pub use delay::DelayModel;
pub use end::{Caller, ClientEnd};
pub use error::RpcError;
pub use labgob::DecodeError;
pub use name::Name;
pub use network::Network;
pub use service::{Answer, Server, Service};
pub use tap::{Direction, TapAction, TapEvent};
pub use traffic::Traffic;
pub use transport::Transport;

/// For [`service!`]: records the arguments of a call, if the run is traced.
#[doc(hidden)]
#[inline]
pub fn trace_call(method: &'static str, words: impl FnOnce() -> String) {
    labrt::trace::emit_fields("message", method, || (leg("call"), words()));
}

/// For [`service!`]: records what a handler gives back, if the run is traced.
#[doc(hidden)]
#[inline]
pub fn trace_reply(method: &'static str, words: impl FnOnce() -> String) {
    labrt::trace::emit_fields("message", method, || (leg("result"), words()));
}

/// Which part of a call's way an event tells.
fn leg(name: &'static str) -> labrt::Fields {
    // No event of the network has more fields.
    let mut fields = Vec::with_capacity(5);
    fields.push(("leg", name.into()));
    fields
}
