//! Small random histories of each model, written in each notation, read back and compared with the
//! definition; and files with some bytes changed. `LINEARIZE_ROUNDS` says how many; a few hundred unless
//! told, because other tests have run the methods already.

use linearize::{History, Limits, Model, Verdict, check};
use linearize_read::{Loaded, ModelName, Options, Recording, read_as};

use crate::brute;
use crate::random::Random;

fn rounds(usual: u64) -> u64 {
    std::env::var("LINEARIZE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Process, type, function and value of an event.
type Event = (u32, &'static str, &'static str, String);

/// What a client may ask for, with what it may be answered: function, argument, answer.
fn operation(model: ModelName, random: &mut Random) -> (&'static str, String, String) {
    let value = |random: &mut Random| random.pick(&["1", "2", ":a", "\"b c\""]).to_owned();
    let nil = || "nil".to_owned();
    match (model, random.below(3)) {
        (ModelName::Register, 0) => {
            let value = value(random);
            ("write", value.clone(), value)
        }
        (ModelName::Register, 1) => {
            let both = format!("[{} {}]", value(random), value(random));
            ("cas", both.clone(), both)
        }
        (ModelName::Register, _) => ("read", nil(), if random.one_in(4) { nil() } else { value(random) }),
        (ModelName::Queue, 0) => {
            let value = value(random);
            ("enqueue", value.clone(), value)
        }
        (ModelName::Queue, _) => ("dequeue", nil(), if random.one_in(4) { nil() } else { value(random) }),
        (ModelName::Stack, 0) => {
            let value = value(random);
            ("push", value.clone(), value)
        }
        (ModelName::Stack, _) => ("pop", nil(), if random.one_in(4) { nil() } else { value(random) }),
        (ModelName::Set, 0) => {
            let value = value(random);
            ("add", value.clone(), value)
        }
        (ModelName::Set, _) => {
            ("read", nil(), random.pick(&["#{}", "[1]", "#{1 2}", "(2)", "#{:a 1}"]).to_owned())
        }
        (ModelName::Counter, 0) => ("add", "1".to_owned(), "1".to_owned()),
        (ModelName::Counter, 1) => ("dec", nil(), nil()),
        (ModelName::Counter, _) => ("read", nil(), random.pick(&["0", "1", "-1", "2"]).to_owned()),
        (ModelName::Elements, which) => {
            let function = ["insert", "remove", "contains"][which as usize];
            (function, random.below(2).to_string(), random.pick(&["true", "false"]).to_owned())
        }
        (ModelName::Log, 0) => ("append", value(random), random.below(3).to_string()),
        (ModelName::Log, 1) => ("length", nil(), random.below(3).to_string()),
        (ModelName::Log, _) => {
            let index = random.below(2).to_string();
            ("read", index, if random.one_in(3) { nil() } else { value(random) })
        }
        (ModelName::Versioned, 0) => ("get", nil(), format!("[{} {}]", value(random), random.below(3))),
        (ModelName::Versioned, _) => {
            let both = format!("[{} {}]", value(random), random.below(2));
            ("put", both.clone(), both)
        }
        (ModelName::Lock, which) => (if which == 0 { "release" } else { "acquire" }, nil(), nil()),
        (ModelName::KeyValue, which) => {
            let text = random.pick(&["\"a\"", "\"b\"", "\"\"", "\"ab\"", "\"ba\"", "\"aa\""]).to_owned();
            match which {
                0 => ("put", text.clone(), text),
                1 => ("append", text.clone(), text),
                _ => ("get", nil(), text),
            }
        }
    }
}

/// Up to seven operations of up to three processes. Keys with texts, and some others, are `[key value]`.
fn events(model: ModelName, random: &mut Random) -> Vec<Event> {
    let mut left = 1 + random.below(7);
    let mut running: Vec<Option<(&'static str, String, String)>> = vec![None; 1 + random.below(3) as usize];
    let mut names: Vec<u32> = (0..running.len() as u32).collect();
    let keys: &[&str] = match model {
        ModelName::KeyValue => &["\"x\"", "\"y\""],
        _ if random.one_in(3) => &["1", ":x"],
        _ => &[],
    };
    let mut all = Vec::new();
    while left > 0 || running.iter().any(Option::is_some) {
        let client = random.below(running.len() as u64) as usize;
        match running[client].take() {
            None if left > 0 => {
                left -= 1;
                let mut asked = operation(model, random);
                if !keys.is_empty() {
                    let key = random.pick(keys);
                    (asked.1, asked.2) = (format!("[{key} {}]", asked.1), format!("[{key} {}]", asked.2));
                }
                all.push((names[client], "invoke", asked.0, asked.1.clone()));
                running[client] = Some(asked);
            }
            None => {}
            Some((function, argument, answer)) => match random.below(8) {
                0 => {
                    all.push((names[client], "info", function, argument));
                    names[client] += 10;
                }
                1 => all.push((names[client], "fail", function, argument)),
                _ => all.push((names[client], "ok", function, answer)),
            },
        }
    }
    all
}

/// Key and value.
fn apart(value: &str) -> (&str, &str) {
    let inside = value.strip_prefix('[').and_then(|inside| inside.strip_suffix(']'));
    inside.and_then(|inside| inside.split_once(' ')).expect("a pair")
}

/// Events of keys with texts as porcupine's tests have them.
fn porcupine(events: &[Event]) -> String {
    let map = |(process, kind, function, value): &Event| {
        let (key, value) = apart(value);
        format!("{{:process {process}, :type :{kind}, :f :{function}, :key {key}, :value {value}}}\n")
    };
    events.iter().map(map).collect()
}

/// Events of keys with texts as JSON Lines, of which each has a call and its answer.
fn json_lines(events: &[Event]) -> String {
    let mut text = String::new();
    for (called, (process, kind, function, argument)) in events.iter().enumerate() {
        let of_process = |(_, event): &(usize, &Event)| event.0 == *process;
        let answer = events.iter().enumerate().skip(called + 1).find(of_process);
        let Some((returned, (_, end, _, answer))) = answer.filter(|_| *kind == "invoke") else { continue };
        let (key, value) = apart(argument);
        let (output, returned) = match *end {
            "fail" => continue,
            "info" => ("null", "null".to_owned()),
            _ => (apart(answer).1, returned.to_string()),
        };
        text += &format!(
            "{{\"client\":{process},\"op\":\"{function}\",\"key\":{key},\"value\":{},\"output\":{output},\
             \"call\":{called},\"return\":{returned}}}\n",
            value.replace("nil", "null")
        );
    }
    text
}

/// The events in each notation. All of them say the same.
fn notations(model: ModelName, events: &[Event]) -> Vec<String> {
    let map = |(process, kind, function, value): &Event| {
        format!("{{:process {process}, :type :{kind}, :f :{function}, :value {value}}}")
    };
    let words =
        |(process, kind, function, value): &Event| format!("{process}\t:{kind}\t:{function}\t{value}\n");
    let maps: Vec<String> = events.iter().map(map).collect();
    let log = |event: &Event| {
        format!("2021-02-26 23:39:01,300{{GMT}}\tINFO\t[jepsen worker 1] jepsen.util: {}", words(event))
    };
    let mut all = vec![
        maps.join("\n"),
        format!("[{}]", maps.join("\n ")),
        format!("; by hand\n({})", maps.join(" #_ {:process 0} ")),
        maps.iter().map(|map| format!("#jepsen.history.Op{map}\n")).collect(),
        events.iter().map(words).collect(),
        events.iter().map(log).collect(),
    ];
    if model == ModelName::KeyValue {
        all.extend([porcupine(events), json_lines(events)]);
    }
    all
}

fn load(text: &[u8], model: ModelName) -> Option<Recording> {
    let options = Options { model: Some(model), ..Options::default() };
    read_as("file", text, &options).ok()
}

/// Compares a verdict, and what it offers as proof, with the definition; `expected` is what that says, if it
/// was asked already.
fn compare<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    text: &str,
    expected: &mut Option<bool>,
) {
    let expected = *expected.get_or_insert_with(|| brute::is_linearizable(model, history));
    match check(model, history, &Limits::default()) {
        Verdict::Linearizable(witness) => {
            assert!(expected, "said to be linearizable:\n{text}");
            witness.replay(model, history).unwrap();
        }
        Verdict::NotLinearizable(explanation) => {
            assert!(!expected, "said not to be linearizable:\n{text}");
            assert!(explanation.minimal && explanation.holds(model, history), "{text}\n{explanation:?}");
        }
        Verdict::Unknown(undecided) => panic!("{undecided}\n{text}"),
    }
}

#[test]
fn each_notation_has_the_verdict_of_the_definition() {
    let mut random = Random(1);
    for model in ModelName::ALL {
        let (mut good, mut bad) = (0, 0);
        for _ in 0..rounds(300) {
            let events = events(model, &mut random);
            let mut expected = None;
            for text in notations(model, &events) {
                match load(text.as_bytes(), model).map(|recording| recording.loaded) {
                    Some(Loaded::Keyed(object, history)) => compare(&object, &history, &text, &mut expected),
                    Some(Loaded::KeyValue(history)) => {
                        compare(&history.model(), history.history(), &text, &mut expected);
                    }
                    // Whatever did not happen is not there.
                    None => assert!(events.iter().all(|event| event.1 != "ok"), "{model:?}\n{text}"),
                }
            }
            good += u64::from(expected == Some(true));
            bad += u64::from(expected == Some(false));
        }
        println!("{}: {good} good, {bad} bad", model.name());
        assert!(good > 0 && bad > 0, "{model:?}: {good} good, {bad} bad");
    }
}

#[test]
fn changed_bytes_do_no_harm() {
    let mut random = Random(2);
    for _ in 0..rounds(2_000) {
        let model = random.pick(&ModelName::ALL);
        let events = events(model, &mut random);
        let mut bytes = random.pick(&notations(model, &events)).into_bytes();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len() as u64 + 1) as usize;
            let byte = random.pick(&[
                b'{', b'}', b'[', b']', b'#', b'_', b'"', b'\\', b':', b' ', b'\n', b'9', b'-', 0xff,
            ]);
            match random.below(4) {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        for wanted in [None, Some(model)] {
            let options = Options { model: wanted, ..Options::default() };
            match read_as("file", &bytes[..], &options) {
                Ok(Recording { loaded: Loaded::Keyed(object, history), .. }) => {
                    drop(check(&object, &history, &Limits::default()));
                }
                Ok(Recording { loaded: Loaded::KeyValue(history), .. }) => {
                    drop(history.check(&Limits::default()));
                }
                Err(error) => assert!(error.to_string().starts_with("file"), "{error}"),
            }
        }
    }
}
