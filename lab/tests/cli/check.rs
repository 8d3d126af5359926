//! `cargo lab check`. The histories are made here, but for those of the last test.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::{Said, command, lab, scratch};

/// One operation a line: client, operation, key, text written, text read, call, return.
fn operation(client: u32, op: &str, key: &str, value: &str, output: &str, call: u64, end: &str) -> String {
    let [key, value, output] = [key, value, output].map(|text| Value::from(text).to_string());
    format!(
        "{{\"client\":{client},\"op\":\"{op}\",\"key\":{key},\"value\":{value},\"output\":{output},\"call\":{call},\"return\":{end}}}\n"
    )
}

/// Linearizable.
pub(crate) fn good() -> String {
    [
        operation(0, "put", "x", "a", "", 0, "10"),
        operation(1, "append", "x", "b", "", 5, "30"),
        operation(0, "get", "x", "", "ab", 20, "40"),
        operation(2, "get", "y", "", "", 20, "40"),
    ]
    .concat()
}

/// The append had returned, and the get did not see it.
fn stale(key: &str, first: &str, second: &str) -> String {
    [
        operation(0, "put", key, first, "", 0, "10"),
        operation(1, "append", key, second, "", 20, "30"),
        operation(0, "get", key, "", first, 40, "50"),
    ]
    .concat()
}

const PORCUPINE: &str = r#"{:process 0, :type :invoke, :f :put, :key "x", :value "a"}
{:process 0, :type :ok, :f :put, :key "x", :value "a"}
{:process 1, :type :invoke, :f :get, :key "x", :value nil}
{:process 1, :type :ok, :f :get, :key "x", :value "a"}
"#;

/// Lines of a Jepsen log; words are separated by blanks here and by tabs there.
fn log(events: &[&str]) -> String {
    let line = |event: &&str| format!("INFO  jepsen.util - {}\n", event.replacen(' ', "\t", 3));
    events.iter().map(line).collect()
}

/// A write whose outcome is unknown is swapped; a comparison fails rightly.
fn jepsen() -> String {
    log(&[
        "0 :invoke :write 3",
        "0 :info :write :timed-out",
        "1 :invoke :cas [3 4]",
        "1 :ok :cas [3 4]",
        "2 :invoke :cas [3 5]",
        "2 :fail :cas [3 5]",
        "2 :invoke :read nil",
        "2 :ok :read 4",
    ])
}

/// Writes a history to a file of its own.
pub(crate) fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    let path = scratch().join(name);
    fs::write(&path, content).expect("the folder can be written");
    path.display().to_string()
}

fn check(file: &str) -> Said {
    lab(&["check", file])
}

