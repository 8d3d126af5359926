//! Reading files, good and bad.

use std::io::Write;

use linearize::{HistoryErrorKind, KvHistory, Limits, Verdict, check};
use linearize_read::{Loaded, Problem, ReadError, read};
use proptest::prelude::*;

fn load(text: impl AsRef<[u8]>) -> Result<Loaded, ReadError> {
    read("input", text.as_ref())
}

fn load_kv(text: &str) -> KvHistory {
    match load(text) {
        Ok(Loaded::KeyValue(history)) => history,
        other => panic!("{other:?}"),
    }
}

fn problem(text: impl AsRef<[u8]>) -> (Option<u64>, Problem) {
    let error = load(text).expect_err("this is no history");
    assert!(error.to_string().starts_with("input:"), "{error} does not name its file");
    (error.line, error.problem)
}

const JSON: &str = r#"{"client":1,"op":"put","key":"k","value":"a","output":"","call":10,"return":20}
{"client":2,"op":"get","key":"k","value":"","output":"a","call":15,"return":30}
{"client":3,"op":"append","key":"k","value":"b","output":null,"call":16,"return":null}
"#;

const EDN: &str = r#"{:process 0, :type :invoke, :f :put, :key "k", :value "a"}
{:process 1, :type :invoke, :f :get, :key "k", :value nil}
{:process 0, :type :ok, :f :put, :key "k", :value "a"}
{:process 1, :type :ok, :f :get, :key "k", :value "a"}
"#;

const JEPSEN: &str = "INFO  jepsen.util - 0\t:invoke\t:write\t3
INFO  jepsen.core - something else
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 1\t:invoke\t:read\tnil
INFO  jepsen.util - 0\t:ok\t:write\t3
INFO  jepsen.util - 1\t:fail\t:read\t:timed-out
INFO  jepsen.util - 2\t:invoke\t:cas\t[3 4]
INFO  jepsen.util - 3\t:invoke\t:cas\t[1 2]
INFO  jepsen.util - 2\t:info\t:cas\t:timed-out
INFO  jepsen.util - 3\t:fail\t:cas\t[1 2]
INFO  jepsen.util - 4\t:invoke\t:read\tnil
INFO  jepsen.util - 4\t:ok\t:read\t4
";

#[test]
fn json_lines() {
    let history = load_kv(JSON);
    assert_eq!(history.history().len(), 3);
    assert!(history.history()[2].is_open());
    assert!(history.check(&Limits::default()).is_linearizable());
}

#[test]
fn porcupine_format() {
    let history = load_kv(EDN);
    assert_eq!((history.history()[0].call, history.history()[0].end), (1, 3));
    assert!(history.check(&Limits::default()).is_linearizable());
    let stale =
        EDN.replace(":ok, :f :get, :key \"k\", :value \"a\"", ":ok, :f :get, :key \"k\", :value \"b\"");
    assert!(load_kv(&stale).check(&Limits::default()).is_not_linearizable());
}

#[test]
fn jepsen_log() {
    let Ok(Loaded::Keyed(model, history)) = load(JEPSEN) else { panic!("not read as a register") };
    // The read that timed out is gone, the compare-and-swap that timed out is open, and its effect was seen.
    assert_eq!(history.len(), 4);
    assert_eq!(history.operations().iter().filter(|operation| operation.is_open()).count(), 1);
    let verdict = check(&model, &history, &Limits::default());
    let Verdict::Linearizable(witness) = verdict else { panic!("{verdict:?}") };
    witness.replay(&model, &history).unwrap();
}

#[test]
fn compressed_and_with_other_line_ends() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(JSON.replace('\n', "\r\n").as_bytes()).unwrap();
    let bytes = gzip.finish().unwrap();
    assert_eq!(load(&bytes).unwrap().len(), 3);
    let (line, problem) = problem(&bytes[..bytes.len() / 2]);
    assert!(line.is_some() && matches!(problem, Problem::Io(_)), "{problem:?}");
}

