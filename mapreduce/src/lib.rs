//! Lab 1: MapReduce. It runs a program made of two pure functions on many machines, although these are slow,
//! crash, and lose their disks.
//!
// handout: drop
//! This is the reference solution of parts 1A (intermediate files in a shared store) and 1B (on the disks of
// handout: end
// handout: put
// //! This crate is yours: parts 1A (intermediate files in a shared store) and 1B (on the disks of
// handout: end
//! the machines that made them). It follows Dean and Ghemawat, *MapReduce: Simplified Data Processing on
//! Large Clusters* (OSDI 2004); section numbers (§) are that paper's. The paper's master is called
//! coordinator here, as in the course.
//!
// handout: drop
//! Two more crates build on this one. `mapreduce-engine` runs tasks whose data do not fit into memory, and
//! fast. `mrjob` is the command: processes, sockets, directories, applications.
//!
//! Marks such as `handout: drop` tell which lines a student's copy has. Skip them, and the commented code
//! that follows `put`.
//!
// handout: end
//! # What MapReduce promises
//!
//! A user writes `map`, which emits pairs of a key and a value for each record of the input, and `reduce`,
//! which emits the output for each key and all its values. The output is that of a sequential run, whatever
//! happens to the machines, if
//!
//! - the functions are pure: the same input gives the same output, and calling them has no other effect;
//! - the store keeps its word: a finished file stays, and a rename is atomic;
//! - the coordinator lives, and from time to time a worker does.
//!
//! The design rests on the first condition. A task gives the same result however often it runs, so that the
//! answer to every doubt is to run it again. No one has to know what really happened to the first attempt:
//! whether it died, is slow, or is done and cannot say so. One question remains, *which* attempt counts, and
//! the coordinator alone decides it.
//!
//! # A job, step by step (§3.1)
//!
//! 1. The input is cut into M splits, which makes M map tasks; the keys are divided among R reduce tasks.
//! 2. Workers ask the coordinator for a task, run it, report, and ask again. They come and go as they like.
//! 3. A map reads its split and writes one file for each of the R partitions.
//! 4. When all maps are done, a reduce reads the files of its partition, calls the user's function for each
//!    key, and gives its output the final name as its last step.
//! 5. When all reduces are done the job is over, and workers that ask are told to exit. Not before: a worker
//!    that has nothing to do now may be needed when another one dies.
//!
// handout: put classic
// //! # What is given, and what is yours
// //!
// //! | file | what |
// //! |---|---|
// //! | `app.rs`, `apps/` | what a user writes (§2); word count and inverted index |
// //! | `rpc.rs`, `shuffle_rpc.rs`, `partitions.rs` | the messages; the tests read them, too |
// //! | `setup.rs`, `rules.rs` | what a worker starts with; the coordinator's settings |
// //! | `split.rs`, `names.rs` | cuts the input into maps; the names of files |
// //! | `store.rs`, `directory_store.rs` | files, and a directory that holds them |
// //! | `tasks.rs` | the interface between a worker and what runs its tasks |
// //! | `events.rs` | what you may show to a tester, who tells it in the story of a failure |
// //! | `sequential.rs` | the run with which all others must agree |
// //! | `state.rs`, `server.rs`, `status.rs` | yours: the coordinator |
// //! | `worker.rs` | yours: ask, run, report |
// //! | `task.rs` | yours: runs one map or reduce |
// //!
// handout: end
// handout: drop classic
//! # Tasks and attempts
//!
//! A task is idle, running or done (§3.2). Each time the coordinator hands it out, another *attempt* begins,
//! with a number that is never used again, and all files of the attempt carry that number. This keeps the
//! rest simple:
//!
//! - The coordinator gives up an attempt that has made no progress for ten seconds, and the task is idle
//!   again.
//! - It accepts the first report that a task is done, whichever attempt it is about; all others are late.
//!   Reducers read the intermediate files of the accepted attempt, and no one reads the others.
//! - Several attempts of one reduce may rename their output to the same final name. Each rename shows a whole
//!   file, and all of them the same one.
//! - Each message names the attempt that it is about, so that a report that comes twice, or hours late, does
//!   no harm.
//!
//! # How to read: part 1A
//!
//! Read these in order, and skip what is marked "skip". Four names come from elsewhere:
//!
//! - `tell` notes an event for observers (`events.rs`); it is no message to anyone.
//! - `hear` notes that a machine is alive, and returns its number; only part 1B needs machines.
//! - `Sources` lists the intermediate files for a reduce: map, attempt and machine (`shuffle_rpc.rs`).
//! - `MapTask`, `ReduceTask`, `Counters`, `TaskError` and a worker's progress are in `tasks.rs`.
//!
//! | file | what | with the paper's |
//! |---|---|---|
//! | `app.rs` | what a user writes | §2 |
//! | `rpc.rs` | the messages between coordinator and workers | §3.1 |
//! | `table.rs` | the tasks of a phase: idle, running, done | §3.2 |
//! | `state.rs` | what the coordinator knows; `get_task` | §3.1, §3.2 |
//! | `time_outs.rs` | silence | §3.3 |
//! | `reports.rs` | progress, success, failure | §3.3 |
//! | `server.rs` | the coordinator's lock, thread and handlers | – |
//! | `worker.rs` | ask, run, report | §3.1 |
//! | `task.rs` | runs one map or reduce: read, sort, write, rename | §3.1, §3.3 |
//!
//! `table.rs` to `reports.rs` decide, and know of no thread, clock or network. Each rule is a method on
//! [`state::State`], which its caller tells the time, so that a test can call it with nothing around
//! (`tests/mapreduce/rules.rs`, a test for each rule). `server.rs` and `worker.rs` have the threads, and
//! decide nothing.
//!
//! # What the later tests ask, a file each
//!
//! | file | what | test |
//! |---|---|---|
//! | `lost_replies.rs` | questions that come twice, assignments that never arrive | `mr_unreliable_rpc`, `mr_job_count` |
//! | `late_commits.rs` | a worker that was cut off, and comes back | `mr_partition_worker` |
//! | `stragglers.rs` | backup tasks (§3.6) | `mr_backup_tasks` |
//! | `bad_records.rs` | records on which map fails (§4.6) | `mr_skip_bad_record` |
//! | `combiner.rs` | reducing on the mapper's side (§4.3) | `mr_combiner_equivalent` |
//! | `lost_outputs.rs` | part 1B: machines that die with the outputs of maps (§3.3) | `mr_local_disk_lost` |
//! | `fetch.rs`, `shuffle_rpc.rs` | part 1B: the shuffle (§3.1) | `mr_fetch_failure` |
//! | `locality.rs` | part 1B: maps go where their input is (§3.4) | `mr_locality` |
//!
//! The rest is small and needs no order: `tasks.rs` (the interface between a worker and what runs its tasks),
//! `setup.rs`, `split.rs`, `partitions.rs`, `names.rs`, `store.rs`, `directory_store.rs`, `rules.rs`
//! (settings), `events.rs` (what observers see), `status.rs`, `resume.rs` (a coordinator that goes on from a
//! list of finished tasks), `sequential.rs` (the run with which all others must agree), `apps/` (word count
//! and inverted index).
//!
// handout: end
//! # What is left out on purpose
//!
//! - **Reducing while maps still run.** Reducers could fetch what exists already. They would occupy workers
//!   that maps need, and save little where the shuffle is not the bottleneck.
//! - **Side effects.** A function that writes files of its own has to make that atomic and repeatable by
//!   itself (§4.5).
//! - **Several jobs, users, quotas.** The paper, too, leaves them to a cluster's scheduler.

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
pub mod app;
pub mod apps;
// handout: drop classic
mod bad_records;
mod combiner;
// handout: end
pub mod directory_store;
pub mod events;
// handout: drop classic
mod fetch;
mod late_commits;
mod locality;
mod lost_outputs;
mod lost_replies;
// handout: end
pub mod names;
mod partitions;
// handout: drop classic
mod reports;
mod resume;
// handout: end
pub mod rpc;
mod rules;
pub mod sequential;
mod server;
mod setup;
mod shuffle_rpc;
pub mod split;
pub mod state;
mod status;
pub mod store;
// handout: drop classic
mod stragglers;
pub mod table;
// handout: end
pub mod task;
pub mod tasks;
// handout: drop classic
mod time_outs;
// handout: end
pub mod worker;

pub use app::Application;
// handout: drop classic
pub use resume::FinishedTask;
// handout: end
pub use server::{Coordinator, Observer};
pub use status::{Status, Summary};
pub use worker::Worker;
