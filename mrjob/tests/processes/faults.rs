//! Workers that are killed, and coordinators.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::stage::{Process, Stage, await_event, verdict};

/// Kills workers with SIGKILL, one after the other, as soon as each has been at work for a moment, and starts
/// others, until the job is done.
fn survives_kills(arguments: &[&str]) {
    let stage = Stage::with_large_text(16);
    let job =
        ["coordinator", "--app", "wc", "--split", "1", "--timeout", "300", "--reduces", "7", "large.txt"];
    let mut coordinator = stage.start(&[&job[..], arguments].concat());
    let mut workers = [stage.worker(), stage.worker(), stage.worker()];
    let mut born = Instant::now();
    let mut killed = 0;
    let succeeded = await_event("the end of the job", || {
        // Every worker that is killed has had the time for two or three maps of about ten milliseconds.
        if killed < 12 && born.elapsed() > Duration::from_millis(30) {
            let victim = &mut workers[killed % 3];
            victim.kill();
            *victim = stage.worker();
            killed += 1;
            born = Instant::now();
        }
        coordinator.ended()
    });
    assert!(succeeded);
    assert!(killed > 0, "the job was over before a worker could be killed");
    let sequential = stage.run(&["sequential", "--app", "wc", "--out", "expected", "large.txt"]);
    assert!(sequential.status.success());
    let expected = fs::read_to_string(stage.path().join("expected/mr-out-0")).unwrap();
    let mut expected: Vec<&str> = expected.lines().collect();
    expected.sort_unstable();
    assert_eq!(stage.lines(), expected);
    for worker in &mut workers {
        worker.wait();
    }
    stage.is_clean();
}

#[test]
fn workers_are_killed_all_the_time() {
    survives_kills(&[]);
}

#[test]
fn workers_are_killed_with_the_intermediate_files_on_their_disks() {
    survives_kills(&["--local-disks"]);
}

/// A job that lasts for eight seconds and more: a worker that is alone waits for a second one
/// in each map, and gives up after a second.
const LONG: [&str; 2] = ["--app", "mtiming"];

#[test]
fn workers_end_when_the_coordinator_is_killed() {
    let stage = Stage::with_books();
    let mut coordinator = stage.coordinator(&LONG);
    let mut worker = stage.start(&["worker", "--patience", "200"]);
    await_event("a map", || stage.names(".", "mr-worker-map-").pop());
    coordinator.kill();
    assert!(!worker.wait(), "a worker that has lost its coordinator tells so");
    assert_eq!(stage.lines(), Vec::<String>::new(), "no output of half a job appears");
}

#[test]
fn a_job_can_be_interrupted() {
    let stage = Stage::with_books();
    let books = stage.names(".", "pg-");
    let books: Vec<&str> = books.iter().map(String::as_str).collect();
    let mut run = stage.start(&[&["run", "--workers", "1"], &LONG[..], &books].concat());
    await_event("a map", || stage.names(".", "mr-worker-map-").pop());
    run.signal(Signal::SIGTERM);
    assert!(!run.wait());
    assert_eq!(stage.lines(), Vec::<String>::new());
    stage.is_clean();
    assert_eq!(stage.names(".", "mrjob-"), Vec::<String>::new(), "nor is anything left of the workers");
}

/// A worker that is interrupted ends at once, whatever the user's function does, and leaves nothing.
#[test]
fn a_worker_can_be_interrupted() {
    let stage = Stage::with_books();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut coordinator = stage.coordinator(&LONG);
        let mut worker = stage.worker();
        let marker = await_event("a map", || stage.names(".", "mr-worker-map-").pop());
        assert_eq!(stage.names(".", "mrjob-w-").len(), 1);
        worker.signal(signal);
        assert!(!worker.wait());
        assert_eq!(stage.names(".", "mrjob-w-"), Vec::<String>::new());
        fs::remove_file(stage.path().join(marker)).unwrap();
        coordinator.signal(signal);
        assert!(!coordinator.wait());
        stage.is_clean();
    }
}

#[test]
fn run_replaces_workers_that_die() {
    let stage = Stage::with_books();
    let books = stage.names(".", "pg-");
    let books: Vec<&str> = books.iter().map(String::as_str).collect();
    let job = ["run", "--app", "crash", "--parameter", "100", "--timeout", "300", "--workers", "3"];
    let output = stage.run(&[&job[..], &books].concat());
    assert_eq!(verdict(&output), (0, String::new()));
    assert_eq!(stage.lines(), stage.expected("nocrash"));
    stage.is_clean();
}

#[test]
fn a_worker_waits_for_its_coordinator_but_not_for_ever() {
    let stage = Stage::with_books();
    let mut early = stage.worker();
    let mut coordinator = stage.coordinator(&["--app", "wc"]);
    assert!(early.wait());
    assert!(coordinator.wait());
    let lonely = stage.run(&["worker", "--patience", "50"]);
    let (code, reason) = verdict(&lonely);
    assert_eq!(code, 1);
    assert!(reason.contains("does not answer"), "{reason}");
}

#[test]
fn intermediate_files_travel_over_sockets() {
    let stage = Stage::with_books();
    let mut coordinator = stage.coordinator(&["--app", "indexer", "--local-disks"]);
    let mut workers = [stage.worker(), stage.worker(), stage.worker()];
    assert!(coordinator.wait());
    assert!(workers.iter_mut().all(Process::wait));
    assert_eq!(stage.lines(), stage.expected("indexer"));
    stage.is_clean();
}
