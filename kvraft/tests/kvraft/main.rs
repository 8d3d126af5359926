//! The tests of the key/value lab: parts 3A and 3B, and situations that chance brings about too
//! rarely (`directed_…`).

mod part_3a;
mod part_3b;
