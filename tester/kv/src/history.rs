//! The check of a test's history, after the test.

use linearize::{
    Fault, HistoryError, KvHistory, KvOp, KvRecorder, Limits, OPEN, Operation, Text, Verdict, text,
};

use tester::{FaultSpan, Finding, Kind, Test, Unanswered};

/// Bounds of a check: some seconds, and less memory than a test may use. The histories of the labs need next
/// to nothing of it.
const LIMITS: Limits = Limits { states: 5_000_000, memory: 128 << 20, threads: 0, explain: true };

/// Checks what was recorded. Nothing is found where nothing was recorded.
pub(super) fn look_into(recorder: &KvRecorder, test: &Test) -> Option<Finding> {
    if recorder.is_empty() {
        return None;
    }
    Some(match recorder.history() {
        Ok(history) => {
            tell_met(&history, test);
            judge(history, faults(test), &LIMITS)
        }
        Err(error) => no_history(&error),
    })
}

/// Tells the test what its clients came to.
fn tell_met(history: &KvHistory, test: &Test) {
    let operations = history.history().operations();
    let mut order: Vec<_> = operations.iter().collect();
    order.sort_by_key(|operation| operation.call);
    let (mut overlapping, mut latest) = (0, 0);
    for operation in &order {
        overlapping += u64::from(operation.call < latest);
        latest = latest.max(operation.returned().unwrap_or(operation.call));
    }
    test.met("operations that overlap", overlapping);
    // Leaders are no faults, and clocks may be wrong all the time.
    let faults = faults(test);
    let spans = faults.iter().filter(|span| span.to > span.from && span.group != "clock");
    let spans: Vec<(u64, u64)> = spans.map(|span| (span.from, span.to)).collect();
    if !spans.is_empty() {
        let reads = operations.iter().filter(|operation| operation.op.value().is_none());
        let is_during = |from: u64, to: u64| spans.iter().any(|&(begin, end)| begin < to && from < end);
        let during = reads.filter(|read| is_during(read.call, read.end)).count();
        test.met("reads during faults", during as u64);
    }
}

/// The faults of the test, as the checker's picture shows them.
fn faults(test: &Test) -> Vec<Fault> {
    let fault = |span: &FaultSpan| Fault {
        from: span.from,
        to: span.to.unwrap_or(OPEN),
        label: span.label.clone(),
        group: span.group.to_owned(),
        targets: if span.target.is_empty() { Vec::new() } else { vec![span.target.clone()] },
    };
    test.faults().spans().iter().map(fault).collect()
}

/// A mistake of the recorder. No service is to blame for it, but it must not pass either.
fn no_history(error: &HistoryError) -> Finding {
    let wrong = Some((Kind::Undecided, format!("what was recorded is no history: {error}")));
    Finding { wrong, words: String::new(), unanswered: None, page: Box::new(String::new) }
}

fn judge(history: KvHistory, faults: Vec<Fault>, limits: &Limits) -> Finding {
    let verdict = history.check(limits);
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
    let open = open_operations(&history);
    let words = waiting(&history, &open) + &words(&history, &verdict, &faults);
    let unanswered = open.first().map(|operation| Unanswered {
        since: operation.call,
        what: format!("client {}'s {}", operation.client, words_of(&history, operation)),
    });
    let page = move || linearize_page::page(&history.model(), history.history(), &verdict, &faults);
    Finding { wrong, words, unanswered, page: Box::new(page) }
}

/// The operations that were under way when the test ended, the oldest first.
fn open_operations(history: &KvHistory) -> Vec<&Operation<KvOp, Text>> {
    let operations = history.history().operations().iter();
    let mut open: Vec<_> = operations.filter(|operation| operation.returned().is_none()).collect();
    open.sort_by_key(|operation| operation.call);
    open
}

/// A line for each of the oldest of them: a test that came to no end often waits for one of them.
fn waiting(history: &KvHistory, open: &[&Operation<KvOp, Text>]) -> String {
    /// How many lines a screen has to spare.
    const MOST: usize = 5;
    let line = |operation: &&Operation<KvOp, Text>| {
        let (client, since) = (operation.client, operation.call as f64 / 1e9);
        let what = words_of(history, operation);
        format!("client {client} waits since {since:.3} s for the answer to its {what}\n")
    };
    open.iter().take(MOST).map(line).collect()
}

/// "get of "x"".
fn words_of(history: &KvHistory, operation: &Operation<KvOp, Text>) -> String {
    let verb = match operation.op {
        KvOp::Get { .. } => "get",
        KvOp::Put { .. } => "put",
        KvOp::Append { .. } => "append",
    };
    format!("{verb} of {:?}", history.keys()[operation.op.key().0 as usize])
}

fn words(history: &KvHistory, verdict: &Verdict, faults: &[Fault]) -> String {
    let text = text::render(&history.model(), history.history(), verdict, faults, tester::report_width());
    format!("history: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use linearize::generate::{Values, Workload};

    #[test]
    fn what_is_undecided_is_no_pass() {
        // With so few values, a value does not tell which client put it.
        let workload = Workload { values: Values::Few(2), ..Workload::lab(1, 30, 2000) };
        let finding = judge(workload.generate(), Vec::new(), &LIMITS.with_states(1));
        let (kind, message) = finding.wrong.expect("one state is too few");
        assert_eq!(kind, Kind::Undecided);
        assert!(message.contains("is unknown") && message.contains("the limit on states"), "{message}");
        assert!(finding.words.starts_with("history: unknown"), "{}", finding.words);
        assert!((finding.page)().contains("undecided"));
    }

    #[test]
    fn who_waits_is_told_oldest_first() {
        let recorder = KvRecorder::new();
        let done = recorder.call_put(0, "x", "1", 1_000_000);
        recorder.returned(done, "", 2_000_000);
        let _later = recorder.call_append(1, "y", "2", 2_500_000_000);
        let _earlier = recorder.call_get(0, "x", 12_000_000);
        let finding = judge(recorder.history().expect("it is one"), Vec::new(), &LIMITS);
        let lines = "client 0 waits since 0.012 s for the answer to its get of \"x\"\n\
                     client 1 waits since 2.500 s for the answer to its append of \"y\"\n";
        assert!(finding.words.starts_with(lines), "{}", finding.words);
        assert!(finding.wrong.is_none());
    }

    #[test]
    fn what_is_no_history_is_no_pass() {
        let recorder = KvRecorder::new();
        let _first = recorder.call_get(0, "x", 1);
        let _second = recorder.call_get(0, "x", 2);
        let error = recorder.history().expect_err("one client has two operations under way");
        let (kind, message) = no_history(&error).wrong.expect("it is wrong");
        assert_eq!(kind, Kind::Undecided);
        assert!(message.contains("what was recorded is no history: client 0"), "{message}");
    }
}
