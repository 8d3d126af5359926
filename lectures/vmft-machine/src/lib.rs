//! The guest machine of the lab `vmft`, an assembler for it, and sample guests. Students are given it as it
//! is.
//!
//! The machine knows nothing of hosts, logs or networks. What it promises is determinism: [`machine`] says
//! which three methods are the only ways by which anything from outside reaches a guest.
//!
//! The paper (Scales, Nelson and Venkitachalam, 2010; sections § are its) replicates an x86 machine. That is
//! hard for reasons that have nothing to do with the idea: hundreds of instructions, devices that write to
//! memory, a counter of retired instructions that is exact on some processors only. This machine keeps what
//! the idea is about (interrupts between any two instructions, a clock, random numbers, packets, a disk) and
//! drops the rest.
//!
//! | file | content |
//! |---|---|
//! | `instruction.rs` | what each instruction does; the loader |
//! | `machine.rs` | the machine's state, and how it is hashed |
//! | `run.rs`, `memory.rs` | the loop; registers, memory, the stack |
//! | `events.rs` | interrupts, values, outputs: what a recording must hold |
//! | `assembler.rs`, `guests.rs` | programs as text; programs to try it with |
//!
//! A hypervisor is a loop around [`Machine::run`]:
//!
//! ```text
//! loop {
//!     match machine.run(limit) {
//!         Exit::Limit                 => it may be time for an interrupt
//!         Exit::Waiting               => sleep until one is due
//!         Exit::Nondeterministic(op)  => finish_nondeterministic(the clock, say)
//!         Exit::Output(output)        => finish_output(&output), and send it when that is allowed
//!         Exit::Stopped(stop)         => the guest has ended
//!     }
//! }
//! ```

pub mod assembler;
mod events;
pub mod guests;
pub mod instruction;
pub mod machine;
mod memory;
mod run;

pub use assembler::assemble;
pub use instruction::{LoadError, Operation, Program};
pub use machine::{Interrupt, Machine, Output, Probe, Stop, Trap};
