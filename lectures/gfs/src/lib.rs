//! The lecture on a distributed file system as a lab: large files in chunks on many servers, with one master.
//!
// handout: drop
//! This crate is the reference solution.
// handout: end
// handout: put
// //! This crate is yours.
// handout: end
//! The paper is Ghemawat, Gobioff and Leung, *The Google File System* (SOSP 2003); section numbers (§) are
//! the paper's.
//!
//! A file is a list of chunks, and each chunk is on three chunkservers. One master knows all names, chunks
//! and places. Data never pass through it: clients ask it where a chunk is, remember the answer, and talk to
//! the chunkservers.
//!
//! # Who is the newest
//!
//! The master does not know what is in a chunk. So how can it tell which of three servers missed a write
//! while it was down? Each chunk has a version, and the master raises it whenever it makes one of the
//! replicas the *primary*, by a *lease*. A replica that was away has an older version when it comes back: it
//! is *stale*, nobody is sent there, and it is deleted once a current one is alive: until then it may be all
//! that is left. The versions are in the master's log. Places are not; after a restart the servers tell what
//! they have.
//!
//! # Who decides the order
//!
//! Several clients write to one chunk at once. They push their data to all replicas first, in any order; then
//! they ask the primary, which gives each mutation a number, applies it, and has the other replicas apply it
//! in the same order. The primary stops when its lease is over, by its own clock. The master waits a little
//! longer before it makes another one. So there are never two, even if nobody can reach the primary any more.
//!
//! An append from beginning to end (§3.1, Figure 2), where nothing fails:
//!
//! ```text
//! client ── find_chunk ─▶ master    chunk 7, version 5, on servers 1, 2, 3; 2 is the primary for 400 ms
//! client ── push_data ──▶ 3 ─▶ 2 ─▶ 1                 the nearest first; nothing is decided yet
//! client ── append ─────▶ 2         offset 512, mutation 9 under the lease of version 5
//!                         2 ── apply 9 ─▶ 1 and 3      both have applied 1 to 8, and answer
//! client ◀─── 512 ─────── 2         the record stands at 512 on all three
//! ```
//!
//! The next append needs the last three lines only: the place is known while the lease lasts.
//!
//! # What a failure leaves
//!
//! A mutation that fails somewhere is not undone. For an append of the record `b` that server 3 misses:
//!
//! ```text
//! server 1   a b . b c     the primary asked 2 and 3; 3 did not answer, so the client heard "failed"
//! server 2   a b . b c     a new lease, without 3; the client tried again: b is there twice
//! server 3   a             stale, and soon deleted
//! ```
//!
//! | | alone | several at once | failed |
//! |---|---|---|---|
//! | write | defined | consistent, but perhaps mingled | inconsistent |
//! | append | defined, with padding and repetitions between | the same | inconsistent |
//!
//! *Consistent*: all replicas have the same bytes. *Defined*: and they are those of one whole mutation.
//! Applications live with that by records that carry a checksum and a number (`gfs_client::records`).
//!
// handout: drop classic
//! # How to read
//!
//! | file | content | paper |
//! |---|---|---|
//! | the crate `gfs-messages` | all messages and errors; sizes and times; names | §2 |
//! | `locations.rs`, `leases.rs` | what it learns anew: who has what, who is the primary | §2.6, §3.1 |
//! | `master.rs`, `refusals.rs` | the master's monitor and handlers | §2.4, §4.1 |
//! | `grants.rs` | a lease is granted and taken back; snapshots | §3.1, §3.4 |
//! | `repair.rs` | lost replicas, deleted files, heartbeats | §4.3, §4.4 |
//! | `ship.rs` | shadows | §5.1.3 |
//! | `replica.rs` | a chunkserver's rules | §3.1, §3.2 |
//! | `chunkserver.rs` | its monitor, its threads, its handlers | §3 |
//! | the crate `gfs-disk` | the names and their log; chunks and checksums; pushed data | §2.6, §3.2, §5.2 |
//! | the crate `gfs-client` | the client library, and what applications build on it | §2.7, §3.3 |
//!
// handout: end
//! # What the tests need
//!
//! [`Master`], [`ChunkServer`] and `gfs_client::Client` with [`Settings`], and the messages of [`rpc`], on
//! which the tests watch every rule. The disk is yours to lay out. When the tests damage bytes they look for
//! those that they have written, so data must stand there as they are, at least eight in a row; a bit flips
//! wherever they stand. A shadow's disk is laid out like the master's: when the master loses its own, it
//! starts with a copy of the shadow's. Directed tests take [`buffer::Buffer`], [`disk::ChunkDisk`] and
//! [`oplog::Oplog`] by themselves.
//!
// handout: drop classic
//! # What this solution does beyond the paper, and why
//!
//! - **Numbers for versions are reserved in the log before any server hears of them.** If the master crashes
//!   in the middle, it will never give the same number to other replicas.
//! - **A version counts only if all that were asked for it have it.** A server whose answer was lost would
//!   otherwise come back with the current version and without the mutations.
//! - **A lease ends at a moment of the primary's clock** that the primary has named itself. So a late copy of
//!   a grant lasts no longer.
//! - **A primary whose secondary fails gives its lease back** at once, and need not wait for its end.
//! - **A clone takes the lease back first.** A mutation meanwhile would miss the new replica.
//! - **A lease that is wanted back is not extended**, so whoever waits for its end need not wait for ever,
//!   also if the master does not reach the primary.
//! - **A refusal stands in the log**, so that a late copy of the change is refused by the next life, too.
//! - **A rename may replace a file**, in one step: MapReduce commits its outputs that way.
//!
// handout: end
//! # What is left out on purpose
//!
//! - **Directories, permissions, quotas.** Names are paths in one table.
//! - **A second master.** Its log survives elsewhere ([`Settings::remote_copies`]); starting it there is the
//!   operator's work, as in the paper.
//! - **Racks and rebalancing.** Distance is the difference of two servers' numbers.

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
mod chunkserver;
// handout: drop classic
mod grants;
pub mod leases;
pub mod locations;
// handout: end
mod master;
// handout: drop classic
mod refusals;
mod repair;
mod replica;
mod ship;
// handout: end

pub use chunkserver::ChunkServer;
pub use gfs_disk::{buffer, disk, namespace, oplog};
// handout: drop classic
use gfs_messages::TRIES;
// handout: end
pub use gfs_messages::{Settings, path, rpc};
pub use master::Master;
