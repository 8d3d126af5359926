//! Lab 2: Raft, a protocol by which several servers agree on one sequence of commands,
//! although servers crash and messages are lost.
//!
// handout: drop
//! This is the reference solution of parts 2A (election), 2B (log), 2C (persistence) and 2D
// handout: end
// handout: put
// //! This crate is yours: parts 2A (election), 2B (log), 2C (persistence) and 2D
// handout: end
//! (snapshots). It follows the extended version of *In Search of an Understandable
//! Consensus Algorithm* (Ongaro and Ousterhout, 2014). Section numbers (§) and figures are
//! that paper's; "dissertation" means Ongaro's *Consensus: Bridging Theory and Practice*
//! (2014). Have Figure 2 at hand while you read; the names here are its names.
//!
//! # What Raft promises
//!
//! A service, such as a key/value store, runs on three or five servers. All of them must carry
//! out the clients' commands in the same order, so that any server can take over when
//! another fails. Raft keeps a *log* of commands on each server and makes these logs agree.
//! It promises:
//!
//! - **Safety, always.** If a server has applied a command at some index of its log, no
//!   server will ever apply another command at that index (Figure 3, State Machine Safety).
//!   No crash changes that, and no delay, loss, duplication or reordering of messages. It
//!   does not depend on clocks.
//! - **Availability, when a majority can talk.** If more than half of the servers are up
//!   and their messages arrive within a fraction of the election timeout, commands will be
//!   committed. This does depend on clocks, though only roughly (§5.6).
//!
//! It does not promise to keep every command that a leader accepts: only a *committed* one is
//! safe. And it does not defend against servers that lie.
//!
//! The whole protocol rests on one observation: any two majorities have a server in common.
//! So no majority can contradict what another majority has voted for or stored, because one
//! of its servers knows of it.
//!
// handout: drop classic
//! # Terms
//!
//! Time is divided into *terms*, numbered from 1, each of which begins with an election and
//! has one leader at most (§5.1). Terms are Raft's clock. Every message carries the sender's
//! term. A server that receives a newer term adopts it and becomes a follower; it refuses
//! messages of older terms. So a leader that was cut off and replaced can do no harm: the
//! others refuse its messages, and the refusals tell it the new term.
//!
//! # Election
//!
//! Followers are passive. If a follower receives no message from a leader for an *election
//! timeout*, it becomes a candidate: it enters the next term, votes for itself, and asks the
//! others for their votes (§5.2). Each server has one vote a term, and stores on its disk
//! which candidate got it. With votes from a majority the candidate becomes leader; two
//! candidates cannot both have a majority. If the votes are split, the timeouts elapse
//! again. Each is drawn at random, so soon one candidate stands alone and wins.
//!
//! A voter refuses a candidate whose log is less up-to-date than its own (§5.4.1). A
//! committed entry is on a majority, and the candidate needs the votes of a majority, so
//! some voter has the entry. A candidate that lacks it loses that vote. Hence every new
//! leader has all committed entries from the start.
//!
//! The rules are in `election.rs`.
//!
//! # The log and its replication
//!
//! A leader appends each command to its log, and sends the entry to the others with the
//! index and term of the entry before it (§5.3). A follower refuses if its log does not have
//! that previous entry. The leader then tries further back until the two logs meet; from
//! there on the follower overwrites its log. By induction, if two logs have the same term at
//! one index, they agree on everything up to it (Log Matching).
//!
//! An entry of the leader's own term that is on a majority is *committed*, and so is
//! everything before it. The followers learn the leader's commit index from the next
//! message. If an entry of an *older* term is on a majority, that proves nothing. Figure 8
//! shows why, and `tests/raft/figure8.rs` plays it.
//!
//! A refusal here says how far back the follower's log may agree at best, and the leader
//! reasons in the same way about its own log. So each round steps over whole terms, not
//! over one entry (the end of §5.3 sketches this). After many failed elections logs may
//! differ by hundreds of entries, and a round trip for each would take too long.
//!
//! No message carries more than 32 KiB or 1000 entries. A follower that is far behind gets
//! many messages, and each of them tells it that the leader is alive.
//!
//! The rules are in `replication.rs` and `apply.rs`.
//!
//! # Persistence
//!
//! A server that restarts must keep the promises it made before: the term it has seen, the
//! vote it gave, the entries that it acknowledged. They must be on its disk before the
//! message that makes the promise leaves (Figure 2, persistent state). It can learn
//! everything else again. `persist.rs` holds these three as private fields, and changes them
//! only together with the disk, so no rule can forget it.
//!
//! The course's servers replace the whole saved state each time. Here a new entry is
//! appended to a write-ahead log. Otherwise the thousandth entry would cost a thousand times
//! as much as the first.
//!
//! # Snapshots
//!
//! A log must not grow for ever. From time to time the service hands over a *snapshot* of
//! its state, and Raft discards the entries that led to it (§7). It keeps the last one's
//! index and term, which the consistency check for the next entry needs. A follower may have
//! been away so long that the leader has discarded the entries it needs. Then the leader
//! sends the snapshot in their place (Figure 13), in chunks.
//!
//! The rules are in `snapshot.rs`.
//!
//! # How to read
//!
//! | file | what | with the paper's |
//! |---|---|---|
//! | `rpc.rs` | the three messages and their replies | Figures 2 and 13 |
//! | `state.rs` | what a server knows, and the rules for all | Figure 2, State; §5.1 |
//! | `election.rs` | RequestVote, from both sides | §5.2, §5.4.1 |
//! | `replication.rs` | AppendEntries, from both sides; commitment | §5.3, §5.4.2 |
//! | `apply.rs` | from the log to the service | §5.3 |
//! | `log.rs` | entries by index | §5.3, §7 |
//! | `persist.rs` | term, vote and log, in memory and on the disk | Figure 2 |
//! | `snapshot.rs` | InstallSnapshot, from both sides | §7, Figure 13 |
// handout: end
// handout: drop
//! | `checked.rs` | records that a crash has torn; leave it out at first | – |
//! | `reads.rs` | reads without the log, for lab 3; leave it out at first | §8 |
//! | `disturbance.rs` | `CheckQuorum` and `PreVote`, two options; leave it out at first | – |
//! | `pipelining.rs` | messages that do not wait for one another, an option; leave it out at first | – |
// handout: end
// handout: drop classic
//! | `invariants.rs` | what must always hold of one server | Figure 3 |
//! | `server.rs` | lock, threads, handlers | – |
//! | `api.rs` | the interface of the lab | – |
//! | `wire.rs` | the messages, for the tester's checkers | – |
//!
//! Read them in this order. Only `server.rs` contains threads. Each rule is a method on
//! [`rules::State`]; the caller passes in the time and the random numbers. So a rule cannot
//! block, and a test can call it alone (`tests/raft/figure2.rs` does, sentence by sentence).
//! `server.rs` contains no rules. It is a *monitor*: one lock and a fixed set of threads, and
//! one more for each answer that comes after its time-out. Each thread asks the state what
//! there is to do, does it without the lock, and brings back the result. Time has passed in
//! between, so the state judges every result together with its request. That rules out most
//! of the usual bugs of threaded Rafts.
//!
//! # What is left out on purpose
//!
//! - **Changing the set of servers** (§6). The labs' clusters are fixed, and this is the most
//!   intricate part of the protocol.
//! - **A no-op entry at the start of a term** (§8). It would let a new leader commit the
//!   entries of earlier terms without waiting for a client. The course's tests count indices
//!   and expect the first command at 1. A service that cannot wait submits a command itself.
//! - **Progress when some links work one way only.** A leader that is heard but hears nothing
//!   keeps its followers for ever, and a follower that is not reached deposes every leader.
// handout: drop
//!   The paper's protocol has no answer; two options have (`disturbance.rs`). No option helps
//!   if the only server that reaches a majority lacks entries that another one has.
// handout: end
// handout: put
// //!   The paper's protocol has no answer.
// handout: end
//! - **Slow networks.** A round trip must take less than the shortest election timeout, 350 ms
//!   here, and should take less than half of it. Late answers count, but a candidate whose
//!   votes come after its timeout stands again.
//! - **Pipelining** (dissertation §10.2.2). At most one message to a follower is under way;
//!   new entries go out together with the next. On these networks waiting costs little, and
//!   the code is much simpler when no reply can overtake another one of the same follower.
// handout: drop
//!   An option does otherwise (`pipelining.rs`).
// handout: end
//! - **Large commands over slow links.** A command larger than a message's bound travels
//!   whole. While it is under way its receiver gets no heartbeat, so over a link slower than
//!   about 256 KiB/s a command of 100 KB or more may cause elections.
//! - **Chunks that outlive a restart** (Figure 13 has a "snapshot file"). A follower that
//!   crashes in the middle of a snapshot gets it again from its beginning.
//! - **Telling clients which server leads** (§8). Clerks try the servers one by one.
//! - **`kill()`**. The course's Go code needs a flag that every loop looks at. Here a crash
//!   ends the server's threads wherever they are, as a real crash does.
//! - **`CondInstallSnapshot`**. Early editions let the service refuse a snapshot that entries
//!   had overtaken. Here one thread hands over both, in order, so none is ever overtaken.
// handout: end

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
mod api;
// handout: drop classic
mod apply;
// handout: end
// handout: drop
mod checked;
mod disturbance;
// handout: end
// handout: drop classic
mod election;
mod invariants;
mod log;
mod persist;
// handout: end
// handout: drop
mod pipelining;
mod reads;
// handout: end
// handout: drop classic
mod replication;
// handout: end
pub mod rpc;
// handout: drop classic
mod server;
mod snapshot;
mod state;
mod wire;
// handout: end

// handout: put classic
// pub use api::Raft;
// handout: end
pub use labapi::{ApplyMsg, Persister};
// handout: drop
pub use labapi::{Lease, Options};
// handout: end
// handout: drop classic
pub use server::Raft;
pub use wire::RaftWire;

/// The rules of Raft, without threads, network or clock.
///
/// Services need only [`Raft`]. The rules are public for their tests
/// (`tests/raft/figure2.rs` and its neighbours), which stand outside the crate as a
/// student's would, and because this is the part to read.
pub mod rules {
    pub use crate::apply::Applicable;
    pub use crate::invariants::Inspector;
    pub use crate::log::Log;
    pub use crate::replication::{
        HEARTBEAT_INTERVAL, MAX_MESSAGE_BYTES, MAX_MESSAGE_ENTRIES, Reply, Request, Turn,
    };
    pub use crate::state::{Peer, State};
    pub use labapi::Role;
}
// handout: end
