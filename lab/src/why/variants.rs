//! One seed many times, each time with something about it changed.

use std::ops::ControlFlow;

use indicatif::ProgressBar;
use lab_terminal::{Waiting, is_lively};
use labreport::Kind;
use labreport::overrides::{BETWEEN, Overrides};

use super::traced::{Bench, Scratch, write};
use crate::cli::cores;
use crate::failures::signature;
use crate::protocol::Report;
use crate::runner::Job;
use crate::{Failure, pool};

/// Numbers of so many digits are drawn: no term and no index comes to them.
const DRAWN: usize = 10;

/// Fewer runs than this are not worth a process of their own, if there are more to do.
const FEW: usize = 8;

/// What broke in a run: a rule, or the kind of failure with the words of its message. Two runs fail in the
/// same way if this is equal. A run that was to see no more at some moment has not failed by coming to it.
pub(crate) fn broken(report: &Report) -> Option<String> {
    let is_cut = report.cut && report.kind == Some(Kind::VirtualTime);
    (!report.ok && !is_cut && report.kind != Some(Kind::Starved)).then(|| signature(report))
}

/// Whether the run failed because something had not come about. Then it fails as well if what would bring it
/// about is left out, and that says nothing of the solution.
pub(crate) fn is_overdue(report: &Report) -> bool {
    let kinds = [Kind::VirtualTime, Kind::RealTime, Kind::Deadlock];
    report.overdue || report.kind.is_some_and(|kind| kinds.contains(&kind))
}

/// The name of what broke for a file: one word.
pub(crate) fn rule(report: &Report) -> String {
    let kind = report.kind.map_or("failed", Kind::name);
    report.invariant.clone().unwrap_or_else(|| kind.to_owned())
}

/// The seed as it is: it must fail, in the simulation. None if everything is stopped.
pub(crate) fn failing(bench: &Bench, seed: u64, verb: &str) -> Result<Option<Report>, Failure> {
    if bench.runner.world.threads {
        return Err(Failure::new(format!(
            "`{verb}` runs in the simulation only, where a seed decides everything"
        )));
    }
    let job = Job { binary: &bench.binary, test: &bench.test, seeds: seed..seed + 1 };
    let mut last = None;
    bench.runner.run(&job, &mut |report| {
        last = Some(report);
        ControlFlow::Continue(())
    })?;
    let name = &bench.test.name;
    match last {
        Some(report) if report.ok => {
            Err(Failure::new(format!("{name} passes with seed {seed}, so there is nothing to look for")))
        }
        other => Ok(other),
    }
}

/// As [`run`], and shows how far it is: a bar, or a line now and then where nothing can move.
pub(crate) fn run_shown(bench: &Bench, variants: &[Overrides]) -> Result<Vec<Option<Report>>, Failure> {
    let all = variants.len();
    let bar = if is_lively() { ProgressBar::new(all as u64) } else { ProgressBar::hidden() };
    let mut waiting = Waiting::begin();
    let reports = run_with(bench, variants, &mut |done| {
        bar.set_position(done as u64);
        if let Some(line) = waiting.due(|| format!("{done} of {all} runs")) {
            eprintln!("{line}");
        }
    });
    bar.finish_and_clear();
    reports
}

/// Runs all variants on all cores; the reports in their order. None for what was not run, because everything
/// was stopped.
pub(crate) fn run(bench: &Bench, variants: &[Overrides]) -> Result<Vec<Option<Report>>, Failure> {
    run_with(bench, variants, &mut |_| {})
}

/// As [`run`]. `progress` hears how many are done, now and then.
fn run_with(
    bench: &Bench,
    variants: &[Overrides],
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Option<Report>>, Failure> {
    // Small enough that the cores end together, large enough that starting a process costs little.
    let size = variants.len().div_ceil(2 * cores()).clamp(FEW, 64);
    let pieces: Vec<(usize, &[Overrides])> =
        variants.chunks(size).enumerate().map(|(number, piece)| (number * size, piece)).collect();
    let mut reports: Vec<Option<Report>> = variants.iter().map(|_| None).collect();
    let (mut failure, mut done) = (None, 0);
    pool::run_with_clock(
        cores(),
        &pieces,
        |&(first, piece), sender| {
            let ended = run_piece(bench, piece, &mut |place, report| {
                // The receiver listens until the last sender is gone.
                let _ = sender.send(Ok((first + place, report)));
            });
            if let Err(failure) = ended {
                let _ = sender.send(Err(failure));
            }
        },
        |message| {
            match message {
                Some(Ok((place, report))) => {
                    reports[place] = Some(report);
                    done += 1;
                }
                Some(Err(error)) => failure = Some(error),
                None => {}
            }
            progress(done);
            failure.is_none()
        },
    );
    failure.map_or(Ok(reports), Err)
}

fn run_piece(bench: &Bench, piece: &[Overrides], take: &mut dyn FnMut(usize, Report)) -> Result<(), Failure> {
    let file = Scratch::new("variants");
    let texts: Vec<String> = piece.iter().map(Overrides::to_string).collect();
    write(&file.0, &texts.join(&format!("{BETWEEN}\n")))?;
    // Nobody looks at pictures and backtraces of tries, and a backtrace costs more than a hundred of them.
    let variables = vec![
        ("LAB_VARIANTS", file.0.display().to_string()),
        ("LAB_PICTURES", std::env::temp_dir().display().to_string()),
        ("RUST_BACKTRACE", "0".to_owned()),
    ];
    let job = Job { binary: &bench.binary, test: &bench.test, seeds: 0..piece.len() as u64 };
    bench.with(variables).run(&job, &mut |report| {
        take(report.seed as usize, report);
        ControlFlow::Continue(())
    })
}

/// The words without the numbers of so many digits that only commands can be meant. Tests draw these: in a
/// run whose command is drawn once more the failure would be another one, and the moment of that drawing
/// would seem to decide it.
pub(super) fn without_drawn(reason: &str) -> String {
    let mut words = String::new();
    for piece in reason.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let digits = piece.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let kept = if digits.len() < DRAWN { piece } else { &piece[digits.len()..] };
        words.push_str(kept);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_same_whatever_command_was_drawn() {
        let reason = |command: &str| {
            without_drawn(&format!("server 2 applies {command} at index 2, where server 1 has applied 12"))
        };
        assert_eq!(reason("2956939602001847718"), reason("1197005104274246025"));
        assert_eq!(
            reason("2956939602001847718"),
            "server 2 applies  at index 2, where server 1 has applied 12"
        );
        assert_ne!(reason("101"), reason("102"));
    }
}
