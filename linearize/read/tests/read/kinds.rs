//! Spellings of values, processes and times that files have.

use linearize::models::scalar::Scalar;
use linearize_read::{Loaded, Options, Problem, read_as, value};

use crate::cases::{read_text, usual};

/// Two events of a process.
fn pair(process: &str, function: &str, asked: &str, answered: &str) -> String {
    let event = |kind: &str, value: &str| {
        format!("{{:process {process}, :type {kind}, :f {function}, :value {value}}}\n")
    };
    event(":invoke", asked) + &event(":ok", answered)
}

fn write(what: &str) -> String {
    pair("0", ":write", what, what)
}

fn read(seen: &str) -> String {
    pair("1", ":read", "nil", seen)
}

#[track_caller]
fn is(text: &str, verdict: &str) {
    let (_, found, says) = usual(text);
    assert_eq!(found, verdict, "{says}\n{text}");
}

#[test]
fn equal_values_are_equal_however_they_are_written() {
    let equal = [
        ("1", "1N"),
        ("2.5M", "2.50M"),
        ("1.0M", "1.00M"),
        ("{:a 1, :b [2]}", "{:b [2] :a 1}"),
        ("{:a/b 1, :a/c 2}", "#:a{:b 1, :c 2}"),
        ("#{1 2}", "#{2 1}"),
        ("(1 2 3)", "[1 #_ 9 2 ; no\n 3]"),
        ("^{:line 3} {:a 1}", "{:a 1}"),
        ("^:private foo", "foo"),
    ];
    for (one, other) in equal {
        is(&(write(one) + &read(other)), "linearizable");
    }
    let others = [
        ("1", "1.0"),
        ("{:a 1}", "{:a 2}"),
        ("{:b 1}", "#:a{:b 1}"),
        ("#:c{:b 1}", "#:a{:b 1}"),
        ("{:a 1}", "[:a 1]"),
        ("#{1 2}", "[1 2]"),
        ("[\"a\" 1 2]", "[a 1 2]"),
        ("#\"a\\d\"", "#\"b\\d\""),
        ("#'user/x", "#'user/y"),
    ];
    for (one, other) in others {
        is(&(write(one) + &read(one)), "linearizable");
        is(&(write(one) + &read(other)), "not linearizable");
    }
}

#[test]
fn a_collection_may_be_a_value_a_key_or_an_element() {
    let swap = pair("0", ":cas", "[{:a 1} {:a 2}]", "[{:a 1} {:a 2}]");
    is(&(write("{:a 1}") + &swap + &read("{:a 2}")), "linearizable");
    is(&(write("{:a 1}") + &swap + &read("{:a 1}")), "not linearizable");
    let of =
        |key: &str, value: &str| pair("1", ":read", &format!("[{key} nil]"), &format!("[{key} {value}]"));
    let keyed = write("[{:k 1} 1]") + &write("[#{:k} 2]");
    is(&(keyed.clone() + &of("{:k 1}", "1")), "linearizable");
    is(&(keyed + &of("#{:k}", "1")), "not linearizable");
    let add = pair("0", ":add", "{:a 1}", "{:a 1}");
    is(&(add.clone() + &read("#{{:a 1}}")), "linearizable");
    is(&(add + &read("#{}")), "not linearizable");
    is(&pair("0", ":write", "#{1 2}", "#{2 1}"), "linearizable");
}

/// Reads that name no key tell that pairs are values.
#[test]
fn pairs_are_values_where_reads_name_no_key() {
    let of = |seen: &str| write("[1 2]") + &write("[1 3]") + &read(seen);
    is(&of("[1 3]"), "linearizable");
    is(&of("[1 2]"), "not linearizable");
    is(
        &(of("[1 3]") + &pair("0", ":cas", "[[1 3] [4 5]]", "[[1 3] [4 5]]") + &read("[4 5]")),
        "linearizable",
    );
    let add = pair("0", ":add", "[1 2]", "[1 2]");
    is(&(add.clone() + &read("#{[1 2]}")), "linearizable");
    is(&(add + &read("#{}")), "not linearizable");
    let queue = pair("0", ":enqueue", "[1 2]", "[1 2]") + &pair("0", ":enqueue", "[1 3]", "[1 3]");
    is(&(queue.clone() + &pair("1", ":dequeue", "nil", "[1 2]")), "linearizable");
    is(&(queue.clone() + &pair("1", ":dequeue", "nil", "[1 3]")), "not linearizable");
    is(&(queue + &pair("1", ":drain", "nil", "([1 2] [1 3])")), "linearizable");
    // What is seen without a key may also be a mistake of whoever wrote the file.
    for mixed in [of("3"), of("[1 3]") + &pair("1", ":read", "[1 nil]", "[1 3]")] {
        let error = read_text(&mixed, &Options::default()).unwrap_err().to_string();
        assert!(error.contains("[key value] expected"), "{error}");
    }
}

