use super::*;

/// What lab code prints and how it ends is the submission's fault, whatever it looks like.
#[test]
fn no_submission_can_look_like_a_broken_grader() {
    let end =
        |code, output: &str| End { cause: Cause::Exit(code), output: output.to_owned(), took_long: false };
    let begun = "\nrunning 1 test\n";
    assert!(is_broken(&end(99, "lab-grade: the sandbox cannot be made: seccomp: x\n")));
    assert!(is_broken(&end(1, "bwrap: No such file\n")));
    assert!(!is_broken(&end(99, begun)));
    assert!(!is_broken(&end(99, &format!("{begun}lab-grade: the sandbox cannot be made: x\n"))));
    assert!(!is_broken(&end(1, &format!("{begun}bwrap: x\n"))));
    assert!(has_no_test(&end(0, "\nrunning 0 tests\n")));
    assert!(!has_no_test(&end(0, &format!("{begun}\nrunning 0 tests\n"))));
}

/// How many of fifty runs there are of a test that fails so at its beginning, and passes from then on.
#[test]
fn a_failure_with_the_first_seed_costs_that_seed() {
    let runs = |failures: &[Kind]| -> usize {
        let failed = failures.iter().map(|kind| Report { kind: Some(*kind), ..Report::default() });
        let passed = (failures.len()..50).map(|_| Report { ok: true, ..Report::default() });
        let mut runs: Vec<Report> = failed.chain(passed).collect();
        cut(&mut runs);
        runs.len()
    };
    assert_eq!(runs(&[Kind::StackOverflow]), 50);
    assert_eq!(runs(&[Kind::Blocked]), 50);
    assert_eq!(runs(&[Kind::Died, Kind::RealTime]), 50);
    assert_eq!(runs(&[Kind::Panic; 9]), 50);
    assert_eq!(runs(&[Kind::RealTime, Kind::RealTime]), 2);
    assert_eq!(runs(&[Kind::Exit, Kind::Died, Kind::Memory]), 3);
}

/// A submission that computes for a while and then dies costs as much as one that never ends.
#[test]
fn a_death_after_a_long_silence_is_slow() {
    let died = |late: bool| Report {
        kind: Some(Kind::Died),
        real_ns: if late { 3_000_000_000 } else { 0 },
        ..Report::default()
    };
    assert!(is_slow(&died(true)) && !is_slow(&died(false)) && is_expensive(&died(false)));
    assert_eq!(hopeless(&[died(true), died(true)]), Some(1));
    assert_eq!(hopeless(&[died(false), died(false)]), None);
    let allowance = Allowance { silence: Duration::from_secs(60), memory_mb: 1024, output: 1 << 20 };
    for (seconds, took_long) in [("0.1", false), ("4", true)] {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("sleep {seconds}; kill -9 $$")]).stdin(std::process::Stdio::null());
        let (end, ()) = run(&mut command, allowance, &Pulse::default(), || ()).expect("there is a shell");
        assert_eq!((end.cause, end.took_long), (Cause::Signal(9), took_long), "{seconds}");
    }
}

/// What a machine measured is another one's next time, and no student is told of "#.# s".
#[test]
fn what_was_measured_is_left_out_of_a_sentence() {
    let said = without_measures("the thread has not called the runtime for 11.5 s: it loops (seed 7)");
    assert_eq!(said, "the thread has not called the runtime for … s: it loops");
}
