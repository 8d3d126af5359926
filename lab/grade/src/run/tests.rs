use super::*;

/// What lab code prints and how it ends is the submission's fault, whatever it looks like.
#[test]
fn no_submission_can_look_like_a_broken_grader() {
    let end = |code, output: &str| End { cause: Cause::Exit(code), output: output.to_owned() };
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

/// What a clock near a bound says is another thing on another machine: a death is one, however late it comes.
/// Beside tests without points deaths cost the others their runs, beside tests with points they do not.
#[test]
fn a_death_is_never_slow() {
    let died = |ms: u64| Report { kind: Some(Kind::Died), real_ns: ms * 1_000_000, ..Report::default() };
    for ms in [0, 2_999, 3_001, 60_000] {
        let runs = [died(ms), died(ms), died(ms)];
        assert_eq!((hopeless(&runs[..2]), hopeless(&runs)), (None, Some(2)), "{ms} ms");
        assert_eq!([0, 5].map(|points| is_lost(&test("one", points, 120), &runs)), [true, false], "{ms} ms");
    }
    let slow = Report { kind: Some(Kind::Blocked), ..Report::default() };
    assert!(is_lost(&test("one", 5, 120), &[slow.clone(), slow.clone()]));
    let passed = Report { ok: true, ..Report::default() };
    assert!(!is_lost(&test("one", 0, 120), &[passed, slow.clone(), slow.clone(), slow]));
}

/// What a machine measured is another one's next time, and no student is told of "#.# s".
#[test]
fn what_was_measured_is_left_out_of_a_sentence() {
    let said = without_measures("the thread has not called the runtime for 11.5 s: it loops (seed 7)");
    assert_eq!(said, "the thread has not called the runtime for … s: it loops");
}

fn test(name: &str, points: u32, virtual_s: u64) -> Test {
    Test {
        name: name.to_owned(),
        title: String::new(),
        part: "2A".to_owned(),
        points,
        krate: "raft".to_owned(),
        path: format!("part_2a::{name}"),
        limits: Limits { virtual_s, real_s: 30, memory_mb: 512, processor_s: 2 },
        percent: 100,
    }
}

/// A process for each limit would cost more than the tests in it.
#[test]
fn tests_of_a_part_share_a_process_whatever_their_virtual_time() {
    let tests = [("quick", 1, 120), ("slow", 0, 900), ("quiet", 0, 120)];
    let tests = tests.map(|(name, points, virtual_s)| (test(name, points, virtual_s), 1..3));
    let groups = groups(&tests);
    assert_eq!(groups.len(), 1);
    let variables = variables(&groups[0].0, tests[0].0.limits);
    assert!(
        variables.contains(&("LAB_VIRTUAL_LIMIT_S".to_owned(), "120,slow=900".to_owned())),
        "{variables:?}"
    );
}

/// The repetition begins in the middle of the seeds; a report in another order is none.
#[test]
fn reports_come_in_the_order_of_the_seeds_that_were_asked_for() {
    let (one, order) = (test("one", 1, 120), [5, 6, 3, 4]);
    let (tests, mut reports) = (vec![&one], Reports::new());
    for (seed, is_next) in
        [(3, false), (5, true), (5, false), (6, true), (4, false), (3, true), (4, true), (7, false)]
    {
        let report =
            Report { version: labreport::VERSION, test: "one".to_owned(), seed, ..Report::default() };
        let line = format!("secret {}", serde_json::to_string(&report).expect("a report has a text"));
        let taken = asked_for(line.as_bytes(), "secret", &tests, &order, &reports);
        assert_eq!(taken.is_some(), is_next, "{seed}");
        taken.into_iter().for_each(|report| reports.entry("one".to_owned()).or_default().push(report));
    }
}

/// Of what earns nothing the first pass alone is repeated; the others count as they came.
#[test]
fn a_pass_that_may_earn_points_counts_only_if_it_is_repeated() {
    for (points, counts) in [(5, [false, false]), (0, [false, true])] {
        let one = test("one", points, 120);
        let pass = |seed| Report { seed, ok: true, hash: "a".to_owned(), ..Report::default() };
        let reports = Reports::from([("one".to_owned(), vec![pass(7), pass(8)])]);
        let runs = judge(&one, &reports, &Reports::new(), &BTreeMap::new());
        assert_eq!([runs.runs[0].passed, runs.runs[1].passed], counts, "{points} points");
        assert_eq!(runs.unequal.map(|(seed, _)| seed), Some(7));
    }
}

/// A test that takes limits' time is not made to take it again for nothing.
#[test]
fn an_expensive_test_without_points_is_not_repeated() {
    let one = test("one", 0, 120);
    let slow = Report { seed: 8, kind: Some(Kind::RealTime), ..Report::default() };
    let runs = [Report { seed: 7, ok: true, ..Report::default() }, slow];
    assert!(is_repeated(&one, &runs[0], &runs[..1]));
    assert!(!is_repeated(&one, &runs[0], &runs));
}

/// Tests with other seeds have a process of their own, and those without any have none.
#[test]
fn tests_with_the_same_seeds_share_a_process() {
    let of = |name, points, seeds| (test(name, points, 120), seeds);
    let tests = [
        of("graded", 5, 100..150),
        of("one", 0, 100..120),
        of("none", 0, 100..100),
        of("two", 0, 100..120),
        of("rare", 0, 100..150),
    ];
    let groups = groups(&tests);
    let names = |group: &Group<'_>| group.iter().map(|test| test.name.clone()).collect::<Vec<_>>();
    let said: Vec<_> = groups.iter().map(|(group, seeds)| (names(group).join(" "), seeds.clone())).collect();
    assert_eq!(said, [("graded rare".to_owned(), 100..150), ("one two".to_owned(), 100..120)]);
}