/// Runs `lab check` with this on standard input.
fn check_input(content: &str, arguments: &[&str]) -> Said {
    let mut command = command(&["check"]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("lab can be run");
    let mut input = child.stdin.take().expect("it is a pipe");
    input.write_all(content.as_bytes()).expect("lab reads all of it");
    drop(input);
    Said::new(child.wait_with_output().expect("lab ends"))
}

/// Asserts that there is no verdict, and that the message names this line of the file.
#[track_caller]
fn refused(content: &str, line: u64, why: &str) {
    let file = file("history.jsonl", content);
    let said = check(&file).ended(2);
    assert_eq!(said.out, "", "no verdict");
    assert!(said.err.starts_with(&format!("error: {file}:{line}: ")), "{}", said.err);
    assert!(said.err.contains(why), "{}", said.err);
}

#[test]
fn a_linearizable_history_has_one_line() {
    let file = file("good.jsonl", good());
    let said = check(&file).ended(0);
    let head = format!("{file} ... linearizable -- 4 operations, 2 keys, read in ");
    assert!(said.out.starts_with(&head) && said.out.contains(", checked in "), "{}", said.out);
    assert_eq!((said.out.lines().count(), said.err.as_str()), (1, ""));
}

#[test]
fn a_bad_history_is_explained_in_words_and_lanes() {
    let file = file("stale.jsonl", stale("x", "a", "b"));
    let said = check(&file).ended(1);
    let head = format!("{file} ... NOT LINEARIZABLE -- 3 operations, 1 key, read in ");
    assert!(said.out.starts_with(&head), "{}", said.out);
    let story = "    Get by client 0 returned \"a\", but Append \"b\" by client 1 had already returned 10 ns";
    assert!(said.out.contains("    not linearizable – key \"x\" – stale read\n"), "{}", said.out);
    assert!(said.out.contains(story), "{}", said.out);
    assert!(said.out.contains("    client 1") && said.out.contains('╞'), "{}", said.out);
}

#[test]
fn operations_that_never_returned_may_have_happened_or_not() {
    let open = operation(0, "put", "x", "a", "", 0, "null");
    let read = |text| operation(1, "get", "x", "", text, 10, "20");
    for text in ["", "a"] {
        check(&file("open.jsonl", format!("{open}{}", read(text)))).ended(0);
    }
    let said = check(&file("open.jsonl", format!("{open}{}", read("b")))).ended(1);
    assert!(said.out.contains("phantom value"), "{}", said.out);
    let early = [operation(1, "get", "x", "", "a", 10, "20"), operation(0, "put", "x", "a", "", 30, "null")];
    assert!(check(&file("open.jsonl", early.concat())).ended(1).out.contains("read from the future"));
}

#[test]
fn what_is_no_history_has_no_verdict() {
    let lines = good();
    let first = lines.lines().next().expect("there are lines");
    refused(&format!("{lines}{{\"client\":1,\n"), 5, "ends too early");
    refused(&format!("{first}\n\n{}", operation(0, "push", "x", "", "", 50, "60")), 3, "unknown operation");
    refused(&operation(0, "put", "x", "a", "", 20, "10"), 1, "returns before its call");
    let busy = operation(0, "put", "x", "a", "", 0, "20") + &operation(0, "put", "x", "b", "", 10, "30");
    refused(&busy, 2, "client 0 calls while its last operation has not returned");
    let open = operation(0, "put", "x", "a", "", 0, "null") + &operation(0, "put", "x", "b", "", 10, "30");
    refused(&open, 2, "client 0 calls while its last operation has not returned");
    refused("once upon a time\n", 1, "neither JSON Lines");
    let answer = PORCUPINE.lines().nth(1).expect("there is one");
    refused(&format!("{PORCUPINE}{answer}\n"), 5, "client 0 gets an answer and has not called");
}

#[test]
fn an_empty_file_has_no_verdict() {
    for content in ["", "\n\n \n"] {
        let file = file("empty.jsonl", content);
        let said = check(&file).ended(2);
        assert_eq!((said.out.as_str(), said.err), ("", format!("error: {file}: no operation in it\n")));
    }
}

#[test]
fn a_value_of_ten_megabytes_has_no_verdict() {
    let long = "x".repeat(10 << 20);
    let content = good() + &operation(7, "put", "x", &long, "", 90, "99");
    refused(&content, 5, "a value of more than 8 MiB");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = scratch().display().to_string();
    let missing = format!("{folder}/missing.jsonl");
    assert!(check(&missing).ended(2).err.starts_with(&format!("error: {missing}: No such file")));
    assert!(check(&folder).ended(2).err.starts_with(&format!("error: {folder}: ")));
    assert!(lab(&["check"]).ended(2).err.contains("FILE"));
}

fn compressed(content: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content.as_bytes()).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

#[test]
fn compressed_files_are_known_by_their_content() {
    check(&file("good.jsonl.gz", compressed(&good()))).ended(0);
    check(&file("no-ending", compressed(&stale("x", "a", "b")))).ended(1);
    let whole = compressed(&good());
    let said = check(&file("torn.gz", &whole[..whole.len() - 12])).ended(2);
    assert!(said.err.contains("torn.gz") && said.err.contains("ends too early"), "{}", said.err);
}

#[test]
fn standard_input_is_read_too() {
    let said = check_input(&good(), &["-"]).ended(0);
    assert!(said.out.starts_with("standard input ... linearizable"), "{}", said.out);
    check_input(&stale("x", "a", "b"), &["-"]).ended(1);
    let said = check_input(&format!("{PORCUPINE}?\n"), &["-"]).ended(2);
    assert!(said.err.starts_with("error: standard input:5: "), "{}", said.err);
    assert!(check_input("", &["-", "-"]).ended(2).err.contains("only once"));
}

#[test]
fn porcupines_format_is_read_and_counts_events() {
    check(&file("c01.txt", PORCUPINE)).ended(0);
    let said = check(&file(
        "c01.txt",
        PORCUPINE.replace(":ok, :f :get, :key \"x\", :value \"a\"", ":ok, :f :get, :key \"x\", :value \"\""),
    ));
    assert!(said.ended(1).out.contains("1 event before it was called"));
}

#[test]
fn jepsens_logs_are_read() {
    let said = check(&file("jepsen.log", jepsen())).ended(0);
    assert!(said.out.contains("linearizable -- 4 operations, 1 key"), "{}", said.out);
    let said = check(&file("jepsen.log", jepsen().replace(":fail\t:cas", ":ok\t:cas"))).ended(1);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains(
            "Read by client 2 returned 4, but CompareAndSwap 3 to 5 by client 2 had already returned 1 event before it was \
             called"
        ),
        "{words}"
    );
    let said = check(&file("jepsen.log", jepsen().replace(":write", ":increment"))).ended(2);
    assert!(said.err.contains("jepsen.log:1: unknown operation \":increment\""), "{}", said.err);
}

