//! The tests of the MapReduce lab.

mod part_a;
mod sim;
mod tasks;
