//! Files as Jepsen, knossos, Maelstrom and porcupine write them, with their verdicts.

use std::path::Path;

use linearize::{Limits, Verdict, check};
use linearize_read::{FailedCas, Loaded, ModelName, Options, Problem, Recording, read_as};

/// The verdict on a file of `tests/cases`, read with these options.
fn verdict(file: &str, options: &Options) -> (Recording, Verdict) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(file);
    let recording = read_as(file, std::fs::File::open(path).unwrap(), options).unwrap();
    let limits = Limits::default();
    let verdict = match &recording.loaded {
        Loaded::KeyValue(history) => history.check(&limits),
        Loaded::Keyed(model, history) => check(model, history, &limits),
    };
    (recording, verdict)
}

#[track_caller]
fn expect(file: &str, options: &Options, model: ModelName, linearizable: bool) {
    let (recording, verdict) = verdict(file, options);
    assert_eq!(recording.model, model, "{file}");
    assert_eq!(verdict.is_linearizable(), linearizable, "{file}: {verdict:?}");
    assert_eq!(verdict.is_not_linearizable(), !linearizable, "{file}: {verdict:?}");
}

#[test]
fn every_case_has_its_verdict() {
    use ModelName::{Counter, KeyValue, Lock, Queue, Register, Set};
    let cases = [
        ("edn-counter-bad.edn", Counter, false),
        ("edn-fail-cas-did-not-happen.edn", Register, true),
        ("edn-info-nemesis-bad.edn", Register, false),
        ("edn-initial-0.edn", Register, false),
        ("edn-keys-bad.edn", Register, false),
        ("edn-keys-ok.edn", Register, true),
        ("edn-keys-strings-ok.edn", Register, true),
        ("edn-lines-register-bad.edn", Register, false),
        ("edn-lines-register-ok.edn", Register, true),
        ("edn-list.edn", Register, false),
        ("edn-mutex-bad.edn", Lock, false),
        ("edn-nil-read.edn", Register, false),
        ("edn-queue-bad.edn", Queue, false),
        ("edn-record.edn", Register, false),
        ("edn-set-bad.edn", Set, false),
        ("edn-vector.edn", Register, true),
        ("history-txt-bad.txt", Register, false),
        ("history-txt-ok.txt", Register, true),
        ("log-2021-bad.log", Register, false),
        ("log-comma-in-vector-ok.log", Register, true),
        ("log-maelstrom-ok.log", Register, true),
        ("negative-times-ok.jsonl", KeyValue, true),
        ("porcupine-extra-vector-ok.txt", KeyValue, true),
        ("porcupine-unicode-escape-ok.txt", KeyValue, true),
        ("touching-other-client-ok.jsonl", KeyValue, true),
        ("touching-same-client-bad.jsonl", KeyValue, false),
        ("words-ddia-bad.log", Register, false),
    ];
    for (file, model, linearizable) in cases {
        expect(file, &Options::default(), model, linearizable);
        let demanded = Options { model: Some(model), ..Options::default() };
        expect(file, &demanded, model, linearizable);
    }
    let zero = linearize::models::scalar::Scalar::parse("0");
    let options = Options { initial: Some(zero), ..Options::default() };
    expect("edn-initial-0.edn", &options, Register, true);
    let options = Options { failed_cas: Some(FailedCas::SawAnother), ..Options::default() };
    expect("edn-fail-cas-did-not-happen.edn", &options, Register, false);
}

#[test]
fn transactions_are_refused_by_name() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/edn-txn.edn");
    let error = linearize_read::read_file(&path).unwrap_err();
    assert_eq!(error.problem, Problem::Transactions);
    assert!(error.to_string().contains("Elle"), "{error}");
}

#[test]
fn what_a_nemesis_reports_becomes_a_fault() {
    let (recording, _) = verdict("edn-info-nemesis-bad.edn", &Options::default());
    let [fault] = recording.faults.as_slice() else { panic!("{:?}", recording.faults) };
    assert_eq!((fault.group.as_str(), fault.label.as_str()), ("nemesis", "start-partition"));
    // Times begin with the first event, at 1 ms of the file's clock.
    assert_eq!((fault.from, fault.to), (2_000_000, 5_000_000));
    assert!(fault.targets[0].contains("n2"), "{:?}", fault.targets);
}

#[test]
fn where_nothing_returned_nothing_was_observed() {
    let (recording, verdict) = verdict("nothing-returned.jsonl", &Options::default());
    let Loaded::KeyValue(history) = recording.loaded else { panic!("no keys") };
    assert!(!history.history().is_observed());
    let words = linearize::text::render(&history.model(), history.history(), &verdict, &[], 100);
    assert!(words.starts_with("nothing was observed"), "{words}");
    let page = linearize::picture::page(&history.model(), history.history(), &verdict, &[]);
    assert!(page.contains("nothing was observed"));
}

#[test]
fn times_below_zero_are_shown_as_they_are() {
    let (recording, _) = verdict("negative-times-ok.jsonl", &Options::default());
    let Loaded::KeyValue(history) = recording.loaded else { panic!("no keys") };
    let first = &history.history()[0];
    assert_eq!((first.call, history.history().recorded_time(first.call)), (0, -20));
}

/// The explanation of a file of `tests/cases`.
fn explanation(file: &str) -> String {
    match verdict(file, &Options::default()).1 {
        Verdict::NotLinearizable(explanation) => explanation.to_string(),
        other => panic!("{file}: {other:?}"),
    }
}

