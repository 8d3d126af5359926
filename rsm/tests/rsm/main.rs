//! The tests of the replicated state machine: those of the course's 2025 edition, each with
//! and without snapshots, and what a service may rely on besides.

mod batches;
mod counter;
mod directed;
// handout: drop
mod expiry;
// handout: end
mod part_rsm;
// handout: drop
mod reads;
// handout: end
mod snapshots;
mod unwatched;
mod watching;
