//! Lab 3: a key/value service that survives crashes and behaves like a single copy.
//!
// handout: drop
//! This crate is the reference solution of parts 3A (without snapshots) and 3B (with them). The
// handout: end
// handout: put
// //! This crate is yours: parts 3A (without snapshots) and 3B (with them). The
// handout: end
//! service is a map from keys to values with three operations: get, put and append. It runs
//! on several servers, each a replica over Raft. Clients reach it through a [`Clerk`]. The
//! crate `rsm` does the replication, so this crate is short: it holds exactly the part that
//! another service would do differently.
//!
//! # What it promises
//!
//! **Linearizability** (Herlihy and Wing, *Linearizability: a correctness condition for
//! concurrent objects*, 1990): each operation seems to take effect at one moment between its
//! call and its return, and all clients agree on the order of these moments. An operation
//! called after another has returned sees the other's effect. The lab's tests record the
//! operations of all their clients, and the checker in `linearize` judges the history.
//!
//! **Availability** while a majority of the servers is up and connected, for clerks that can
//! reach it. A clerk retries for ever; [`Clerk::operate`] takes a time limit.
//!
// handout: drop classic
//! # How it keeps the promise
//!
//! Every operation goes through the log, reads included. A server that answered a get from
//! its own map could return an old value: it may lag behind, or it may be a leader that has
//! been replaced and does not know it yet (`stale_reads_3a` stages that). In the log a read
//! has a place among the writes. When a server applies it, the map holds exactly the writes
//! before that place.
//!
//! Each operation takes effect once, although a clerk sends it until it has an answer. The
//! clerk numbers its operations, and the replicas remember the last number of each clerk
//! (`rsm`'s `sessions.rs`). For example, a clerk sends append number 7, the leader applies it,
//! and the reply is lost. The clerk sends number 7 to the next leader, which finds 7 in the
//! session and repeats the reply. A table outside of the replicated state would not help,
//! because the next leader is another server.
//!
// handout: end
// handout: drop
//! # Faster reads
//!
//! A read through the log costs a write to the disks of a majority, although it changes
//! nothing. [`Reads`] offers two ways around that. Both are off by default, and both come from
//! §6.4 of Ongaro's dissertation (2014):
//!
//! - [`Reads::ReadIndex`]: the leader confirms with one round of messages that it still leads,
//!   and answers from its map. Concurrent reads share the round. This is always correct.
//! - [`Reads::Lease`]: the servers promise not to elect another leader for a while, and the
//!   leader answers from its map at once. This is correct as long as no clock drifts more than
//!   the lease allows. A test with a worse clock shows the checker catching a stale read.
//!
// handout: end
// handout: drop classic
//! # How to read
//!
//! | file | content |
//! |---|---|
//! | `rpc.rs` | the operations, and the errors of a server |
//! | `state.rs` | the map: the effect of each operation |
//! | `server.rs` | a replica and its RPC handler |
//! | `client.rs` | the clerk |
//! | `api.rs` | server and clerk as `labapi`'s traits, through which the tests use them |
// handout: drop
//! | `expiry.rs` | an option: server and clerk whose sessions end |
// handout: end
//!
// handout: end
//! # What the tests need
//!
//! The graded tests (`tests/kvraft`) know server and clerk through `labapi::KvServer` and
// handout: put
// //! `labapi::KvClerk` alone.
// handout: end
// handout: drop
//! `labapi::KvClerk` alone. The tests in `tests/extras` use this solution's own types: faster
//! reads, and a clerk with errors and time limits. Another solution does without them.
// handout: end
//!
//! # What is left out on purpose
//!
//! - **Hints about the leader.** A refusal does not name the leader. Trying five servers in
//!   turn takes less time than an election, and the clerk remembers the server that answered.
//! - **Concurrent operations of one clerk.** A session remembers one number. `&mut` keeps
//!   callers from trying.
//! - **Deleting keys.** The course has no such operation either. A client puts an empty value.
// handout: put
// //! - **Forgetting sessions.** A session stays for ever, with its clerk's last reply.
// handout: end
// handout: drop
//! - **Forgetting sessions.** A session stays for ever, with its clerk's last reply. A service whose clerks
//!   come and go takes [`ExpiringServer`].
// handout: end

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
mod api;
mod client;
// handout: drop
mod expiry;
// handout: end
mod rpc;
mod server;
mod state;

pub use client::{Clerk, ClerkError};
// handout: drop
pub use expiry::{ExpiringClerk, ExpiringPeer, ExpiringRpc, ExpiringServer, LIFETIME, SessionError};
// handout: end
pub use rpc::{KvError, KvPeer, KvRpc, MAX_KEY, MAX_VALUE, Operation};
// handout: drop
pub use server::{KvServer, Reads};
// handout: end
// handout: put
// pub use server::KvServer;
// handout: end
pub use state::KeyValue;
