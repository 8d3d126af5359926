//! What a user sees of a campaign under way: a bar for each test on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lab_terminal::{Waiting, count, is_lively, width, wrapped};
use labreport::Verdict;

use super::campaign::Campaign;
use super::tally::{Tallies, Tally};
use crate::catalogue::Test;
use crate::cli::StressOptions;
use crate::protocol::Report;

/// How often the count of rounds is renewed.
const ROUNDS_EVERY: Duration = Duration::from_millis(200);

/// How many failures of one test are announced; the others are only counted.
const ANNOUNCED: u64 = 10;

/// When so many runs have failed, only the first of each test is announced: the table and the list at the
/// end have the others.
const MANY: u64 = 20;

/// One of three ways to show progress.
pub(super) enum Display {
    /// A bar for the whole, and one for each test, as many as the screen has rows for.
    Bars { all: MultiProgress, whole: ProgressBar, bars: Vec<ProgressBar>, layout: Layout },
    /// Now and then a line, where nothing can move.
    Lines { goal: u64, waiting: Waiting },
    /// "Done 017/100; 17 ok, 0 failed", as go-test-many.sh counts.
    Rounds { goal: u64, last: Instant, line: String },
    /// Failures as lines of JSON, for programs.
    Json,
}

/// How wide names and bars are.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    name: usize,
    bar: usize,
}

/// How it stands with a test: its bar is green when all runs are done and none has failed, and red from the
/// first failure on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Complete,
    Failed,
}

impl State {
    fn of(tally: &Tally, runs: Option<u64>) -> State {
        match tally.failed {
            0 if Some(tally.total) == runs => State::Complete,
            0 => State::Running,
            _ => State::Failed,
        }
    }
}

impl Layout {
    /// For a terminal of this width, the longest of the names, and so many runs of each test.
    fn new(width: usize, longest: usize, runs: u64) -> Layout {
        // "1000/1000  1000 failed", the blanks between, and one that keeps the last column free.
        let digits = runs.to_string().len();
        let rest = width.saturating_sub(3 * digits + " / ".len() + "  failed".len() + 4);
        let name = longest.min(rest.saturating_sub(6)).max(6);
        Layout { name, bar: rest.saturating_sub(name).clamp(4, 30) }
    }

    fn style(self, state: State) -> ProgressStyle {
        let Layout { name, bar } = self;
        match state {
            State::Running => style_of(&format!("{{prefix:{name}!}} {{bar:{bar}}} {{pos}}/{{len}}")),
            State::Complete => style_of(&format!("{{prefix:{name}!}} {{bar:{bar}.green}} {{pos}}/{{len}}")),
            State::Failed => {
                style_of(&format!("{{prefix:{name}!}} {{bar:{bar}.red}} {{pos}}/{{len}}  {{msg:.red}}"))
            }
        }
    }
}

impl Display {
    /// The display that the options ask for, showing what is done already.
    pub(super) fn new(
        tests: &[Test],
        tallies: &Tallies,
        campaign: &Campaign,
        options: &StressOptions,
    ) -> Display {
        let goal = campaign.runs() * tests.len() as u64;
        let last = Instant::now();
        if tallies.total() > 0 {
            eprintln!("going on with an interrupted campaign: {} of {goal} runs are done", tallies.total());
        }
        if options.form.json {
            return Display::Json;
        }
        if options.rounds {
            return Display::Rounds { goal: campaign.runs(), last, line: String::new() };
        }
        if !is_lively() {
            eprintln!("{} of {goal} runs", tallies.total());
            return Display::Lines { goal, waiting: Waiting::begin() };
        }
        let (rows, width) = console::Term::stderr().size();
        let (rows, width) = (usize::from(rows), usize::from(width));
        let longest = tests.iter().map(|test| test.name.len()).max().unwrap_or(0);
        let layout = Layout::new(width, longest, campaign.runs());
        let all = MultiProgress::new();
        let template = if width >= 80 {
            "{percent:>3}%  {bar:24}  {pos}/{len}  {elapsed} (about {eta} left)"
        } else {
            "{percent:>3}%  {pos}/{len}  {elapsed} (about {eta} left)"
        };
        let whole = all.add(ProgressBar::new(goal).with_style(style_of(template)));
        whole.set_position(tallies.total());
        // The time left is estimated from what this process does.
        whole.reset_eta();
        // The last row is the cursor's, and one is kept for a line that says that there are more tests.
        let shown = rows.saturating_sub(3).max(1);
        let mut bars: Vec<ProgressBar> = Vec::new();
        for test in tests.iter().take(shown) {
            let bar = all.add(ProgressBar::new(campaign.runs()));
            show_test(&bar, test, tallies, layout);
            bars.push(bar);
        }
        if tests.len() > shown {
            let more = all.add(ProgressBar::new(0).with_style(style_of("{msg}")));
            more.set_message(format!(
                "and {}: bars go to failures and to what runs",
                count(tests.len() - shown, "more test")
            ));
            more.tick();
            bars.push(more);
        }
        Display::Bars { all, whole, bars, layout }
    }