#[test]
fn every_case_has_its_sentence() {
    let cases = [
        (
            "words-ddia-bad.log",
            "stale read\nRead by client 1 returned 2, but CompareAndSwap 2 to 4 by client 3 had replaced 2: the Read by \
             client 0 that saw 4 had already returned 1 event before it was called, and was itself called 2 events after \
             CompareAndSwap 1 to 2 by client 2 had returned.",
        ),
        (
            "edn-lines-register-bad.edn",
            "stale read\nRead by client 3 returned 2, but CompareAndSwap 2 to 5 by client 1 had replaced 2: the Read by \
             client 2 that saw 5 had already returned 2.0 ms before it was called, and was itself called 2.0 ms after \
             Write 2 by client 0 had returned.",
        ),
        (
            "edn-info-nemesis-bad.edn",
            "stale read\nRead by client 6 returned nil, but Write 1 by client 0 had replaced nil: the Read by client 5 \
             that saw 1 had already returned 1.0 ms before it was called, and nil was there at first only.",
        ),
        (
            "edn-nil-read.edn",
            "stale read\nRead by client 1 returned nil, but Write 1 by client 0 had already returned 1.0 ms before it was \
             called, and nil was there at first only.",
        ),
        ("edn-initial-0.edn", "phantom value\nRead by client 9 returned 0, but nobody wrote 0."),
        (
            "touching-same-client-bad.jsonl",
            "stale read\nGet by client 0 returned \"\", but Put \"1\" by client 0 had already returned just before it was \
             called.",
        ),
    ];
    for (file, sentence) in cases {
        let said = explanation(file);
        assert!(said.ends_with(sentence), "{file}: {said}");
    }
}

/// A history of a register from lines of `process type function value`.
fn log_of(lines: &[String]) -> (Recording, Verdict) {
    let text: String = lines.iter().map(|line| format!("{}\n", line.replacen(' ', "\t", 3))).collect();
    let recording = read_as("lines", text.as_bytes(), &Options::default()).unwrap();
    let Loaded::Keyed(model, history) = &recording.loaded else { panic!("no objects") };
    let verdict = check(model, history, &Limits::default());
    (recording, verdict)
}

/// As [`log_of`], for one that is not linearizable: kind, sentence and whether it is minimal, after it was
/// tried out.
fn told(lines: &[&str]) -> (String, bool) {
    let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
    let (recording, verdict) = log_of(&lines);
    let Loaded::Keyed(model, history) = &recording.loaded else { panic!("no objects") };
    let Verdict::NotLinearizable(explanation) = verdict else { panic!("{verdict:?}") };
    assert!(!explanation.minimal || explanation.holds(model, history), "{explanation:?}");
    (format!("{}: {}", explanation.kind.name(), explanation.sentence), explanation.minimal)
}

#[test]
fn usual_errors_of_registers_have_sentences() {
    let write = ["0 :invoke :write 3", "0 :ok :write 3"];
    let swaps = ["1 :invoke :cas [3 4]", "1 :ok :cas [3 4]", "2 :invoke :cas [3 5]", "2 :ok :cas [3 5]"];
    let (said, minimal) = told(&[&write[..], &swaps[..]].concat());
    assert!(
        said.starts_with(
            "stale read: CompareAndSwap 3 to 5 by client 2 returned swapped, but CompareAndSwap 3 to 4 by client 1 had \
             replaced 3 and returned 1 event before it was called"
        ) && minimal,
        "{said}"
    );
    let together = ["1 :invoke :cas [3 4]", "2 :invoke :cas [3 5]", "1 :ok :cas [3 4]", "2 :ok :cas [3 5]"];
    let (said, minimal) = told(&[&write[..], &together[..]].concat());
    assert_eq!(
        said,
        "lost update: CompareAndSwap 3 to 4 by client 1 and CompareAndSwap 3 to 5 by client 2 both replaced 3, which only \
         Write 3 by client 0 wrote, once."
    );
    assert!(minimal);
    let (said, _) = told(&["1 :invoke :read nil", "1 :ok :read 3", write[0], write[1]]);
    assert_eq!(
        said,
        "read from the future: Read by client 1 returned 3, but Write 3 by client 0 was called only 1 event after that."
    );
    let (said, _) = told(&[write[0], write[1], "1 :invoke :read nil", "1 :ok :read 7"]);
    assert_eq!(said, "phantom value: Read by client 1 returned 7, but nobody wrote 7.");
}

#[test]
fn a_stale_read_among_thousands_of_operations_is_named() {
    let mut lines = Vec::new();
    for value in 0..1600 {
        let seen = if value < 1599 { value } else { value - 1 };
        lines.extend([format!("0 :invoke :write {value}"), format!("0 :ok :write {value}")]);
        lines.extend(["1 :invoke :read nil".to_owned(), format!("1 :ok :read {seen}")]);
    }
    let (_, verdict) = log_of(&lines);
    let Verdict::NotLinearizable(explanation) = verdict else { panic!("{verdict:?}") };
    assert_eq!(explanation.kind.name(), "stale read");
    let start =
        "Read by client 1 returned 1598, but Write 1599 by client 0 had already returned 1 event before";
    assert!(explanation.sentence.starts_with(start) && explanation.minimal, "{explanation:?}");
    assert!(explanation.operations.len() <= 4);
}
