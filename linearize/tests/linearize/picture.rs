//! What the page and the text are made of, without a browser.

use linearize::generate::{Spoil, Workload, compare_and_swap, spoil};
use linearize::models::register::Register;
use linearize::picture::Fault;
use linearize::{KvBuilder, KvHistory, Limits, Unit, check, picture, text};

use crate::samples::{HOSTILE, faults, hostile, queue};

fn page_of(history: &KvHistory, faults: &[Fault]) -> String {
    picture::page(&history.model(), history.history(), &history.check(&Limits::default()), faults)
}

fn text_of(history: &KvHistory, faults: &[Fault], width: usize) -> String {
    text::render(&history.model(), history.history(), &history.check(&Limits::default()), faults, width)
}

#[test]
fn the_page_needs_nothing_else() {
    let history = spoil(&Workload::lab(3, 5, 500).generate(), Spoil::Stale);
    let page = page_of(&history, &faults(&history));
    // The name of the SVG format is the only address in it.
    let addresses: Vec<&str> =
        page.match_indices("://").map(|(at, _)| &page[at - 5..(at + 40).min(page.len())]).collect();
    assert!(addresses.iter().all(|address| address.contains("http://www.w3.org/2000/svg")), "{addresses:?}");
    for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " src=", "@import"]
    {
        assert!(!page.contains(way), "{way}");
    }
    assert_eq!(page.matches("<script").count(), 3);
    assert_eq!(page.matches("<style").count(), 1);
    assert!(page.contains("default-src 'none'; script-src 'sha256-") && !page.contains("unsafe-inline"));
    assert_eq!(page, page_of(&history, &faults(&history)), "the page is not a function of its history");
}

#[test]
fn no_markup_of_a_value_is_in_the_page() {
    let (history, faults) = hostile();
    for spoilt in [history.clone(), spoil(&history, Spoil::Phantom)] {
        let page = page_of(&spoilt, &faults);
        for text in ["window.hacked", "<img", "<svg onload", "<b>", "<!--<script"] {
            assert!(!page.contains(text), "{text}");
        }
        assert!(!page.contains(['\u{1b}', '\u{2028}', '\u{202e}', '\0', '\u{7}', '\u{9b}']));
        assert_eq!(page.matches("</script>").count(), 3);
        assert!(!page.contains("{{"));
    }
    // In the sentence and in the table, where a value is told in words.
    for value in HOSTILE {
        let mut builder = KvBuilder::new();
        builder.get(1, value, 10, Some((value, 20)));
        let page = page_of(&builder.finish().unwrap(), &[]);
        assert_eq!(page.matches("</script>").count(), 3, "{value}");
        assert!(!page.contains("<img") && !page.contains("<svg onload") && !page.contains("<b>"), "{value}");
        assert!(!page.contains(['\u{1b}', '\u{2028}', '\u{202e}', '\0', '\u{7}', '\u{9b}']), "{value}");
    }
}

#[test]
fn an_operation_takes_few_bytes() {
    let bytes = |count| page_of(&Workload::lab(10, 10, count).generate(), &[]).len();
    let each = (bytes(30_000) - bytes(10_000)) as f64 / 20_000.0;
    println!("{each} bytes in the page for an operation and its text");
    assert!(each <= 20.0, "{each}");
}

#[test]
fn every_model_has_a_page_and_a_text() {
    let (queue, operations) = queue(6, 4);
    let verdict = check(&queue, &operations, &Limits::default());
    assert!(picture::page(&queue, &operations, &verdict, &[]).contains("Linearizable"));
    let mut bad = 0;
    for seed in 0..60 {
        let history = compare_and_swap(seed, true).with_unit(Unit::Events);
        let register = Register::new();
        let verdict = check(&register, &history, &Limits::default());
        let page = picture::page(&register, &history, &verdict, &[]);
        let text = text::render(&register, &history, &verdict, &[], 80);
        assert_eq!(page.contains("<h1 class=\"bad\">"), verdict.is_not_linearizable());
        assert_eq!(text.starts_with("not linearizable"), verdict.is_not_linearizable(), "{text}");
        bad += u32::from(verdict.is_not_linearizable());
    }
    assert!(bad > 5, "only {bad} of them are not linearizable");
    let nothing = KvBuilder::new().finish().unwrap();
    assert!(page_of(&nothing, &[]).contains("Nothing was observed"));
    assert!(text_of(&nothing, &[], 80).starts_with("nothing was observed"));
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
