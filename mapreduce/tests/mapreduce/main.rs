//! The tests of the MapReduce lab.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests of real processes use the real thing"
)]

mod part_a;
mod sim;
mod scratch;
mod tasks;
