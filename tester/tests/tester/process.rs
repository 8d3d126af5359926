//! What a test binary says and does as a process: this one is started again as a child, for one of the tests
//! below that do something only then.

use std::process::{Command, Output};

use labreport::{Kind, Report};
use tester::{Cluster, Retry, Setup, Test, run};

use crate::fake::{Fake, Wrong};

/// Which of the parts a child plays.
const PART: &str = "TESTER_PART";

pub(crate) fn plays(part: &str) -> bool {
    std::env::var(PART).is_ok_and(|value| value == part)
}

pub(crate) fn child(part: &str, environment: &[(&str, &str)]) -> Output {
    let module = match part {
        "busy" | "punctual" | "late" | "quick" | "quick_beside" | "slow" | "selfish" => "starved",
        "hollow" | "kept" | "twice" => "disk_lines",
        _ => "process",
    };
    let name = format!("{module}::{part}");
    let mut command = Command::new(std::env::current_exe().expect("a test binary knows where it is"));
    command.args(["--exact", &name, "--nocapture", "--test-threads", "1"]);
    for variable in [
        "LAB_SEED",
        "LAB_SEEDS",
        "LAB_REPORT",
        "LAB_RUNTIME",
        "LAB_SWARM",
        "LAB_UNWATCHED",
        "LAB_CHECK_DETERMINISM",
        "LAB_PICTURES",
    ] {
        command.env_remove(variable);
    }
    // So that no sentence that a test looks for is broken into lines.
    command.env("LAB_COLUMNS", "1000");
    command.env(PART, part).envs(environment.iter().copied());
    command.output().expect("a test binary can start itself")
}

/// The text with a blank for each line break and margin: wherever its lines end, its sentences are whole.
pub(crate) fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(crate) fn reports(output: &Output) -> Vec<Report> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter_map(|line| labreport::json_of(line.as_bytes()));
    lines.map(|json| serde_json::from_slice(json).expect("a report is JSON")).collect()
}

#[test]
fn right() {
    if plays("right") {
        run("right", |t: &Test| {
            Fake::will_be(Wrong::Nothing);
            let cluster = Cluster::<Fake>::new(t, Setup::servers(3));
            cluster.agree_on(1, 3, Retry::No);
        });
    }
}

/// Has the name of another test in its own, and another course.
#[test]
fn right_too() {
    if plays("right") {
        run("right_too", |_: &Test| labrt::thread::sleep(std::time::Duration::from_millis(3)));
    }
}

#[test]
fn sometimes_wrong() {
    if plays("sometimes_wrong") {
        run("sometimes_wrong", |t: &Test| {
            let draw: u64 = labrt::rand::random_range(0..4);
            t.expect(draw > 0, || "drew a zero".to_owned());
        });
    }
}

/// Leaves behind what panics when it is dropped, after the run.
#[test]
fn leaves_a_bomb() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a server that cannot be dropped");
        }
    }
    if plays("leaves_a_bomb") {
        run("leaves_a_bomb", |t: &Test| {
            let bomb = Bomb;
            t.at_end(move |_| {
                drop(bomb);
                tester::Figures::default()
            });
            panic!("the reason of the failure");
        });
    }
}

#[test]
fn a_destructor_that_panics_after_the_run_does_not_hide_its_failure() {
    let output = child("leaves_a_bomb", &[("LAB_SEEDS", "3..5"), ("LAB_REPORT", "1")]);
    let reports = reports(&output);
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].reason().contains("the reason of the failure"), "{}", reports[0].reason());
}

#[inline(never)]
fn compute_for_ever() {
    while std::hint::black_box(true) {}
}

#[test]
fn stuck() {
    if plays("stuck") {
        run("stuck", |t: &Test| {
            t.scene("The test begins to compute.");
            compute_for_ever();
        });
    }
}