#[test]
fn columns_may_be_set_apart_by_blanks() {
    let text = "0  :invoke  :cas  [1  2]\n0  :fail    :cas  [1 2]  :timeout\n\
                :nemesis :info :start nil\n1  :invoke :read\n1  :ok :read \"a b\"\n";
    is(text, "not linearizable");
    is(&text.replace("\"a b\"", "nil"), "linearizable");
}

/// As a terminal shows a run, from its first line on.
#[test]
fn a_log_may_begin_with_what_another_program_says() {
    let log = "lein run test --workload register\nReflection warning, core.clj:10:3\n\n\
               INFO [2021-02-08 11:17:57,840] jepsen worker 0 - jepsen.util 0\t:invoke\t:read\tnil\n\
               INFO [2021-02-08 11:17:57,841] jepsen worker 0 - jepsen.util 0\t:ok\t:read\t5\n";
    is(log, "not linearizable");
    let cut: String = log.lines().take(3).map(|line| format!("{line}\n")).collect();
    assert_eq!(read_text(&cut, &Options::default()).unwrap_err().problem, Problem::UnknownFormat);
}

#[test]
fn a_process_with_a_name_that_calls_is_a_client() {
    for (one, other) in [(":a", ":b"), ("\"n1\"", "\"n2\""), ("0", ":b"), (":a", "4294967294")] {
        let history = |seen: &str| {
            pair(one, ":write", "1", "1")
                + &pair(one, ":write", "2", "2")
                + &pair(other, ":read", "nil", seen)
        };
        is(&history("2"), "linearizable");
        is(&history("1"), "not linearizable");
    }
    let nemesis =
        "{:process :nemesis, :type :invoke, :f :start}\n{:process :nemesis, :type :info, :f :start}\n";
    let clients = pair(":a", ":write", "1", "1") + nemesis + &pair("7", ":write", "2", "2");
    let recording = read_as("text", clients.as_bytes(), &Options::default()).unwrap();
    let Loaded::Keyed(_, history) = recording.loaded else { panic!("a register") };
    let clients: Vec<u32> = history.operations().iter().map(|operation| operation.client).collect();
    assert_eq!((clients, recording.faults.len()), (vec![8, 7], 1));
    let refused = |text: &str| read_text(text, &Options::default()).unwrap_err().to_string();
    let answer = "{:process :a, :type :ok, :f :read, :value 1}";
    assert_eq!(refused(answer), "text:1: process \"a\" gets an answer and has not called");
    let call = "{:process :a, :type :invoke, :f :read, :value nil}\n";
    let twice = refused(&format!("{call}{call}"));
    assert_eq!(twice, "text:2: process \"a\" calls while its last operation has not returned");
}

/// What it had called stays open, and is then another client's.
#[test]
fn a_process_may_go_on_after_an_uncertain_answer() {
    let uncertain = |process: &str| {
        pair(process, ":write", "1", "1").replace(":type :ok", ":type :info")
            + &pair(process, ":read", "nil", "nil")
    };
    for process in ["0", ":a"] {
        let seen = pair("7", ":read", "nil", "1");
        is(&(uncertain(process) + &seen), "linearizable");
        is(&(uncertain(process) + &seen + &pair(process, ":read", "nil", "nil")), "not linearizable");
    }
    let recording = read_as("text", uncertain("3").as_bytes(), &Options::default()).unwrap();
    let Loaded::Keyed(_, history) = recording.loaded else { panic!("a register") };
    let clients: Vec<u32> = history.operations().iter().map(|operation| operation.client).collect();
    assert_eq!(clients, [4, 3]);
}

