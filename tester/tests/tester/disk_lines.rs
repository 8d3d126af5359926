//! What a traced run says of the disk: what is written, and which reply promises what is not; of votes; and
//! of the tester's own looks.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use labreport::{Kind, Report};
use labtrace::{Trace, read_file};
use tester::{Cluster, Retry, Setup, Test, Unwatched, run};

use crate::fake::{Fake, Wrong};
use crate::process::{child, plays, reports};

/// Two commands, and nobody crashes, so that no rule is broken.
fn play(name: &'static str, wrong: Wrong) {
    if plays(name) {
        run(name, move |t: &Test| {
            Fake::will_be(wrong);
            let cluster = Cluster::<Unwatched<Fake>>::new(t, Setup::servers(3));
            cluster.agree_on(1, 3, Retry::No);
            cluster.agree_on(2, 3, Retry::No);
        });
    }
}

#[test]
fn hollow() {
    play("hollow", Wrong::WritesLate);
}

#[test]
fn kept() {
    play("kept", Wrong::Nothing);
}

/// This one breaks a rule.
#[test]
fn twice() {
    play("twice", Wrong::VotesTwice);
}

/// What the events of this kind say of server 1.
fn told(trace: &Trace, kind: &str) -> Vec<String> {
    told_of(1, trace, kind)
}

fn told_of(server: usize, trace: &Trace, kind: &str) -> Vec<String> {
    let node = format!("server-{server}");
    let events = trace.events.iter().filter(|event| *event.kind == *kind && *event.node == *node);
    events.map(|event| event.text.clone()).collect()
}

fn trace_of(part: &str) -> Trace {
    trace_of_variant(part, "")
}

/// The trace of the run that differs from what seed 1 says in this way.
fn trace_of_variant(part: &str, differs: &str) -> Trace {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let place = |what: &str| std::env::temp_dir().join(format!("tester-{}-{number}.{what}", process::id()));
    let (file, variant) = (place("trace"), place("variant"));
    std::fs::write(&variant, format!("test {part}\nseed 1\n{differs}")).expect("there is room for a file");
    let [trace, variants] = [&file, &variant].map(|path| path.display().to_string());
    let output = child(part, &[("LAB_SEED", "0"), ("LAB_TRACE", &trace), ("LAB_VARIANTS", &variants)]);
    let is_expected = output.status.success() == (part != "twice");
    assert!(is_expected, "{}", String::from_utf8_lossy(&output.stdout));
    let trace = read_file(&file).expect("the child wrote a trace");
    [file, variant].iter().for_each(|file| std::fs::remove_file(file).expect("it can be removed"));
    trace
}

#[test]
fn a_reply_that_promises_what_is_not_on_the_disk_is_marked() {
    let marks = told(&trace_of("hollow"), "promise");
    let words =
        "NOT ON THE DISK: it acknowledged the entry at index 2 (term 1), and has written nothing since";
    assert!(marks.iter().any(|mark| mark.starts_with(words)), "{marks:?}");
    assert_eq!(told(&trace_of("kept"), "promise"), [""; 0]);
}

#[test]
fn a_vote_says_what_is_known_of_both_logs() {
    let votes = told_of(0, &trace_of("twice"), "vote");
    let granted = votes.first().unwrap_or_else(|| panic!("no vote"));
    assert!(granted.starts_with("granted to server "), "{granted}");
    assert!(granted.ends_with("in term 1, whose log ends at index 0 (term 0)"), "{granted}");
}

#[test]
fn a_write_says_which_of_its_bytes_are_new() {
    let writes = told(&trace_of("kept"), "disk");
    let writes: Vec<_> = writes.iter().filter_map(|write| write.split(" at ").next()).collect();
    let expected = [
        "reads 0 bytes of snapshot",
        "reads 0 bytes of state",
        "reads 0 bytes of state",
        "writes 10 bytes of state (the first)",
        "writes 10 bytes of state (as before)",
        "writes 19 bytes of state (bytes 0–11 changed)",
        "writes 19 bytes of state (as before)",
    ];
    assert_eq!(writes, expected);
}

/// They are a fifth of the events of a short run, and seldom needed for its failure.
#[test]
fn a_run_can_do_without_the_looks_of_the_tester() {
    let looks = |trace: &Trace| trace.events.iter().filter(|event| *event.target == *"get_state").count();
    assert!(looks(&trace_of("kept")) > 0);
    assert_eq!(looks(&trace_of_variant("kept", "blind\n")), 0);
}

/// The report of the run that differs from what seed 1 says in this way.
fn report_of_variant(part: &str, differs: &str) -> Report {
    let variant = std::env::temp_dir().join(format!("tester-{}-{part}.variant", process::id()));
    std::fs::write(&variant, format!("test {part}\nseed 1\n{differs}")).expect("there is room for a file");
    let variants = variant.display().to_string();
    let output = child(part, &[("LAB_SEED", "0"), ("LAB_REPORT", "1"), ("LAB_VARIANTS", &variants)]);
    std::fs::remove_file(variant).expect("it can be removed");
    reports(&output).pop().expect("the child reports")
}

/// It has not taken too long: nobody was to see more of it.
#[test]
fn a_run_that_is_to_see_no_more_says_so() {
    let report = report_of_variant("kept", "until 1000000\n");
    assert!(report.cut && !report.ok && report.kind == Some(Kind::VirtualTime), "{report:?}");
    let report = report_of_variant("kept", "");
    assert!(report.ok && !report.cut && !report.overdue, "{report:?}");
}

/// Two of three servers that know of no others are a cluster. Whoever asks for the third finds nobody.
#[test]
fn a_cluster_may_be_smaller_than_its_test_says() {
    let events = trace_of_variant("twice", "servers 2\n");
    assert!(events.events.iter().any(|event| *event.node == *"server-1"), "there are two");
    assert!(events.events.iter().all(|event| *event.node != *"server-2"), "and no third");
    // Three servers cannot agree then, and what is missing is something that was waited for.
    let report = report_of_variant("kept", "servers 2\n");
    assert!(!report.ok && report.overdue && !report.cut, "{report:?}");
    assert_eq!(report.choices.get("server"), Some(&3));
}
