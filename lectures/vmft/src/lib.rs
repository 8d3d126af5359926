//! The lecture on primary/backup replication as a lab: a virtual machine that survives the loss of its host.
//!
// handout: drop
//! This crate is the reference solution.
// handout: end
// handout: put
// //! This crate is yours. The machine and its guests are given.
// handout: end
//! An unmodified guest program runs on two hosts, in lockstep. Clients see one machine; if either host dies,
//! or the two can no longer reach each other, one of them goes on alone. Then it clones the guest to a third
//! host, and the machine is fault-tolerant again.
//!
//! The paper is Scales, Nelson and Venkitachalam, *The design of a practical system for fault-tolerant
//! virtual machines* (SIGOPS OSR 44(4), 2010). Its rules have numbers here:
//!
//! | rule | content |
//! |---|---|
//! | R1 | An interrupt is delivered on the backup after exactly as many instructions as on the primary. |
//! | R2 | The backup never runs beyond the newest entry that it has. |
//! | R3 | The primary carries non-deterministic instructions out; the backup takes their results from the log. |
//! | R4 | An output leaves when the backup has received every entry up to it. |
//! | R5 | The outputs of the backup do not leave. |
//! | R6 | Received is enough for an acknowledgement, replayed is not needed. |
//! | R7 | A host that does not hear the other one asks a third party for a flag; one of them gets it. |
//! | R8 | A backup that has the flag replays all that it has received, and then goes live. |
//! | R9 | A primary that has the flag goes on alone, and its outputs wait for nobody. |
//! | R10 | A host that is alone clones the guest to a new backup, in a new epoch. |
//! | R11 | A backup that is far behind slows the primary down; a full log stops the guest. |
//! | R12 | A machine that ends or is switched off ends on both hosts, and nobody goes live. |
//!
//! # Replicate the input, not the state
//!
//! A guest is a deterministic machine with a few exceptions: interrupts, and instructions such as "read the
//! clock". If the primary writes down exactly these, and *when* they came, counted in retired instructions,
//! the backup can replay them and has the same state, bit for bit. An example:
//!
//! ```text
//! entry 7   icount 4210   interrupt: packet "increment"    delivered before the guest's instruction 4211
//! entry 8   icount 4231   output 3, digest 8c41…           instruction 4231 sent the answer
//! entry 9   icount 4260   interrupt: timer
//! ```
//!
//! The backup never runs beyond the newest entry that it has (R2): only the primary knows whether an
//! interrupt comes next. So it is always at least one entry behind.
//!
//! # The output rule
//!
//! Suppose the counter stands at 10, the primary takes an increment, answers 11, and dies before the backup
//! has heard of it. The backup goes on from 10; the next client's increment gets 11, too. So an output may
//! leave only when the backup has *received* every entry up to it (R4). Received is enough (R6): it will
//! replay them before it goes live. The guest does not wait, only its output does.
//!
//! Nobody can know whether the primary died just before or just after an output left. So the backup sends it
//! again, and clients drop what comes twice, as TCP does.
//!
//! # One of two
//!
//! When the hosts cannot hear each other, each might go on alone: a split brain. Two hosts cannot decide this
//! among themselves. They ask a third party for a flag with test-and-set (R7): whoever finds it clear goes
//! on, the other halts for good, and a host that gets no answer waits. The flag stands on the shared disk,
//! which a host needs anyway.
// handout: drop
//! [`KvArbiter`] keeps it in the Raft-based key/value service instead, so that no single machine decides.
// handout: end
//!
// handout: drop classic
//! # How to read
//!
//! | file | content |
//! |---|---|
//! | the crate `vmft-machine` | the guest machine, an assembler, sample guests |
//! | `rpc.rs` | entries of the log, and all messages |
//! | `record.rs`, `replay.rs` | the two halves of the replication: R1 to R3, R5, R6 |
//! | `log.rs` | the primary's end of the channel |
//! | `state.rs` | a host's guest and its outputs: R4, R11, R12 |
//! | `decisions.rs` | the other host, going live, repair: R7 to R11 |
//! | `server.rs` | the monitor, the threads, the handlers |
//! | `arbiter.rs`, `disk.rs`, `cluster.rs` | the flag, the shared disk, the free hosts |
//! | `client.rs` | clients, and the network outside |
//! | `transfer.rs` | the bytes of state transfer, for comparison |
//!
// handout: end
//! # What the tests need
//!
//! [`Host`] with [`Peers`] and [`Settings`], the messages of `rpc.rs`, and the pure halves [`Recorder`] and
//! [`Replayer`]. Lockstep is watched through the machine's [`Probe`], everything else on the network.
//!
// handout: drop classic
//! # What this solution does beyond the paper, and why
//!
//! - **Outputs are kept until they have left.** The paper's backup drops its outputs and relies on clients
//!   that ask again. Here the primary says which outputs have left (`released`), and a backup that goes live
//!   sends the others. So no console byte is ever missing.
//! - **Writes to the disk have the number of their output.** A late copy of an earlier write changes nothing.
//! - **Each attempt to clone has its own epoch**, so that a host with the state of a failed attempt can never
//!   win a flag.
//!
// handout: end
//! # What is left out on purpose
//!
//! - **A second core.** Two cores that share memory race, and a race is not replayed by counting.
//! - **Several machines on one host.** Hosts would share nothing but the processor.
//! - **Bugs of the guest.** Both copies fail alike; a trap stops the machine on both hosts.
//! - **Detection of lost packets of clients.** They ask again.

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
pub mod arbiter;
mod client;
mod cluster;
// handout: drop classic
mod decisions;
// handout: end
pub mod disk;
// handout: drop apart
mod kv_arbiter;
// handout: end
// handout: drop classic
mod log;
// handout: end
mod record;
mod replay;
pub mod rpc;
mod server;
mod state;
pub mod transfer;

pub use arbiter::{Arbiter, DiskArbiter, Flag};
pub use client::{Client, RESEND, Wire};
pub use cluster::ClusterServer;
pub use disk::DiskServer;
// handout: drop apart
pub use kv_arbiter::KvArbiter;
// handout: end
// handout: drop classic
pub use log::Log;
// handout: end
pub use record::{Held, HostSources, Recorder, Sources, VIRTUAL_HOST};
pub use replay::Replayer;
pub use rpc::{Entry, EntryKind};
pub use server::{Host, Peers, Status, VM};
// handout: drop classic
pub use state::{Pace, Role, Settings, State};
// handout: end
// handout: put classic
// pub use state::{Role, Settings};
// handout: end
pub use vmft_machine::{
    Interrupt, LoadError, Machine, Operation, Output, Probe, Program, Stop, Trap, assembler, guests,
    instruction, machine,
};
