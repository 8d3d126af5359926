//! `shrink`, `when` and `view` on a run that fails: the fixture's `forks_1f` fails by the second of its three
//! crashes, and that is decided after one second.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Said, command, lab, scratch};

const RUN: [&str; 3] = ["forks_1f", "--seed", "7"];

/// Runs a verb on that run.
fn fork(verb: &str, more: &[&str]) -> Said {
    lab(&[&[verb], &RUN[..], more].concat())
}

#[track_caller]
fn json_of(said: &Said) -> Value {
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);
    serde_json::from_str(&said.out).expect("it is JSON")
}

/// Only the crash that makes it fail is left, and the file runs by itself.
#[test]
fn shrink_leaves_what_is_needed() {
    let file = scratch().join("small.shrunk").display().to_string();
    let said = fork("shrink", &["--output", &file, "--json"]).ended(0);
    let row = json_of(&said);
    assert_eq!((row["events"].as_u64(), row["left"].as_u64()), (Some(4), Some(2)), "{row}");
    assert_eq!((row["rule"].as_str(), row["file"].as_str()), (Some("ElectionSafety"), Some(&*file)), "{row}");
    assert!(row["tries"].as_u64() > Some(50), "{row}");
    let text = std::fs::read_to_string(&file).expect("it was written");
    assert!(text.contains("\nskip crash 1 3\n") && text.contains("# forks_1f with seed 7: 2 of 4"), "{text}");

    let said = lab(&["replay", "--shrunk", &file]).ended(1);
    assert!(said.out.contains("crash server-1") && !said.out.contains("crash server-0"), "{}", said.out);
    assert!(said.out.contains("ElectionSafety: two leaders in term 4"), "{}", said.out);
    // The seed alone is another run.
    assert!(said.out.contains(&format!("replay: cargo lab replay --shrunk {file}\n")), "{}", said.out);
    let said = fork("shrink", &["--output", &file]).ended(0);
    assert!(said.out.contains(&format!("cargo lab replay --shrunk {file}")), "{}", said.out);
}

/// Shrinks that run, which fails in another way than usual.
fn shrink_failing(how: &str) -> (Said, String) {
    let file = scratch().join("other.shrunk");
    let mut command = command(&[&["shrink"], &RUN[..], &["--output"]].concat());
    let said = command.arg(&file).env("FIXTURE_FAILS", how).output().expect("lab can be run");
    (Said::new(said), std::fs::read_to_string(&file).unwrap_or_default())
}

/// A failure of the same kind with other words is another one, also at the last look.
#[test]
fn what_is_left_fails_in_the_same_way_and_not_only_in_the_same_kind() {
    let (said, _) = shrink_failing("moody");
    assert!(said.ended(2).err.contains("the shrunk run does not fail again"));
}

/// A candidate that was ended because it was to see no more has not failed by lasting too long.
#[test]
fn a_run_that_was_cut_off_is_no_run_that_took_too_long() {
    let (said, text) = shrink_failing("slow");
    said.ended(0);
    assert!(text.contains("\nskip crash 1 3\n"), "{text}");
}

/// Without the restart that it waits for, a run waits in vain as well, and that is nobody's fault.
#[test]
fn what_was_waited_for_is_not_left_out() {
    let (said, text) = shrink_failing("overdue");
    said.ended(0);
    assert!(text.contains("\nskip crash 1 3\n") && !text.contains("skip restart"), "{text}");
    let (said, text) = shrink_failing("");
    said.ended(0);
    assert!(text.contains("skip restart"), "{text}");
}

