//! Every lab is graded as Raft is: the reference, handed in as a student would, comes out correct, and wrong
//! solutions of the zoo do not. Neither of them shows a tester more than a student's solution does.
//!
//! It builds the framework once and each lab several times, so `.ci/slow` runs it:
//! `cargo test -p lab-grade --test labs`.
#![expect(
    clippy::disallowed_types,
    reason = "the program under test is a process: nothing is simulated here"
)]

mod grader;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use grader::{build_handout, grade, scratch, words};
use serde_json::Value;

/// All labs are built in one folder, one after the other, so that the framework is built once.
static CACHE: Mutex<()> = Mutex::new(());

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Hands in a handout with the reference's sources in it, and a patch of the zoo applied to them.
fn hand_in(folder: &Path, lab: &str, with: &[&str], patch: Option<&str>) {
    let program = Path::new(env!("CARGO_BIN_EXE_lab-grade")).with_file_name("lab-handout");
    fs::create_dir_all(folder).expect("a folder");
    let made =
        Command::new(program).args(["--lab", lab, "--solved", "--out"]).arg(folder).args(with).output();
    let made = made.expect("lab-handout is built");
    assert!(made.status.success(), "{}", words(&made));
    let Some(patch) = patch else { return };
    let applied = Command::new("git")
        .args(["apply", "--unsafe-paths", "--directory"])
        .arg(folder)
        .arg(root().join("bugs").join(patch).with_extension("patch").canonicalize().expect("the patch"))
        .current_dir("/")
        .output()
        .expect("git is there");
    assert!(applied.status.success(), "{patch}: {}", words(&applied));
}

/// Grades the reference and these wrong solutions.
fn grades(lab: &str, with: &str, wrong: &[&str]) {
    let _alone = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    build_handout();
    let folder = scratch(&format!("lab-{lab}"));
    let at = |name: &str| folder.join(name).display().to_string();
    let earlier: &[&str] = if with.is_empty() { &[] } else { &["--with", with] };
    hand_in(&folder.join("in/right"), lab, earlier, None);
    for patch in wrong {
        let name = patch.rsplit('/').next().unwrap_or(patch);
        hand_in(&folder.join("in").join(name), lab, earlier, Some(patch));
    }
    let cache = root().join("target/grade/labs").display().to_string();
    let (submissions, out) = (at("in"), at("out"));
    let arguments =
        ["--lab", lab, "--in", &submissions, "--out", &out, "--runs", "3", "--cache", &cache, "--jobs", "2"];
    let output = grade(&[&arguments, earlier].concat());
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), words(&output));
    assert!(output.status.success(), "{said}");
    let text = fs::read_to_string(folder.join("out/results.json")).expect("results");
    let results: Value = serde_json::from_str(&text).expect("JSON");
    for row in results["rows"].as_array().expect("rows") {
        let (class, all) = (&row["class"], row["most_hundredths"].as_u64());
        let expected = match row["name"].as_str() {
            Some("(reference)" | "right") => *class == "correct" && row["hundredths"].as_u64() == all,
            Some("(skeleton)") => *class == "not_implemented" && row["hundredths"] == 0,
            _ => *class != "correct" && *class != "does_not_build" && *class != "refused",
        };
        assert!(expected, "{}: {class}, {}\n{said}", row["name"], row["sentence"]);
    }
    assert_eq!(results["batch"]["faults"], serde_json::json!([]), "{said}");
}

#[test]
fn warmup() {
    let wrong = ["warmup/W3-empty-queue-is-the-end", "warmup/W7-condition-tested-once"];
    grades("warmup", "", &wrong);
}

#[test]
fn mapreduce() {
    let wrong = ["mapreduce/M3-output-not-renamed", "mapreduce/B6-no-backup"];
    grades("mapreduce", "", &wrong);
}

#[test]
fn kvraft() {
    let wrong = ["kvraft/K2-duplicates-detected-before-the-log-only", "kvraft/K12-sessions-not-in-snapshots"];
    grades("kvraft", "", &wrong);
}

#[test]
fn shardctrler() {
    let wrong = ["shardctrler/S1-order-of-a-hash-map", "shardctrler/S2b-place-for-the-wrong-group"];
    grades("shardctrler", "kvraft", &wrong);
}

#[test]
fn shardkv() {
    let wrong = ["shardkv/S4-served-before-it-came", "shardkv/S6-sessions-stay"];
    grades("shardkv", "kvraft,shardctrler", &wrong);
}

#[test]
fn vmft() {
    let wrong = ["vmft/V1-interrupt-one-instruction-late", "vmft/V11-loser-goes-on"];
    grades("vmft", "", &wrong);
}

#[test]
fn zookeeper() {
    let wrong = ["zookeeper/Z8-reads-overtake-writes", "zookeeper/Z13-lock-without-looking-again"];
    grades("zookeeper", "kvraft", &wrong);
}
