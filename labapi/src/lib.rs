//! What a solution of a lab is given, and what it must offer.
//!
//! A lab's crate stands on this crate and not on its tests. The tester knows a solution only
//! through the traits here, and a solution knows nothing of the tester.
//!
//! The labs' texts, with tasks, hints and every bound, are in the workspace's folder `docs`.
//!
//! | given | what |
//! |---|---|
//! | [`Persister`] | the simulated disk of one server |
//! | [`ApplyMsg`] | what a consensus module sends to the service above it |
//!
//! | to offer | by |
//! |---|---|
//! | [`Consensus`] | the Raft of lab 2 |
//! | [`KvServer`], [`KvClerk`] | the key/value service of lab 3; [`KvClerk`] also by lab 4B |
//!
//! Every method of these traits that the tester calls on a server runs in a thread on that
//! server's node. A thread that the method spawns therefore belongs to the server, and ends
//! when the server crashes.
//!
//! # What the tests expect of a Raft
//!
//! | what | bound |
//! |---|---|
//! | a message on a network in good order | takes 1 to 10 ms each way; up to 27 ms more, and one in ten lost, if it is unreliable |
//! | one slow link of a cluster | a round trip takes up to 200 ms, which must be less than the shortest election timeout; answers that come late count |
//! | a call to a server that cannot be reached | fails after up to 7 s, so a server must not wait for it before it calls others |
//! | heartbeats | an idle second of three servers costs at most 60 RPCs: about ten heartbeats a second to each follower |
//! | an election | a majority that can talk elects a leader within 5 s; usually within 1 s |
//! | a leader | is not replaced while nothing fails |
//! | a command that a leader has accepted | is applied by a majority within 2 s if the leader stays |
//! | agreement after any faults | within 10 s of the moment in which a majority can talk again |
//! | bytes | an entry travels once to each follower: below twice the bytes of the commands |
//! | the state on the disk, with snapshots | stays below 2,000 bytes |
//!
//! The tests know RPCs by who calls whom, not by their names.
//!
//! # Being watched
//!
//! Without any help the tester checks the term and the leader that [`Consensus::get_state`]
//! names, the messages on the apply channel, and that a crashed server does nothing more. A
//! solution that makes its messages readable ([`WireFormat`]) is also checked on the wire:
//! votes, entries, commit indices and acknowledgements, and that a reply which promises
//! something follows a write to the disk. It may also say in words what its bytes on the disk
//! mean ([`WireFormat::disk`]), which `cargo lab logs` and `view` show beside each write. The
//! report of a test names what was not watched.
//!
//! A solution may show its state to an [`Observer`]. Then the rules of the Raft paper's
//! Figure 3 are checked at every change, and a failure names the moment in which a rule was
//! broken, not the later moment in which a test noticed. [`Probe`] keeps what is needed for that in
//! three lines:
//!
//! ```
//! use labapi::{Observer, Probe, Role, Shown};
//! use labrt::sync::Mutex;
//!
//! struct State {
//!     term: u64,
//!     role: Role,
//!     log: Vec<(u64, Vec<u8>)>,
//!     commit_index: u64,
//!     probe: Probe, // one: beside the rest of the state
//! }
//!
//! impl State {
//!     /// To be called before the lock is given up.
//!     fn show(&mut self) {
//!         let State { term, role, log, commit_index, probe } = self;
//!         let shown = Shown { term: *term, role: *role, commit_index: *commit_index, last_included_index: 0 };
//!         probe.show(shown, log.len() as u64, |index| { // two: after each change
//!             let (term, command) = &log[index as usize - 1];
//!             (*term, command)
//!         });
//!     }
//! }
//!
//! struct Raft {
//!     state: Mutex<State>,
//! }
//!
//! impl Raft {
//!     fn watch(&self, observer: Box<dyn Observer>) {
//!         let mut state = self.state.lock();
//!         state.probe.attach(observer); // three: the body of `Consensus::watch`
//!         state.show();
//!     }
//! }
//! ```
//!
//! # What is left out on purpose
//!
//! - **`CondInstallSnapshot`.** Early editions of the course let the service refuse a snapshot that entries
//!   had overtaken. One thread hands over both, in order, so there is nothing to refuse.
//! - **Writes that are out of order on the disk.** Where a test lets the disk lose what was not synced
//!   ([`Persister::lose_unsynced`]), it loses the latest writes, and keeps the others in their order. In all
//!   other tests a write to the [`Persister`] is atomic and durable, as the paper assumes.

#![forbid(unsafe_code)]

mod cache;
mod consensus;
mod files;
mod hook;
mod key_value;
mod observer;
mod persister;
mod probe;
mod told;
mod wire;

pub use cache::Loss;
pub use consensus::{ApplyMsg, Consensus, Lease, Options, ReadIndex};
pub use key_value::{KvClerk, KvServer};
pub use observer::{Observer, Role, View, digest};
pub use persister::{Persister, Write};
pub use probe::{Probe, Shown};
pub use wire::{Reply, Request, WireFormat};
