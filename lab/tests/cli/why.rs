//! `logs`, `trace`, `shrink` and `when`: what they show, and what becomes of bad input.

use std::path::PathBuf;

use crate::{lab, scratch};

/// A file with this content, in a folder of its own: another test may be writing the same file anew.
fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = scratch().join(name);
    std::fs::write(&path, content).expect("there is room for a file");
    path
}

const EVENTS: &str = r#"{"labtrace":1,"test":"passes_1a","seed":4}
{"t":1000,"node":"server-0","thread":5,"kind":"message","target":"Raft.vote","fields":{"leg":"call"},"text":"Args { term: 3 }"}
{"t":1000,"node":"server-0","thread":5,"kind":"message","target":"Raft.vote","fields":{"leg":"request","call":7,"to":"server-1"},"text":"x"}
{"t":2000,"node":"server-1","thread":6,"kind":"message","target":"Raft.vote","fields":{"leg":"arrives","call":7},"text":"x"}
{"t":3000,"node":"server-1","thread":6,"kind":"log","target":"vote","text":"\u001b[2Jgrants\u202e <b>"}
"#;

fn events() -> String {
    file("events.jsonl", EVENTS.as_bytes()).display().to_string()
}

#[test]
fn a_log_follows_a_call_with_its_arguments() {
    let said = lab(&["logs", "--file", &events(), "--rpc", "7", "--columns-width", "100"]).ended(0);
    assert!(said.out.contains("vote → server-1 #7 Args {"), "{}", said.out);
    assert!(said.out.contains("vote ← server-0 #7 arrives"), "{}", said.out);
    assert!(!said.out.contains("grants"), "{}", said.out);
}

#[test]
fn each_event_may_be_a_line_of_its_own() {
    let said = lab(&["logs", "--file", &events(), "--lines"]).ended(0);
    assert!(
        said.out.contains("0.000001      server-0 vote → server-1 #7 Args { term: 3 }\n"),
        "{}",
        said.out
    );
    lab(&["logs", "--file", &events(), "--lines", "--columns-width", "90"]).ended(2);
}

#[test]
fn what_a_solution_says_steers_no_terminal() {
    let said = lab(&["logs", "--file", &events()]).ended(0);
    assert!(said.out.contains("\\u{1b}[2Jgrants\\u{202e} <b>"), "{}", said.out);
    assert!(
        !said.out.contains('\u{1b}') && !said.out.contains('\u{202e}'),
        "plain into a pipe: {}",
        said.out
    );
}

#[test]
fn a_wrong_topic_server_call_or_time_is_an_error() {
    for (option, value, says) in [
        ("--just", "votes", "this run has no topic votes; it has: vote"),
        ("--server", "9", "this run has no server 9; it has: server-0, server-1"),
        ("--rpc", "8", "this run has no RPC #8"),
        ("--from", "soon", "it must be a time"),
    ] {
        let said = lab(&["logs", "--file", &events(), option, value]).ended(2);
        assert!(said.err.contains(says), "{}", said.err);
    }
}

#[test]
fn a_trace_of_another_version_is_refused_in_a_sentence() {
    let other = file("other", b"labtrace 99\n{}\n").display().to_string();
    for verb in ["logs", "replay"] {
        let said = lab(&[verb, "--file", &other]).ended(2);
        assert!(said.err.contains("a trace of version 99, and this program reads version 1"), "{}", said.err);
    }
    let foreign = file("foreign", b"\x7fELF").display().to_string();
    assert!(lab(&["logs", "--file", &foreign]).ended(2).err.contains("it is no trace"));
    assert!(lab(&["logs", "--file", "/no/such/file"]).ended(2).err.contains("cannot be read"));
}

#[test]
fn a_truncated_trace_is_shown_as_far_as_it_goes() {
    let cut = file("cut.jsonl", &EVENTS.as_bytes()[..EVENTS.len() - 30]).display().to_string();
    let said = lab(&["logs", "--file", &cut]).ended(0);
    assert!(
        said.out.contains("arrives") && said.err.contains("1 line of the trace is no event"),
        "{}",
        said.err
    );
}

/// What has no event at all can be neither shown nor turned into something else.
#[test]
fn a_trace_without_events_is_refused() {
    for content in
        [&b"labtrace 1\n{}\n"[..], b"labtrace 1\n{\"test\":", b"labtrace 1\n", b"{\"labtrace\":1}\n"]
    {
        let empty = file("empty", content).display().to_string();
        for options in [&["logs"][..], &["replay"], &["trace", "--json"], &["trace", "--shiviz"]] {
            let said = lab(&[options, &["--file", &empty]].concat()).ended(2);
            assert!(said.err.contains("there is no event in it"), "{}", said.err);
        }
    }
}

