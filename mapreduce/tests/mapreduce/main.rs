//! The tests of the MapReduce lab.

mod tasks;
