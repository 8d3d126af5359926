//! Lab 3, lower half: a replicated state machine over Raft.
//!
//! Every service over Raft needs this part, and the course has it as a part of its own from
//! 2025 on. It stands between a consensus module, which agrees on a sequence of bytes, and a
//! service, which is written as if it ran on one computer that never crashes. The papers
//! are Schneider's *Implementing fault-tolerant services using the state machine approach*
//! (1990) for the idea, §8 of the extended Raft paper for clients, and chapter 6 of Ongaro's
//! dissertation *Consensus: Bridging Theory and Practice* (2014) for what §8 leaves open.
//! "Dissertation" means that one.
//!
//! # What it promises
//!
//! A service is a [`StateMachine`]: a state, and a deterministic function that applies a
//! command to it. [`Rsm`] runs one on each of several servers and makes all of them apply the
//! same commands in the same order. [`Rsm::submit`] at the leader returns the machine's reply
//! after a majority has the command on disk. From then on the command is never lost.
//!
//! A submit at any other server fails at once. If the leader loses leadership, the outcome of
//! its submits is unknown, and they end with [`SubmitError::Overtaken`] as soon as the server
//! learns of the new term. The tests allow 300 ms from the moment when a deposed leader is
//! connected again: it hears of the new term with the next heartbeat. More cannot be promised: a
//! deposed leader cannot know what its successor does with the entry.
//!
// handout: drop classic
//! # Submits that wait
//!
//! The heart of this crate is a table: which submit waits for which entry. Index *and* term
//! identify an entry (Log Matching). So the table is keyed by index, and holds the term in
//! which this server, as the leader, made the entry. Four events end a wait:
//!
//! 1. The entry at that index is applied, and is of that term: the submit gets its reply.
//! 2. An entry of a later term is applied. Terms never regress along the log, so other entries
//!    have the places of all uncommitted entries of earlier terms.
//! 3. This server enters a later term. Its entry may still be committed, but this server may
//!    never learn of it.
//! 4. A snapshot replaces the entry. It does not tell the reply.
//!
//! The third is for clerks' patience alone. The usual solutions of the lab do without it, or
//! have only a comparison at the index itself. Then a clerk hangs at a deposed leader until
//! the next leader's entries reach it: a no-op soon, another clerk's command at some time.
//!
//! # At most once
//!
//! A client that gets no answer asks again, and its command must not be carried out twice.
//! [`WithSessions`] wraps a machine so that it carries out each command once. See
//! `sessions.rs` for how, and for why the sessions must be part of the *state*. It is a
//! wrapper and not built in, because a service may keep its sessions elsewhere: in lab 4 they
//! belong to a shard and move with it.
//!
//! # A new leader begins with nothing
//!
//! A server that becomes leader has a no-op committed at once (§8). Raft commits entries of
//! earlier terms only together with an entry of the current term (§5.4.2). Without the no-op,
//! the last leader's entries would wait for the next client, and after a restart of all
//! servers that client might never come.
//!
//! # How to read
//!
//! | file | what |
//! |---|---|
//! | `machine.rs` | what a service must be |
//! | `state.rs` | the replica and the table of waits: no threads |
//! | `sessions.rs` | each command once |
// handout: drop
//! | `expiry.rs` | the same with sessions that end |
// handout: end
//! | `snapshot.rs` | the form of a snapshot, and how damage is noticed |
//! | `server.rs` | lock, threads, and the calls that wait |
//! | `replicated.rs` | what the servers of all services have in common |
//! | `leader_cache.rs` | for clerks: which of the servers to ask |
//!
// handout: end
//! Unlike other labs, this one has no `rpc.rs` and no `client.rs`: each service defines its
//! own messages between clients and servers.
//!
//! # What is left out on purpose
//!
//! - **An end to sessions** in the services of labs 3 and 4 (dissertation §6.3). There a session is a
// handout: put
// //!   few bytes for each client that ever wrote, and is kept for ever.
// handout: end
// handout: drop
//!   few bytes for each client that ever wrote, and is kept for ever. A service whose clerks come and
//!   go takes [`ExpiringSessions`] instead; `cargo bench -p rsm` prints what each costs.
// handout: end
//! - **Snapshots while the service goes on** (dissertation §5.1.1). The machine stands still
//!   while it writes its state.
//! - **A bound on the number of submits.** A submit blocks its thread, so there are only as
//!   many as threads.
//! - **Stepping down without a majority** (dissertation §6.2). A leader that is cut off keeps
//!   its submits waiting until it hears of its successor. Clerks stop waiting earlier.

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
mod below;
// handout: drop
mod expiry;
// handout: end
mod leader_cache;
mod machine;
mod replicated;
mod server;
mod sessions;
// handout: drop classic
mod snapshot;
mod state;
// handout: end

pub use below::Below;
// handout: drop
pub use expiry::{ExpiringSessions, SessionCommand, SessionReply};
// handout: end
pub use leader_cache::{CALL_TIMEOUT, LeaderCache};
pub use machine::StateMachine;
pub use replicated::ReplicatedServer;
pub use server::{Rsm, SubmitError};
pub use sessions::{ClientSession, Request, WithSessions};
