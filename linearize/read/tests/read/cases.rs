//! Files as Jepsen, knossos, Maelstrom and porcupine write them, with their verdicts.

use std::fs;
use std::path::{Path, PathBuf};

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
            "initial=0" => {
                Options { initial: Some(linearize_read::value("0").unwrap()), ..Options::default() }
            }
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
fn what_cannot_be_there_yet_is_said_to_be_so() {
    let [call, answer] = ["1 :invoke :cas [2 2]", "1 :ok :cas [2 2]"];
    let (said, minimal) = told(&[call, answer]);
    assert_eq!(
        said,
        "phantom value: CompareAndSwap 2 to 2 by client 1 returned swapped, but nobody else wrote 2."
    );
    assert!(minimal);
    let (said, minimal) = told(&["0 :invoke :cas [2 2]", call, answer]);
    assert_eq!(
        said,
        "phantom value: CompareAndSwap 2 to 2 by client 1 returned swapped, but nobody can have written 2 by then: \
         CompareAndSwap 2 to 2 by client 0 needed 2 to be there first."
    );
    assert!(minimal);
    let read = ["0 :invoke :cas [1 3]", "1 :invoke :read nil", "1 :ok :read 3"];
    let (said, minimal) = told(&[&read[..], &["1 :invoke :write 1"]].concat());
    assert_eq!(
        said,
        "phantom value: Read by client 1 returned 3, but nobody can have written 3 by then: CompareAndSwap 1 to 3 by client 0 \
         needed 1 to be there first."
    );
    assert!(minimal);
}

#[test]
fn what_was_taken_out_oftener_than_it_was_put_in_is_named() {
    for [put, take, did] in [["enqueue", "dequeue", "enqueued"], ["push", "pop", "pushed"]] {
        let event = |client: u32, kind: &str, function: &str, value: &str| {
            format!("{client}\t:{kind}\t:{function}\t{value}\n")
        };
        let taken = |client| [event(client, "invoke", take, "nil"), event(client, "ok", take, "3")].concat();
        let name = if take == "pop" { "Pop" } else { "Dequeue" };
        let phantom = format!("phantom value: {name} by client 1 returned 3, but nobody {did} 3.");
        assert_eq!(usual(&taken(1)).2, phantom);
        let once = [event(0, "invoke", put, "3"), event(0, "ok", put, "3"), taken(1), taken(2)].concat();
        let (_, _, says) = usual(&once);
        assert!(
            says.starts_with("write applied twice: ")
                && says.ends_with(&format!("; but 3 was {did} once only.")),
            "{says}"
        );
    }
}

/// A lock is taken while it is held, among many that take it in turn.
#[test]
fn a_lock_that_was_taken_twice_is_told_in_a_sentence() {
    let turn = |client: u32| {
        let event = |kind: &str, function: &str| format!("{client} :{kind} :{function} nil");
        [
            event("invoke", "acquire"),
            event("ok", "acquire"),
            event("invoke", "release"),
            event("ok", "release"),
        ]
    };
    let mut lines: Vec<String> = (0..2_000).flat_map(|round| turn(round % 3)).collect();
    let both = turn(7);
    lines.splice(6_002..6_002, both[..2].iter().cloned());
    let (recording, verdict) = log_of(&lines);
    let (_, says) = found(&recording, &verdict);
    assert_eq!(
        says,
        "no order fits: Acquire by client 0 and Acquire by client 7, but nobody can have released the lock between the first \
         call and the last return."
    );
    // All wait for it from the beginning on, so that only their number tells.
    let waiting = (10..14).map(|client| format!("{client} :invoke :acquire nil"));
    lines.splice(0..0, waiting);
    lines.extend((10..14).map(|client| format!("{client} :ok :acquire nil")));
    lines.remove(6_006);
    lines.remove(6_006);
    let (recording, verdict) = log_of(&lines);
    let (_, says) = found(&recording, &verdict);
    assert_eq!(
        says,
        "no order fits: Acquire by client 11; by then 2002 operations had taken the lock, but at most 2000 can have released \
         the lock."
    );
}

#[test]
fn what_is_not_known_to_have_returned_is_not_said_to_have_come_too_late() {
    let text = "0\t:invoke\t:read\tnil\n0\t:ok\t:read\t#{1}\n1\t:invoke\t:add\t1\n";
    let says = usual(text).2;
    assert!(says.contains("but Add 1 by client 1 was called only 1 event after that."), "{says}");
}

