//! What a terminal shows.

use linearize::generate::{Spoil, compare_and_swap, spoil};
use linearize::models::register::Register;
use linearize::{Fault, KvBuilder, KvHistory, Limits, Unit, check, text};

use crate::hostile::{HOSTILE, hostile};

fn text_of(history: &KvHistory, faults: &[Fault], width: usize) -> String {
    text::render(&history.model(), history.history(), &history.check(&Limits::default()), faults, width)
}

#[test]
fn every_verdict_has_a_text() {
    for seed in 0..60 {
        let history = compare_and_swap(seed, true).with_unit(Unit::Events);
        let verdict = check(&Register::new(), &history, &Limits::default());
        let text = text::render(&Register::new(), &history, &verdict, &[], 80);
        assert_eq!(text.starts_with("not linearizable"), verdict.is_not_linearizable(), "{text}");
    }
    let mut builder = KvBuilder::new();
    builder.put(1, "x", "1", 0, None);
    assert!(
        text_of(&builder.finish().unwrap(), &[], 80).starts_with("nothing was observed: the one operation")
    );
}

#[test]
fn the_text_shows_the_witness_to_scale() {
    let mut builder = KvBuilder::new();
    builder.put(1, "x", "1", 1_000_000, Some(3_000_000));
    builder.put(3, "y", "elsewhere", 1_000_000, Some(3_000_000));
    builder.get(2, "x", 5_000_000, Some(("", 9_000_000)));
    builder.append(4, "x", "2", 4_000_000, None);
    let history = builder.finish().unwrap();
    let crash = Fault {
        from: 3_500_000,
        to: 6_000_000,
        label: "down".to_owned(),
        group: "crash".to_owned(),
        targets: vec!["server 1".to_owned()],
    };
    let expected = "
client 1        ╞ 1 Put \"1\" ══╡
client 2                                   ╞ 2 Get → \"\" ══════════════╡
client 4                            ├ Append \"2\" ────────────────────────────┄
crash                            ░ down server 1 ░░
          0.000000 ms                                             10.000000 ms

1  #0  client 1: Put \"1\", called at 1.000000 ms, returned 2.0 ms later
2  #3  client 2: Get → \"\", called at 5.000000 ms, returned 4.0 ms later
";
    let text = text_of(&history, &[crash], 78);
    println!("{text}");
    assert!(text.starts_with("not linearizable – key \"x\" – stale read\nGet by client 2 returned \"\""));
    assert_eq!(text[text.find("\n\n").unwrap() + 1..], *expected);
}

#[test]
fn the_text_keeps_to_its_width_and_steers_no_terminal() {
    let (good, faults) = hostile();
    let mut histories = vec![spoil(&good, Spoil::Phantom), spoil(&good, Spoil::Stale)];
    for value in HOSTILE {
        let mut builder = KvBuilder::new();
        builder.get(1, value, 10, Some((value, 20)));
        histories.push(builder.finish().unwrap());
    }
    for history in histories {
        for width in [40, 57, 80, 200] {
            let text = text_of(&history, &faults, width);
            assert!(text.starts_with("not linearizable"), "{text}");
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            let steers = |character: char| {
                character != '\n' && character.is_control()
                    || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}')
            };
            assert!(!text.contains(steers), "{text:?}");
        }
    }
}
