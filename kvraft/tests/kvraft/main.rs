//! The tests of the key/value lab: parts 3A and 3B, and situations that chance brings about too
//! rarely (`directed_…`).

mod directed_3a;
mod directed_3b;
mod part_3a;
mod part_3b;