/// The write that never returned changes nothing where it must happen, and yet it must: it hides `:write 2`
/// from the compare-and-set, which needs 3.
#[test]
fn a_write_that_changes_nothing_may_hide_another() {
    let text = "9\t:invoke\t:write\t3\n1\t:invoke\t:write\t3\n1\t:ok\t:write\t3\n3\t:invoke\t:write\t2\n\
                1\t:invoke\t:cas\t[3 1]\n1\t:ok\t:cas\t[3 1]\n3\t:ok\t:write\t2\n\
                1\t:invoke\t:read\tnil\n1\t:ok\t:read\t1\n";
    assert_eq!(usual(text).1, "linearizable");
}

#[test]
fn a_value_that_came_back_is_told_by_what_was_read_between() {
    let lines = [
        // Both may write 3 before the first read, and nothing after it.
        "0 :invoke :write 3",
        "0 :ok :write 3",
        "1 :invoke :cas [3 2]",
        "1 :ok :cas [3 2]",
        "1 :invoke :cas [2 3]",
        "1 :ok :cas [2 3]",
        "0 :invoke :write 1",
        "2 :invoke :read nil",
        "2 :ok :read 3",
        "2 :invoke :read nil",
        "2 :ok :read 1",
        "2 :invoke :read nil",
        "2 :ok :read 3",
    ];
    let (said, minimal) = told(&lines);
    assert!(said.starts_with("stale read: Read by client 2 returned 3, but") && minimal, "{said}");
}

/// Of several that may have written it none is said to have done so, least of all one that cannot have.
#[test]
fn who_replaced_a_value_is_said_only_if_nobody_else_can_have() {
    let reads = ["2 :invoke :read nil", "2 :ok :read 1", "3 :invoke :read nil", "3 :ok :read nil"];
    let told_among = |others: &[&str]| told(&[others, &reads[..]].concat()).0;
    let write = ["0 :invoke :write 1", "0 :ok :write 1"];
    for other in ["5 :invoke :write 1", "5 :invoke :cas [1 1]", "5 :invoke :cas [7 1]"] {
        assert_eq!(
            told_among(&[write[0], other]),
            "stale read: Read by client 3 returned nil, but the Read by client 2 that saw 1 had already returned 1 event \
             before it was called, and nil was there at first only."
        );
    }
    let said = told_among(&[write[0], "5 :invoke :write 2"]);
    assert!(said.contains("Write 1 by client 0 had replaced nil: the Read by client 2"), "{said}");
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

/// The model, and the verdict with its explanation, of a file that holds `text`.
pub(crate) fn read_text(
    text: &str,
    options: &Options,
) -> Result<(ModelName, &'static str, String), ReadError> {
    let recording = read_as("text", text.as_bytes(), options)?;
    let (verdict, says) = found(&recording, &verdict_on(&recording));
    Ok((recording.model, verdict, says))
}

/// As [`read_text`], read as usual.
pub(crate) fn usual(text: &str) -> (ModelName, &'static str, String) {
    read_text(text, &Options::default()).unwrap()
}

/// The events of one process that writes 1 and then reads `seen`.
fn write_and_read(seen: &str) -> String {
    let event = |kind, rest| format!("{{:process 0, :type {kind}, {rest}}}\n");
    let read = format!(":f :read, :value {seen}");
    [
        event(":invoke", ":f :write, :value 1"),
        event(":ok", ":f :write, :value 1"),
        event(":invoke", ":f :read, :value nil"),
        event(":ok", &read),
    ]
    .concat()
}

#[test]
fn objects_that_were_printed_are_no_obstacle() {
    let thrown = "#object[java.net.SocketException 0x6a2bcfcb \"reset\"]";
    let text = write_and_read("nil").replacen(
        ":ok, :f :write, :value 1",
        &format!(":info, :f :write, :value 1, :error {thrown}}}\n{{:process :nemesis, :type :info, :f :start, :value {thrown}"),
        1,
    );
    let text = text.replace("{:process 0, :type :invoke, :f :read", "{:process 1, :type :invoke, :f :read");
    let text = text.replace("{:process 0, :type :ok, :f :read", "{:process 1, :type :ok, :f :read");
    assert_eq!(usual(&text).1, "linearizable");
    assert_eq!(usual(&write_and_read("0x01")).1, "linearizable");
    assert_eq!(usual(&write_and_read("0xffffffffffffffffff")).1, "not linearizable");
    assert!(read_text(&write_and_read("0xg"), &Options::default()).is_err());
}

#[test]
fn names_are_keywords_symbols_or_strings() {
    for kind in ["ok", "\"ok\""] {
        assert_eq!(usual(&write_and_read("1").replace(":ok", kind)).1, "linearizable");
    }
    assert_eq!(usual(&write_and_read("2").replace(":process 0", ":process \"0\"")).1, "not linearizable");
    let error = read_text(&write_and_read("1").replace(":ok", "[3]"), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("[3] where a type should be"), "{error}");
}

#[test]
fn an_answer_may_have_an_error_in_a_column_of_its_own() {
    let text = "0\t:invoke\t:write\t1\n0\t:ok\t:write\t1\t:slow\n1\t:invoke\t:read\tnil\n1\t:ok\t:read\t1\tnote (x\n";
    assert_eq!(usual(text).1, "linearizable");
    let error = read_text(&text.replace("1\t:slow", "1 :slow"), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("behind the value"), "{error}");
}

#[test]
fn what_only_the_answer_tells_was_called_for() {
    for (call, answer) in [("nil", "1"), ("[:x nil]", "[:x 1]")] {
        let queue = format!(
            "[{{:process 0 :type :invoke :f :enqueue :value {call}}} {{:process 0 :type :ok :f :enqueue :value {answer}}}
              {{:process 0 :type :invoke :f :dequeue :value {call}}} {{:process 0 :type :ok :f :dequeue :value {answer}}}]"
        );
        assert_eq!(usual(&queue).1, "linearizable");
    }
    assert_eq!(usual(&write_and_read("1").replacen(", :value 1", "", 1)).1, "linearizable");
    let other = write_and_read("1").replacen(":ok, :f :write, :value 1", ":ok, :f :write, :value 2", 1);
    assert!(read_text(&other, &Options::default()).is_err());
}

