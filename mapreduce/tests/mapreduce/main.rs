//! The tests of the MapReduce lab.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the books are read from the file system"
)]

// handout: drop classic
mod any_order;
// handout: end
mod coordinator_alone;
mod directed;
// handout: drop classic
mod game;
// handout: end
mod late_reports;
mod lost_sources;
mod part_a;
mod part_b;
// handout: drop
mod reading_path;
// handout: end
// handout: drop classic
mod rules;
mod rules_b;
// handout: end
mod sim;
mod tasks_alone;
mod under_test;
