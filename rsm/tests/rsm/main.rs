//! The tests of the replicated state machine: those of the course's 2025 edition, each with
//! and without snapshots, and what a service may rely on besides.

mod bare;
// handout: drop
mod batches;
// handout: end
mod counter;
mod directed;
// handout: drop
mod expiry;
// handout: end
mod part_rsm;
// handout: drop
mod reads;
mod snapshots;
mod unwatched;
// handout: end
mod watching;
