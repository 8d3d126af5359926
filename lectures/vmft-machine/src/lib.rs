//! The guest machine of the lab `vmft`, an assembler for it, and sample guests. Students are given it as it
//! is.
//!
//! The machine knows nothing of hosts, logs or networks. What it promises is determinism: [`machine`] says
//! which three methods are the only ways by which anything from outside reaches a guest.
//!
//! Read `instruction.rs`, then `machine.rs` and `events.rs`; `guests.rs` has programs to try it with.

pub mod assembler;
mod events;
pub mod guests;
pub mod instruction;
pub mod machine;

pub use assembler::assemble;
pub use instruction::{LoadError, Operation, Program};
pub use machine::{Interrupt, Machine, Output, Probe, Stop, Trap};
