//! Files as Jepsen, knossos, Maelstrom and porcupine write them, with their verdicts.

use std::path::Path;

use linearize::read::{FailedCas, Loaded, ModelName, Options, Problem, Recording, read_as};
use linearize::{Limits, Verdict, check};

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
    let error = linearize::read::read_file(&path).unwrap_err();
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
