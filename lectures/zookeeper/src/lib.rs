//! The lecture on ZooKeeper as a lab: a coordination service whose replicas all answer reads.
//!
// handout: drop
//! This crate is the reference solution.
// handout: end
// handout: put
// //! This crate is yours.
// handout: end
//! A small tree of nodes with data, replicated over Raft (`rsm`). Clients use it for configuration, locks,
//! barriers and elections. The paper is Hunt, Konar, Junqueira and Reed, *ZooKeeper: wait-free coordination
//! for internet-scale systems* (USENIX ATC 2010). Seven rules have numbers, and the code names each where it
//! keeps it. (The invariants of the lab's text have numbers of their own.)
//!
//! 1. A transaction is carried out once. Its events are queued before its reply, and no read comes between.
//! 2. A session's requests are handled in order. Reads wait for its earlier writes, all wait for its sync.
//! 3. A server refuses a client that has seen a later state than it has.
//! 4. A watch is left in the very state of its read, and fires when that server applies the change.
//! 5. A client that moves brings its watches. What they have missed fires at once.
//! 6. A sync waits for the state that a leader with a majority had when the sync was asked for.
//! 7. The leader judges which sessions are dead. Only a transaction in the log ends one.
//!
//! # What it promises
//!
//! A replicated service whose leader answers everything gets no faster with more servers. Here each server
//! answers reads from its own state, which may be old. So reads are not linearizable. What is left is enough
//! for its uses:
//!
//! - **Writes are linearizable.** They go through the log; version checks happen when they are applied.
//! - **A session's operations are carried out in order**, reads behind its own writes. A write that is
//!   answered is seen by the session's next read.
//! - **A session never reads backwards**, at whichever server. Each answer carries the *zxid* of the state
//!   that it was read from, the number of the last transaction in it. A client that comes with a higher zxid
//!   than a server has is refused.
//! - **A watch fires before the change can be read.** The reader of a configuration that changes under its
//!   hands learns it before it reads a single new value:
//!
//! ```text
//! writer                     reader
//! delete ready               exists ready, with a watch     (there)
//! set f1, set f2             get f1                         (old)
//! create ready               event: ready is gone           before any new value
//!                            get f2                         (new: not used)
//! ```
//!
//! - `sync` brings a client's server up to date, for a read that must not be old.
//!
//! # Sessions
//!
//! A session belongs to no server. It lives while *some* server hears of the client, and servers tell the
//! leader whom they heard. Only a transaction in the log ends it, and its ephemeral nodes go in that same
//! transaction. A client that is cut off learns this when it comes back. Until then it must take silence for
//! the possible loss of its locks.
//!
// handout: drop classic
//! # One queue for each session
//!
//! Everything that leaves a server for a session, replies and events alike, goes through one queue, and is
//! put there under the lock under which the replica applies transactions. That makes the promises about order
//! short to keep: an event is put into the queue when its transaction is applied, and no read can see the
//! new state before.
//!
//! # How to read
//!
//! | file | content |
//! |---|---|
//! | the crate `zookeeper-messages` | operations, errors, all messages; paths |
//! | `tree.rs` | the nodes |
//! | `replica.rs` | the replicated state: tree and sessions (rule 1) |
//! | `desk.rs`, `watches.rs` | a server's clients: order, queues, watches (rules 2 to 6) |
//! | `judge.rs` | which sessions are dead (rule 7) |
//! | `server.rs` | threads and handlers |
//! | `library.rs`, `client.rs` | the client library |
//! | the crate `zookeeper-recipes` | locks, barriers, elections and the like |
//!
// handout: end
//! # What the tests need
//!
//! [`Server::start`] with its probe, [`Client`], the messages of [`rpc`], and the recipes. The invariants
//! are watched on the network and through the probe, which shows what each replica applies.
//!
//! # What is left out on purpose
//!
//! - **`multi`**, quotas, access rights, observers, local sessions.
//! - **Snapshots while transactions go on** (the paper's fuzzy ones). `rsm` writes a snapshot between two
//!   transactions.
//! - **A broadcast of its own.** The paper's servers stand on Zab, these on Raft.
//! - **Reads in order at two servers.** A server that a client has left goes on with what it was asked for.
//!   So a read that is asked for again elsewhere may show a later write of its own session.
//! - **A throttle.** A client may have any number of requests under way.
//! - **Forgetting servers.** `rsm` keeps a few bytes for each life of a server that ever forwarded a write.

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
mod client;
// handout: drop classic
mod desk;
mod judge;
mod library;
// handout: end
mod replica;
mod server;
pub mod tree;
// handout: drop classic
mod watches;
// handout: end

pub use client::{Client, Pending, Settings, Watch};
pub use replica::{Probe, Replica};
pub use rpc::{
    ANY_VERSION, Answer, Error, Event, EventKind, Flags, MAX_DATA, Operation, Outcome, SessionId, Stat, Zxid,
};
pub use server::Server;
pub use zookeeper_messages::{path, rpc};
