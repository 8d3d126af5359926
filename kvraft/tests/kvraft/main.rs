//! The tests of the key/value lab: parts 3A and 3B, directed tests that stage rare interleavings
//! (`directed_…`), and reads that bypass the log (`reads`, `broken_leases`).

mod bad_input;
mod broken_leases;
mod directed_3a;
mod directed_3b;
mod part_3a;
mod part_3b;
mod reads;
