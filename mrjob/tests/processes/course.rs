//! The seven tests of the course's script (`test-mr.sh`), with its pass conditions. Where the script sleeps
//! for seconds, the applications here wait for what the sleep was to bring about.

use super::stage::{Process, Stage, await_event};

#[test]
fn wc() {
    let stage = Stage::with_books();
    let mut coordinator = stage.coordinator(&["--app", "wc"]);
    let mut workers = [stage.worker(), stage.worker(), stage.worker()];
    assert!(coordinator.wait());
    let lines = stage.lines();
    assert_eq!(lines, stage.expected("wc"), "when the coordinator ends, the output is complete");
    assert!(lines.len() > 1000);
    assert!(workers.iter_mut().all(Process::wait));
    stage.is_clean();
}

#[test]
fn indexer() {
    let stage = Stage::with_books();
    let mut coordinator = stage.coordinator(&["--app", "indexer"]);
    let mut workers = [stage.worker(), stage.worker()];
    assert!(workers[1].wait());
    assert_eq!(stage.lines(), stage.expected("indexer"), "when a worker ends, the output is complete");
    assert!(workers[0].wait());
    assert!(coordinator.wait());
    stage.is_clean();
}

#[test]
fn map_parallelism() {
    let stage = Stage::with_books();
    let mut coordinator = stage.coordinator(&["--app", "mtiming"]);
    let mut workers = [stage.worker(), stage.worker()];
    assert!(workers.iter_mut().all(Process::wait));
    assert!(coordinator.wait());
    let lines = stage.lines();
    let times = lines.iter().filter(|line| line.starts_with("times-")).count();
    assert_eq!(times, 2, "both workers ran maps: {lines:?}");
    let parallel = lines.iter().any(|line| line.starts_with("parallel-") && line.contains(" 2"));
    assert!(parallel, "they ran at the same time: {lines:?}");
}

#[test]
fn reduce_parallelism() {
    let stage = Stage::with_books();
    let mut coordinator = stage.coordinator(&["--app", "rtiming"]);
    let mut workers = [stage.worker(), stage.worker()];
    assert!(workers.iter_mut().all(Process::wait));
    assert!(coordinator.wait());
    let lines = stage.lines();
    let parallel = lines.iter().filter(|line| line.ends_with(" 2")).count();
    assert!(parallel >= 2, "reduces ran at the same time: {lines:?}");
}

#[test]
fn job_count() {
    let stage = Stage::with_books();
    let mut coordinator = stage.coordinator(&["--app", "jobcount"]);
    let mut first = [stage.worker(), stage.worker()];
    assert!(first[0].wait());
    // They are told to exit, or find no coordinator; they must get no map.
    let second =
        [&["worker", "--patience", "100"], &["worker", "--patience", "100"]].map(|line| stage.start(line));
    assert!(first[1].wait());
    for mut worker in second {
        worker.wait();
    }
    assert!(coordinator.wait());
    assert_eq!(stage.lines(), ["a 8"], "no map ran twice");
}

#[test]
fn early_exit() {
    let stage = Stage::with_books();
    let mut processes = vec![stage.coordinator(&["--app", "early_exit"])];
    processes.extend((0..3).map(|_| stage.worker()));
    await_event("the end of any process", || processes.iter_mut().find_map(Process::ended));
    let first = stage.lines();
    assert!(processes.iter_mut().all(Process::wait));
    assert_eq!(first, stage.lines(), "no process ended before the output was complete");
    assert_eq!(first, stage.expected("early_exit"));
}

#[test]
fn crash() {
    let stage = Stage::with_books();
    // Stalls of up to 0.8 s: some are longer than the time-out, so that the worker reports too late.
    let job = ["--app", "crash", "--parameter", "800", "--timeout", "500"];
    let mut coordinator = stage.coordinator(&job);
    let mut once = stage.worker();
    let mut again = [stage.worker(), stage.worker(), stage.worker()];
    let succeeded = await_event("the end of the job", || {
        for worker in &mut again {
            if worker.ended().is_some() {
                *worker = stage.worker();
            }
        }
        coordinator.ended()
    });
    assert!(succeeded);
    assert_eq!(stage.lines(), stage.expected("nocrash"));
    once.wait();
    stage.is_clean();
}
