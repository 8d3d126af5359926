//! Lab 4A: the shard controller, which assigns parts of the keys to groups of servers.
//!
//! A replicated service (lab 3) can do no more than its leader can: every operation goes
//! through one server. To serve more clients, the keys are divided into [`SHARDS`] *shards*,
//! and the shards over several *groups*. Each group is a replicated service of its own. The
//! controller records which group owns which shard, and changes that when groups join and
//! leave. It stores no keys and answers few requests. Its one difficulty is that all its
//! servers must give the same answers for ever. (Bigtable has this shape: its master assigns
//! tablets to servers. So has Spanner, which moves directories of keys between Paxos groups.)
//!
//! # Configurations
//!
//! The controller's whole state is a list of *configurations*, numbered from 0. Each
//! configuration assigns every shard to a group, and never changes. A change makes the next
//! configuration. Groups go through the configurations in order, and so agree on the sequence
//! of a shard's owners without talking to each other. Lab 4B builds on that.
//!
//! | command | effect |
//! |---|---|
//! | `Join` | makes a configuration with more groups, rebalanced |
//! | `Leave` | makes a configuration with fewer groups, rebalanced |
//! | `Move` | makes a configuration that differs in the owner of one shard |
//! | `Query` | makes none: it returns an existing configuration |
//!
//! # Rebalancing
//!
//! A shard that changes groups is copied over the network while its clients wait. So *as few
//! shards as possible* should move, and the groups should own *equally many*, up to one.
// handout: drop classic
//! `rebalance.rs` gives the method and the proof that none moves fewer. For example, groups 1
// handout: end
// handout: put classic
// //! For example, groups 1
// handout: end
//! and 2 own five shards each and group 3 joins: the shares become 4, 3 and 3, and three shards
//! move, all of them to group 3.
//!
//! Rebalancing must also be *deterministic*. Each server of the controller applies each command
//! by itself. If it walked through a hash map, whose order differs from process to process, the
//! servers' configurations would differ from then on. Each leader would tell its clients
//! something else, and no client would notice before the leader crashed. Hence the ordered maps,
//! here and in [`Config`] itself.
//!
//! # Invalid commands
//!
//! A join of a group that is present, a leave of a group that is absent, a move to a group that
//! is absent: the controller refuses each as a whole, gives a reason ([`Refusal`]), and makes no
//! configuration. A refusal goes through the log like any other outcome, so all servers agree
//! on it. A query of a negative number, or of a number that does not exist yet, returns the
//! newest configuration.
//!
//! A move to the group that owns the shard already makes a configuration that equals the last
//! one but for its number. The administrator asked for it.
//!
// handout: drop classic
//! # How to read
//!
//! | file | content |
//! |---|---|
//! | `rpc.rs` | configurations, commands and replies |
//! | `rebalance.rs` | the one decision of the controller |
//! | `state.rs` | the list of configurations: the effect of each command |
//! | `server.rs`, `client.rs` | a replica over `rsm`, and the clerk |
//!
// handout: end
//! # What the tests need
//!
//! `labapi` has no trait for a controller, because its configurations are this crate's types, and
//! lab 4B stores them. So another solution of part 4A replaces the files in `src` and keeps these
//! names: [`ControllerServer`] (`start`, and `services`, `is_leader`, `raft_state`, `wire` and
//! `watch`, which this solution gets from `rsm::ReplicatedServer`), [`Clerk`] (`new`, `query`,
//! `join`, `leave`, `move_shard`), [`Config`], [`Refusal`], [`GroupId`] and [`NO_GROUP`]. The graded
// handout: drop classic
//! tests use nothing else. Lab 4B also needs [`SHARDS`] and [`Clerk::try_query`]. The tests in
//! `tests/rules` check this solution's [`Controller`] and [`rebalance()`] by themselves, without a
//! cluster.
// handout: end
// handout: put classic
// //! tests use nothing else. Lab 4B also needs [`SHARDS`] and [`Clerk::try_query`].
// handout: end
//!
//! # What is left out on purpose
//!
//! - **Forgetting configurations.** A group that was down for a year needs those of the whole
//!   year. Each is a few hundred bytes.
//! - **Loads.** All shards count the same. A real controller would measure their traffic.
//! - **Failure detection.** An administrator decides which groups join and leave. A group that
//!   is down keeps its shards.
//! - **Authentication.** Any client may send any command.

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
mod client;
// handout: drop classic
mod rebalance;
// handout: end
mod rpc;
mod server;
mod state;

pub use client::Clerk;
// handout: drop classic
pub use rebalance::rebalance;
// handout: end
pub use rpc::{
    Command, Config, ControllerError, ControllerPeer, ControllerRpc, GroupId, NO_GROUP, Refusal, Reply,
    SHARDS,
};
pub use server::ControllerServer;
pub use state::Controller;
