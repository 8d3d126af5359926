//! What cannot be done is refused by every verb: exit code 2 and a sentence, nothing that looks like a
//! result, and never a panic. The cases of `odd.rs`, for the verbs and the ways that it leaves out.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Said, command, fixture, lab, scratch};

/// Asserts that this is refused with these words on standard error, and with nothing on standard output.
#[track_caller]
fn refuses(arguments: &[&str], words: &str) {
    said_no(arguments, words, lab(arguments));
}

#[track_caller]
fn said_no(arguments: &[&str], words: &str, said: Said) {
    let said = said.ended(2);
    let text = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(words), "{arguments:?}: {}", said.err);
    assert!(!said.err.contains("panicked") && !said.err.contains("stack backtrace"), "{}", said.err);
    assert!(said.out.is_empty(), "{arguments:?}: {}", said.out);
}

#[test]
fn every_verb_refuses_names_that_there_are_not() {
    for verb in ["test", "stress", "list"] {
        refuses(&[verb, "passes_1a", "nosuch"], "there is no lab, part or test called nosuch");
    }
    for verb in ["replay", "logs", "trace", "view", "shrink", "when"] {
        let more: &[&str] = if verb == "trace" { &["--json"] } else { &[] };
        refuses(
            &[&[verb, "nosuch", "--seed", "1"], more].concat(),
            "there is no lab, part or test called nosuch",
        );
        refuses(&[&[verb, "_", "--seed", "1"], more].concat(), "\"_\" names no test");
    }
    for verb in ["zoo", "mutants"] {
        refuses(&[verb, "nosuch"], "there is no lab nosuch; there are: mini");
    }
    refuses(&["zoo", "mini", "--test", "nosuch"], "there is no lab, part or test called nosuch");
    refuses(&["zoo", "mini", "--bug", "nosuch"], "there is no solution nosuch; there are M1, M1b, M2, M10");
    refuses(&["zoo", "mini", "--bug", ""], "a value is required for '--bug");
    refuses(&["zoo", "--correct"], "there is no solution in ");
    refuses(&["zoo", "mini", "--parts"], "there is no solution in ");
    refuses(
        &["bench", "nosuch"],
        "no bench of labs.toml has \"nosuch\" in its name; there are: passes_1a, slow_1a",
    );
    refuses(&["help", "nosuch"], "unrecognized subcommand");
    refuses(&["completions", "nosuch"], "possible values: bash");
    for option in ["--over", "--scheduler", "--profile"] {
        refuses(&["test", "passes_1a", option, "nosuch"], "nosuch");
    }
    // No compiler has said a word then.
    refuses(
        &["test", "passes_1a", "--profile", "nosuch"],
        "cargo cannot build the tests; its words are above",
    );
    refuses(&["check", "--model", "nosuch", "/dev/null"], "there is no model nosuch");
}

#[test]
fn lists_of_labs_that_there_are_not() {
    for (file, words) in [
        ("/no/such", "/no/such: No such file"),
        ("/", "Is a directory"),
        ("/dev/null", "missing field `limits`"),
    ] {
        let mut command = crate::binary();
        let said = Said::new(command.args(["--labs", file, "list"]).output().expect("lab can be run"));
        said_no(&[file], words, said);
    }
    for arguments in [&[][..], &["list"], &["test"], &["bench"]] {
        let mut command = crate::binary();
        let said = command.args(arguments).current_dir("/").output().expect("lab can be run");
        said_no(arguments, "there is no labs.toml in this folder or above it", Said::new(said));
    }
}

/// A pass, or a failure found, never comes from nothing having run.
#[test]
fn nothing_to_run_is_refused() {
    for verb in ["zoo", "mutants"] {
        refuses(&[verb, "mini", "--sample", "0"], "a whole number from 1 on");
        refuses(&[verb, "mini", "--seeds", "0"], "0 is not in 1..");
    }
    refuses(&["zoo", "--correct", "--sample", "1"], "cannot be used with");
    refuses(&["zoo", "mini", "--parts", "--page", "x.html"], "cannot be used with");
    refuses(&["stress", "passes_1a", "--growth", "2"], "--loop");
    refuses(&["when", "fails_1c", "--seed", "10", "--futures", "0"], "0 is not in 1..");
    refuses(
        &["when", "fails_1c", "--seed", "10", "--moments", "1000", "--futures", "100000"],
        "ask for 100000000 runs; 1000000 are the most",
    );
    refuses(&["shrink", "fails_1c", "--seed", "10", "--budget", "0"], "0 is not in 1..");
    refuses(&["test", "passes_1a", "-j", "65536"], "65536 is not in 1..=65535");
    refuses(&["bench", "passes", "--seconds", "inf"], "above 0 and at most 86400");
}

