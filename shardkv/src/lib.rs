//! Lab 4B: a key/value service whose keys are spread over groups of servers, and move from
//! group to group while clients work.
//!
//! Each group is a replicated service of its own (lab 3). It serves the *shards* that the
//! controller (lab 4A) assigns to it. Groups join and leave, and shards move. To a client the
//! whole must behave like one map on one server: every operation takes effect once, at one
//! moment between its call and its return (linearizability), whichever groups the clerk asked.
//!
//! # The question
//!
//! *Which group has a shard?* If two groups serve a shard at the same moment, a client may read
//! from one group a value that another client has overwritten at the other. If no group has it,
//! its content is lost. The groups do not settle this by talking to each other. The
//! configurations settle it: every group goes through **all** of them, **one by one, in order**,
//! and adopts each by an entry of its log. So
//!
//! - all servers of a group agree which operations come before a configuration and which come
//!   after it, because the log orders them;
//! - all groups agree on the sequence of a shard's owners, because the configurations list it;
//! - a shard's content is final once its group has adopted the configuration that takes the
//!   shard away. Any server that has applied that entry can hand out a copy, at any time.
//!
// handout: drop classic
//! # A shard's life in a group
//!
//! A *tenure* is the time from the configuration that makes a group a shard's owner to the
//! configuration that makes another group its owner (`tenure.rs`). A tenure is in one of four
//! stages:
//!
//! ```text
//!                  adopt: ours                     install                 adopt: another's
//!    (nothing) ──────────────────▶  PULLING  ──────────────────▶  SERVING  ───────────────▶  WAITING
//!        │                             │                             ▲                        ▲   │
//!        │                             │ adopt: another's            │                        │   │ discard
//!        │                             ▼                             │                        │   ▼
//!        │                          PASSING  ─────────────── install ┼────────────────────────┘ (nothing)
//!        │                                                           │
//!        └── adopt: ours, no owner before    ───────────────────────┘
//! ```
//!
//! | stage | owned? | content here? | reply to a client | the group |
//! |---|---|---|---|---|
//! | pulling | yes | no | `Moving`: retry later | asks the previous owner for the content |
//! | serving | yes | yes | the result | serves |
//! | passing | no longer | not yet | `WrongGroup` | asks on behalf of the next owner |
//! | waiting | no longer | yes, and final | `WrongGroup` | keeps the content and hands it to the next owner |
//!
//! For example, group 1 owns shard 8, and configuration 5 gives it to group 2. Group 1 adopts 5:
//! its tenure goes from serving to waiting. Group 2 adopts 5: its tenure begins with pulling.
//! Group 2's leader asks group 1's servers for shard 8 of configuration 5. Servers that have not
//! adopted 5 yet reply `NotYet`. One that has replies with the content. Group 2 installs it by an
//! entry of its log, and serves.
//!
//! Once the next owner has installed a content, the copy that waits at the former owner is
//! **garbage**. The next owner notes the garbage in its own state and tells the former owner
//! (*discard*). When the former owner confirms that it has deleted the copy, the next owner
//! drops the note (*forget*). A group deletes only a content that waits, and only when its next
//! owner has it in a committed entry, on the disks of a majority. So it never deletes the only
//! copy.
//!
//! The types enforce most of this. A stage has a content or has none, and a transition moves the
//! content instead of copying it. `invariants.rs` checks the rest after each step: the tenures of
//! a shard do not overlap, the last one is open if and only if the group owns the shard, and no
//! note of garbage belongs to a content that has not arrived. No group can see all groups at
//! once, so the tests check across groups, at each step of each server: some group has each
//! shard, and at most one group serves it.
//!
//! # No one waits unnecessarily
//!
//! A group pulls each shard by itself and serves it as soon as it is here (the course's second
//! challenge). A group also adopts the next configuration before the last one's shards have
//! arrived. If it waited for them, one group that is down would stop its neighbours, these would
//! stop theirs, and a shard that moves between two healthy groups would wait for a third group
//! that it has nothing to do with. The price is the stage *passing*: a group may lose a shard
//! before it has received it. It still pulls that shard, because the next owner goes by the
//! configurations and asks this group and no other.
//!
//! No circle of groups waits for each other. A content that a group lacks after configuration n
//! is at a group that owned it before n, or on its way there from an earlier owner, and so on,
//! down to a group that has it.
//!
//! # Sessions
//!
//! A group applies an append, the reply is lost, the shard moves, and the clerk asks the new
//! owner. Without the clerk's session the new owner would append a second time. So the sessions
//! are part of the shard and move with it: a shard is a small lab 3 of its own,
//! `WithSessions<KeyValue>`, with values and sessions. A refusal is not an operation. The session
//! does not remember it, or the clerk would get it again from the group that should serve it.
//!
//! # Shards without an owner
//!
//! When the last group leaves, the controller assigns every shard to no group. Each shard then
//! stays with its last owner, in the stage of serving, although clerks no longer ask there. The
//! next group that joins pulls the shard from that owner. Nothing is lost.
//!
//! # How to read
//!
//! | file | content |
//! |---|---|
//! | `rpc.rs` | the RPCs of clerks to servers, and of groups to each other |
//! | `tenure.rs` | the diagram as types |
//! | `state.rs` | a group: the effect of each entry of its log |
//! | `view.rs` | what a server shows a tester of its group |
//! | `saved.rs` | a group as bytes, for snapshots |
//! | `invariants.rs` | the invariants that hold after each entry |
//! | `server.rs` | the threads that ask the controllers and the other groups |
//! | `setup.rs` | what a server is given |
//! | `client.rs`, `peers.rs` | the clerk; servers by name |
//! | `api.rs` | the clerk as `labapi`'s trait, through which the tests use it |
//!
//! `tests/shardkv/life.rs` has a test for each sentence about the stages.
//! `tests/shardkv/custody.rs` is the checker over all groups.
// handout: drop
//! `tests/shardkv/figures.rs` measures in virtual time how throughput grows with the groups and how
//! long a move takes; with `LAB_STORY=1` it prints the figures.
// handout: end
//!
// handout: end
//! # What the tests need
//!
//! The tests of parts 4B and 4C use a clerk through `labapi::KvClerk`. `labapi` has no trait for the
//! server, because its tests also need a controller and its configurations (see `shardctrler`). So
//! another solution replaces the files in `src` and keeps these names: [`ShardServer`] (`start`, and
//! `services`, `is_leader`, `raft_state`, `wire` and `watch`, which this solution gets from
//! `rsm::ReplicatedServer`), [`Setup`], [`Clerk`] (`new`), [`MakeEnd`], [`key_to_shard`], and
//! `view.rs`. How it keeps its state, and which messages its groups exchange, is its own affair: the
//! tests tell messages apart by their callers.
//!
//! A solution that shows its groups through [`ShardServer::watch_group`] is watched by the checker over
//! all groups. One whose `watch_group` does nothing is judged by what its clients read and by its disks,
// handout: put classic
// //! and the report names what was not watched.
// handout: end
// handout: drop classic
//! and the report names what was not watched. Three files of tests are about this solution alone:
//! `life.rs` and `any_order.rs` test [`Group`] by itself, `own_messages.rs` sends and intercepts this
//! crate's RPCs.
// handout: end
//!
//! # What is left out on purpose
//!
//! - **Transactions** over several shards. Each operation uses one key.
//! - **Content in pieces.** A shard travels in one message and one entry of the log.
//! - **Pushing.** The former owner could send the content without being asked. It would have to
//!   know when the next owner is ready. The next owner knows that by itself, and asks.
//! - **Reads without the log** (lab 3). They would work here as well.
//! - **A group that joins again under its old number with other servers.** The other groups would
//!   look for the old servers' shards on the new ones. An administrator takes a new number.
//! - **Forgetting sessions**, as in lab 3.

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
mod api;
mod client;
// handout: drop classic
mod invariants;
mod peers;
// handout: end
mod rpc;
// handout: drop classic
mod saved;
// handout: end
mod server;
mod setup;
// handout: drop classic
mod state;
mod tenure;
// handout: end
mod view;

pub use client::{Clerk, TooLarge};
pub use rpc::key_to_shard;
// handout: drop classic
pub use rpc::{Content, KvError, PullError, ShardPeer, ShardRpc};
// handout: end
pub use server::ShardServer;
pub use setup::{MakeEnd, Setup};
// handout: drop classic
pub use state::{Command, Group, Reply, Transfer};
// handout: end
pub use view::{GroupView, Handover, Stage, TenureView};
