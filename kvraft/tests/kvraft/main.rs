//! The tests of the key/value lab: parts 3A and 3B, situations that chance brings about too rarely
//! (`directed_…`), and reads that do not go through the log.

mod bad_input;
mod broken_leases;
mod directed_3a;
mod directed_3b;
mod part_3a;
mod part_3b;
mod reads;
