//! What an instructor may get wrong: a sentence, status 2, and nothing left behind. What students get wrong
//! is tested in `src` (`take`, `inspect`, `plan`) and in `hostile`.

mod grader;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use grader::{build_handout, ended, grade, scratch, words};

#[test]
fn what_cannot_be_graded_is_said_and_leaves_nothing() {
    build_handout();
    let folder = scratch("refused");
    let at = |name: &str| folder.join(name).display().to_string();
    fs::create_dir_all(folder.join("in/alice")).expect("a folder");
    fs::create_dir_all(folder.join("empty")).expect("a folder");
    let (out, submissions, nothing) = (at("out"), at("in"), at("empty"));
    let cache = at("cache");
    let table: [(&[&str], &str); 10] = [
        (&["--in", &submissions], "which lab? --lab warmup, mapreduce, raft"),
        (&["--lab", "rafft", "--in", &submissions], "there is no lab `rafft`; did you mean raft?"),
        (
            &["--lab", "raft", "--with", "kvraft", "--in", &submissions],
            "no lab of this handout stands on kvraft",
        ),
        (&["--lab", "raft"], "there is nothing to grade"),
        (&["--lab", "raft", "--in", &nothing], "there is nothing to grade"),
        (&["--lab", "raft", "--in", "nowhere"], "nowhere: No such file"),
        (&["--lab", "raft", "--in", &submissions, "--secret", "nowhere"], "nowhere: No such file"),
        (&["--lab", "raft", "--in", &submissions, "--runs", "0"], "invalid value '0'"),
        (&["plan", "--tests", "--lab", "raft", "--in", &submissions], "--tests has no plan"),
        (&["--lab", "raft", "--in", &submissions, "--out", &submissions], "--out needs a folder of its own"),
    ];
    for (arguments, says) in table {
        // All of it is found out before anything is built.
        let early = ["--cache", &cache, "--unsafe-no-sandbox"];
        let results: &[&str] = if arguments.contains(&"--out") { &[] } else { &["--out", &out] };
        let output = grade(&[arguments, results, &early].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", words(&output));
        assert!(words(&output).contains(says), "{arguments:?}: {}", words(&output));
        assert!(!folder.join("out").exists(), "{arguments:?}");
    }
}

#[test]
fn a_toolchain_that_is_missing_is_named() {
    build_handout();
    let folder = scratch("no-toolchain");
    fs::create_dir_all(folder.join("in/alice")).expect("a folder");
    let output = ended(
        Command::new(env!("CARGO_BIN_EXE_lab-grade"))
            .args(["--lab", "raft", "--unsafe-no-sandbox", "--in"])
            .arg(folder.join("in"))
            .arg("--out")
            .arg(folder.join("out"))
            .arg("--cache")
            .arg(folder.join("cache"))
            .env("PATH", &folder)
            // Whatever else a user's environment holds.
            .env("ODD", OsStr::from_bytes(b"\xff")),
    );
    let words = words(&output);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(
        words.contains("rustc cannot be run") && words.contains("is a Rust toolchain installed?"),
        "{words}"
    );
}

#[test]
fn shards_of_no_plan_are_refused() {
    let folder = scratch("no-plan");
    let out = folder.display().to_string();
    for arguments in
        [["merge", "--out", &out].as_slice(), &["run-shard", "0", "--unsafe-no-sandbox", "--out", &out]]
    {
        let output = grade(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(words(&output).contains("plan.json: No such file"), "{}", words(&output));
    }
}

/// Whatever it holds is the record of a batch, and of the seeds that were drawn for it.
#[test]
fn a_plan_that_cannot_be_read_is_not_written_over() {
    build_handout();
    let folder = scratch("other-plan");
    fs::create_dir_all(folder.join("in/alice")).expect("a folder");
    let (out, submissions) = (folder.display().to_string(), folder.join("in").display().to_string());
    for (plan, says) in [
        ("{\"version\": 9, \"shape\": []}", "plan.json is of version 9; this reads 1; give another folder"),
        ("{\"version\": 1, \"la", "plan.json: EOF while parsing"),
    ] {
        fs::write(folder.join("plan.json"), plan).expect("a file");
        let output = grade(&["--lab", "raft", "--unsafe-no-sandbox", "--in", &submissions, "--out", &out]);
        assert_eq!(output.status.code(), Some(2), "{}", words(&output));
        assert!(words(&output).contains(says), "{}", words(&output));
        assert_eq!(fs::read_to_string(folder.join("plan.json")).expect("it is there"), plan);
    }
}
