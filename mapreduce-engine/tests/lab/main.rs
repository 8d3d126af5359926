//! The lab's own tests, over the engine's tasks.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the books are read from the file system"
)]

#[path = "../../../mapreduce/tests/mapreduce/coordinator_alone.rs"]
mod coordinator_alone;
#[path = "../../../mapreduce/tests/mapreduce/directed.rs"]
mod directed;
#[path = "../../../mapreduce/tests/mapreduce/late_reports.rs"]
mod late_reports;
#[path = "../../../mapreduce/tests/mapreduce/lost_sources.rs"]
mod lost_sources;
#[path = "../../../mapreduce/tests/mapreduce/part_a.rs"]
mod part_a;
#[path = "../../../mapreduce/tests/mapreduce/part_b.rs"]
mod part_b;
#[path = "../../../mapreduce/tests/mapreduce/sim/mod.rs"]
mod sim;
#[path = "../../../mapreduce/tests/mapreduce/tasks_alone.rs"]
mod tasks_alone;
mod under_test;
