//! Small random histories of each model, written in each notation, read back and compared with the
//! definition; and files with some bytes changed. `LINEARIZE_ROUNDS` says how many; a few hundred unless
//! told, because other tests have run the methods already.

use linearize::{Limits, check};
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
        (ModelName::KeyValue, _) => unreachable!("keys with texts have tests of their own"),
    }
}

/// Up to seven operations of up to three processes.
fn events(model: ModelName, random: &mut Random) -> Vec<Event> {
    let mut left = 1 + random.below(7);
    let mut running: Vec<Option<(&'static str, String, String)>> = vec![None; 1 + random.below(3) as usize];
    let mut names: Vec<u32> = (0..running.len() as u32).collect();
    let mut all = Vec::new();
    while left > 0 || running.iter().any(Option::is_some) {
        let client = random.below(running.len() as u64) as usize;
        match running[client].take() {
            None if left > 0 => {
                left -= 1;
                let asked = operation(model, random);
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

/// The events in each notation. All of them say the same.
fn notations(events: &[Event]) -> Vec<String> {
    let map = |(process, kind, function, value): &Event| {
        format!("{{:process {process}, :type :{kind}, :f :{function}, :value {value}}}")
    };
    let words =
        |(process, kind, function, value): &Event| format!("{process}\t:{kind}\t:{function}\t{value}\n");
    let maps: Vec<String> = events.iter().map(map).collect();
    let log = |event: &Event| {
        format!("2021-02-26 23:39:01,300{{GMT}}\tINFO\t[jepsen worker 1] jepsen.util: {}", words(event))
    };
    vec![
        maps.join("\n"),
        format!("[{}]", maps.join("\n ")),
        format!("; by hand\n({})", maps.join(" #_ {:process 0} ")),
        maps.iter().map(|map| format!("#jepsen.history.Op{map}\n")).collect(),
        events.iter().map(words).collect(),
        events.iter().map(log).collect(),
    ]
}

fn load(text: &[u8], model: ModelName) -> Option<Recording> {
    let options = Options { model: Some(model), ..Options::default() };
    read_as("file", text, &options).ok()
}

#[test]
fn each_notation_has_the_verdict_of_the_definition() {
    let mut random = Random(1);
    for model in ModelName::ALL.into_iter().filter(|model| *model != ModelName::KeyValue) {
        let (mut good, mut bad) = (0, 0);
        for _ in 0..rounds(300) {
            let events = events(model, &mut random);
            let mut first = None;
            for text in notations(&events) {
                let Some(Recording { loaded: Loaded::Keyed(object, history), .. }) =
                    load(text.as_bytes(), model)
                else {
                    // Whatever did not happen is not there.
                    assert!(!events.iter().any(|event| event.1 == "ok"), "{model:?}\n{text}");
                    continue;
                };
                let verdict = check(&object, &history, &Limits::default());
                let expected = *first.get_or_insert_with(|| brute::is_linearizable(&object, &history));
                assert_eq!(verdict.is_linearizable(), expected, "{model:?}\n{text}\n{verdict:?}");
                assert_eq!(verdict.is_not_linearizable(), !expected, "{model:?}\n{text}");
                match verdict {
                    linearize::Verdict::Linearizable(witness) => witness.replay(&object, &history).unwrap(),
                    linearize::Verdict::NotLinearizable(explanation) => {
                        assert!(
                            !explanation.minimal || explanation.holds(&object, &history),
                            "{text}\n{explanation:?}"
                        );
                    }
                    linearize::Verdict::Unknown(_) => {}
                }
            }
            match first {
                Some(true) => good += 1,
                Some(false) => bad += 1,
                None => {}
            }
        }
        assert!(good > 0 && bad > 0, "{model:?}: {good} good, {bad} bad");
    }
}

#[test]
fn changed_bytes_do_no_harm() {
    let mut random = Random(2);
    for _ in 0..rounds(2_000) {
        let model = random.pick(&ModelName::ALL[1..]);
        let events = events(model, &mut random);
        let mut bytes = random.pick(&notations(&events)).into_bytes();
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
