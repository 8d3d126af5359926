//! The tests of the distributed file system: part A files and the client, part B leases and mutations, part C
//! the master's log and its shadows, part D damage, repair, snapshots. The lecture's stories, directed tests
//! and errors follow.

mod cluster;
// handout: drop
mod deaf_master;
// handout: end
mod directed;
mod directed_copies;
mod directed_late;
mod directed_news;
mod directed_rules;
mod errors;
// handout: drop
mod mapreduce_jobs;
// handout: end
mod model;
mod names;
mod part_a;
mod part_b;
mod part_b_crashes;
mod part_c;
mod part_d;
mod stories;
mod watch;
