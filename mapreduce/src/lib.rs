//! Lab 1: MapReduce, which runs a program made of two pure functions on many machines, although these are slow, crash, and
//! lose what was on their disks.
//!
//! This is the reference solution of parts 1A (intermediate files in a shared store) and 1B (on the disks of the machines
//! that made them). It follows Dean and Ghemawat, *MapReduce: Simplified Data Processing on Large Clusters* (OSDI 2004);
//! section numbers (§) are that paper's. The paper's master is called coordinator here, as in the course.
//!
//! # What MapReduce promises
//!
//! A user writes `map`, which makes pairs of a key and a value of each record of the input, and `reduce`, which makes the
//! output of each key and all its values. The output is that of a sequential run, whatever happens to the machines,
//! provided that
//!
//! - the functions are pure: the same input gives the same output, and nothing else comes of calling them;
//! - the store keeps its word: a finished file stays, and a rename is atomic;
//! - the coordinator lives, and from time to time some worker does.
//!
//! The whole design rests on the first of these. Because a task gives the same result however often it runs, the answer to
//! every doubt is to run it again, and nobody has to know what really happened to the first attempt: whether it died,
//! is slow, or is done and cannot say so. What is left to be decided is *which* attempt counts, and there the coordinator
//! is the one who decides.
//!
//! # A job, step by step (§3.1)
//!
//! 1. The input is cut into M splits, which makes M map tasks; the keys are divided among R reduce tasks.
//! 2. Workers ask the coordinator for a task, run it, report, and ask again. They come and go as they like.
//! 3. A map reads its split and writes one file for each of the R partitions, sorted by key.
//! 4. When all maps are done, a reduce merges the files of its partition, calls the user's function for each key, and gives
//!    its output the final name as its last step.
//! 5. When all reduces are done the job is, and workers that ask are told to go. Not before: a worker that has nothing to
//!    do now may be needed when another one dies.
//!
//! # Tasks and attempts
//!
//! A task is idle, running or done (§3.2). Each time it is handed out begins another *attempt*, with a number that is never
//! used again, and all files of the attempt carry it. That makes the rest simple:
//!
//! - An attempt that is not heard of for ten seconds, or gets no further, is given up, and the task is idle again.
//! - The first report of a task's end is accepted, whichever attempt it speaks of, and all others are late. The
//!   intermediate files of the accepted attempt are the ones that reducers are sent to; nobody ever looks at the others.
//! - Several attempts of one reduce may rename their output to the same final name. Each rename shows the whole file, and
//!   all of them show the same one. (An attempt that is not wanted any more does not even do that: it asks before.)
//! - Each message names the attempt it is about. A report that comes twice, or years late, is recognised; so is a worker
//!   that has never heard of the task that it was given, which gets the same attempt once more.
//!
//! # Slow machines (§3.6)
//!
//! A job takes as long as its last task does, and a bad disk can make that one thirty times slower. When 95 % of a phase are
//! done, and workers are free, they run the remaining tasks a second time; who is done first wins. A task that has not yet
//! run for as long as others took is no straggler, so that a healthy job runs nothing twice.
//!
//! # Disks that are lost (part 1B)
//!
//! Intermediate files on the mapper's own disk cost half the traffic, and die with the machine. When a machine is declared
//! dead, or two fetches from it have failed, the finished maps that ran there are idle again, as long as some reduce has
//! not yet fetched its input. Reduces are never undone: their output lies in the shared store (§3.3).
//!
//! One trap is not in the paper: when all workers run reduces that wait for a lost output, nobody is left to make it again.
//! So a reduce that waits lends its worker to the coordinator for a map ([`rpc::GetTaskArgs::running`]).
//!
//! # How to read
//!
//! | file | what | with the paper's |
//! |---|---|---|
//! | `app.rs`, `apps/` | what a user writes, and a dozen examples | §2 |
//! | `rpc.rs` | what coordinator and workers say to each other | §3.1 |
//! | `tasks.rs` | the tasks of a phase: idle, running, done; the order in which they go out | §3.2, §3.4 |
//! | `rules.rs` | time-outs, and which stragglers are backed up | §3.3, §3.6 |
//! | `state.rs` | what a coordinator knows; who gets which task | §3.2, §3.4, §3.6 |
//! | `reports.rs` | progress, success, failure, bad records | §3.3, §4.6, §4.8 |
//! | `recovery.rs` | silence, dead machines, lost outputs | §3.3 |
//! | `events.rs` | what observers are told | – |
//! | `server.rs` | the coordinator's lock, thread and handlers | – |
//! | `worker.rs` | ask, run, report | §3.1 |
//! | `commit.rs` | the last look before an output gets its final name | §3.3 |
//! | `fetch.rs` | the shuffle of part 1B | §3.1, §3.4 |
//! | `task/` | running one map or reduce: read, sort, spill, merge, write | §3.1, §4.2, §4.3 |
//! | `store.rs`, `names.rs`, `directory.rs` | where files live, and what they are called | §3.3 |
//! | `wire/`, `cli/`, `main.rs` | real processes: sockets and the command line | – |
//! | `sequential.rs`, `zipf.rs` | the run that all others are compared with; text to run it on | – |
//!
//! The first half decides, and knows of no thread, clock or network: each rule is a method on [`state::State`], which is told
//! the time, so that a test can call it with nothing around (`tests/mapreduce/rules.rs`, a test for each rule). `server.rs`
//! and `worker.rs` are the threads, and decide nothing. Neither knows what carries its calls: in the tests it is the
//! simulated network of `labrpc`, where a seed decides which machine crashes in the middle of which file
//! (`tests/mapreduce/part_a.rs`, `part_b.rs`); in the program `mapreduce` it is sockets between processes.
//!
//! # What is left out on purpose
//!
//! - **A coordinator that survives its own crash.** As in the paper (§3.3, master failure) the job is then lost, and run
//!   again: there is one coordinator, and it is unlikely to be the one to die.
//! - **Reducing while maps still run.** Reducers could fetch what is there already. They would hold workers that maps need,
//!   and save little where the shuffle is not the bottleneck.
//! - **Side effects.** A function that writes files of its own has to make that atomic and repeatable by itself (§4.5).
//! - **Several jobs, users, quotas.** That is the business of a cluster's scheduler, which the paper has, too.
//! - **Local execution in one process (§4.7)**, but for the command `sequential`.

pub mod app;
pub mod apps;
mod commit;
pub mod directory;
pub mod events;
mod fetch;
pub mod names;
mod recovery;
mod reports;
pub mod rpc;
mod rules;
pub mod sequential;
mod server;
pub mod state;
pub mod store;
pub mod task;
pub mod tasks;
pub mod wire;
pub mod worker;
pub mod zipf;

pub use app::Application;
pub use server::{Coordinator, Observer, Status, Summary};
pub use worker::Worker;