/// What comes late is told again where it arrives.
#[test]
fn a_late_reply_says_what_it_is() {
    let call = r#"{"labtrace":1,"test":"passes_1a","seed":4}
{"t":1000,"node":"server-0","thread":5,"kind":"message","target":"Raft.vote","fields":{"leg":"call"},"text":"Args { term: 3 }"}
{"t":1000,"node":"server-0","thread":5,"kind":"message","target":"Raft.vote","fields":{"leg":"request","call":7,"to":"server-1"},"text":"x"}
{"t":2000,"node":"server-1","thread":6,"kind":"message","target":"Raft.vote","fields":{"leg":"arrives","call":7},"text":"x"}
{"t":2000,"node":"server-1","thread":6,"kind":"message","target":"Raft.vote","fields":{"leg":"result"},"text":"Reply { term: 3 }"}
{"t":2000,"node":"server-1","thread":6,"kind":"message","target":"Raft.vote","fields":{"leg":"reply","call":7},"text":"x"}
{"t":RETURNS,"node":"server-0","thread":5,"kind":"message","target":"Raft.vote","fields":{"leg":"returns","call":7},"text":"x"}
"#;
    for (returns, says) in
        [("900000000", "reply, late, of 0.000002: Reply { term: 3 }"), ("9000000", "#7 reply")]
    {
        let path = file("late.jsonl", call.replace("RETURNS", returns).as_bytes()).display().to_string();
        let said = lab(&["logs", "--file", &path, "--columns-width", "200"]).ended(0);
        assert!(said.out.contains(says), "{}", said.out);
        assert_eq!(said.out.contains("late"), returns.len() > 7, "{}", said.out);
    }
}

#[test]
fn a_trace_is_written_for_other_programs() {
    let json = lab(&["trace", "--file", &events(), "--json"]).ended(0);
    assert!(json.out.starts_with("{\"labtrace\":1,") && json.out.lines().count() == 5, "{}", json.out);
    let shiviz = lab(&["trace", "--file", &events(), "--shiviz"]).ended(0);
    assert!(shiviz.out.contains("server-1 {\"server-0\":2,\"server-1\":1}"), "{}", shiviz.out);
    let perfetto = lab(&["trace", "--file", &events(), "--perfetto"]).ended(0);
    assert!(perfetto.out.starts_with('[') && perfetto.out.contains("process_name"), "{}", perfetto.out);
    assert!(lab(&["trace", "passes_1a", "--seed", "4"]).ended(2).err.contains("where to?"));
}

#[test]
fn a_seed_that_passes_cannot_be_shrunk_or_forked() {
    for verb in ["shrink", "when"] {
        let said = lab(&[verb, "passes_1a", "--seed", "4"]).ended(2);
        assert!(said.err.contains("passes_1a passes with seed 4"), "{}", said.err);
        let said = lab(&[verb, "fails_1c", "--seed", "20", "--threads"]).ended(2);
        assert!(said.err.contains("in the simulation only"), "{}", said.err);
    }
}

#[test]
fn a_bad_file_of_shrink_is_refused_in_a_sentence() {
    for (content, says) in [
        (&b"test gone_9z\nseed 4\n"[..], "is of a test that is not here"),
        (b"seed 4\n", "names no test"),
        (b"test passes_1a\nseed x\n", "line 2: `x` is no number"),
        (b"test passes_1a\nseed 4\noptions --swarn\n", "options --swarn: no run has these"),
        (b"test passes_1a\nseed 4\noptions --scheduler pct:0\n", "no run has these"),
        (b"\xff\xfe", "it is no text"),
    ] {
        let path = file("bad.shrunk", content).display().to_string();
        let said = lab(&["replay", "--shrunk", &path]).ended(2);
        assert!(said.err.contains(says), "{}", said.err);
    }
}

/// What a file says of its run cannot be said otherwise.
#[test]
fn options_that_a_file_makes_idle_are_refused() {
    let shrunk = file("good.shrunk", b"test passes_1a\nseed 4\n").display().to_string();
    for source in [["--file", &events()], ["--shrunk", &shrunk]] {
        for option in [
            &["--swarm"][..],
            &["--threads"],
            &["--check-determinism"],
            &["--over", "oracle"],
            &["--scheduler", "random"],
        ] {
            let said = lab(&[&["replay"], &source[..], option].concat()).ended(2);
            assert!(said.err.contains(&format!("{} would be ignored", option[0])), "{}", said.err);
        }
        lab(&[&["logs"], &source[..]].concat()).ended(0);
    }
    let said = lab(&["replay", "--file", &events(), "--trace", "kept.labtrace"]).ended(2);
    assert!(said.err.contains("--trace would be ignored"), "{}", said.err);
}

#[test]
fn a_scheduler_is_checked() {
    assert!(lab(&["test", "passes_1a", "--scheduler", "pct:0"]).ended(2).err.contains("pct:D"));
    lab(&["test", "passes_1a", "--scheduler", "pct:3"]).ended(0);
}
