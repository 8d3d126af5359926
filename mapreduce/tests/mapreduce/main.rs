//! The tests of the MapReduce lab.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the books are read from the file system"
)]

mod any_order;
mod game;
mod part_a;
mod part_b;
mod reading_path;
mod rules;
mod rules_b;
mod sim;
mod under_test;