/// Threads that wait for one another, a panic that says much, a test that has to say much of five servers.
#[test]
fn deadlocked() {
    if plays("deadlocked") {
        run("deadlocked", |t: &Test| {
            t.scene("Forty threads of a server wait for a lock that nobody gives back.");
            let lock = std::sync::Arc::new(labrt::sync::Mutex::new(()));
            let held = lock.lock();
            let server = labrt::node::Node::new("server-with-a-rather-long-name-2");
            let wait = |number: usize| {
                let lock = std::sync::Arc::clone(&lock);
                let name = format!("a_handler_of_requests_for_votes_{}", number % 3);
                server.spawn(name, move || drop(lock.lock()))
            };
            let threads: Vec<_> = (0..40).map(wait).collect();
            for thread in threads {
                let _ = thread.join();
            }
            drop(held);
        });
    }
}

#[test]
fn talkative() {
    if plays("talkative") {
        run("talkative", |t: &Test| {
            for server in 0..5 {
                t.note_server(
                    server,
                    "RequestVoteArgs{term:3,candidate_id:4,last_log_index:17,last_log_term:2}".repeat(3),
                );
            }
            panic!("{} {}", "word ".repeat(90), "x".repeat(400));
        });
    }
}

#[test]
fn no_line_of_a_report_is_wider_than_the_terminal() {
    // Side by side, for a thread that is stuck is waited for.
    std::thread::scope(|scope| {
        for width in [60, 80, 100, 160] {
            for part in ["deadlocked", "talkative", "sometimes_wrong", "stuck"] {
                scope.spawn(move || assert_fits(part, width));
            }
        }
    });
}

/// The report of the part's first failure has lines of that width at most, and few.
fn assert_fits(part: &str, width: usize) {
    let columns = width.to_string();
    let environment =
        [("LAB_SEEDS", "0..9"), ("LAB_REPORT", "1"), ("LAB_COLUMNS", &columns), ("RUST_BACKTRACE", "1")];
    let reports = reports(&child(part, &environment));
    let failed = reports.iter().find(|report| !report.ok).expect("one of nine seeds fails");
    let story = failed.report.as_deref().unwrap_or_default();
    let widest = story.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(width), "{part}: {widest:?} at {width}:\n{story}");
    let lines = story.lines().count();
    assert!(lines <= 60, "{part}, {lines} lines at {width}:\n{story}");
}

