//! Odd arguments and surroundings: the command line answers with exit code 2 and a sentence, or does the
//! right thing. It never reports a pass of nothing.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Said, command, fixture, lab, scratch};

const LARGEST: &str = "18446744073709551615";

/// Asserts that the command line refuses this with this sentence, and prints no table of nothing.
#[track_caller]
fn refuses(arguments: &[&str], sentence: &str) {
    let said = lab(arguments).ended(2);
    assert!(said.err.contains(sentence), "{arguments:?}: {}", said.err);
    assert!(said.out.is_empty(), "{arguments:?}: {}", said.out);
}

#[test]
fn seeds_without_a_successor_are_refused() {
    for verb in [&["test", "passes_1a"][..], &["replay", "passes_1a"], &["stress", "passes_1a"]] {
        let option = if verb[0] == "stress" { "--first-seed" } else { "--seed" };
        refuses(&[verb, &[option, LARGEST]].concat(), "the largest seed is 18446744073709551614");
    }
    let first = "18446744073709551613";
    refuses(
        &["stress", "passes_1a", "-n", "3", "--first-seed", first],
        "there are no 3 seeds from 18446744073709551613 on",
    );
}

#[test]
fn the_last_range_of_seeds_runs() {
    let output = scratch().join("last").display().to_string();
    let said =
        lab(&["stress", "passes_1a", "-n", "3", "--first-seed", "18446744073709551612", "-o", &output])
            .ended(0);
    assert_eq!(said.row("passes_1a")[1..3], ["0", "3"]);
}

#[test]
fn unknown_names_of_every_kind_are_refused() {
    refuses(&["test", "nonsense"], "there is no lab, part or test called nonsense");
    refuses(&["test", "pases_1a"], "the nearest: passes_1a");
    refuses(&["test", "1A,,1B"], "is empty");
    refuses(&["test", ","], "is empty");
    refuses(&["stress", "|"], "is empty");
    refuses(&["list", "\u{1b}[2J\u{202e}"], "called \\u{1b}[2J\\u{202e}");
    refuses(&["stress", "9"], "there is no lab, part or test called 9");
    refuses(&["bench", "nosuch"], "no bench of labs.toml");
    refuses(&["zoo", "nosuch"], "there is no lab nosuch; there are: mini");
    refuses(&["nosuch"], "unrecognized subcommand");
    refuses(&["bench", "--seconds", "NaN"], "above 0");
    refuses(&["bench", "--seconds", "-1"], "");
    refuses(&["test", "--jobs", "0"], "");
    refuses(&["stress", "-n", "0"], "");
}

#[test]
fn an_ambiguous_name_lists_its_candidates() {
    refuses(&["replay", "s_1a", "--seed", "1"], "s_1a names 2 tests; which one?\n  passes_1a, warns_1a");
}

#[test]
fn a_topic_that_the_run_has_not_is_refused_and_those_that_it_has_are_named() {
    let said = lab(&["replay", "passes_1a", "--seed", "4", "--just", "nonsense"]).ended(2);
    assert!(said.err.contains("no topic nonsense; it has: fault, lock, vote"), "{}", said.err);
    let said = lab(&["replay", "passes_1a", "--seed", "4", "--topics"]).ended(0);
    assert_eq!(said.row("vote"), ["vote", "2"]);
}

#[test]
fn several_names_and_numbers_of_labs() {
    let said = lab(&["list", "1A,1B"]).ended(0);
    assert!(
        said.out.contains("passes_1a") && said.out.contains("answer_1b") && !said.out.contains("fails_1c")
    );
    assert_eq!(lab(&["list", "1A|1B"]).ended(0).out, said.out);
    assert!(lab(&["list", "1"]).ended(0).out.contains("fails_1c"));
}