#[test]
fn when_tells_between_which_moments_the_failure_was_decided() {
    let picture = scratch().join("when.svg").display().to_string();
    let said = fork("when", &["--futures", "40", "--svg", &picture]).ended(0);
    assert!(said.out.contains("the failure became certain between 1.0"), "{}", said.out);
    assert!(said.out.contains("cargo lab logs forks_1f --seed 7 --from 1."), "{}", said.out);
    assert!(Path::new(&picture).is_file());
    let row = json_of(&fork("when", &["--futures", "40", "--json"]).ended(0));
    assert_eq!(row["failed_at"].as_u64(), Some(2_000_000_000));
    let moment = |place: usize| row["certain"][place].as_u64().expect("it becomes certain");
    assert!(
        moment(0) <= 1_000_000_000 && moment(1) >= 1_000_000_000 && moment(1) - moment(0) < 10_000_000,
        "{row}"
    );
    assert!(said.out.contains("it was settled between 1.48"), "{}", said.out);
    let moment = |place: usize| row["settled"][place].as_u64().expect("it is settled later");
    assert!(
        moment(0) < 1_490_000_000 && moment(1) >= 1_490_000_000 && moment(1) - moment(0) < 10_000_000,
        "{row}"
    );
}

#[test]
fn view_finds_the_nearest_run_that_passes() {
    let page = scratch().join("page.html").display().to_string();
    let row = json_of(&fork("view", &["--output", &page, "--json"]).ended(0));
    let passing = "from 0.500000 s on another seed decides, and this run passes";
    assert_eq!((row["page"].as_str(), row["passing"].as_str()), (Some(&*page), Some(passing)), "{row}");
    let row = json_of(&fork("view", &["--output", &page, "--json", "--alone"]).ended(0));
    assert!(row["passing"].is_null(), "{row}");
}

/// What was interrupted has found nothing out, and does not look as if it had.
#[test]
fn an_interruption_is_no_result() {
    let place = scratch();
    let file = place.join("left.shrunk").display().to_string();
    let page = place.join("page.html").display().to_string();
    let verbs = [
        ("when", &["--futures", "2000"][..], Some("interrupted after ")),
        ("when", &["--futures", "2000", "--json"], Some("{\"interrupted\":{\"futures\":")),
        ("shrink", &["--budget", "1000", "--output", &file], Some("what was left then is in ")),
        ("shrink", &["--budget", "1000", "--output", &file, "--json"], Some("{\"interrupted\":{\"file\":")),
        ("view", &["--output", &page], None),
    ];
    for (number, (verb, more, words)) in verbs.into_iter().enumerate() {
        let mut command = command(&[&[verb], &RUN[..], more].concat());
        let forks = place.join(format!("forks-{number}"));
        command.env("FIXTURE_SLOW_FORKS", &forks).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("lab can be run");
        let (begun, done) =
            (Instant::now(), || std::fs::read_to_string(&forks).unwrap_or_default().lines().count());
        while done() < 8 {
            assert!(begun.elapsed() < Duration::from_secs(600), "{verb} does not get going");
            std::thread::sleep(Duration::from_millis(10));
        }
        let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(status.expect("kill can be run").success());
        let said = Said::new(child.wait_with_output().expect("lab ends")).ended(130);
        assert!(words.is_none_or(|words| said.out.contains(words)), "{verb}: {}", said.out);
        let claims = ["became certain", "became likely", "does not jump", "does not fail again"];
        let said = format!("{}{}", said.out, said.err);
        assert!(claims.iter().all(|claim| !said.contains(claim)), "{verb}: {said}");
    }
    assert!(!Path::new(&page).exists());
    lab(&["replay", "--shrunk", &file]).ended(1);
}

#[test]
fn plots_and_words_fit_any_width() {
    let file = scratch().join("w.shrunk").display().to_string();
    for width in [60, 80, 100, 160] {
        for (verb, more) in
            [("when", &["--futures", "10", "--moments", "6"][..]), ("shrink", &["--output", &file])]
        {
            let mut command = command(&[&[verb], &RUN[..], more].concat());
            let said = command.env("COLUMNS", width.to_string()).output().expect("lab can be run");
            let said = Said::new(said).ended(0);
            let widest = said.out.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
            assert!(widest.chars().count() <= width, "{verb} at {width}:\n{widest}\n\n{}", said.out);
        }
    }
}