/// Whose failure it is would be a guess.
#[test]
fn a_busy_client_may_not_call_though_that_failed() {
    let call = "{:process 0, :type :invoke, :f :write, :value 1}\n";
    let error = read_text(&format!("{call}{call}{}", call.replace("invoke", "fail")), &Options::default());
    assert_eq!(error.unwrap_err().line, Some(2));
}

#[test]
fn times_that_are_no_numbers_tell_nothing() {
    for time in ["1.5", "\"now\"", "99999999999999999999", "1/2", "#inst \"2020\""] {
        let timed =
            (write("1") + &write("2") + &read("1")).replace(":process", &format!(":time {time}, :process"));
        is(&timed, "not linearizable");
    }
}

#[test]
fn what_an_uncertain_answer_says_need_not_be_edn() {
    let events = |kind: &str, why: &str| {
        format!(
            "0\t:invoke\t:write\t1\n0\t:{kind}\t:write\t{why}\n1\t:invoke\t:read\tnil\n1\t:ok\t:read\t1\n"
        )
    };
    for why in ["Read [timed out", "\"half", "1\t#<Exception: {>", "#\"", "08x"] {
        is(&events("info", why), "linearizable");
        is(&events("fail", why), "not linearizable");
        assert!(
            read_text(&events("ok", why), &Options::default()).is_err() || why.starts_with("1\t"),
            "{why}"
        );
    }
}

#[test]
fn metadata_may_stand_before_everything() {
    let text = write("1") + &write("2") + &read("1");
    let each: String = text.lines().map(|line| format!("^{{:line 3}} ^:x {line}\n")).collect();
    is(&each, "not linearizable");
    is(&format!("^{{:a 1}} [{text}]"), "not linearizable");
    assert!(read_text("^", &Options::default()).is_err());
    assert!(read_text("^{:a 1}", &Options::default()).is_err());
}

#[test]
fn forms_are_taken_away_two_at_a_time() {
    let text: String = (write("1") + &write("2") + &read("1"))
        .lines()
        .map(|line| format!("#_#_ {{:process 9}} [2] {}\n", line.replace(":value", "#_#_ :value 7 :value")))
        .collect();
    is(&text, "not linearizable");
}

#[test]
fn what_a_nemesis_does_may_be_anything() {
    for what in [":f [:a :b]", ":f {:a 1}", ":f nil", ":value #\"a\\d\"", ":value #'a/b", ":value ^:x [1]"] {
        let nemesis = format!("{{:process :nemesis, :type :info, {what}}}\n");
        is(&(nemesis + &write("1") + &read("1")), "linearizable");
    }
    let client = "{:process 0, :type :invoke, :f [:a], :value 1}";
    assert!(read_text(client, &Options::default()).unwrap_err().to_string().contains("no :f"));
}

#[test]
fn appends_alone_are_to_a_text_unless_they_are_told_an_index() {
    let model = |text: &str| usual(text).0.name();
    assert_eq!(model(&pair("0", ":append", "[\"x\" \"a\"]", "[\"x\" \"a\"]")), "kv");
    assert_eq!(model(&pair("0", ":append", "\"a\"", "0")), "log");
    assert_eq!(model(&pair("0", ":append", "[\"x\" \"a\"]", "[\"x\" 0]")), "log");
    assert_eq!(model(&pair("0", ":length", "nil", "0")), "log");
}

#[test]
fn transactions_are_refused_whatever_model_is_demanded() {
    let options = Options { model: linearize_read::ModelName::named("register"), ..Options::default() };
    let error = read_text(&pair("0", ":read", "[[:r 1 nil]]", "[[:r 1 2]]"), &options).unwrap_err();
    assert_eq!(error.problem, Problem::Transactions);
}

#[test]
fn an_initial_value_is_written_as_files_write_it() {
    for text in ["0", "-1", "1N", "1.50", "0x10", "\"a\\\"b\"", ":a", "{:b 1, :a 2}", "99999999999999999999N"]
    {
        let options = Options { initial: Some(value(text).unwrap()), ..Options::default() };
        assert_eq!(read_text(&read(text), &options).unwrap().1, "linearizable", "{text}");
    }
    assert_eq!(value("nil"), Ok(Scalar::nil()));
    for wrong in ["", "1 2", "[1", ")", "\"a"] {
        assert!(value(wrong).is_err(), "{wrong}");
    }
}