/// On real threads no run is repeated, so that a promise to compare two would be empty.
#[test]
fn what_real_threads_cannot_do_is_refused() {
    let determinism = "--check-determinism is for the simulation";
    refuses(&["test", "passes_1a", "--threads", "--check-determinism"], determinism);
    refuses(&["stress", "passes_1a", "--race", "--check-determinism"], determinism);
    refuses(
        &["replay", "passes_1a", "--seed", "1", "--threads", "--scheduler", "pct:3"],
        "--scheduler pct:3 is for",
    );
    let mut threads = command(&["test", "passes_1a", "--check-determinism"]);
    let said = threads.env("LAB_RUNTIME", "threads").output().expect("lab can be run");
    said_no(&["LAB_RUNTIME"], determinism, Said::new(said));
}

#[test]
fn parts_of_a_log_that_there_are_not() {
    let log = ["logs", "passes_1a", "--seed", "4"];
    for (options, words) in [
        (&["--from", "5", "--to", "2"][..], "--to 2 is before --from 5 (seconds)"),
        (
            &["--from", "500"],
            "these options show no event of this run, which has 4 events and lasted 0.001800 s",
        ),
        (&["--index", "99"], "these options show no event of this run"),
        (&["--term", "99"], "these options show no event of this run"),
        (&["--server", ""], "this run has no server"),
        (&["--just", ""], "a topic is empty"),
        (&["--file", "x", "--seed", "4"], "cannot be used"),
    ] {
        let arguments =
            if options[0] == "--file" { [&["logs"], options].concat() } else { [&log, options].concat() };
        refuses(&arguments, words);
        let replay = [&["replay"], &arguments[1..]].concat();
        refuses(&replay, words);
    }
    refuses(&[&log[..], &["--just", "vote", "--ignore", "vote"]].concat(), "these options show no event");
    refuses(&["replay", "--shrunk", "x", "--seed", "4"], "cannot be used with");
}

/// A run that dies writes no trace, and an empty log would look like one of a run without events.
#[test]
fn a_run_that_died_has_no_log() {
    let words = "this run wrote no trace; it ended so: died: the process was killed by SIGABRT";
    refuses(&["logs", "aborts_1c", "--seed", "13"], words);
    refuses(&["trace", "aborts_1c", "--seed", "13", "--json"], words);
    refuses(
        &["logs", "aborts_1c", "--seed", "13", "--swarm"],
        "`cargo lab replay aborts_1c --seed 13 --swarm` has its last words",
    );
    refuses(
        &["when", "aborts_1c", "--seed", "13"],
        "there is no moment at which to fork this run: died: the process was killed by SIGABRT",
    );
    let kept = scratch().join("kept.labtrace");
    fs::write(&kept, "labtrace 1\nan older run's").expect("there is room");
    refuses(&["trace", "aborts_1c", "--seed", "13", "--output", &kept.display().to_string()], words);
    let said = lab(&["shrink", "fails_1c", "--seed", "10"]).ended(2);
    assert!(said.err.contains("this run wrote no trace, and cannot be made smaller"), "{}", said.err);
}

/// Before anything is run for it.
#[test]
fn a_file_that_cannot_be_written_is_named_before_the_work() {
    let file = "/no/such/file";
    let run = ["fails_1c", "--seed", "10"];
    for (verb, option) in [
        ("trace", "--output"),
        ("view", "--output"),
        ("shrink", "--output"),
        ("when", "--svg"),
        ("replay", "--trace"),
    ] {
        refuses(
            &[&[verb], &run[..], &[option, file]].concat(),
            "/no/such/file cannot be written: No such file",
        );
    }
    refuses(&["zoo", "mini", "--page", file], "/no/such/file cannot be written");
    refuses(&["stress", "passes_1a", "-o", "/dev/null"], "the folder /dev/null cannot be made");
    refuses(
        &["trace", "passes_1a", "--seed", "4", "--output", "/dev/full"],
        "the trace was not written to /dev/full",
    );
    let full = ["trace", "passes_1a", "--seed", "4", "--json", "--output", "/dev/full"];
    refuses(&full, "the trace cannot be written: No space left");
}