/// A variable is honoured or refused.
#[test]
fn variables_are_never_passed_over() {
    let with = |name: &str, value: &str, arguments: &[&str]| {
        Said::new(command(arguments).env(name, value).output().expect("lab can be run"))
    };
    assert!(with("LAB_SEED", "5", &["test", "passes_1a"]).ended(0).out.contains("(seed 5)"));
    for (name, value, verb) in [
        ("LAB_SEED", "5", "stress"),
        ("LAB_SEEDS", "1..3", "test"),
        ("LAB_RUNTIME", "nonsense", "test"),
        ("LAB_REAL_LIMIT_S", "1", "test"),
        ("LAB_SWARM", "yes", "test"),
    ] {
        let said = with(name, value, &[verb, "passes_1a"]).ended(2);
        assert!(said.err.contains(name), "{name}: {}", said.err);
    }
    let said = with("LAB_RUNTIME", "threads", &["test", "limits_1c"]).ended(1);
    assert!(
        said.out.contains("LAB_REAL_LIMIT_S=60") && said.out.contains("LAB_RUNTIME=threads"),
        "{}",
        said.out
    );
    assert!(said.out.contains("--threads"), "the replay must say so: {}", said.out);
    for name in ["LAB_SEED", "LAB_SEEDS", "LAB_PROFILE", "LAB_SCHEDULER", "LAB_OVER", "LAB_SWARM", "LAB_LABS"]
    {
        with(name, "", &["test", "passes_1a"]).ended(0);
    }
    for (options, over) in [(&[][..], "LAB_OVER=oracle"), (&["--over", "raft"], "LAB_OVER=\n")] {
        let said = with("LAB_OVER", "oracle", &[&["test", "limits_1c"], options].concat()).ended(1);
        assert!(said.out.contains(over), "an option outweighs its variable: {}", said.out);
    }
}

#[test]
fn a_full_disk_is_a_sentence() {
    for arguments in [
        &["list"][..],
        &["test", "passes_1a"],
        &["replay", "passes_1a", "--seed", "4"],
        &["completions", "bash"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has /dev/full");
        let said = command(arguments).stdout(full).stderr(Stdio::piped()).output().expect("lab can be run");
        let said = Said::new(said).ended(2);
        assert!(
            said.err.contains("the output cannot be written: No space left"),
            "{arguments:?}: {}",
            said.err
        );
        assert!(!said.err.contains("panicked"), "{}", said.err);
    }
}

#[test]
fn help_has_examples() {
    let words = "list test stress replay logs trace view shrink when zoo mutants bench completions";
    for verb in words.split(' ') {
        let said = lab(&["help", verb]).ended(0);
        assert!(said.out.contains("Examples:") && said.out.contains("cargo lab "), "{verb}: {}", said.out);
        assert_eq!(lab(&[verb, "--help"]).ended(0).out, said.out);
    }
    assert!(lab(&[]).ended(0).out.contains("cargo lab stress"));
}

/// A shell that has read them completes verbs and options.
#[test]
fn completions_complete() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = lab(&["completions", shell]).ended(0);
        assert!(said.out.contains("stress") && said.out.contains("first-seed"), "{shell}: {}", said.out);
    }
    let script = scratch().join("lab.bash");
    std::fs::write(&script, lab(&["completions", "bash"]).out).expect("there is room");
    for (words, expected) in
        [("lab str", "stress"), ("lab stress --first", "--first-seed"), ("lab hel", "help")]
    {
        let words_of: Vec<&str> = words.split(' ').collect();
        let asked = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={}; _lab lab {} {}; echo ${{COMPREPLY[@]}}",
            script.display(),
            words_of.len() - 1,
            words_of[words_of.len() - 1],
            words_of[words_of.len() - 2]
        );
        let Ok(output) = Command::new("bash").args(["--norc", "-c", &asked]).output() else {
            return println!("skipped: there is no bash");
        };
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{words}: {output:?}");
    }
}