#[test]
fn bad_input_is_named_with_its_line() {
    use HistoryErrorKind::{ReturnBeforeCall, TwoOpenOperations};
    let line = |text: &str| format!("{JSON}{text}\n");
    let early = line(r#"{"client":1,"op":"get","key":"k","value":"","output":"a","call":50,"return":40}"#);
    assert_eq!(problem(early), (Some(4), Problem::History(ReturnBeforeCall, 1)));
    let busy = line(r#"{"client":3,"op":"get","key":"k","value":"","output":"a","call":50,"return":60}"#);
    assert_eq!(problem(busy), (Some(4), Problem::History(TwoOpenOperations, 3)));
    let unknown =
        line(r#"{"client":1,"op":"delete","key":"k","value":"","output":"","call":50,"return":60}"#);
    assert_eq!(problem(unknown), (Some(4), Problem::UnknownOperation("delete".to_owned())));
    let (number, what) = problem(line(r#"{"client":1,"op":"get","key":"k","#));
    assert!(number == Some(4) && matches!(what, Problem::Broken(_)), "{what:?}");
    let long = JSON.lines().last().unwrap().replace("\"b\"", &format!("\"{}\"", "x".repeat(10 << 20)));
    assert_eq!(problem(line(&long)), (Some(4), Problem::LongValue));
    assert_eq!(problem(""), (None, Problem::Empty));
    assert_eq!(problem("\n \n"), (None, Problem::Empty));
    assert_eq!(problem("\nhello"), (Some(2), Problem::UnknownFormat));
    assert_eq!(problem(b"{\"client\":1,\xff}"), (Some(1), Problem::Broken("not UTF-8".to_owned())));
}

#[test]
fn bad_events_are_named_with_their_line() {
    let unknown = "{:process 0, :type :invoke, :f :frob, :key \"k\", :value \"a\"}";
    assert_eq!(problem(format!("{EDN}{unknown}")), (Some(5), Problem::UnknownOperation(":frob".to_owned())));
    let answer = "{:process 7, :type :ok, :f :get, :key \"k\", :value \"a\"}";
    assert_eq!(problem(format!("{EDN}{answer}")), (Some(5), Problem::ReturnWithoutCall(7)));
    let call = "{:process 7, :type :invoke, :f :get, :key \"k\", :value nil}";
    let two = problem(format!("{EDN}{call}\n{call}"));
    assert_eq!(two, (Some(6), Problem::History(HistoryErrorKind::TwoOpenOperations, 7)));
    let cas = format!("{JEPSEN}INFO  jepsen.util - 9\t:invoke\t:cas\t[1]");
    assert!(matches!(problem(cas), (Some(13), Problem::Broken(_))));
    let frob = format!("{JEPSEN}INFO  jepsen.util - 9\t:invoke\t:frob\tnil");
    assert_eq!(problem(frob), (Some(13), Problem::UnknownOperation(":frob".to_owned())));
    let call = "INFO  jepsen.util - 2\t:invoke\t:read\tnil";
    let again = problem(format!("{JEPSEN}{call}\n{call}"));
    assert_eq!(again, (Some(14), Problem::History(HistoryErrorKind::TwoOpenOperations, 2)));
}

/// Asserts that the text is refused because of this line, and that the message says why.
#[track_caller]
fn refused(text: &str, line: u64, why: &str) {
    let (number, problem) = problem(text);
    assert!(number == Some(line) && problem.to_string().contains(why), "{number:?}: {problem}");
}

/// Two events of porcupine's format.
fn edn(call: &str, answer: &str) -> String {
    format!("{{:process 0, :type :invoke, {call}}}\n{{:process 0, :type {answer}}}\n")
}

#[test]
fn an_answer_must_not_contradict_its_call() {
    let put = ":f :put :key \"a\" :value \"x\"";
    refused(&edn(put, ":ok :f :put :key \"b\" :value \"x\""), 2, "the answer has :key \"b\", and the call a");
    refused(
        &edn(put, ":ok :f :put :key \"a\" :value \"y\""),
        2,
        "the answer is one to :put \"y\", which was not the call",
    );
    refused(&edn(put, ":info :f :append :key \"a\""), 2, "is one to \":append\"");
    refused(&edn(":f :get :key \"a\"", ":ok :f :get :key \"b\" :value \"\""), 2, "the answer has :key");
    for fine in [":ok :f :put", ":ok :f :put :key nil :value nil", ":info :f :put :value :timed-out"] {
        assert_eq!(load(edn(put, fine)).unwrap().len(), 1, "{fine}");
    }
    let log = |call: &str, answer: &str| {
        format!(
            "INFO  jepsen.util - 0 :invoke {call}\nINFO  jepsen.util - 0 {answer}\nINFO  jepsen.util - 1 :invoke :read nil"
        )
    };
    refused(&log(":write 3", ":ok :write 4"), 2, "the answer is one to :write 4");
    refused(&log(":cas [1 2]", ":fail :cas [3 4]"), 2, "the answer is one to :cas [3 4]");
    refused(&log(":cas [1 2]", ":info :cas [3 4] :timed-out"), 2, "the answer is one to :cas [3 4]");
    refused(&log(":write 3", ":ok :write x"), 2, "the answer is one to :write x");
    for fine in
        [":ok :cas", ":fail :cas [1, 2]", ":info :cas :timed-out", ":info :cas who knows", ":ok :cas nil"]
    {
        assert_eq!(load(log(":cas [1 2]", fine)).unwrap().len(), 2, "{fine}");
    }
}

#[test]
fn a_field_may_occur_once() {
    let line = JSON.lines().next().unwrap();
    for field in [r#""client":1"#, r#""op":"put""#, r#""key":"k""#, r#""return":20"#] {
        let twice = line.replacen(field, &format!("{field},{field}"), 1);
        refused(&twice, 1, "duplicate field");
    }
    assert_eq!(load(line.replacen('{', "{\"extra\":1,\"extra\":2,", 1)).unwrap().len(), 1);
    for field in [":process 0", ":type :invoke", ":key \"k\""] {
        refused(&EDN.replacen(field, &format!("{field}, {field}"), 1), 1, "occurs twice");
    }
}

#[test]
fn a_line_of_a_log_that_was_cut_is_not_skipped() {
    let cut = JEPSEN.replacen("INFO  jepsen.util - 0\t:ok\t:write\t3", "INFO  jepsen.uti", 1);
    refused(&cut, 5, "without a message");
}

#[test]
fn a_byte_order_mark_is_skipped() {
    for text in [JSON, EDN, JEPSEN] {
        let marked = load(format!("\u{feff}{text}")).unwrap();
        assert_eq!(marked.len(), load(text).unwrap().len());
    }
    assert!(matches!(problem(format!("{JSON}\u{feff}{JSON}")), (Some(4), Problem::Broken(_))));
}

#[test]
fn lines_of_equal_times_may_be_shuffled() {
    let line = |end: u64| {
        format!("{{\"client\":1,\"op\":\"put\",\"key\":\"k\",\"value\":\"a\",\"call\":0,\"return\":{end}}}\n")
    };
    let history = load_kv(&(line(1) + &line(0)));
    let ends: Vec<u64> = history.history().operations().iter().map(|operation| operation.end).collect();
    assert_eq!(ends, [0, 1]);
}

#[test]
fn messages_say_what_is_wanted() {
    let put = r#"{"client":1,"op":"put","key":"k","value":null,"call":10,"return":20}"#;
    refused(put, 1, "field \"value\" is null; it must be a string here");
    let get = r#"{"client":1,"op":"get","key":"k","output":null,"call":10,"return":20}"#;
    refused(get, 1, "field \"output\" is null; it must be a string here");
    for (number, what) in
        [("10.5", "floating point `10.5`"), ("1e3", "floating point"), ("\"x\"", "string \"x\"")]
    {
        let wrong = get.replace(":10", &format!(":{number}"));
        refused(&wrong, 1, &format!("invalid type: {what}"));
        refused(&wrong, 1, "expected a whole number (digits only; not too large) at column 5");
    }
    refused(&get.replace(":10", ":x"), 1, "expected value at column 55");
    refused(&get.replace(":1,", ":4294967296,"), 1, "the numbers of clients go from 0 to 4294967295");
    refused(&get.replace(":20", ":18446744073709551615"), 1, "a smaller number expected");
    for text in
        ["[\n{\"client\":1}\n]", "{\n\"client\":1\n}", "{\"client\":1,\n\"op\":\"get\"}", "[{\"client\":1}]"]
    {
        refused(text, 1, "JSON over several lines");
    }
    refused(&format!("{{\"client\":1,\n{get}"), 1, "a whole operation in each line is wanted");
    let open = JSON.lines().last().unwrap();
    let later = open.replace("16", "17");
    refused(&format!("{open}\n{later}"), 2, "a client must go on under another number");
}

/// A good file with some bytes replaced, inserted or cut off.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 0..6);
    (prop::sample::select(vec![JSON, EDN, JEPSEN]), edits).prop_map(|(text, edits)| {
        let mut bytes = text.as_bytes().to_vec();
        for (place, byte, kind) in edits {
            let at = place.index(bytes.len().max(1));
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at.min(bytes.len()), byte),
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(load(bytes));
    }

    #[test]
    fn no_damage_makes_the_reader_panic(bytes in damaged()) {
        match load(bytes) {
            Ok(Loaded::KeyValue(history)) => drop(history.check(&Limits::default())),
            Ok(Loaded::Keyed(model, history)) => drop(check(&model, &history, &Limits::default())),
            Err(_) => {}
        }
    }

    #[test]
    fn no_scraps_make_the_reader_panic(scraps in prop::collection::vec("[{}:\",\\\\ \\[\\]a-z0-9\t\n-]{0,12}|null|\"client\":|:process |jepsen.util - |INFO ", 0..12)) {
        drop(load(scraps.concat()));
        drop(load(format!("{{\"{}", scraps.concat())));
        drop(load(format!("{{:{}", scraps.concat())));
        drop(load(format!("INFO  jepsen.util - {}", scraps.concat())));
    }
}
