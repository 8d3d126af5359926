//! `stress` interrupted, killed, resumed: nothing lost, nothing counted twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Said, command, scratch};

/// A campaign of `counts_1c`, which writes each seed that it runs into a file, and fails at every fiftieth.
struct Campaign {
    folder: PathBuf,
    counts: PathBuf,
}

/// A line of a journal that is no record.
const DAMAGED: &str = "{\"test\":\"counts_1c\",\"fro";

/// Far more than are run before the interruption, on any machine: each takes 2 ms.
const RUNS: u64 = 1500;

impl Campaign {
    fn new() -> Campaign {
        let scratch = scratch();
        Campaign { folder: scratch.join("campaign"), counts: scratch.join("counts") }
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = command(&["stress", "counts_1c", "--jobs", "2", "--runs", &RUNS.to_string()]);
        command.arg("--output").arg(&self.folder).args(more).env("FIXTURE_COUNTS", &self.counts);
        command.env("FIXTURE_EXERCISED", "1");
        command
    }

    fn run(&self, more: &[&str]) -> Said {
        Said::new(self.command(more).output().expect("lab can be run"))
    }

    /// Starts it, and comes back when it has run that many seeds.
    fn start(&self, seeds: usize) -> Child {
        let before = self.counted().len();
        let mut command = self.command(&[]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("lab can be run");
        let begun = Instant::now();
        while self.counted().len() < before + seeds {
            assert!(begun.elapsed() < Duration::from_secs(60), "the campaign does not get going");
            sleep(Duration::from_millis(5));
        }
        child
    }

    /// Every seed that was run, and how often.
    fn counted(&self) -> BTreeMap<u64, usize> {
        let mut counted = BTreeMap::new();
        let text = fs::read_to_string(&self.counts).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.parse().ok())
            .for_each(|seed| *counted.entry(seed).or_default() += 1);
        counted
    }

    /// The seeds and failures that the journal holds.
    fn journal(&self) -> (u64, u64) {
        let text = fs::read_to_string(self.folder.join("journal.jsonl")).expect("there is a journal");
        let number = |line: &str, name: &str| -> u64 {
            let rest = line.split(&format!("\"{name}\":")).nth(1).expect("the record has that number");
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
        };
        let records = text.lines().skip(1).filter(|line| *line != DAMAGED);
        records.fold((0, 0), |(seeds, failed), line| {
            let failures =
                line.split("\"failed\":[").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
            let failures = failures.split(',').filter(|seed| !seed.is_empty()).count() as u64;
            (seeds + number(line, "to") - number(line, "from"), failed + failures)
        })
    }