/// Nor is a run blamed for it.
#[test]
fn a_folder_for_temporary_files_that_is_not_there_is_named() {
    for verb in ["logs", "replay", "shrink", "view"] {
        let arguments = [verb, "forks_1f", "--seed", "7"];
        let said = command(&arguments).env("TMPDIR", "/no/such").current_dir(scratch()).output();
        let said = Said::new(said.expect("lab can be run")).ended(2);
        assert!(
            said.err.contains("/no/such/") && said.err.contains("cannot be written"),
            "{verb}: {}",
            said.err
        );
        assert!(!said.err.contains("died"), "{verb}: {}", said.err);
    }
}

/// What a bench measures must be what its bound is for; and what `lab` sets itself, nobody else sets.
#[test]
fn variables_that_would_be_passed_over_are_refused() {
    let bench = ["bench", "passes", "--seconds", "0.1"];
    for (name, value, arguments) in [
        ("LAB_SWARM", "1", &bench[..]),
        ("LAB_SCHEDULER", "random", &bench),
        ("LAB_OVER", "oracle", &bench),
        ("LAB_PROFILE", "release", &bench),
        ("LAB_RUNTIME", "threads", &bench),
        ("LAB_SEED", "7", &["zoo", "mini"]),
        ("LAB_TRACE", "x", &["test", "passes_1a"]),
        ("LAB_VARIANTS", "x", &["stress", "passes_1a"]),
        ("LAB_REPORT", "socket", &["replay", "passes_1a", "--seed", "4"]),
        ("LAB_SEEDS", "3..1", &["test", "passes_1a"]),
        ("LAB_UNWATCHED", "yes", &["test", "passes_1a"]),
        ("LAB_UNWATCHED", "1", &bench),
        ("LAB_STORY", "2", &["stress", "passes_1a"]),
        ("LAB_STUCK_LIMIT_S", "soon", &["replay", "passes_1a", "--seed", "4"]),
        ("LAB_COLUMNS", "-1", &["test", "passes_1a"]),
        ("LAB_SEED", "18446744073709551615", &["test", "passes_1a"]),
        ("LAB_SEED", "-1", &["replay", "passes_1a"]),
    ] {
        let said = command(arguments).env(name, value).output().expect("lab can be run");
        let words = if name == "LAB_SEED" { "seed" } else { name };
        said_no(arguments, words, Said::new(said));
    }
}

/// What a run had is what its replay needs.
#[test]
fn a_variable_that_no_option_stands_for_is_in_the_replay() {
    let said = command(&["test", "fails_1c", "--seed", "10"]).env("LAB_UNWATCHED", "1").output();
    let said = Said::new(said.expect("lab can be run")).ended(1);
    assert!(
        said.out.contains("replay: LAB_UNWATCHED=1 cargo lab replay fails_1c --seed 10\n"),
        "{}",
        said.out
    );
}

