//! What a chunkserver of the lecture's file system keeps: chunks on its disk, and data in memory that wait
//! for their mutation. The crate `gfs` explains the system, and decides what is written and when; here is
//! how it is stored.
//!
//! | file | content | paper |
//! |---|---|---|
//! | `disk.rs` | chunks as files, with checksums for their blocks | §5.2 |
//! | `buffer.rs` | pushed data, the least recently used of which go first | §3.2 |
//!
//! Both know nothing of leases, versions that count, or other servers. So each can be tested by itself: any
//! byte of a file may change, and no read may return it.

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
pub mod buffer;
pub mod disk;

use gfs_messages::rpc;
