//! Tests of the runtime, each in both worlds where it can be.

mod basics;
mod channels;
mod determinism;
mod monitors;
mod nodes;
mod policies;
mod reports;