#[test]
fn a_model_may_be_demanded() {
    let (keys, register) = (file("kv.jsonl", good()), file("register.log", jepsen()));
    lab(&["check", &keys, "--model", "kv"]).ended(0);
    lab(&["check", &register, "--model", "register"]).ended(0);
    let said = lab(&["check", &register, "--model", "kv"]).ended(2);
    assert_eq!((said.out.as_str(), said.err), ("", format!("error: {register}: records register, not kv\n")));
    let said = lab(&["check", &keys, "--model", "registre"]).ended(2);
    assert!(said.err.contains("there is no model registre; the nearest: register"), "{}", said.err);
    let said = lab(&["check", &keys, "--model", "queue"]).ended(2);
    assert!(said.err.contains("records kv, not queue"), "{}", said.err);
}

#[test]
fn what_a_file_was_taken_for_is_said() {
    let history = file("history.edn", events(&[(0, "invoke", "enqueue", "1"), (0, "ok", "enqueue", "1")]));
    let said = check(&history).ended(0);
    assert!(said.out.contains("model queue, by its functions (--model)"), "{}", said.out);
    let said = lab(&["check", &history, "--model", "queue", "--json"]).ended(0);
    assert!(
        said.out.contains("\"model\":\"queue\"") && said.out.contains("\"model_guessed\":false"),
        "{}",
        said.out
    );
}

/// Lines of a `history.edn`.
fn events(events: &[(u32, &str, &str, &str)]) -> String {
    let line = |(process, kind, function, value): &(u32, &str, &str, &str)| {
        format!("{{:process {process}, :type :{kind}, :f :{function}, :value {value}}}\n")
    };
    events.iter().map(line).collect()
}

#[test]
fn the_meaning_of_events_can_be_chosen() {
    let failed = events(&[
        (0, "invoke", "write", "3"),
        (0, "ok", "write", "3"),
        (1, "invoke", "cas", "[3 4]"),
        (1, "fail", "cas", "[3 4]"),
    ]);
    let failed = file("failed.edn", failed);
    check(&failed).ended(0);
    let said = lab(&["check", &failed, "--failed-cas", "saw-another"]).ended(1);
    assert!(said.out.contains("the register held 3"), "{}", said.out);
    lab(&["check", &failed, "--failed-cas", "perhaps"]).ended(2);
    let read = file("read.edn", events(&[(0, "invoke", "read", "nil"), (0, "ok", "read", "-1")]));
    check(&read).ended(1);
    lab(&["check", &read, "--initial", "-1"]).ended(0);
    let queue = file("queue.edn", events(&[(0, "invoke", "enqueue", "1"), (0, "ok", "enqueue", "1")]));
    assert!(lab(&["check", &queue, "--initial", "1"]).ended(2).err.contains("only a register"));
}

#[test]
fn where_nothing_returned_nothing_was_observed() {
    let open = operation(0, "put", "x", "a", "", 0, "null");
    let said = check(&file("open.jsonl", open)).ended(3);
    assert!(said.out.contains("NOTHING WAS OBSERVED -- 1 operation"), "{}", said.out);
    assert!(said.out.contains("nothing was observed: the one operation never returned"), "{}", said.out);
}