/// timeout(1) itself, several times: the table is there each time.
#[test]
fn a_campaign_that_is_timed_out_has_its_table() {
    lab(&["test", "slow_1a"]).ended(0);
    for round in 0..4 {
        let output = scratch().join("timed").display().to_string();
        let lab = command(&["stress", "slow_1a", "-n", "100000", "--output", &output]);
        let mut timeout = crate::program("timeout");
        timeout.arg("2").arg(lab.get_program()).args(lab.get_args());
        timeout.envs(lab.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let said = Said::new(timeout.output().expect("timeout can be run")).ended(124);
        assert_eq!(said.row("slow_1a")[1], "0", "round {round}");
        assert!(said.out.contains("interrupted; the same command goes on"), "{}", said.out);
    }
}

/// timeout(1) signals its child, and then the whole group.
#[test]
fn two_signals_at_once_are_one() {
    let output = scratch().join("twice").display().to_string();
    let mut command = command(&["stress", "slow_1a", "-n", "100000", "--output", &output]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("lab can be run");
    let journal = std::path::Path::new(&output).join("journal.jsonl");
    while std::fs::read_to_string(&journal).map_or(0, |text| text.lines().count()) < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let signal = |name: &str| {
        Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill can be run")
    };
    signal("-TERM");
    signal("-TERM");
    let said = Said::new(child.wait_with_output().expect("lab ends")).ended(130);
    assert_eq!(said.row("slow_1a")[1], "0");
    assert!(said.out.contains("the same command goes on"), "{}", said.out);
}

#[test]
fn lines_are_no_wider_than_the_terminal() {
    for width in [60, 80, 100, 160] {
        for arguments in [
            &["test", "1A", "fails_1c", "--seed", "10"][..],
            &["list"],
            &["stress", "1A", "-n", "2", "--fresh", "-o"],
        ] {
            let folder = scratch().join("w").display().to_string();
            let mut command = command(arguments);
            if arguments.last() == Some(&"-o") {
                command.arg(folder);
            }
            let said = Said::new(command.env("COLUMNS", width.to_string()).output().expect("lab can be run"));
            let widest = said.out.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{widest:?} at {width}:\n{}", said.out);
        }
    }
}

/// A rule as long as that would not fit into the memory.
#[test]
fn a_terminal_may_say_that_it_is_very_wide() {
    let mut command = command(&["logs", "passes_1a", "--seed", "4"]);
    let said = command.env("COLUMNS", "99999999999").output().expect("lab can be run");
    assert!(Said::new(said).ended(0).out.contains("vote starts an election"));
}

#[test]
fn every_verb_speaks_json() {
    let output = scratch().join("json").display().to_string();
    let page = scratch().join("page.html").display().to_string();
    for (arguments, code) in [
        (&["list", "1A", "--json"][..], 0),
        (&["test", "1A", "fails_1c", "--seed", "10", "--json"], 1),
        (&["stress", "fails_1c", "-n", "20", "--first-seed", "0", "-o", &output, "--json"], 1),
        (&["replay", "passes_1a", "--seed", "4", "--json"], 0),
        (&["bench", "passes", "--seconds", "0.1", "--json"], 0),
        (&["logs", "passes_1a", "--seed", "4", "--json"], 0),
        (&["trace", "passes_1a", "--seed", "4", "--json"], 0),
        (&["view", "passes_1a", "--seed", "4", "--output", &page, "--json"], 0),
        (&["when", "fails_1c", "--seed", "10", "--moments", "2", "--futures", "2", "--json"], 0),
        (&["zoo", "mini", "--bug", "M1", "--json"], 0),
        (&["--json"], 0),
    ] {
        let said = lab(arguments).ended(code);
        assert!(said.out.lines().count() > 0);
        for line in said.out.lines() {
            let value = serde_json::from_str::<serde_json::Value>(line);
            assert!(value.is_ok_and(|value| value.is_object()), "{arguments:?}: {line}");
        }
    }
    refuses(&["--json", "list"], "--json stands behind the verb");
}

#[test]
fn failures_stand_together_by_what_they_have_in_common() {
    let output = scratch().join("groups").display().to_string();
    let said = lab(&["stress", "fails_1c", "-n", "40", "--first-seed", "0", "-o", &output]).ended(1);
    assert!(said.out.contains("what failed (4 of 40 runs)"), "{}", said.out);
    assert!(said.out.contains("   4 × 10.0 %  ElectionSafety"), "{}", said.out);
    assert!(said.out.contains("read first: cargo lab replay fails_1c --seed 0"), "{}", said.out);
}

/// What no checker sees is the same for all tests of a solution.
#[test]
fn what_is_not_watched_is_said_once() {
    let mut command = command(&["test", "1A", "--seed", "4"]);
    command.env("FIXTURE_UNWATCHED", "votes; implement `wire`");
    let said = Said::new(command.output().expect("lab can be run")).ended(0);
    assert_eq!(said.out.matches("not watched:").count(), 1, "{}", said.out);
    assert!(said.out.contains("not watched: votes; implement `wire` (in 3 tests)"), "{}", said.out);
}

#[test]
fn fail_fast_stops() {
    let said = lab(&["test", "fails_1c", "passes_1a", "--seed", "10", "--fail-fast", "-j", "1"]).ended(1);
    assert!(said.out.contains("not run (--fail-fast") || said.out.contains("1 of 2 tests"), "{}", said.out);
    let output = scratch().join("fast").display().to_string();
    let said = lab(&["stress", "fails_1c", "-n", "1000", "--first-seed", "1", "-o", &output, "--fail-fast"])
        .ended(1);
    assert!(said.out.contains("stopped at the first failure"), "{}", said.out);
}

#[test]
fn a_loop_grows_until_it_fails() {
    let output = scratch().join("loop").display().to_string();
    let said =
        lab(&["stress", "fails_1c", "-n", "2", "--first-seed", "1", "-o", &output, "--loop", "-g", "3"])
            .ended(1);
    assert!(said.err.contains("again, 6 runs of each test"), "{}", said.err);
    assert!(said.out.contains("--seed 10"), "{}", said.out);
}

/// In a handout, files that are fixed and have changed are named once, and those that are the student's are
/// not.
#[test]
fn a_fixed_file_of_a_handout_that_has_changed_is_named_once() {
    let folder = scratch();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    let labs = std::fs::read_to_string(fixture().join("labs.toml")).expect("the fixture's list");
    write("labs.toml", &labs);
    let entry = |role: &str, text: &str| {
        format!("{{\"role\": \"{role}\", \"fingerprint\": {}}}", lab_terminal::fingerprint(text.as_bytes()))
    };
    let files = [
        format!("\"fixed.rs\": {}", entry("framework", "fn a() {}\n")),
        format!("\"tests.rs\": {}", entry("tests", "fn b() {}\n")),
        format!("\"mine.rs\": {}", entry("yours", "todo")),
    ];
    write(".handout.json", &format!("{{\"files\": {{{}}}}}", files.join(", ")));
    write("mine.rs", "fn c() {}\n");
    write("tests.rs", "fn b() {}\n");
    let said_to = |arguments: &[&str]| {
        let mut command = crate::binary();
        command.arg("--labs").arg(folder.join("labs.toml")).current_dir(&folder).env("NO_COLOR", "1");
        Said::new(command.args(arguments).stdin(Stdio::null()).output().expect("lab can be run")).ended(0)
    };
    let overview = || said_to(&[]);
    write("fixed.rs", "fn a() {}\n");
    let said = overview();
    assert!(!said.err.contains("warning"), "{}", said.err);
    // What is of no use to a student is not proposed.
    assert!(said.out.contains("cargo lab stress") && !said.out.contains("cargo lab zoo"), "{}", said.out);
    let help = said_to(&["--help"]).out;
    let is_listed = |verb: &str| help.lines().any(|line| line.trim_start().starts_with(&format!("{verb} ")));
    assert!(is_listed("stress") && is_listed("check"), "{help}");
    assert!(!["zoo", "mutants", "bench", "handout", "grade"].into_iter().any(is_listed), "{help}");
    for shell in ["bash", "zsh", "fish"] {
        let words = said_to(&["completions", shell]).out;
        assert!(words.contains("stress") && words.contains("version"), "{shell}: {words}");
        let verb = ["zoo", "mutants", "handout"].into_iter().find(|verb| words.contains(verb));
        assert!(verb.is_none(), "{shell} completes {verb:?}: {words}");
    }
    write("fixed.rs", "fn a() { /* mine */ }\n");
    let said = overview();
    assert_eq!(said.err.matches("warning").count(), 1, "{}", said.err);
    let expected = "fixed.rs differs from what was handed out; it is replaced at grading";
    assert!(said.err.contains(expected) && !said.err.contains("mine.rs"), "{}", said.err);
}

/// A workspace with a lecture's lab alone: what is proposed is there, and the chapter is the lab's.
#[test]
fn the_overview_proposes_what_is_there() {
    let folder = scratch();
    let labs = std::fs::read_to_string(fixture().join("labs.toml")).expect("the fixture's list");
    let labs = labs.replace("name = \"1A\"", "name = \"CA\"").replace("name = \"mini\"", "name = \"craq\"");
    std::fs::write(folder.join("labs.toml"), labs).expect("the folder can be written");
    std::fs::create_dir(folder.join("docs")).expect("a folder can be made");
    std::fs::write(folder.join("docs/craq.md"), "# CRAQ\n").expect("the folder can be written");
    let mut command = crate::binary();
    command.current_dir(&folder).env("NO_COLOR", "1").env("CARGO_TARGET_DIR", "target").stdin(Stdio::null());
    let said = Said::new(command.output().expect("lab can be run")).ended(0);
    assert!(said.out.contains("next: cargo lab test passes_1a (docs/craq.md)"), "{}", said.out);
    assert!(
        said.out.contains("cargo lab test CA ") && said.out.contains("cargo lab stress CA "),
        "{}",
        said.out
    );
    assert!(!said.out.contains("2A") && !said.out.contains("PART "), "{}", said.out);
}