    /// The campaign came to its end, and every seed is in it, once: in the table, in the journal, and in the
    /// sums of what the runs came to.
    #[track_caller]
    fn assert_complete(&self, said: Said) {
        let said = said.ended(1);
        let expected = [(RUNS / 50).to_string(), RUNS.to_string()];
        assert_eq!(said.row("counts_1c")[1..3], expected, "{}", said.out);
        assert_eq!(self.journal(), (RUNS, RUNS / 50));
        let counted = self.counted();
        let seeds: Vec<u64> = counted.keys().copied().collect();
        assert_eq!(seeds.len() as u64, RUNS, "every seed was run");
        assert_eq!(seeds.last().zip(seeds.first()).map(|(last, first)| last - first + 1), Some(RUNS));
        // A run that failed has not told what it came to.
        let nights: u64 = seeds.iter().filter(|&seed| seed % 50 != 7).map(|seed| seed % 3).sum();
        let sums = format!("1C exercised: quiet nights {nights}, storms 0\n");
        assert!(said.out.contains(&sums), "no {sums:?} in {}", said.out);
        assert!(
            said.out.contains("1C: a pass says nothing about storms, which never happened"),
            "{}",
            said.out
        );
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(status.expect("kill can be run").success());
}

#[test]
fn ctrl_c_prints_the_table_so_far_and_the_same_command_goes_on() {
    let campaign = Campaign::new();
    let child = campaign.start(100);
    signal(&child, "INT");
    let said = Said::new(child.wait_with_output().expect("lab ends")).ended(1);
    let total: u64 = said.row("counts_1c")[2].parse().expect("a number");
    assert!((100..RUNS).contains(&total), "{}", said.out);
    assert_eq!(campaign.journal().0, total, "the journal holds what the table shows");
    assert!(said.out.contains("interrupted; the same command goes on from here"), "{}", said.out);

    let said = campaign.run(&[]);
    assert!(said.err.contains(&format!("{total} of {RUNS} runs are done")), "{}", said.err);
    campaign.assert_complete(said);
    // Only runs that were under way at the interruption, one a process, may have been run again.
    let again = campaign.counted().values().filter(|times| **times > 1).count();
    assert!(again <= 2 * 25, "{again} seeds were run twice");
}

#[test]
fn a_kill_loses_nothing_that_was_counted() {
    let campaign = Campaign::new();
    for _ in 0..3 {
        let mut child = campaign.start(150);
        child.kill().expect("lab can be killed");
        child.wait().expect("lab ends");
        // The test processes notice that nobody reads only at their next report.
        sleep(Duration::from_millis(50));
    }
    campaign.assert_complete(campaign.run(&[]));
}

/// A kill in the middle of a write leaves half a line, and perhaps half a letter.
#[test]
fn a_torn_journal_is_cut_to_its_last_whole_record() {
    let campaign = Campaign::new();
    let child = campaign.start(200);
    signal(&child, "TERM");
    child.wait_with_output().expect("lab ends");
    let path = campaign.folder.join("journal.jsonl");
    let mut text = fs::read_to_string(&path).expect("there is a journal");
    let last = text.trim_end().rfind('\n').expect("there is more than one line");
    text.truncate(last + 30);
    let half = &"…".as_bytes()[..2];
    fs::write(&path, [text.as_bytes(), half].concat()).expect("the journal can be written");
    campaign.assert_complete(campaign.run(&[]));
}

/// The runs of a record that cannot be read are run again; what stands behind it is not lost.
#[test]
fn a_record_that_cannot_be_read_hides_no_other() {
    let campaign = Campaign::new();
    let child = campaign.start(200);
    signal(&child, "TERM");
    child.wait_with_output().expect("lab ends");
    let path = campaign.folder.join("journal.jsonl");
    let text = fs::read_to_string(&path).expect("there is a journal");
    let mut lines: Vec<&str> = text.lines().collect();
    let records = lines.len() - 1;
    assert!(records > 1, "{text}");
    lines[1] = DAMAGED;
    fs::write(&path, lines.join("\n") + "\n").expect("the journal can be written");
    let said = campaign.run(&[]);
    // All records but that one count as done.
    let done = said.err.split(" runs are done").next().and_then(|text| text.rsplit(" of ").nth(1));
    let done = done.and_then(|text| text.rsplit(' ').next()).and_then(|number| number.parse::<u64>().ok());
    assert!(done.is_some_and(|done| done >= records as u64 - 1), "{done:?}: {}", said.err);
    campaign.assert_complete(said);
}

#[test]
fn a_finished_campaign_is_replaced_on_request_only() {
    let campaign = Campaign::new();
    campaign.assert_complete(campaign.run(&[]));
    let said = campaign.run(&[]).ended(2);
    assert!(
        said.err.contains("holds another campaign, or a finished one; --fresh replaces it"),
        "{}",
        said.err
    );
    fs::remove_file(&campaign.counts).expect("the counts are there");
    campaign.assert_complete(campaign.run(&["--fresh"]));
}

#[test]
fn two_processes_cannot_be_at_one_campaign() {
    let campaign = Campaign::new();
    let mut child = campaign.start(50);
    for options in [&[][..], &["--fresh"]] {
        let said = campaign.run(options).ended(2);
        assert!(said.err.contains("another process is at work in "), "{}", said.err);
    }
    assert!(child.try_wait().expect("lab is there").is_none(), "the first one goes on");
    signal(&child, "INT");
    child.wait().expect("lab ends");
}

#[test]
fn an_interruption_without_failures_is_130() {
    let folder = scratch().join("campaign");
    let mut command = command(&["stress", "slow_1a", "--runs", "5000", "--output"]);
    let child =
        command.arg(&folder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("lab can be run");
    let begun = Instant::now();
    while journal_lines(&folder) < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the campaign does not get going");
        sleep(Duration::from_millis(20));
    }
    signal(&child, "INT");
    Said::new(child.wait_with_output().expect("lab ends")).ended(130);
}

fn journal_lines(folder: &Path) -> usize {
    fs::read_to_string(folder.join("journal.jsonl")).map_or(0, |text| text.lines().count())
}

#[test]
fn rounds_are_counted_as_go_test_many_counts_them() {
    let output = scratch().join("campaign").display().to_string();
    let arguments =
        ["stress", "1A", "fails_1c", "--runs", "30", "--first-seed", "1", "--rounds", "--output", &output];
    let said = crate::lab(&arguments).ended(1);
    assert!(said.out.contains("Done 030/30; 27 ok, 3 failed\n"), "{}", said.out);
}

/// The tests whose runs the journal has, in its order, each once for runs that stand together.
fn journalled(folder: &Path) -> Vec<String> {
    let journal = fs::read_to_string(folder.join("journal.jsonl")).expect("the journal is kept");
    let lines = journal.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut tests: Vec<String> = lines.filter_map(|line| Some(line["test"].as_str()?.to_owned())).collect();
    tests.dedup();
    tests
}

#[test]
fn a_sequence_runs_one_test_after_the_other() {
    for (option, changes) in [(None, true), (Some("--sequential"), false)] {
        let folder = scratch().join("sequence");
        let mut command = command(&["stress", "passes_1a", "warns_1a", "-n", "40", "-j", "1", "--archive"]);
        command.args(option).arg("-o").arg(&folder);
        Said::new(command.output().expect("lab can be run")).ended(0);
        assert_eq!(journalled(&folder).len() > 2, changes, "{option:?}: {:?}", journalled(&folder));
    }
}

#[test]
fn the_seeds_of_a_swarm_are_named() {
    for (option, words) in [(None, "from 19 on, 2 of 20"), (Some("--swarm"), "from 1 on, 20 of 20")] {
        let mut command = command(&["stress", "passes_1a", "-n", "20", "--first-seed", "1"]);
        command.args(option).arg("-o").arg(scratch().join("swarm"));
        let said = Said::new(command.output().expect("lab can be run")).ended(0);
        assert!((said.out.clone() + &said.err).contains(&format!("swarm: seeds {words}")), "{}", said.out);
    }
}

#[test]
fn an_archive_keeps_runs_that_pass() {
    let folder = scratch().join("archive");
    let mut command = command(&["stress", "fails_1c", "-n", "20", "--first-seed", "0", "--archive", "-o"]);
    let said = Said::new(command.arg(&folder).output().expect("lab can be run")).ended(1);
    assert!(said.out.contains("all runs are kept beside"), "{}", said.out);
    let kept = |folder: &Path| -> usize {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .map(|path| if path.is_dir() { fs::read_dir(path).map_or(0, Iterator::count) } else { 0 })
            .sum()
    };
    assert_eq!(kept(&folder), 20, "two that failed, eighteen that passed");
}

/// However many runs fail, the desktop hears of the first.
#[test]
fn the_desktop_is_told_once() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = scratch();
    let (program, told) = (scratch.join("notify-send"), scratch.join("told"));
    fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {}\n", told.display())).expect("there is room");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("the file is there");
    let mut command = command(&["stress", "fails_1c", "-n", "40", "--first-seed", "0", "--notify", "-o"]);
    let path = std::env::var("PATH").unwrap_or_default();
    command.arg(scratch.join("campaign")).env("PATH", format!("{}:{path}", scratch.display()));
    Said::new(command.output().expect("lab can be run")).ended(1);
    let begun = Instant::now();
    while !told.exists() && begun.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(5));
    }
    let told = fs::read_to_string(&told).expect("the program was started");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("cargo lab stress: a run failed fails_1c seed "), "{told}");
}

/// dstest's options, with its letters, and what they do.
#[test]
fn the_options_of_dstest_are_known() {
    let folder = scratch().join("dstest").display().to_string();
    let short = ["stress", "limits_1c", "-s", "-p", "1", "-n", "2", "-a", "-t", "-v", "-v", "-o", &folder];
    let said = Said::new(command(&short).output().expect("lab can be run")).ended(1);
    assert!(said.out.contains("VERBOSE=2"), "{}", said.out);
    let help = Said::new(command(&["help", "stress"]).output().expect("lab can be run")).ended(0).out;
    for option in [
        "-s, --sequential",
        "-p",
        "--workers",
        "-n, --runs",
        "--iter",
        "-o, --output",
        "-a, --archive",
        "-r, --race",
        "-l, --loop",
        "-g, --growth",
        "-v, --verbose",
        "-t, --timing",
    ] {
        assert!(help.contains(option), "{option} is not in {help}");
    }
}