/// Many swaps at once, a read that needs all of them, and one of what is overwritten then: each read by
/// itself is possible. A swap that never succeeds names a value once more: where each value is written once,
/// nothing is searched for.
fn hard() -> String {
    let swaps = (0..12).map(|process| format!("{process} :invoke :cas [{process} {}]", process + 1));
    let swaps = swaps.chain(["12 :invoke :cas [99 1]".to_owned()]);
    let reads = ["20 :invoke :read nil", "20 :ok :read 12", "20 :invoke :read nil", "20 :ok :read 1"];
    let rest = ["20 :invoke :write 0", "20 :ok :write 0"].into_iter().chain(reads).map(str::to_owned);
    let events: Vec<String> = swaps.chain(rest).collect();
    log(&events.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn limits_lead_to_unknown_which_is_no_pass() {
    let file = file("hard.log", hard());
    lab(&["check", &file]).ended(1);
    let said = lab(&["check", &file, "--max-states", "1"]).ended(3);
    assert!(
        said.out.contains("UNKNOWN -- 16 operations")
            && said.out.contains("was reached after 1 state, at operation")
            && said.out.contains("a higher --max-states"),
        "{}",
        said.out
    );
    let said = lab(&["check", &file, "--max-memory", "1"]).ended(3);
    assert!(said.out.contains("a higher --max-memory"), "{}", said.out);
    for wrong in [["--max-states", "0"], ["--max-memory", "much"]] {
        assert!(lab(&["check", &file, wrong[0], wrong[1]]).ended(2).err.contains(wrong[0]));
    }
}

#[test]
fn of_several_files_each_has_its_line_and_the_worst_decides() {
    let (good, bad) = (file("good.jsonl", good()), file("bad.jsonl", stale("x", "a", "b")));
    let (unknown, broken) = (file("hard.log", hard()), file("broken.jsonl", "{"));
    let all = |files: &[&str]| lab(&[&["check", "--max-states", "4"], files].concat());
    let said = all(&[&good, &good]).ended(0);
    assert!(said.out.ends_with("\n\n2 linearizable\n"), "{}", said.out);
    all(&[&good, &unknown]).ended(3);
    all(&[&unknown, &bad]).ended(1);
    let said = all(&[&broken, &bad, &unknown, &good]).ended(2);
    assert!(said.err.contains(&format!("{broken}:1: ")), "{}", said.err);
    for (file, verdict) in [(&bad, "NOT LINEARIZABLE"), (&unknown, "UNKNOWN"), (&good, "linearizable")] {
        assert!(said.out.contains(&format!("{file} ... {verdict} -- ")), "{}", said.out);
    }
    assert!(said.out.ends_with("\n1 linearizable, 1 not linearizable, 1 unknown, 1 error\n"), "{}", said.out);
}

#[test]
fn json_has_a_line_for_each_file() {
    let (good, bad) = (file("good.jsonl", good()), file("bad.jsonl", stale("x", "a", "b")));
    let (unknown, broken) = (file("hard.log", hard()), file("broken.jsonl", "{"));
    let said = lab(&["check", "--json", "--max-states", "4", &good, &bad, &unknown, &broken]).ended(2);
    let objects: Vec<Value> =
        said.out.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let [good_object, bad_object, unknown_object, broken_object] = objects.as_slice() else {
        panic!("{}", said.out)
    };
    assert_eq!(good_object["verdict"], "linearizable");
    assert_eq!((&good_object["operations"], &good_object["keys"]), (&4.into(), &2.into()));
    assert!(good_object["check_ns"].is_u64() && good_object["file"] == *good);
    assert_eq!(bad_object["verdict"], "not linearizable");
    let named = &bad_object["explanation"]["operations"];
    assert_eq!(named[2]["operation"], "Get");
    assert_eq!((&named[2]["result"], &named[2]["call"]), (&"\"a\"".into(), &40.into()));
    assert_eq!(bad_object["explanation"]["kind"], "stale read");
    assert_eq!(unknown_object["verdict"], "unknown");
    assert_eq!(unknown_object["undecided"]["limit"], "--max-states");
    assert!(broken_object["verdict"] == "unreadable" && broken_object["line"] == 1, "{broken_object}");
}

#[test]
fn one_history_has_one_page() {
    let history = file("bad.jsonl", stale("x", "a", "b"));
    let page = format!("{}/page.html", scratch().display());
    for _ in 0..2 {
        let said = lab(&["check", &history, "--html", &page]).ended(1);
        assert!(said.out.ends_with(&format!("    page: {page}\n")), "{}", said.out);
    }
    let text = fs::read_to_string(&page).expect("the page is there");
    assert!(text.starts_with("<!doctype html") && text.contains("stale read"));
    let said = lab(&["check", &history, "--html", "/dev/null/page.html", "--json"]).ended(2);
    assert!(said.err.contains("cannot write /dev/null/page.html") && said.out.contains("\"verdict\""));
}

#[test]
fn several_histories_have_a_folder_of_pages() {
    let (first, second) = (file("same.jsonl", good()), file("same.jsonl", stale("x", "a", "b")));
    let folder = scratch().join("pages");
    let said = lab(&["check", &first, &second, "--html", &folder.display().to_string()]).ended(1);
    for name in ["same.jsonl.html", "same.jsonl-2.html"] {
        assert!(folder.join(name).is_file() && said.out.contains(name), "{}", said.out);
    }
    let one = format!("{}/", scratch().join("one").display());
    lab(&["check", &first, "--html", &one]).ended(0);
    assert!(Path::new(&one).join("same.jsonl.html").is_file());
}

#[test]
fn no_page_is_written_over_a_history() {
    let (first, second) = (file("first.jsonl", good()), file("second.jsonl", good()));
    let said = lab(&["check", &second, "--html", &first]).ended(2);
    assert!(said.err.contains("is no page") && said.out.is_empty(), "{}", said.err);
    let said = lab(&["check", &second, &second, "--html", &first]).ended(2);
    assert!(said.err.contains("need a folder"), "{}", said.err);
    assert_eq!(fs::read_to_string(&first).expect("it is there"), good());
}

#[test]
fn no_page_is_written_to_standard_output() {
    let mut call = command(&["check", &file("good.jsonl", good()), "--html", "-"]);
    let folder = scratch();
    let said = Said::new(call.current_dir(&folder).output().expect("lab can be run")).ended(2);
    assert!(
        said.err.contains("no page is written to standard output") && said.out.is_empty(),
        "{}",
        said.err
    );
    assert!(!folder.join("-").exists());
}

#[test]
fn who_stops_reading_is_told_nothing() {
    let (reader, writer) = std::io::pipe().expect("there are pipes");
    drop(reader);
    let mut call = command(&["check", &file("good.jsonl", good())]);
    let said = Said::new(call.stdout(writer).output().expect("lab can be run")).ended(2);
    assert_eq!(said.err, "");
}

#[test]
fn help_says_what_a_verdict_means() {
    let said = lab(&["check", "--help"]).ended(0);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        "2 if anything could not be read",
        "counted from 0",
        "others may be bad too",
        "32 bits",
        "unreadable",
    ] {
        assert!(words.contains(text), "no {text:?} in {words}");
    }
}

/// What a terminal would obey: a sequence that clears it, a C1 control, a change of direction.
const HOSTILE: &str = "\u{1b}[2J\u{9b}31m\u{202e}\r<script>alert(1)</script>";

#[test]
fn values_and_names_cannot_steer_the_terminal() {
    let bad = stale(HOSTILE, HOSTILE, "b");
    let history = file("\u{1b}[2J.jsonl", &bad);
    let unknown =
        file("broken\u{9b}.jsonl", format!("{bad}{}", operation(0, HOSTILE, "x", "", "", 60, "70")));
    let page = format!("{}/page.html", scratch().display());
    let harmless =
        |text: &str| !text.chars().any(|character| character != '\n' && linearize::words::steers(character));
    for arguments in [vec!["check", &history, &unknown], vec!["check", "--json", &history, &unknown]] {
        let said = lab(&arguments).ended(2);
        assert!(
            said.out.contains("NOT LINEARIZABLE") || said.out.contains("not linearizable"),
            "{}",
            said.out
        );
        assert!(said.err.contains("unknown operation"), "{}", said.err);
        assert!(harmless(&said.out) && harmless(&said.err), "{:?}\n{:?}", said.out, said.err);
    }
    lab(&["check", &history, "--html", &page]).ended(1);
    assert!(!fs::read_to_string(&page).expect("the page is there").contains("<script>alert"));
}

/// Histories whose verdicts are known. They are no part of this repository; `LAB_SHARED` names their folder
/// if it is not beside the repository.
fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("LAB_SHARED").map_or_else(beside, PathBuf::from).join("data/histories");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there is no {}", folder.display());
    None
}

#[test]
fn every_shared_history_has_its_verdict() {
    let Some(folder) = shared() else { return };
    let table = fs::read_to_string(folder.join("VERDICTS.tsv")).expect("the table is there");
    let rows: Vec<(&str, &str)> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('\t').expect("a row has two columns"))
        .collect();
    assert!(rows.len() > 20, "only {} files", rows.len());
    let mut call = command(&["check", "--json", "--model", "kv"]);
    call.args(rows.iter().map(|(file, _)| folder.join(file)));
    let said = Said::new(call.output().expect("lab can be run")).ended(1);
    assert_eq!(said.out.lines().count(), rows.len());
    for (line, (file, verdict)) in said.out.lines().zip(rows) {
        let object: Value = serde_json::from_str(line).expect("each line is JSON");
        let expected = if verdict == "ok" { "linearizable" } else { "not linearizable" };
        assert_eq!(object["verdict"], expected, "{file}");
    }
}
