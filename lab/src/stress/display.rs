//! What a user sees of a campaign under way: a bar for each test on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use labreport::Verdict;

use super::campaign::Campaign;
use super::tally::{Tallies, Tally};
use crate::catalogue::Test;
use crate::cli::StressOptions;
use crate::protocol::Report;

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How often the count of rounds is renewed.
const ROUNDS_EVERY: Duration = Duration::from_millis(200);

/// How many failures of one test are announced; the others are only counted.
const ANNOUNCED: u64 = 10;

/// One of three ways to show progress.
pub(super) enum Display {
    /// A bar for the whole and one for each test.
    Bars { all: MultiProgress, whole: ProgressBar, bars: Vec<ProgressBar> },
    /// Now and then a line, where standard error is no terminal.
    Lines { goal: u64, last: Instant },
    /// "Done 017/100; 17 ok, 0 failed", as go-test-many.sh counts.
    Rounds { goal: u64, last: Instant, line: String },
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
        if options.rounds {
            return Display::Rounds { goal: campaign.runs(), last, line: String::new() };
        }
        if !std::io::stderr().is_terminal() {
            return Display::Lines { goal, last };
        }
        let all = MultiProgress::new();
        let whole = all.add(
            ProgressBar::new(goal)
                .with_style(style_of("{percent:>3}%  {bar:40}  {pos}/{len}  {elapsed} (about {eta} left)")),
        );
        whole.set_position(tallies.total());
        // The time left is estimated from what this process does.
        whole.reset_eta();
        let bars = tests.iter().map(|test| all.add(test_bar(test, campaign.runs(), tallies))).collect();
        Display::Bars { all, whole, bars }
    }

    /// Shows one more run.
    pub(super) fn advance(&mut self, tallies: &Tallies, test: &Test, report: &Report, kept: Option<&Path>) {
        let Tally { failed, inconclusive, .. } = tallies.of(&test.name);
        if !report.ok && failed + inconclusive <= ANNOUNCED {
            self.announce(test, report, kept);
        }
        match self {
            Display::Bars { whole, bars, .. } => {
                whole.inc(1);
                if let Some(bar) = bars.iter().find(|bar| bar.prefix() == test.name) {
                    bar.inc(1);
                    if failed > 0 {
                        show_failures(bar, failed);
                    }
                }
            }
            Display::Lines { goal, last } => {
                if last.elapsed() > LINE_EVERY {
                    *last = Instant::now();
                    eprintln!("{} of {goal} runs, {} failed", tallies.total(), tallies.failed());
                }
            }
            Display::Rounds { goal, last, line } => {
                let complete = tallies.is_complete();
                if complete || last.elapsed() > ROUNDS_EVERY {
                    *last = Instant::now();
                    show_rounds(*goal, tallies, line);
                }
            }
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
        match self {
            Display::Bars { all, .. } => all.suspend(|| println!("{text}")),
            Display::Rounds { line, .. } if !line.is_empty() && std::io::stdout().is_terminal() => {
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
            Display::Rounds { line, .. } if !line.is_empty() && std::io::stdout().is_terminal() => println!(),
            Display::Lines { .. } | Display::Rounds { .. } => {}
        }
    }
}

/// A style, or indicatif's own if the template were wrong.
fn style_of(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn test_bar(test: &Test, runs: u64, tallies: &Tallies) -> ProgressBar {
    let tally = tallies.of(&test.name);
    let bar = ProgressBar::new(runs)
        .with_prefix(test.name.clone())
        .with_style(style_of("{prefix:34} {bar:30.green} {pos}/{len}"));
    bar.set_position(tally.total);
    if tally.failed > 0 {
        show_failures(&bar, tally.failed);
    }
    bar
}

/// From the first failure on, a bar is red.
fn show_failures(bar: &ProgressBar, failed: u64) {
    bar.set_style(style_of("{prefix:34} {bar:30.red} {pos}/{len}  {msg:.red}"));
    bar.set_message(format!("{failed} failed"));
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
    let _ = if out.is_terminal() { write!(out, "\r{coloured}") } else { writeln!(out, "{coloured}") };
    let _ = out.flush();
    *line = text;
}