#[test]
fn undetermined() {
    if plays("undetermined") {
        run("undetermined", |_: &Test| {
            use std::sync::atomic::{AtomicU64, Ordering};
            static RUNS: AtomicU64 = AtomicU64::new(0);
            for _ in 0..RUNS.fetch_add(1, Ordering::SeqCst) {
                labrt::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
    }
}

#[test]
fn a_seed_without_a_report_gives_the_line_of_the_course() {
    let output = child("right", &[("LAB_SEED", "5")]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("right: passed, ") && text.contains("3 peers") && text.contains("(seed 5)"),
        "{text}"
    );
}

#[test]
fn a_range_gives_a_report_for_each_seed_in_order() {
    let output = child("right", &[("LAB_SEEDS", "3..9"), ("LAB_REPORT", "1")]);
    assert!(output.status.success());
    let reports = reports(&output);
    let seeds: Vec<_> = reports.iter().map(|report| report.seed).collect();
    assert_eq!(seeds, [3, 4, 5, 6, 7, 8]);
    for report in &reports {
        assert_eq!((report.ok, report.test.as_str(), report.peers), (true, "right", 3));
        assert_eq!((report.version, report.hash.len(), report.stuck), (labreport::VERSION, 16, false));
        assert!(report.virtual_ns > 0 && report.rpcs > 0, "{report:?}");
    }
}

#[test]
fn a_reported_failure_does_not_stop_the_range() {
    let output = child("sometimes_wrong", &[("LAB_SEEDS", "0..50"), ("LAB_REPORT", "1")]);
    assert_eq!(output.status.code(), Some(101));
    let reports = reports(&output);
    assert_eq!(reports.len(), 50);
    let failed: Vec<_> = reports.iter().filter(|report| !report.ok).collect();
    assert!((1..40).contains(&failed.len()), "{} of 50 failed", failed.len());
    for report in failed {
        assert_eq!(
            (report.kind, report.reason().as_str()),
            (Some(Kind::Expectation), "expectation: drew a zero")
        );
        let story = report.report.as_deref().unwrap_or_default();
        // `lab` says how to replay it: it knows the options that it was given.
        assert!(story.contains("broken expectation") && !story.contains("cargo lab replay"), "{report:?}");
    }
}

#[test]
fn without_reports_the_first_failure_ends_the_test() {
    let output = child("sometimes_wrong", &[("LAB_SEEDS", "0..50")]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(101));
    assert_eq!(text.matches("broken expectation").count(), 1, "{text}");
}

#[test]
fn an_endless_loop_is_the_last_report_of_its_process() {
    let output = child("stuck", &[("LAB_SEEDS", "4..9"), ("LAB_REPORT", "1"), ("LAB_SWARM", "1")]);
    assert_eq!(output.status.code(), Some(101));
    let reports = reports(&output);
    let [report] = reports.as_slice() else { panic!("one seed got to a report, not {}", reports.len()) };
    assert_eq!((report.seed, report.kind, report.stuck), (4, Some(Kind::Blocked), true));
    let story = report.report.as_deref().unwrap_or_default();
    assert!(story.contains("stuck thread") && story.contains("The test begins to compute."), "{story}");
    // The line of the loop stands in the story and in the one line that lists show.
    let place = "tester/tests/tester/process.rs:";
    if cfg!(target_os = "linux") {
        assert!(story.contains("compute_for_ever") && story.contains(place), "{story}");
        assert!(report.reason().contains(place), "{}", report.reason());
        assert!(!story.contains("tester/src/") && !story.contains("labrt/src/"), "{story}");
    }
}

#[test]
fn an_endless_loop_fails_its_test_only() {
    let output = child("stuck", &[("LAB_SEED", "4"), ("LAB_SWARM", "1")]);
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(101));
    assert!(
        text.contains("stuck thread")
            && text.contains("replay stuck --seed 4 --swarm")
            && text.contains("1 failed"),
        "{text}"
    );
}

#[test]
fn a_run_that_is_no_function_of_its_seed_is_found_out() {
    let output =
        child("undetermined", &[("LAB_SEED", "1"), ("LAB_CHECK_DETERMINISM", "1"), ("LAB_REPORT", "1")]);
    let reports = reports(&output);
    assert_eq!(reports[0].kind, Some(Kind::Determinism));
    let message = reports[0].message.as_deref().unwrap_or_default();
    assert!(message.contains("decision 1 is its end in the first run and at 0.001000 s"), "{message}");
    assert!(child("right", &[("LAB_SEEDS", "0..5"), ("LAB_CHECK_DETERMINISM", "1")]).status.success());
}

#[test]
fn other_worlds_and_knobs_pass_too() {
    assert!(child("right", &[("LAB_SEED", "1"), ("LAB_RUNTIME", "threads")]).status.success());
    assert!(child("right", &[("LAB_SEEDS", "0..30"), ("LAB_SWARM", "1")]).status.success());
}

#[test]
fn observers_can_be_ignored() {
    let unwatched = |environment: &[(&str, &str)]| {
        let mut unwatched = reports(&child("right", environment)).remove(0).unwatched;
        // The fake has no elections.
        unwatched.retain(|what| !what.starts_with("votes on the wire"));
        unwatched
    };
    assert!(unwatched(&[("LAB_SEED", "1"), ("LAB_REPORT", "1")]).is_empty());
    let ignored = unwatched(&[("LAB_SEED", "1"), ("LAB_REPORT", "1"), ("LAB_UNWATCHED", "1")]);
    assert!(ignored.len() == 1 && ignored[0].contains("(`watch`)"), "{ignored:?}");
}

#[test]
fn nonsense_in_the_environment_is_refused() {
    for (variable, value, complaint) in [
        ("LAB_SEED", "x", "LAB_SEED must be a whole number"),
        ("LAB_SEEDS", "9..3", "LAB_SEEDS must be a range"),
        ("LAB_RUNTIME", "fast", "LAB_RUNTIME must be"),
        ("LAB_SWARM", "yes", "LAB_SWARM must be 0, 1 or tenth"),
    ] {
        let output = child("right", &[(variable, value)]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(complaint), "{variable}={value}: {text}");
    }
}
