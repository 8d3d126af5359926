//! A coordinator that is killed, and another one that goes on.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::stage::{Stage, verdict};

const JOB: [&str; 9] = ["--app", "wc", "--split", "1", "--workers", "2", "--reduces", "40", "large.txt"];

/// Killed at 20 moments all over the job, it goes on to the same output, and repeats no task that was done.
#[test]
fn a_run_that_was_killed_goes_on_to_the_same_output() {
    let stage = Stage::with_large_text(8);
    let begun = Instant::now();
    let whole = stage.run(&[&["run", "--out", "whole"][..], &JOB].concat());
    let length = begun.elapsed();
    assert_eq!(verdict(&whole), (0, String::new()));
    let expected = stage.lines_in("whole");
    let (mut went_on, mut had_done) = (0, 0);
    for moment in 0..20_u32 {
        let mut run = stage.start(&[&["run", "--out", "out"][..], &JOB].concat());
        // Moments that a random walk over the job would find, and the same ones each time as far as clocks
        // allow.
        thread::sleep(
            length.mul_f64(f64::from(moment * 7 % 20) / 20.0)
                + Duration::from_micros(u64::from(moment) * 137),
        );
        run.kill();
        let resumed = stage.run(&[&["run", "--resume", "--out", "out"][..], &JOB].concat());
        let (code, reason) = verdict(&resumed);
        assert_eq!(code, 0, "{reason}");
        if let Some(rest) = reason.strip_prefix("mrjob: continues a job of which ") {
            went_on += 1;
            had_done += rest.split(' ').next().unwrap().parse::<usize>().unwrap();
        }
        assert_eq!(stage.lines_in("out"), expected, "killed at moment {moment}: {reason}");
        assert_eq!(stage.names("out", "."), Vec::<String>::new());
        fs::remove_dir_all(stage.path().join("out")).unwrap();
    }
    assert!(went_on >= 8 && had_done >= 20, "{went_on} of 20 went on, from {had_done} tasks in all");
    assert_eq!(stage.names(".", "mrjob-"), Vec::<String>::new());
}

/// The same with intermediate files on the workers' disks, which die with them: only reduces are kept.
#[test]
fn a_run_on_local_disks_goes_on_too() {
    let stage = Stage::with_large_text(8);
    let job = [&JOB[..], &["--local-disks"]].concat();
    let begun = Instant::now();
    assert_eq!(verdict(&stage.run(&[&["run", "--out", "whole"][..], &job].concat())), (0, String::new()));
    let length = begun.elapsed();
    for moment in 1..6_u32 {
        let mut run = stage.start(&[&["run", "--out", "out"][..], &job].concat());
        thread::sleep(length.mul_f64(f64::from(moment) / 6.0));
        run.kill();
        let (code, reason) = verdict(&stage.run(&[&["run", "--resume", "--out", "out"][..], &job].concat()));
        assert_eq!(code, 0, "{reason}");
        assert_eq!(stage.lines_in("out"), stage.lines_in("whole"));
        fs::remove_dir_all(stage.path().join("out")).unwrap();
    }
}

/// Another job is not gone on with, and neither is one whose input has changed; and what is there stays.
#[test]
fn only_the_same_job_is_resumed() {
    let stage = Stage::with_large_text(8);
    let mut run = stage.start(&[&["run", "--out", "out"][..], &JOB].concat());
    super::stage::await_event("a map", || stage.names("out", ".mr-job").pop());
    super::stage::await_event("intermediate files", || {
        let job = stage.names("out", ".mr-job").pop()?;
        stage.names(&format!("out/{job}"), "mr-0-").pop()
    });
    run.kill();
    let refused = |arguments: &[&str], piece: &str| {
        let (code, reason) =
            verdict(&stage.run(&[&["run", "--resume", "--out", "out"][..], arguments].concat()));
        assert_eq!(code, 1, "{reason}");
        assert!(reason.contains("nothing to resume") && reason.contains(piece), "{reason}");
        assert_eq!(stage.names("out", ".mr-job").len(), 1, "what was done is still there");
    };
    refused(&["--app", "indexer", "--split", "1", "--reduces", "40", "large.txt"], "`wc`");
    refused(&["--app", "wc", "--split", "1", "--reduces", "41", "large.txt"], "40 reduces");
    refused(&["--app", "wc", "--split", "2", "--reduces", "40", "large.txt"], "--split");
    let text = fs::read(stage.path().join("large.txt")).unwrap();
    stage.write("large.txt", &text);
    refused(&JOB, "large.txt has changed");
    // Without --resume the job begins anew, and removes it.
    assert_eq!(verdict(&stage.run(&[&["run", "--out", "out"][..], &JOB].concat())), (0, String::new()));
    assert_eq!(stage.names("out", "."), Vec::<String>::new());
    // Then there is nothing to resume, and it begins.
    let (code, reason) = verdict(&stage.run(&[&["run", "--resume", "--out", "out"][..], &JOB].concat()));
    assert_eq!((code, reason.contains("nothing to resume")), (0, true), "{reason}");
}

/// The workers of a `coordinator` that was killed live on for a while, and work for the one that takes its
/// place.
#[test]
fn workers_live_through_a_coordinator_that_is_started_again() {
    let stage = Stage::with_large_text(8);
    let job = ["--app", "wc", "--split", "1", "--reduces", "40", "large.txt"];
    let mut first = stage.start(&[&["coordinator"][..], &job].concat());
    let mut workers = [stage.worker(), stage.worker()];
    super::stage::await_event("intermediate files", || {
        let directory = stage.names(".", ".mr-job").pop()?;
        stage.names(&directory, "mr-3-").pop()
    });
    first.kill();
    let mut second = stage.start(&[&["coordinator", "--resume"][..], &job].concat());
    assert!(second.wait());
    assert!(workers.iter_mut().all(super::stage::Process::wait));
    assert_eq!(
        verdict(
            &stage.run(&[&["sequential", "--out", "expected"][..], &["--app", "wc", "large.txt"]].concat())
        )
        .0,
        0
    );
    assert_eq!(stage.lines(), stage.lines_in("expected"));
    stage.is_clean();
}
