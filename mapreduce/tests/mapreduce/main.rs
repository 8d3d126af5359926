//! The tests of the MapReduce lab.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests of real processes use the real thing"
)]

mod any_order;
mod game;
mod part_a;
mod part_b;
mod processes;
mod rules;
mod rules_b;
mod scratch;
mod sim;
mod tasks;
