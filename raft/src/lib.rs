//! Lab 2: Raft, a protocol by which several servers agree on one sequence of commands,
//! although servers crash and messages are lost.
//!
//! This is the reference solution of parts 2A (election), 2B (log), 2C (persistence) and 2D
//! (snapshots). It follows the extended version of *In Search of an Understandable
//! Consensus Algorithm* (Ongaro and Ousterhout, 2014): section numbers (§) and figures are
//! that paper's. Have Figure 2 at hand while you read; the names here are its names.
//!
//! # What Raft promises
//!
//! A service (a key/value store, say) runs on three or five servers. Clients' commands must
//! be carried out by all of them, in the same order, so that any of them can take over when
//! another fails. Raft keeps a *log* of commands on each server and makes these logs agree.
//! It promises:
//!
//! - **Safety, always.** If a server has applied a command at some index of its log, no
//!   server will ever apply another command at that index (Figure 3, State Machine Safety).
//!   No delay, loss, duplication or reordering of messages and no crash changes that, and
//!   no clock is relied on for it.
//! - **Availability, when a majority can talk.** If more than half of the servers are up
//!   and their messages arrive within a fraction of the election timeout, commands will be
//!   committed. This does rely on clocks, though only roughly (§5.6).
//!
//! It does not promise to keep a command that it accepted: only a *committed* one is safe.
//! And it does not defend against servers that lie.
//!
//! The whole protocol rests on one observation: any two majorities of the servers have a
//! server in common. What a majority has voted for, or written down, cannot be contradicted
//! by another majority that does not know of it.
//!
//! # Terms
//!
//! Time is divided into *terms*, numbered from 1, each of which begins with an election and
//! has one leader at most (§5.1). Terms are Raft's clock: every message carries the
//! sender's term; who hears of a newer one adopts it and becomes a follower, and who hears
//! from an older one refuses. So a leader that was cut off and does not know that it has
//! been replaced can do no harm: its messages are refused, and the refusals tell it.
//!
//! # Election
//!
//! Followers are passive. If one hears nothing from a leader for an *election timeout*, it
//! becomes a candidate: it enters the next term, votes for itself, and asks the others for
//! their votes (§5.2). Each server has one vote a term, and remembers on its disk to whom
//! it gave it. With votes from a majority the candidate leads; two candidates cannot both
//! have one. If the votes are split, timeouts elapse again, and because each is drawn at
//! random, somebody soon is alone in trying.
//!
//! A voter refuses a candidate whose log is less up-to-date than its own (§5.4.1). A
//! committed entry is on a majority, and the candidate needs a majority's votes, so some
//! voter has the entry: a candidate that lacks it is refused. Hence a leader never has to
//! learn what is committed before it starts. It has it all.
//!
//! The rules are in `election.rs`.
//!
//! # The log and its replication
//!
//! A leader appends each command to its log, and sends the entry to the others with the
//! index and term of the entry before it (§5.3). A follower whose log does not have that
//! very entry refuses; the leader then tries further back, until the two logs meet, and
//! from there on the follower's log is overwritten. By induction, if two logs agree at one
//! index on the term, they agree on everything up to it (Log Matching).
//!
//! An entry of the leader's own term that is on a majority is *committed*, and everything
//! before it is. The followers learn the leader's commit index from the next message. That
//! an entry of an *older* term is on a majority proves nothing, and Figure 8 shows why;
//! `tests/raft/figure8.rs` plays it.
//!
//! Here a refusal says how far back the follower's log may agree at best, and the leader
//! reasons in the same way about its own log, so that a round takes both over whole terms
//! and not over one entry (the end of §5.3 sketches it). After a while of chaos logs may
//! differ by hundreds of entries, and a round trip for each would take longer than the next
//! chaos is away.
//!
//! The rules are in `replication.rs` and `apply.rs`.
//!
//! # Persistence
//!
//! A server that restarts is the same server, with the promises it made: the term it has
//! seen, the vote it gave, the entries that it acknowledged. They must be on its disk
//! before the message that makes the promise leaves (Figure 2, persistent state).
//! Everything else can be learned anew. `persist.rs` makes it impossible to forget: it
//! holds these three as private fields, and changes them only together with the disk.
//!
//! The paper's servers, and this course's, replace the saved state as a whole each time.
//! Here an entry is added to a write-ahead log, since otherwise the thousandth entry would
//! cost a thousand times what the first one did.
//!
//! # Snapshots
//!
//! A log must not grow for ever. From time to time the service hands over a *snapshot* of
//! its state, and Raft forgets the entries that led to it (§7), except for the last one's
//! index and term, which the consistency check for the next entry needs. A follower that
//! has been away so long that the leader has forgotten the entries it needs is sent the
//! snapshot in their place (Figure 13).
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
//! | `reads.rs` | reads without the log, for lab 3; leave it out at first | §8 |
//! | `invariants.rs` | what must always hold of one server | Figure 3 |
//! | `server.rs` | lock, threads, handlers | – |
//! | `api.rs` | the interface of the lab | – |
//! | `wire.rs` | the messages, for the tester's checkers | – |
//!
//! Read them in this order. The first ten know nothing of threads: each rule is a method
//! on [`rules::State`], which is told the time and handed the random numbers, so that it
//! cannot block and a test can call it with nothing around (`tests/raft/figure2.rs` does,
//! sentence by sentence). The last one knows nothing of Raft: it is a *monitor*, one lock
//! and a fixed set of threads, each of which asks the state what there is to do, does it
//! without the lock, and brings back the result. In between time has passed; so every
//! result is judged together with the request that it belongs to, and most of what is wrong
//! with threaded Rafts cannot be written down.
//!
//! # What is left out on purpose
//!
//! - **Changing the set of servers** (§6). The labs' clusters are fixed; and it is the most
//!   intricate part of the protocol.
//! - **A no-op entry at the start of a term** (§8). It would let a new leader commit what
//!   it inherited without waiting for a client. The course's tests count indices and expect
//!   the first command at 1; a service that cannot wait submits a command of its own.
//! - **Pre-vote** (dissertation §9.6). A server that was cut off returns with a high term
//!   and makes the leader stand for election again. That costs a moment, and the paper's
//!   protocol has it so.
//! - **Pipelining** (dissertation §10.2.1). At most one message to a follower is under way;
//!   what comes meanwhile goes out together with the next. On these networks waiting costs
//!   little, and the code is a good deal simpler when no reply can be overtaken by another
//!   of the same connection.
//! - **Snapshots in chunks** (Figure 13, `offset` and `done`). Here a snapshot fits into a
//!   message.
//! - **Telling clients who leads** (§8). Clerks try the servers one by one.
//! - **`kill()`**. The course's Go code needs a flag that every loop looks at. Here a crash
//!   ends the server's threads wherever they are, as a real one does.
//! - **`CondInstallSnapshot`**. Early editions let the service refuse a snapshot that had
//!   been overtaken by entries. One thread hands over both, in order, so that there is
//!   nothing to refuse.

mod api;
mod apply;
mod election;
mod invariants;
mod log;
mod persist;
mod reads;
mod replication;
pub mod rpc;
mod server;
mod snapshot;
mod state;
mod wire;

pub use labapi::{ApplyMsg, Persister};
pub use reads::{Lease, Options};
pub use server::Raft;
pub use wire::RaftWire;

/// The pure interior: Raft without threads, network or clock.
///
/// Not for services, which need [`Raft`] only. It is public, and documented like everything
/// else, because the tests of the rules (`tests/raft/figure2.rs` and its neighbours) stand
/// outside the crate as a student's would, and because this is the part to read.
pub mod rules {
    pub use crate::invariants::Inspector;
    pub use crate::log::Log;
    pub use crate::replication::{HEARTBEAT_INTERVAL, Reply, Request, Turn};
    pub use crate::state::{Peer, State};
    pub use labapi::Role;
}
