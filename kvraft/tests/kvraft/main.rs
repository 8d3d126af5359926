//! The tests of the key/value lab: parts 3A and 3B, and directed tests that stage rare interleavings
//! (`directed_…`). They know a solution through `labapi`'s traits alone, except for `late.rs`, which also
//! calls the clerk's own methods: they return errors.

mod directed_3a;
mod directed_3b;
mod even;
mod late;
mod no_delay;
mod part_3a;
mod part_3b;
mod stale_reads;