/// The pipe is closed before the first line comes, as after `| head -0`.
#[test]
fn a_reader_that_has_gone_is_no_panic() {
    for arguments in [
        &[][..],
        &["list"],
        &["list", "--json"],
        &["test", "1A", "--seed", "7"],
        &["test", "1A", "--seed", "7", "--json"],
        &["replay", "passes_1a", "--seed", "4"],
        &["logs", "passes_1a", "--seed", "4"],
        &["trace", "passes_1a", "--seed", "4", "--json"],
        &["bench", "passes", "--seconds", "0.1"],
        &["completions", "zsh"],
        &["help", "stress"],
        &["--help"],
    ] {
        let mut child =
            command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("lab can be run");
        drop(child.stdout.take());
        let said = Said::new(child.wait_with_output().expect("lab ends"));
        assert!(matches!(said.code, Some(0 | 2)), "{arguments:?}: {:?} {}", said.code, said.err);
        assert!(!said.err.contains("panicked"), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn a_full_disk_is_a_sentence_for_every_verb() {
    let folder = scratch().join("full").display().to_string();
    for arguments in [
        &[][..],
        &["list", "--json"],
        &["test", "1A", "--json"],
        &["stress", "passes_1a", "-n", "2", "-o", &folder],
        &["logs", "passes_1a", "--seed", "4"],
        &["trace", "passes_1a", "--seed", "4", "--json"],
        &["bench", "passes", "--seconds", "0.1"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has /dev/full");
        let said = command(arguments).stdout(full).stderr(Stdio::piped()).output().expect("lab can be run");
        let said = Said::new(said).ended(2);
        assert!(said.err.contains("cannot be written: No space left"), "{arguments:?}: {}", said.err);
        assert!(!said.err.contains("panicked"), "{}", said.err);
    }
}

/// The file of a campaign can hold nothing, as on a full disk.
#[test]
fn a_journal_that_cannot_grow_ends_the_campaign_with_a_sentence() {
    lab(&["test", "passes_1a"]).ended(0);
    let folder = scratch().join("no-room").display().to_string();
    let arguments = ["stress", "passes_1a", "-n", "50", "-o", &folder];
    let lab = command(&arguments);
    let words = std::iter::once(lab.get_program()).chain(lab.get_args());
    let words = words.map(|word| format!("'{}'", word.display())).collect::<Vec<_>>().join(" ");
    let mut shell = crate::program("sh");
    // A signal would end the program; an error is what a full disk is.
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f 0; exec {words}")]);
    shell.envs(lab.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let said = Said::new(shell.output().expect("sh can be run")).ended(2);
    assert!(said.err.contains("the journal cannot be written"), "{}", said.err);
}

/// As timeout(1) ends what runs too long: two signals at once, and they are one wish.
#[test]
fn two_signals_at_once_are_one_wish_of_every_verb() {
    let place = scratch().display().to_string();
    for (arguments, words) in [
        (&["test", "hangs_1c", "--seed", "2"][..], "interrupted after 0 tests"),
        (&["bench", "slow", "--seconds", "1000"], "interrupted after 0 of 1 row"),
        (&["zoo", "mini", "--bug", "M10", "--seeds", "1000000", "--matrix"], "interrupted after 0 of 1"),
    ] {
        let mut command = command(arguments);
        command.env("CARGO_TARGET_DIR", &place).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("lab can be run");
        wait_for_test_of(child.id());
        for _ in 0..2 {
            let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            assert!(status.expect("kill can be run").success());
        }
        let said = Said::new(child.wait_with_output().expect("lab ends")).ended(130);
        assert!(said.out.contains(words), "{arguments:?}: {}", said.out);
    }
}

/// Waits until that process has a test binary of the fixture among its children.
fn wait_for_test_of(process: u32) {
    let begun = Instant::now();
    // The zoo puts the solution's name before that of the binary.
    let is_test = |child: &str| {
        let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
        name.starts_with("mini") || name.contains("-fixture-")
    };
    while !crate::verbs::children(process).iter().any(|child| is_test(child)) {
        assert!(begun.elapsed() < Duration::from_secs(120), "no test is started");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Options of a program that `help` is asked about, too.
#[test]
fn help_of_verbs_that_are_programs_is_theirs() {
    for arguments in [&["help", "check"][..], &["--labs", "x", "help", "check"], &["check", "--help"]] {
        let mut command = crate::binary();
        let said = Said::new(command.args(arguments).output().expect("lab can be run")).ended(0);
        assert!(said.out.contains("cargo lab check store/lin-kv"), "{arguments:?}: {}", said.out);
    }
    refuses(&["test", "help", "nosuch"], "there is no lab, part or test called help");
}

/// These verbs read the list of their own workspace, which another one cannot take the place of.
#[test]
fn another_list_of_labs_is_refused_where_none_is_read() {
    let path = fixture().join("labs.toml");
    for arguments in [&["handout", "--lab", "raft", "--out", "nowhere"][..], &["grade", "--lab", "raft"]] {
        refuses(arguments, "would be ignored: this verb reads the labs.toml of its own workspace");
        let mut command = crate::binary();
        command.args(arguments).env("LAB_LABS", &path);
        let said = Said::new(command.output().expect("lab can be run")).ended(2);
        assert!(said.err.contains("LAB_LABS, would be ignored"), "{}", said.err);
    }
}

/// A student may have read of these verbs. Cargo's words of a package that is not there would tell him
/// nothing.
#[test]
fn what_needs_the_reference_is_refused_in_a_handout() {
    let handout = scratch();
    fs::write(handout.join(".handout.json"), "{\"files\": {}}").expect("the folder can be written");
    for verb in ["zoo", "mutants", "bench", "handout", "grade"] {
        let mut command = crate::binary();
        let arguments: &[&str] = if verb == "handout" { &[verb, "--list"] } else { &[verb, "raft"] };
        let said = Said::new(command.args(arguments).current_dir(&handout).output().expect("lab can be run"));
        let said = said.ended(2);
        assert!(said.err.contains(&format!("cargo lab {verb} needs the reference")), "{}", said.err);
    }
}
