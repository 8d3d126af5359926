//! What the page is made of, without a browser.

use linearize::generate::{Spoil, Workload, compare_and_swap, spoil};
use linearize::models::register::Register;
use linearize::{Fault, KvBuilder, KvHistory, Limits, Unit, check};

use crate::hostile::{HOSTILE, hostile};
use crate::rounds::queue;
use crate::samples::faults;

fn page_of(history: &KvHistory, faults: &[Fault]) -> String {
    linearize_page::page(&history.model(), history.history(), &history.check(&Limits::default()), faults)
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
fn every_model_has_a_page() {
    let (queue, operations) = queue(6, 4);
    let verdict = check(&queue, &operations, &Limits::default());
    assert!(linearize_page::page(&queue, &operations, &verdict, &[]).contains("Linearizable"));
    let mut bad = 0;
    for seed in 0..60 {
        let history = compare_and_swap(seed, true).with_unit(Unit::Events);
        let register = Register::new();
        let verdict = check(&register, &history, &Limits::default());
        let page = linearize_page::page(&register, &history, &verdict, &[]);
        assert_eq!(page.contains("<h1 class=\"bad\">"), verdict.is_not_linearizable());
        bad += u32::from(verdict.is_not_linearizable());
    }
    assert!(bad > 5, "only {bad} of them are not linearizable");
    let nothing = KvBuilder::new().finish().unwrap();
    assert!(page_of(&nothing, &[]).contains("Nothing was observed"));
}
