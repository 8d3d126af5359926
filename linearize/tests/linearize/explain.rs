//! What a reader is told about keys with texts.

use linearize::generate::{Spoil, Workload, spoil};
use linearize::models::collections::QueueOp;
use linearize::{
    Explanation, History, Kind, KvBuilder, Limits, Operation, Progress, Verdict, check, check_by_search,
};

use crate::rounds::queue;

fn explain(build: impl FnOnce(&mut KvBuilder)) -> Explanation {
    let mut builder = KvBuilder::new();
    build(&mut builder);
    let history = builder.finish().unwrap();
    match history.check(&Limits::default()) {
        Verdict::NotLinearizable(explanation) => {
            assert!(explanation.minimal && explanation.holds(&history.model(), history.history()));
            *explanation
        }
        verdict => panic!("{verdict:?}"),
    }
}

#[track_caller]
fn says(explanation: &Explanation, kind: Kind, sentence: &str) {
    assert_eq!((explanation.kind, explanation.sentence.as_str()), (kind, sentence));
}

/// Texts that all end alike are cut at their ends, others wherever they fit.
const STYLES: [[&str; 2]; 3] = [["a", "b"], ["a;", "b;"], ["x 0 1 y", "x 1 1 y"]];

#[test]
fn an_append_that_shows_twice_was_applied_twice() {
    for [a, b] in STYLES {
        let seen = format!("{a}{b}{a}");
        let explanation = explain(|builder| {
            builder.append(0, "k", a, 0, Some(10));
            builder.append(0, "k", b, 11, None);
            builder.get(1, "k", 20, Some((&seen, 30)));
        });
        let sentence =
            format!("Get by client 1 returned \"{seen}\", which shows Append \"{a}\" by client 0 twice.");
        says(&explanation, Kind::Duplicate, &sentence);
        assert_eq!(explanation.operations, [2]);
    }
}

#[test]
fn two_appends_that_show_three_times() {
    let explanation = explain(|builder| {
        builder.append(0, "k", "a;", 0, Some(10));
        builder.append(1, "k", "a;", 0, Some(10));
        builder.get(2, "k", 20, Some(("a;a;a;", 30)));
    });
    let sentence = "Get by client 2 returned \"a;a;a;\", which shows the text of Append \"a;\" by client 0 3 times, but it was written by all clients together less often.";
    says(&explanation, Kind::Duplicate, sentence);
}

#[test]
fn what_nobody_wrote_is_no_duplicate() {
    let explanation = explain(|builder| {
        builder.append(0, "k", "a", 0, Some(10));
        builder.append(0, "k", "ab", 11, Some(15));
        builder.get(1, "k", 20, Some(("aac", 30)));
    });
    assert_eq!((explanation.kind, explanation.operations), (Kind::Phantom, vec![2]));
}

#[test]
fn appends_in_the_wrong_order() {
    for [a, b] in STYLES {
        let seen = format!("{b}{a}");
        let explanation = explain(|builder| {
            builder.append(0, "k", a, 0, Some(10));
            builder.append(2, "k", b, 20, Some(30));
            builder.get(1, "k", 40, Some((&seen, 50)));
        });
        let (a, b) = (format!("Append \"{a}\" by client 0"), format!("Append \"{b}\" by client 2"));
        let sentence = format!(
            "Get by client 1 returned \"{seen}\", which shows {b} before {a}, but {b} was called 10 ns after {a} had returned."
        );
        says(&explanation, Kind::Order, &sentence);
    }
}

#[test]
fn reads_that_disagree() {
    for [a, b] in STYLES {
        let (one, other) = (format!("{a}{b}"), format!("{b}{a}"));
        let explanation = explain(|builder| {
            builder.append(0, "k", a, 0, Some(100));
            builder.append(1, "k", b, 0, Some(100));
            builder.get(2, "k", 20, Some((&one, 30)));
            builder.get(3, "k", 40, Some((&other, 50)));
        });
        let sentence = format!(
            "Get by client 2 returned \"{one}\" and Get by client 3 returned \"{other}\": neither continues the other, so they disagree on the order of writes."
        );
        says(&explanation, Kind::Disagreement, &sentence);
    }
}

#[test]
fn a_write_that_is_missed() {
    for [a, _] in STYLES {
        let append = explain(|builder| {
            builder.append(0, "k", a, 0, Some(10));
            builder.get(1, "k", 20, Some(("", 30)));
            builder.get(1, "k", 40, Some((a, 50)));
        });
        let missed = |name: &str| {
            format!(
                "Get by client 1 returned \"\", but {name} \"{a}\" by client 0 had already returned 10 ns before it was called."
            )
        };
        says(&append, Kind::StaleRead, &missed("Append"));
        let put = explain(|builder| {
            builder.put(0, "k", a, 0, Some(10));
            builder.get(1, "k", 20, Some(("", 30)));
        });
        says(&put, Kind::StaleRead, &missed("Put"));
    }
}

/// Times are refined for a client that calls when its operation before returns; what is said of them is not.
#[test]
fn spans_are_those_of_the_clock_though_a_client_calls_at_once() {
    let explanation = explain(|builder| {
        builder.put(0, "k", "a;", 0, Some(10));
        builder.get(0, "k", 10, None);
        builder.append(1, "k", "b;", 22, Some(30));
        builder.get(1, "k", 41, Some(("a;", 50)));
    });
    let sentence = "Get by client 1 returned \"a;\", but Append \"b;\" by client 1 had already returned 11 ns before it was called, \
                    and was itself called 12 ns after Put \"a;\" by client 0 had returned.";
    says(&explanation, Kind::StaleRead, sentence);
}

#[test]
fn a_write_that_was_seen_before_it_was_called() {
    for [a, _] in STYLES {
        for end in [Some(30), None] {
            let explanation = explain(|builder| {
                builder.get(1, "k", 0, Some((a, 10)));
                builder.append(0, "k", a, 20, end);
            });
            let sentence = format!(
                "Get by client 1 returned \"{a}\", but Append \"{a}\" by client 0 was called only 10 ns after that."
            );
            says(&explanation, Kind::FutureRead, &sentence);
        }
    }
}

#[test]
fn who_does_not_ask_why_gets_the_same_verdict_sooner() {
    let limits = Limits::default().without_explanation();
    let (model, history) = queue(4, 10);
    let bad = Operation::new(9, QueueOp::Dequeue, Some(7_777), 20_000_000, 20_000_001);
    let operations = history.operations().iter().cloned().chain([bad]).collect();
    let spoilt = History::new(operations).unwrap();
    assert!(check(&model, &history, &limits).is_linearizable());
    let Verdict::NotLinearizable(brief) = check_by_search(&model, &spoilt, &limits, &Progress::default())
    else {
        panic!("nobody enqueued 7777")
    };
    assert_eq!((brief.operations.as_slice(), brief.minimal), ([spoilt.len() - 1].as_slice(), false));
    let texts = spoil(&Workload::lab(3, 5, 300).generate(), Spoil::Stale);
    let (Verdict::NotLinearizable(brief), Verdict::NotLinearizable(full)) =
        (texts.check(&limits), texts.check(&Limits::default()))
    else {
        panic!("it was spoilt")
    };
    assert!(full.minimal && !brief.minimal && !brief.operations.is_empty() && brief.key == full.key);
}