    /// Shows one more run.
    pub(super) fn advance(&mut self, tallies: &Tallies, test: &Test, report: &Report, kept: Option<&Path>) {
        let Tally { failed, inconclusive, .. } = tallies.of(&test.name);
        let announced = if tallies.failed() <= MANY { ANNOUNCED } else { 1 };
        if !report.ok && failed + inconclusive <= announced {
            self.announce(test, report, kept);
        }
        match self {
            Display::Bars { whole, bars, layout, .. } => {
                whole.inc(1);
                let own = bars.iter().position(|bar| bar.prefix() == test.name);
                if let Some(bar) = own.or_else(|| free_bar(bars, tallies, failed > 0)).map(|at| &bars[at]) {
                    show_test(bar, test, tallies, *layout);
                }
            }
            Display::Json => {}
            Display::Lines { .. } => self.wait(tallies),
            Display::Rounds { goal, last, line } => {
                let complete = tallies.is_complete();
                if complete || last.elapsed() > ROUNDS_EVERY {
                    *last = Instant::now();
                    show_rounds(*goal, tallies, line);
                }
            }
        }
    }

    /// Says how far it is, where nothing moves and nothing was said for a while.
    pub(super) fn wait(&mut self, tallies: &Tallies) {
        let Display::Lines { goal, waiting } = self else { return };
        let line = waiting.due(|| format!("{} of {goal} runs, {} failed", tallies.total(), tallies.failed()));
        if let Some(line) = line {
            eprintln!("{line}");
        }
    }

    /// Says at once that a run failed.
    fn announce(&self, test: &Test, report: &Report, kept: Option<&Path>) {
        let word = match report.verdict() {
            Verdict::Inconclusive => style("Inconclusive").yellow().bold(),
            Verdict::Passed | Verdict::Failed => style("Failed").red().bold(),
        };
        let mut text = format!("{word} {} seed {}: {}", test.name, report.seed, report.reason());
        if let Some(path) = kept {
            text += &format!("\n       {}", path.display());
        }
        let text = wrapped(&text, width());
        match self {
            Display::Json => {
                let (test, reason) = (&test.name, report.reason());
                let verdict = format!("{:?}", report.verdict()).to_lowercase();
                println!(
                    "{}",
                    serde_json::json!({verdict: {"test": test, "seed": report.seed, "reason": reason, "file": kept}})
                );
            }
            Display::Bars { all, .. } => all.suspend(|| println!("{text}")),
            Display::Rounds { line, .. } if !line.is_empty() && overwrites() => {
                println!("\n{text}");
            }
            Display::Lines { .. } | Display::Rounds { .. } => println!("{text}"),
        }
    }

    /// Clears what moves.
    pub(super) fn finish(&self) {
        match self {
            // Each by itself: a bar that is not finished draws itself once more when it is dropped.
            Display::Bars { whole, bars, .. } => {
                bars.iter().chain([whole]).for_each(ProgressBar::finish_and_clear);
            }
            Display::Rounds { line, .. } if !line.is_empty() && overwrites() => println!(),
            Display::Lines { .. } | Display::Rounds { .. } | Display::Json => {}
        }
    }
}

/// A style, or indicatif's own if the template were wrong.
fn style_of(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Makes a bar that of a test.
fn show_test(bar: &ProgressBar, test: &Test, tallies: &Tallies, layout: Layout) {
    let tally = tallies.of(&test.name);
    let state = State::of(&tally, bar.length());
    let changes = bar.prefix() != test.name || (state == State::Failed && bar.message().is_empty());
    if changes || state == State::Complete {
        bar.set_prefix(test.name.clone());
        bar.set_style(layout.style(state));
    }
    bar.set_message(if tally.failed > 0 { format!("{} failed", tally.failed) } else { String::new() });
    bar.set_position(tally.total);
}

/// A bar that another test may have: of a test that is done or not begun, and has not failed; for a failure,
/// of any that has not failed.
fn free_bar(bars: &[ProgressBar], tallies: &Tallies, for_failure: bool) -> Option<usize> {
    let is_of_test = |bar: &ProgressBar| !bar.prefix().is_empty() && bar.message().is_empty();
    let is_idle = |bar: &ProgressBar| {
        let total = tallies.of(&bar.prefix()).total;
        total == 0 || Some(total) == bar.length()
    };
    let idle = bars.iter().position(|bar| is_of_test(bar) && is_idle(bar));
    idle.or_else(|| if for_failure { bars.iter().position(is_of_test) } else { None })
}

/// Whether the count of rounds is written over itself.
fn overwrites() -> bool {
    std::io::stdout().is_terminal() && is_lively()
}

/// Renews the count of rounds: in place on a terminal, as a new line elsewhere, and only if it changed.
fn show_rounds(goal: u64, tallies: &Tallies, line: &mut String) {
    let rounds = tallies.rounds();
    let text =
        format!("Done {:03}/{goal}; {} ok, {} failed", rounds.ok + rounds.failed, rounds.ok, rounds.failed);
    if text == *line {
        return;
    }
    let coloured = if rounds.failed > 0 { style(&text).red() } else { style(&text).green() };
    let mut out = std::io::stdout();
    // It fails only if the output is no longer read, and then it does not matter.
    let _ = if overwrites() { write!(out, "\r{coloured}") } else { writeln!(out, "{coloured}") };
    let _ = out.flush();
    *line = text;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the length of names and the number of runs; a bar that wraps makes the others climb.
    #[test]
    fn bars_fit_their_terminal() {
        for (width, longest, runs) in
            [(60, 50, 10_000_000), (60, 30, 1000), (80, 50, 10_000_000), (160, 50, 1000)]
        {
            let Layout { name, bar } = Layout::new(width, longest, runs);
            let line = format!("{} {} {runs}/{runs}  {runs} failed", "n".repeat(name), "b".repeat(bar));
            assert!(line.len() < width, "{width}: {line}");
            assert!(name >= longest.min(15), "{width}: {name}");
        }
        assert!(Layout::new(160, 50, 1000).name == 50);
    }
}
