//! Tests of the runtime, each in both worlds where it can be.

mod basics;
mod channels;
mod child;
mod destructors;
mod determinism;
mod locks;
mod monitors;
mod nodes;
mod policies;
mod printed;
mod reports;
mod stacks;
mod watchdog;