#[test]
fn if_all_failed_nothing_was_observed() {
    let text = "0\t:invoke\t:write\t1\n0\t:fail\t:write\t1\n";
    assert_eq!(usual(text).1, "nothing was observed");
    assert_eq!(usual(&text.replace(":write\t1", ":get\t[\"x\" nil]")).1, "nothing was observed");
}

#[test]
fn the_model_is_guessed_from_what_was_read() {
    let of = |text: &str| read_text(text, &Options::default()).map(|said| said.0);
    let read = |seen: &str| format!("0\t:invoke\t:read\tnil\n0\t:ok\t:read\t{seen}\n");
    let add = |seen: &str| format!("0\t:invoke\t:add\t1\n0\t:ok\t:add\t1\n{}", read(seen));
    assert_eq!(of(&read("nil")), Ok(ModelName::Register));
    assert_eq!(of(&read("#{}")), Ok(ModelName::Set));
    assert_eq!(of(&add("(1)")), Ok(ModelName::Set));
    assert_eq!(of(&add("1")), Ok(ModelName::Counter));
    let error = of(&add("1.0")).unwrap_err();
    assert!(error.to_string().contains("a number should be here"), "{error}");
    let get = |key: &str, seen: &str| format!("0\t:invoke\t:get\t{key}\n0\t:ok\t:get\t{seen}\n");
    assert_eq!(of(&get("nil", "[\"a\" 1]")), Ok(ModelName::Versioned));
    assert_eq!(of(&get("[1 nil]", "[1 \"a\"]")), Ok(ModelName::KeyValue));
    assert_eq!(of("0\t:invoke\t:put\t[1 [\"a\" 0]]\n"), Ok(ModelName::Versioned));
    assert_eq!(of("0\t:invoke\t:put\t[1 2]\n"), Ok(ModelName::KeyValue));
    let steps = "0\t:invoke\t:read\t[[:r 1 nil]]\n0\t:ok\t:read\t[[:r 1 2]]\n";
    assert_eq!(of(steps).unwrap_err().problem, Problem::Transactions);
}

#[test]
fn an_object_without_a_key_is_not_given_one() {
    let text = "0\t:invoke\t:get\tnil\n0\t:ok\t:get\t[\"a\" 2]\n";
    let options = Options { model: Some(ModelName::Versioned), ..Options::default() };
    let recording = read_as("text", text.as_bytes(), &options).unwrap();
    let Verdict::NotLinearizable(why) = verdict_on(&recording) else { panic!("nobody wrote it") };
    assert_eq!(why.key, "");
}
