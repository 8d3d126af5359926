//! The first table: whose verdict, how fast.

use std::time::Duration;

use crate::rows::{Bound, Row};
use crate::{Finding, Outcome};

const HEAD: [&str; 9] = [
    "history",
    "operations",
    "ours / the peer's",
    "our time",
    "its time",
    "ratio",
    "worst",
    "lucky",
    "bound",
];

/// Prints line by line, and keeps what the end tells.
#[derive(Default)]
pub(crate) struct Table {
    /// Histories on which the two disagree.
    pub(crate) disagreements: usize,
    /// How many of a row are told of, of those beyond their bounds.
    most: usize,
    begun: bool,
    /// Of histories below 500 operations.
    small: Vec<f64>,
    /// Beyond their bounds, by row: how far, and in words.
    beyond: Vec<Vec<(f64, String)>>,
}

impl Table {
    /// An empty one, which lists `most` of each row at most that are beyond their bounds.
    pub(crate) fn new(most: usize) -> Self {
        Table { most, ..Table::default() }
    }

    pub(crate) fn add(&mut self, row: &Row, mut outcomes: Vec<Outcome>) {
        if !std::mem::replace(&mut self.begun, true) {
            line(HEAD);
        }
        if outcomes.is_empty() {
            println!("{}: the process did not end well", row.name);
            return;
        }
        self.note(row, &outcomes);
        let operations = span(&outcomes);
        let verdicts = verdicts(&outcomes, row.limit);
        let worst = outcomes.iter().map(Outcome::ratio).fold(0.0, f64::max);
        let ratio = middle(outcomes.iter().map(Outcome::ratio).collect());
        let lucky = middle(outcomes.iter().map(Outcome::lucky_ratio).collect());
        outcomes.sort_by_key(|outcome| outcome.our_time);
        let our_time = outcomes[outcomes.len() / 2].our_time;
        outcomes.sort_by_key(|outcome| (outcome.their_time, outcome.theirs == Finding::Undecided));
        let their = &outcomes[outcomes.len() / 2];
        let over = their.theirs == Finding::Undecided;
        let their_time = format!("{}{}", if over { "over " } else { "" }, words(their.their_time));
        let bound = match row.bound {
            Bound::Tenth => "0.1",
            Bound::CompareAndSwap => "20 µs; 1",
        };
        let [ratio, worst, lucky] = [ratio, worst, lucky].map(|ratio| format!("{ratio:.4}"));
        line([
            &row.name,
            &operations,
            &verdicts,
            &words(our_time),
            &their_time,
            &ratio,
            &worst,
            &lucky,
            bound,
        ]);
        if row.bound == Bound::CompareAndSwap {
            let slower = outcomes.iter().filter(|outcome| outcome.ratio() > 1.0).count();
            let longest = outcomes.iter().map(|outcome| outcome.our_time).max().unwrap_or_default();
            println!("    slower than the peer in {slower}, at most {} (bound 10 ms)", words(longest));
        }
    }

    fn note(&mut self, row: &Row, outcomes: &[Outcome]) {
        let mut beyond_bound = Vec::new();
        for outcome in outcomes {
            let ratio = outcome.ratio();
            if row.bound == Bound::Tenth && outcome.operations < 500 {
                self.small.push(ratio);
            }
            let beyond = match row.bound {
                Bound::Tenth => ratio > 0.1,
                Bound::CompareAndSwap => ratio > 1.0 || outcome.our_time > Duration::from_millis(10),
            };
            let agrees = outcome.agrees();
            self.disagreements += usize::from(!agrees);
            if beyond || !agrees {
                let (label, operations) = (&outcome.label, outcome.operations);
                let (ours, theirs) = (words(outcome.our_time), words(outcome.their_time));
                let finding = if agrees { outcome.ours.word() } else { "THEY DISAGREE" };
                let text = format!(
                    "{label}: {operations} operations, {finding}, {ours} beside {theirs}, {ratio:.3}"
                );
                beyond_bound.push((ratio, text));
            }
        }
        beyond_bound.sort_by(|one, other| other.0.total_cmp(&one.0));
        self.beyond.push(beyond_bound);
    }

    pub(crate) fn finish(&self) {
        if !self.small.is_empty() {
            let worst = self.small.iter().copied().fold(0.0, f64::max);
            let within = self.small.iter().filter(|ratio| **ratio <= 0.1).count();
            let (count, median) = (self.small.len(), middle(self.small.clone()));
            println!(
                "\n{count} histories below 500 operations: median ratio {median:.4}, worst {worst:.4}, {within} within 0.1"
            );
        }
        let count: usize = self.beyond.iter().map(Vec::len).sum();
        println!("\nbeyond their bounds: {count}, of each row the worst");
        for row in self.beyond.iter().filter(|row| !row.is_empty()) {
            row.iter().take(self.most).for_each(|(_, text)| println!("    {text}"));
            if row.len() > self.most {
                println!("    … and {} more of this row", row.len() - self.most);
            }
        }
    }
}

fn line(cells: [&str; 9]) {
    let [history, operations, verdicts, ours, theirs, ratio, worst, lucky, bound] = cells;
    println!(
        "{history:<46} | {operations:>10} | {verdicts:<32} | {ours:>8} | {theirs:>11} | {ratio:>7} | {worst:>7} | {lucky:>7} | {bound}"
    );
}

fn span(outcomes: &[Outcome]) -> String {
    let counts = outcomes.iter().map(|outcome| outcome.operations);
    match (counts.clone().min(), counts.max()) {
        (Some(least), Some(most)) if least != most => format!("{least}–{most}"),
        (_, most) => most.unwrap_or_default().to_string(),
    }
}

fn verdicts(outcomes: &[Outcome], limit: Duration) -> String {
    let over = format!("over {}", words(limit));
    if let [only] = outcomes {
        let theirs = if only.theirs == Finding::Undecided { &over } else { only.theirs.word() };
        return format!("{} / {theirs}", only.ours.word());
    }
    let count = |finding| outcomes.iter().filter(|outcome| outcome.ours == finding).count();
    let mut text = format!("{} ok {} bad", count(Finding::Good), count(Finding::Bad));
    if count(Finding::Undecided) > 0 {
        text.push_str(&format!(" {} ?", count(Finding::Undecided)));
    }
    match outcomes.iter().filter(|outcome| outcome.theirs == Finding::Undecided).count() {
        0 => text.push_str(" / same"),
        some => text.push_str(&format!(" / {some} {over}")),
    }
    text
}

fn middle(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// A time with three digits.
fn words(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..100.0 => format!("{micros:.1} µs"),
        ..1_000.0 => format!("{micros:.0} µs"),
        ..100_000.0 => format!("{:.2} ms", micros / 1e3),
        ..1_000_000.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.1} s", micros / 1e6),
    }
}
