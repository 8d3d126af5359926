//! The client library of the lecture's file system, which the crate `gfs` explains.
//!
//! The library is linked into applications, and knows what they do not want to know: chunks, replicas,
//! leases, and that any answer may be lost. What it cannot hide is the consistency model (§2.7.1): a write
//! that failed may be there in part, and an append may be there twice. `records.rs` is how applications live
//! with that.
//!
//! | file | content | paper |
//! |---|---|---|
//! | `client.rs` | finds chunks, remembers where they are, tries again | §2.3, §2.7, §3.2 |
//! | `records.rs` | records that tell whether they are whole, and whether they were read before | §2.7.2, §3.3 |
// handout: drop apart
//! | `mapreduce_store.rs` | the store below MapReduce's jobs | – |
// handout: end

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
mod client;
// handout: drop apart
mod mapreduce_store;
// handout: end
pub mod records;

pub use client::{Client, Error};
pub use gfs_messages::{ChunkError, MasterError, Settings};
use gfs_messages::{TRIES, rpc};
// handout: drop apart
pub use mapreduce_store::GfsStore;
// handout: end
