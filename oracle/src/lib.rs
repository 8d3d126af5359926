//! A consensus module that is no Raft, for those who work on the labs above it.
//!
//! All servers of a cluster share a `book::Book`, which stands outside of the simulated network and which
//! no crash reaches. What is agreed on is what the book says. So there are no votes that count, no logs that
//! differ and nothing to repair: this crate tells nobody how Raft does it. Only one thing is asked of the
//! network: who can reach whom. A server that cannot reach a majority gets nothing written into the book as
//! committed, and a server that the leader cannot reach learns nothing from it. A service above therefore
//! sees what it would see above a Raft:
//!
//! | fault | what the service sees |
//! |---|---|
//! | a leader is cut off | it goes on believing that it leads, and nothing that it starts is ever committed; with `check_quorum`, `pre_vote` or leases it gives up soon |
//! | leadership is lost | entries that were not committed vanish, or some of them are committed later after all |
//! | a server crashes | it hands over everything behind its snapshot again; if the leader's log begins later, the leader's snapshot |
//! | messages are lost or slow | commands take longer, and leaders may change |
//! | no majority | no command is committed, and no leader is made |
//!
//! A message of [`server::Oracle`] carries a term and two indices, whatever the commands: tests that count
//! bytes on the network are not for this module.
//!
//! # How to read
//!
//! `book.rs`: what is agreed on. `messages.rs`: who reaches whom. `disk.rs`: what a server writes.
//! `server.rs`: a server and its threads. `over.rs`: the choice between a lab's Raft and this, made when a
//! test begins.

mod book;
mod disk;
mod messages;
mod over;
mod server;

pub use over::{OVER, Over};
pub use server::Oracle;
