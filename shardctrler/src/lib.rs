//! Lab 4A: the shard controller, which says which group of servers serves which part of the
//! keys.
//!
//! A replicated service (lab 3) can do no more than its leader can: every operation goes
//! through one server. To serve more clients the keys are divided into [`SHARDS`] *shards*,
//! and the shards over several *groups*, each of which is a replicated service of its own.
//! Somebody must say who has what, and change it when groups come and go. That is the
//! controller. It carries no data and is seldom asked; everything here is about its answers
//! being the same everywhere and for ever. (Systems of this shape: Bigtable, whose master
//! assigns tablets to servers; Spanner, whose placement driver moves data between groups.)
//!
//! # Configurations
//!
//! The controller's whole state is a list of *configurations*, numbered from 0, each of which
//! assigns every shard to a group. A configuration never changes; a change makes the next
//! one. Groups go through them in order, and so agree about who had a shard before whom
//! without ever talking about it: that is what lab 4B is built upon.
//!
//! | command | makes |
//! |---|---|
//! | `Join` | a configuration with more groups, rebalanced |
//! | `Leave` | one with fewer groups, rebalanced |
//! | `Move` | one in which a shard is on another group, and nothing else is different |
//! | `Query` | nothing: it is answered by an existing one |
//!
//! # Rebalancing
//!
//! Every shard that changes groups has to be copied over the network while clients wait for
//! it, so *as few as possible* should; and the groups should have *equally many*, up to one.
//! `rebalance.rs` says how, and why no way is better.
//!
//! It must also be *deterministic*. Each server of the controller carries out each command by
//! itself, and if one of them goes through a hash map, whose order differs from process to
//! process, then their configurations differ from then on, and a client is told one thing by
//! one leader and another by the next. Nothing looks wrong until the leader crashes. Hence
//! ordered maps, here and in [`Config`] itself.
//!
//! # Requests that make no sense
//!
//! A join of a group that is there, a leave of one that is not, a move to one that is not:
//! each is refused as a whole, with a reason ([`Refusal`]), and makes no configuration. Like
//! any other outcome the refusal goes through the log, so that all servers agree on it. A
//! query of a negative number, or of one that does not exist yet, means the newest.
//!
//! A move to the group that has the shard already makes a configuration, equal to the last
//! one but for its number: it is what the administrator asked for.
//!
//! # How to read
//!
//! `rpc.rs`, `state.rs` and `rebalance.rs` are what the controller is. `server.rs` and
//! `client.rs` put it behind `rsm`, and hold nothing else.
//!
//! # What is left out on purpose
//!
//! - **Forgetting configurations.** A group that was away for a year needs those of the whole
//!   year. They are some hundred bytes each.
//! - **Loads.** All shards count the same; a real controller would measure them.
//! - **Looking whether groups live.** An administrator says who joins and leaves; a group
//!   that is down keeps its shards.
//! - **Authentication.** Anybody may send anything.

mod client;
mod rebalance;
mod rpc;
mod server;
mod state;

pub use client::Clerk;
pub use rebalance::rebalance;
pub use rpc::{
    Command, Config, ControllerError, ControllerPeer, ControllerRpc, GroupId, NO_GROUP, Refusal, Reply,
    SHARDS,
};
pub use server::ControllerServer;
pub use state::Controller;
