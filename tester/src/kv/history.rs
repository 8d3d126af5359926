//! What a test's history says, when the test is over.

use crate::inquest::Finding;
use crate::run::Kind;
use crate::test::Test;
use linearize::picture::Fault;
use linearize::{KvHistory, KvRecorder, Limits, Verdict, picture, text};

/// What a check may cost: some seconds, and less memory than a test may use. The histories of the labs need next to nothing of it.
const LIMITS: Limits = Limits { states: 5_000_000, memory: 128 << 20, threads: 0 };

/// Width of the text, in columns.
const WIDTH: usize = 110;

/// Checks what was recorded. Nothing is found where nothing was recorded.
pub(super) fn look_into(recorder: &KvRecorder, test: &Test) -> Option<Finding> {
    if recorder.is_empty() {
        return None;
    }
    let history = match recorder.history() {
        Ok(history) => history,
        Err(error) => {
            let wrong = Some((Kind::Undecided, format!("what was recorded is no history: {error}")));
            return Some(Finding { wrong, words: String::new(), page: Box::new(String::new) });
        }
    };
    let faults = test.faults().spans().to_vec();
    let verdict = history.check(&LIMITS);
    let wrong = match &verdict {
        Verdict::Linearizable(_) => None,
        // Two lines: what is wrong, and the sentence that explains it.
        Verdict::NotLinearizable(explanation) => {
            Some((Kind::History, explanation.to_string().replace('\n', ": ")))
        }
        Verdict::Unknown(undecided) => {
            Some((Kind::Undecided, format!("whether the history is linearizable is unknown: {undecided}")))
        }
    };
    let words = words(&history, &verdict, &faults);
    let page = move || picture::page(&history.model(), history.history(), &verdict, &faults);
    Some(Finding { wrong, words, page: Box::new(page) })
}

fn words(history: &KvHistory, verdict: &Verdict, faults: &[Fault]) -> String {
    let text = text::render(&history.model(), history.history(), verdict, faults, WIDTH);
    format!("history: {text}")
}
