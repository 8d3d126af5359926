//! Runs that cost more than they tell: those that take a limit's time, and those that end their process.

use labreport::{Kind, Report};

use super::{OUTPUT_MB, of};
use crate::settings::Test;
use crate::watch::{Cause, End};

/// A failure that took a limit's time. A death is none, however late it comes: what a clock near a bound says
/// is another thing on another machine.
pub(super) fn is_slow(run: &Report) -> bool {
    matches!(run.kind, Some(Kind::Blocked | Kind::Memory | Kind::RealTime | Kind::Spin))
}

/// A failure that took a limit's time, or a process.
pub(super) fn is_expensive(run: &Report) -> bool {
    is_slow(run) || is_death(run)
}

fn is_death(run: &Report) -> bool {
    matches!(run.kind, Some(Kind::Died | Kind::Exit | Kind::StackOverflow))
}

/// How many runs it takes to know that the further seeds are not worth their time, if these do: the third
/// expensive failure, or the second slow one if none has passed before it. One is not enough: a solution that
/// fails so with one seed in fifty may do it with the first.
pub(super) fn hopeless(runs: &[Report]) -> Option<usize> {
    let (mut passed, mut slow, mut expensive) = (false, 0, 0);
    runs.iter().position(|run| {
        passed |= run.ok;
        slow += usize::from(is_slow(run));
        expensive += usize::from(is_expensive(run));
        expensive >= 3 || slow >= 2 && !passed
    })
}

/// Whether a test has come to nothing and has taken much for it. Beside tests with points a death does not
/// count: the others may earn some.
pub(super) fn is_lost(test: &Test, runs: &[Report]) -> bool {
    let counts = if test.points > 0 { is_slow } else { is_expensive };
    hopeless(runs).is_some() && runs.iter().any(counts) && !runs.iter().any(|run| run.ok)
}

/// Drops what came behind the run that makes a test hopeless, so that nothing depends on who ran what.
/// Returns why it is.
pub(super) fn cut(runs: &mut Vec<Report>) -> Option<String> {
    let at = hopeless(runs)?;
    runs.truncate(at + 1);
    runs.last().map(say)
}

/// What a run came to, in a line.
pub(super) fn say(run: &Report) -> String {
    let run = of(run);
    format!("{}: {}", run.kind, run.message)
}

/// The report that a dead process owes.
pub(super) fn death(test: &Test, seed: u64, end: &End) -> Report {
    let has = |words: &str| end.output.contains(words);
    let (kind, message) = match end.cause {
        Cause::Memory => {
            (Kind::Memory, format!("more than {} MiB of memory (labs.toml)", test.limits.memory_mb))
        }
        _ if has("memory allocation of ") => {
            (Kind::Memory, "a piece of memory that no test may have".to_owned())
        }
        Cause::Silence => (Kind::RealTime, "no sign of life for longer than the test's limit".to_owned()),
        Cause::Processor => {
            (Kind::RealTime, "its runs take more processor time than labs.toml lets them".to_owned())
        }
        Cause::Output => (Kind::Other, format!("more than {OUTPUT_MB} MiB of output")),
        Cause::FileSize => (Kind::Died, "a file larger than any test may write".to_owned()),
        Cause::ForbiddenCall => (
            Kind::Died,
            "a system call that no test makes: for a process, a file, the network, or a signal".to_owned(),
        ),
        _ if has("process::exit was called in a run") => {
            (Kind::Exit, "process::exit was called in a run".to_owned())
        }
        _ if has("overflowed its stack") || has("stack overflow in ") => {
            (Kind::StackOverflow, "a stack overflowed".to_owned())
        }
        Cause::Signal(signal) => {
            let name =
                nix::sys::signal::Signal::try_from(signal).map_or("a signal", |signal| signal.as_str());
            (Kind::Died, format!("the process was ended by {name}"))
        }
        Cause::Stopped => (Kind::Died, "the process was ended".to_owned()),
        Cause::Exit(code) => {
            (Kind::Exit, format!("the process ended with status {code} before the test did"))
        }
    };
    Report {
        version: labreport::VERSION,
        test: test.name.clone(),
        seed,
        kind: Some(kind),
        message: Some(message),
        ..Report::default()
    }
}
