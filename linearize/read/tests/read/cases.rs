//! Files as Jepsen, knossos, Maelstrom and porcupine write them, with their verdicts.

use std::fs;
use std::path::{Path, PathBuf};

use linearize::models::scalar::Scalar;
use linearize::{History, Limits, Model, Verdict, check};
use linearize_read::{FailedCas, Loaded, ModelName, Options, Problem, ReadError, Recording, read_as};

use crate::random::Random;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// The verdict on a file of `tests/cases`, read with these options.
fn verdict(file: &str, options: &Options) -> Result<(Recording, Verdict), ReadError> {
    let recording = read_as(file, fs::File::open(folder().join(file)).unwrap(), options)?;
    let verdict = verdict_on(&recording);
    Ok((recording, verdict))
}

fn verdict_on(recording: &Recording) -> Verdict {
    match &recording.loaded {
        Loaded::KeyValue(history) => history.check(&Limits::default()),
        Loaded::Keyed(model, history) => check(model, history, &Limits::default()),
    }
}

/// A row of `VERDICTS.tsv`.
struct Case<'a> {
    file: &'a str,
    options: Options,
    model: Option<ModelName>,
    verdict: &'a str,
    says: &'a str,
}

impl<'a> Case<'a> {
    fn of(line: &'a str) -> Case<'a> {
        let [file, options, model, verdict, says] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("five columns: {line}")
        };
        let options = match options {
            "" => Options::default(),
            "initial=0" => Options { initial: Some(Scalar::parse("0")), ..Options::default() },
            "failed-cas=saw-another" => {
                Options { failed_cas: Some(FailedCas::SawAnother), ..Options::default() }
            }
            other => panic!("no option is called {other}"),
        };
        Case { file, options, model: ModelName::named(model), verdict, says }
    }

    /// Compares the row with what is found, whether the model is guessed or given.
    fn check(&self) {
        for model in [None, self.model] {
            let options = Options { model, ..self.options.clone() };
            let (found, says) = match verdict(self.file, &options) {
                Err(error) => ("unreadable", error.to_string()),
                Ok((recording, verdict)) => {
                    assert_eq!(Some(recording.model), self.model, "{}", self.file);
                    found(&recording, &verdict)
                }
            };
            assert_eq!(found, self.verdict, "{}: {says}", self.file);
            assert!(says.contains(self.says), "{}: {says}", self.file);
        }
    }
}

/// The verdict in words, and its explanation, which holds.
fn found(recording: &Recording, verdict: &Verdict) -> (&'static str, String) {
    let (observed, holds) = match &recording.loaded {
        Loaded::KeyValue(history) => {
            (history.history().is_observed(), holds(verdict, &history.model(), history.history()))
        }
        Loaded::Keyed(model, history) => (history.is_observed(), holds(verdict, model, history)),
    };
    assert!(holds, "{verdict:?}");
    match verdict {
        Verdict::Linearizable(_) if !observed => ("nothing was observed", String::new()),
        Verdict::Linearizable(_) => ("linearizable", String::new()),
        Verdict::NotLinearizable(why) => {
            ("not linearizable", format!("{}: {}", why.kind.name(), why.sentence))
        }
        Verdict::Unknown(undecided) => ("unknown", undecided.to_string()),
    }
}

fn holds<M: Model>(verdict: &Verdict, model: &M, history: &History<M::Op, M::Result>) -> bool {
    match verdict {
        Verdict::Linearizable(witness) => witness.replay(model, history).is_ok(),
        Verdict::NotLinearizable(explanation) => explanation.minimal && explanation.holds(model, history),
        Verdict::Unknown(_) => true,
    }
}

/// All of the table, and no file that the table does not have.
#[test]
fn every_case_has_its_verdict() {
    let table = fs::read_to_string(folder().join("VERDICTS.tsv")).unwrap();
    let cases: Vec<Case<'_>> = table.lines().filter(|line| !line.starts_with('#')).map(Case::of).collect();
    for case in &cases {
        case.check();
    }
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "VERDICTS.tsv" || cases.iter().any(|case| case.file == name), "{name} has no row");
    }
    let problem = verdict("edn-txn.edn", &Options::default()).unwrap_err().problem;
    assert_eq!(problem, Problem::Transactions);
}

#[test]
fn what_a_nemesis_reports_becomes_a_fault() {
    let (recording, _) = verdict("edn-info-nemesis-bad.edn", &Options::default()).unwrap();
    let [fault] = recording.faults.as_slice() else { panic!("{:?}", recording.faults) };
    assert_eq!((fault.group.as_str(), fault.label.as_str()), ("nemesis", "start-partition"));
    // Times begin with the first event, at 1 ms of the file's clock.
    assert_eq!((fault.from, fault.to), (2_000_000, 5_000_000));
    assert!(fault.targets[0].contains("n2"), "{:?}", fault.targets);
}

#[test]
fn times_below_zero_are_shown_as_they_are() {
    let (recording, _) = verdict("negative-times-ok.jsonl", &Options::default()).unwrap();
    let Loaded::KeyValue(history) = recording.loaded else { panic!("no keys") };
    let first = &history.history()[0];
    assert_eq!((first.call, history.history().recorded_time(first.call)), (0, -20));
}

/// A history of a register from lines of `process type function value`.
fn log_of(lines: &[String]) -> (Recording, Verdict) {
    let text: String = lines.iter().map(|line| format!("{}\n", line.replacen(' ', "\t", 3))).collect();
    let recording = read_as("lines", text.as_bytes(), &Options::default()).unwrap();
    let verdict = verdict_on(&recording);
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

/// Reads and writes of 64 clients, of which up to all are under way at once; five values, and one late read
/// of nothing.
#[test]
fn few_values_of_many_clients_are_no_search() {
    let mut random = Random(1);
    let (clients, count) = (64, 10_000);
    let mut now = vec![0; clients];
    let mut slots: Vec<_> = (0..count)
        .map(|number| {
            let client = number % clients;
            let call = now[client] + random.below(200);
            let effect = call + random.below(700);
            let end = effect + random.below(700);
            now[client] = end + 1;
            (effect, client, call, end)
        })
        .collect();
    slots.sort_unstable();
    let (mut state, mut events) = ("nil".to_owned(), Vec::new());
    for (number, (_, client, call, end)) in slots.into_iter().enumerate() {
        let is_read = random.one_in(2) || number + 100 == count;
        let (function, asked) =
            if is_read { ("read", "nil") } else { ("write", random.pick(&["0", "1", "2", "3", "4"])) };
        if !is_read {
            state = asked.to_owned();
        }
        let answer = if number + 100 == count { "nil" } else { &state };
        events.push((call, format!("{client} :invoke :{function} {asked}")));
        events.push((end, format!("{client} :ok :{function} {answer}")));
    }
    // The sort is stable, so that a call stays before its return.
    events.sort_by_key(|&(time, _)| time);
    let lines: Vec<String> = events.into_iter().map(|(_, line)| line).collect();
    let text: String = lines.iter().map(|line| format!("{}\n", line.replacen(' ', "\t", 3))).collect();
    let recording = read_as("lines", text.as_bytes(), &Options::default()).unwrap();
    let Loaded::Keyed(model, history) = &recording.loaded else { panic!("no objects") };
    let begun = std::time::Instant::now();
    let verdict = check(model, history, &Limits::default().with_states(1));
    println!("{} operations: {:?}", history.len(), begun.elapsed());
    let Verdict::NotLinearizable(why) = verdict else { panic!("{verdict:?}") };
    assert!(why.kind.name() == "stale read" && why.minimal && why.operations.len() <= 4, "{why:?}");
}
