//! Lab 3, lower half: a replicated state machine over Raft.
//!
//! This is the part that every service over Raft needs, and that the course's editions from
//! 2025 on make a part of its own: between a consensus module that agrees on a sequence of
//! bytes, and a service that thinks it runs on one computer and never crashes. The papers
//! are Schneider's *Implementing fault-tolerant services using the state machine approach*
//! (1990) for the idea, §8 of the extended Raft paper for clients, and chapter 6 of Ongaro's
//! dissertation (2014) for everything that §8 leaves open; "dissertation" means that one.
//!
//! # What it promises
//!
//! A service is a [`StateMachine`]: a state, and a deterministic function that applies a
//! command to it. [`Rsm`] runs one on each of several servers and sees to it that all apply
//! the same commands in the same order. [`Rsm::submit`] at the leader returns what the
//! machine replied, after a majority has the command on disk. From then on it is never lost.
//!
//! A submit at another server is refused at once. One at a leader that loses its leadership has
//! an unknown fate, and ends with [`SubmitError::Overtaken`] as soon as this server knows
//! that much. That is all that can be promised: a leader that is deposed cannot know what
//! its successor does with the entry.
//!
//! # Who waits for what
//!
//! The heart of this crate is a table: which submit waits for which entry. An entry is named
//! by its index *and* term (Log Matching), so the table is keyed by index and remembers the
//! term in which this server, as a leader, made the entry. Three things end a wait:
//!
//! 1. The entry at that index is applied, and is of that term: here is the reply.
//! 2. An entry of a later term is applied. Terms never regress along the log, so the places
//!    of all entries of earlier terms that are not yet committed are taken.
//! 3. Another leader is in leadership, or this server in a later term. Its entry may still be
//!    committed, but no news of it need ever come this way.
//!
//! The second alone would be correct, and the usual solutions of the lab have only that, or
//! only a comparison at the index itself. Then a clerk hangs at a deposed leader until some
//! other clerk happens to write.
//!
//! # At most once
//!
//! A client that gets no answer asks again, and must not have its command carried out twice.
//! [`WithSessions`] wraps a machine so that it carries out each client's commands once (see
//! `sessions.rs` for how, and for why this must be part of the *state*). It is a wrapper
//! and not built in, because a service may want its sessions elsewhere: in lab 4 they
//! belong to a shard and move with it.
//!
//! # A new leader begins with nothing
//!
//! The moment a server becomes leader it has a no-op committed (§8). Raft commits entries of
//! earlier terms only together with one of the present term (§5.4.2), so without it
//! whatever the last leader left would wait for the next client, and after a restart of all
//! servers that might be never.
//!
//! # How to read
//!
//! | file | what |
//! |---|---|
//! | `machine.rs` | what a service must be |
//! | `state.rs` | the replica and the table of waits: no threads |
//! | `sessions.rs` | each command once |
//! | `snapshot.rs` | the form of a snapshot, and how damage is noticed |
//! | `server.rs` | lock, threads, and the calls that wait |
//! | `replicated.rs` | what the servers of all services have in common |
//! | `leader_cache.rs` | for clerks: which of the servers to ask |
//!
//! There is no `rpc.rs` and no `client.rs` as in other labs: what clients say to servers is
//! the business of the service.
//!
//! # What is left out on purpose
//!
//! - **An end to sessions** (dissertation §6.3). They are kept for ever, a few bytes for
//!   each client that ever wrote.
//! - **Snapshots while the service goes on** (dissertation §5.1.1). The machine stands still
//!   while its state is written.
//! - **A bound on how much is submitted.** Who submits waits, so there are as many submits
//!   as threads.
//! - **Leaving an leadership that nobody can use** (check quorum, dissertation §6.2). A leader
//!   that is cut off keeps its submits waiting until it hears of its successor. Clerks stop
//!   waiting earlier.

mod leader_cache;
mod machine;
mod replicated;
mod server;
mod sessions;
mod snapshot;
mod state;

pub use leader_cache::{CALL_TIMEOUT, LeaderCache};
pub use machine::StateMachine;
pub use replicated::ReplicatedServer;
pub use server::{Rsm, SubmitError};
pub use sessions::{ClientSession, Request, WithSessions};
