//! Lab 4B: a key/value service whose keys are spread over groups of servers, and move from
//! group to group while clients work.
//!
//! Each group is a replicated service of its own (lab 3), and serves the *shards* that the
//! controllers (lab 4A) assign to it. Groups come and go; shards move; and to a client all of
//! it must look like one map on one server: every operation takes effect once, at one moment
//! between its call and its return (linearizability), whichever groups it was sent to.
//!
//! # The question
//!
//! *Who has a shard?* If for one moment two groups serve it, a client may read from one what
//! another has overwritten at the other. If for one moment nobody has it, it is lost. The
//! groups do not answer this by talking to each other. The answer is in the configurations:
//! every group goes through **all** of them, **one by one, in order**, and each adoption is an
//! entry of the group's log. So
//!
//! - all servers of a group agree which operations came before a configuration and which
//!   after it, for the log says so;
//! - all groups agree on who had a shard before whom, for the configurations say so;
//! - what a group had of a shard when it adopted the configuration that took it away is
//!   final. It can be copied at leisure, by anybody, from any server that has come that far.
//!
//! # A shard's life in a group
//!
//! The time from the configuration that makes a group a shard's owner to the one that makes
//! another its owner is a *tenure* (`tenure.rs`). It is in one of these stages:
//!
//! ```text
//!                  adopt: ours                     install                 adopt: another's
//!    (nothing) ──────────────────▶  PULLING  ──────────────────▶  SERVING  ───────────────▶  WAITING
//!        │                             │                             ▲                        ▲   │
//!        │                             │ adopt: another's            │                        │   │ discard
//!        │                             ▼                             │                        │   ▼
//!        │                          PASSING  ─────────────── install ┼────────────────────────┘ (nothing)
//!        │                                                           │
//!        └── adopt: ours, and nobody's before ───────────────────────┘
//! ```
//!
//! | stage | owned? | content here? | a client is told | the group |
//! |---|---|---|---|---|
//! | pulling | yes | no | `Moving`: come again | asks the owner before it for the content |
//! | serving | yes | yes | the answer | serves |
//! | passing | no longer | not yet | `WrongGroup` | asks, for the sake of the owner after it |
//! | waiting | no longer | yes, and final | `WrongGroup` | hands it over to whoever is next, and keeps it |
//!
//! A content that has been installed by the next owner is **garbage** where it waits. The next
//! owner knows, and has it in its state until the former owner has deleted its copy: it says
//! so (*discard*), and when that is confirmed it forgets the matter (*forget*). Only what waits
//! is ever deleted, and only when its next owner has it in a committed entry, on the disks of
//! a majority: a copy that may be the only one is never garbage.
//!
//! The types say most of this: there is a content in the stages that have one and in no
//! other, and it is moved, not copied, from stage to stage. What they cannot say,
//! `invariants.rs` checks after each step: tenures of a shard do not overlap, the last one is
//! open if and only if the group owns the shard, nothing is called garbage whose other copy
//! is not here. And what no group can see by itself the tests check over all groups, at each
//! step of each server: somebody has each shard, one group at most serves it.
//!
//! # Nobody waits who need not
//!
//! Shards are pulled one by one and independently, so each is served as soon as it is here
//! (the course's second challenge). And a group adopts the next configuration whether its
//! shards have come or not. If it waited, one group that is down would stop its neighbours,
//! these would stop theirs, and a shard that moves between two healthy groups would wait for
//! a third one that it has nothing to do with. The price is the stage *passing*: a group may
//! lose a shard before it has got it. It gets it nonetheless, since the next owner, who goes
//! by the configurations, will come to it and to nobody else.
//!
//! So nobody waits in a circle either: a content that a group lacks after configuration n is
//! with a group that had it before n, and so on, down to one that has it.
//!
//! # Sessions
//!
//! A group carries out an append, the reply is lost, the shard moves, and the clerk asks the
//! new owner. If that does not know that it is done, it is done twice. So what remembers a
//! client's last operation is part of the shard and moves with it: a shard is a whole little
//! lab 3, `WithSessions<KeyValue>`, values and sessions. A refusal is no operation: it is not
//! remembered, or the clerk would get it again where it should be served.
//!
//! # A shard that nobody is assigned
//!
//! When the last group leaves, the controllers assign every shard to nobody. It stays with
//! its last owner, still in the stage of serving although no clerk will ask; and the next
//! group that joins pulls it from there. Nothing is lost by leaving.
//!
//! # How to read
//!
//! | file | what |
//! |---|---|
//! | `rpc.rs` | what clerks say to servers, and groups to each other |
//! | `tenure.rs` | the diagram as types |
//! | `state.rs` | a group: what each entry of its log does |
//! | `invariants.rs` | what must hold after each |
//! | `server.rs` | threads: who asks the controllers and the other groups, and when |
//! | `client.rs`, `peers.rs` | the clerk; servers by name |
//! | `api.rs` | the clerk under the interface of the lab |
//!
//! `tests/shardkv/life.rs` has a test for each sentence about the stages, and
//! `tests/shardkv/custody.rs` is the checker over all groups. What moves cost and groups gain
//! `tests/shardkv/figures_4b.rs` measures, in virtual time; with `LAB_STORY=1` it tells.
//!
//! # What is left out on purpose
//!
//! - **Transactions** over several shards. Each operation is about one key.
//! - **Content in pieces.** A shard travels in one message and one entry of the log.
//! - **Pushing.** The owner before could send the content instead of being asked. It would
//!   have to know when the next owner is ready; who needs something had better ask for it.
//! - **Reads without the log** (lab 3). They would work here as there.
//! - **A group that joins again with other servers under its old number.** Whatever waits on
//!   the old ones is looked for on the new ones. Administrators take a new number.
//! - **Old sessions** are never forgotten, as in lab 3.

mod api;
mod client;
mod invariants;
mod peers;
mod rpc;
mod server;
mod state;
mod tenure;

pub use client::{Clerk, TooLarge};
pub use peers::MakeEnd;
pub use rpc::{Content, Handover, KvError, PullError, ShardPeer, ShardRpc, key_to_shard};
pub use server::{Setup, ShardServer};
pub use state::{Command, Group, Reply, TenureView, Transfer};
pub use tenure::Stage;
