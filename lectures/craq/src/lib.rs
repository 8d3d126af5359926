//! The lecture on chain replication as a lab: a replicated object store in which updates flow from the head
//! to the tail, and, with CRAQ, every replica serves reads.
//!
// handout: drop
//! This crate is the reference solution.
// handout: end
// handout: put
// //! This crate is yours.
// handout: end
//! The papers are van Renesse and Schneider, *Chain replication for supporting high throughput and
//! availability* (OSDI 2004), and Terrace and Freedman, *Object storage on CRAQ* (USENIX ATC 2009).
//!
//! # The chain
//!
//! ```text
//! client ── update ──▶ head ── forward ──▶ middle ── forward ──▶ tail ── reply ──▶ client
//!                           ◀─── ack ─────        ◀─── ack ─────      ◀── read ───
//! ```
//!
//! The head orders updates, and carries them out: what it sends on is the new value, not the operation. An
//! update that the tail has is at every node, so it is *committed*; that is the whole commit rule. A read at
//! the tail sees committed values only. Nobody votes, so a chain of t nodes survives t-1 failures.
//!
//! A node keeps the updates that it has forwarded until they are acknowledged. So what a node has is what its
//! successor has, followed by a part of what it keeps: that is enough to mend the chain wherever it breaks.
//!
//! | lost | what happens |
//! |---|---|
//! | head | its successor becomes head. Updates that only the head had are gone; clients send them again. |
//! | tail | its predecessor becomes tail. What it kept is committed now. |
//! | middle | the two neighbours are joined: the predecessor sends what the successor lacks. |
//!
//! # Who is in the chain
//!
//! Nodes cannot decide that. Of two neighbours that do not hear each other each would take the other for
//! dead, and there would be two chains. A *manager* decides, and it is replicated by other means. It numbers
//! the configurations (the *epoch*), and a node refuses messages of another epoch.
//!
//! A node that is cut off from the manager does not hear of its removal. So it acts only while it has a
//! *lease*, and the manager puts a configuration without the node in force only when the lease has ended:
//!
//! ```text
//! node      heartbeat ├───────── lease ─────────┤            refuses everything
//! manager     granted · · · silent ─▶ plan: without it ├── lease + clock error ──┤ in force
//! ```
//!
//! Between plan and force the node is granted nothing more. The plan is in the [`Registry`], so a new manager
//! knows it and waits anew.
//!
//! # Reads at every node
//!
//! With CRAQ a node keeps a version that is not committed (*dirty*) beside the newest one that is (*clean*).
//! If the newest version is clean the node answers by itself. Otherwise it asks the tail, not for the value
//! but for the number of the committed version, and answers that one. An example: the node holds versions 4
//! (clean) and 5 (dirty). The tail says 4, or 5 if the acknowledgement is still on its way; either is the
//! newest committed version at that moment.
//!
// handout: drop classic
//! # How to read
//!
//! | file | content |
//! |---|---|
//! | the crate `craq-messages` | operations, errors, all messages |
//! | `object.rs` | an object's versions |
//! | `state.rs`, `reads.rs` | a node: updates, acknowledgements; reads |
//! | `membership.rs`, `copy.rs` | a node: configurations, leases; joining |
//! | `node.rs` | the monitor, the threads, the handlers |
//! | `judge.rs`, `manager.rs` | which configuration comes next |
//! | `registry.rs`, `raft_registry.rs` | where the decision is kept |
// handout: drop
//! | the crate `craq-zookeeper` | the same on the coordination service |
// handout: end
//! | `client.rs` | clients |
//!
// handout: end
//! # What the tests need
//!
//! [`Node`] with [`Peers`] and [`Settings`]; [`Manager`] over a [`Registry`]; [`Client`]; the messages of
//! `craq-messages`. A node shows each [`Step`] to its [`Probe`], under its lock, with the [`State`] behind
//! the step: on that the tests watch the invariants. Without the probe they watch fewer, and their report
//! says which are left out.
//!
// handout: drop classic
//! # What this solution does beyond the papers, and why
//!
//! - **Leases.** The papers assume that a node that has failed has stopped.
//! - **A node that restarts is another member.** Objects are in memory. A restarted node has lost them, and
//!   must not be taken for the one that had them.
//! - **The chain heals.** A spare joins at the tail by itself when the chain is too short.
//! - **An eventual read needs no lease.** It promises nothing that a cut-off node could break. A bounded one
//!   may be as far behind the lease's end as its bound.
//! - **A refused test-and-set stays refused.** Otherwise a late copy could succeed, though its client was
//!   told that it had failed.
//!
// handout: end
//! # What is left out on purpose
//!
//! - **Disks.** If all nodes of a chain fail its objects are lost.
//! - **Several chains over the same nodes**, chains over several sites, and joining elsewhere than at the
//!   tail. Each message names its chain; a computer with two chains runs two [`Node`]s.
//! - **Transactions** over several objects.

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
mod client;
// handout: drop classic
mod copy;
mod judge;
// handout: end
mod manager;
// handout: drop classic
mod membership;
// handout: end
mod node;
mod object;
mod raft_registry;
// handout: drop classic
mod reads;
// handout: end
mod registry;
mod state;

pub use client::{Client, Replies};
pub use craq_messages as rpc;
pub use manager::Manager;
pub use node::{Node, Peers};
pub use object::Object;
pub use raft_registry::RaftRegistry;
pub use registry::{Plan, Registry, Unavailable};
pub use rpc::{Config, Member, Op, Outcome, ReadMode, Record, Refusal, Version, Versioned};
pub use state::{Mode, Probe, ReplyFrom, Settings, State, Step};
