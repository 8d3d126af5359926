//! Lab 3: a key/value service that survives crashes, and looks like one copy to everybody.
//!
//! This is the reference solution of parts 3A (without snapshots) and 3B (with them). The
//! service is a map from keys to values with three operations, get, put and append. It runs
//! on several servers, each a replica over Raft; clients reach it through a [`Clerk`]. The
//! replication is in the crate `rsm`, so that what is left here is short, and is exactly
//! what another service would do otherwise.
//!
//! # What it promises
//!
//! **Linearizability** (Herlihy and Wing, *Linearizability: a correctness condition for
//! concurrent objects*, 1990): each operation seems to take effect at one moment between its
//! call and its return, and all clients agree on the order of these moments. Whoever calls
//! after another's operation has returned sees what it did. The tests record every
//! operation of every client and have the checker in `linearize` decide.
//!
//! **Availability** while a majority of the servers is up and can talk, for clerks that can
//! reach it. A clerk never gives up; [`Clerk::operate`] takes a limit for those who must.
//!
//! # How it comes about
//!
//! Everything goes through the log, also reads. A server that answered a get from its own
//! map would answer with the past whenever it is behind, or is a leader that has been
//! replaced without noticing (`stale_reads_3a` plays that). In the log, a read has its place
//! among the writes, and when it is applied the map is exactly as that place demands.
//!
//! Each operation is carried out once, although a clerk sends it until it has an answer: it
//! has the clerk's number and a sequence number, and the replicas remember the last one of
//! each clerk (`rsm`'s `sessions.rs`). That a *server* remembers whom it has answered would
//! not do, because the next leader is another server.
//!
//! # Faster reads
//!
//! Reading through the log costs a write to a majority of disks for nothing. [`Reads`] has
//! two ways around it, both off by default, both of the dissertation's §6.4:
//!
//! - [`Reads::ReadIndex`]: the leader makes sure that it still leads, by one round of
//!   messages that all reads of the moment share, and answers from its map. Always right.
//! - [`Reads::Lease`]: servers promise not to elect another leader for a while, and meanwhile
//!   it answers from its map at once. Right as long as clocks run as they should. How much
//!   they may be wrong must be said; with clocks that are worse, a test shows the checker
//!   catching a stale read.
//!
//! # How to read
//!
//! | file | what |
//! |---|---|
//! | `rpc.rs` | the operations, and what a server may say |
//! | `state.rs` | the map: what an operation does |
//! | `server.rs` | a replica, and its handler |
//! | `client.rs` | the clerk |
//! | `api.rs` | both under the interface of the lab |
//!
//! # What is left out on purpose
//!
//! - **Hints about who leads.** A refusal does not name the leader. Trying five servers in
//!   turn takes less time than an election, and the clerk remembers who answered.
//! - **Operations of one clerk at the same time.** A session remembers one number. `&mut`
//!   keeps callers from trying.
//! - **Deleting keys**, as in the course: put an empty value.

mod api;
mod client;
mod rpc;
mod server;
mod state;

pub use client::{Clerk, ClerkError};
pub use rpc::{KvError, KvPeer, KvRpc, MAX_KEY, MAX_VALUE, Operation};
pub use server::{KvServer, Reads};
pub use state::KeyValue;
