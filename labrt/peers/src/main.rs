//! labrt's schedulers beside those of shuttle and loom, on the same eight programs in the same run: how many
//! runs each needs until it finds the bug, and how many schedules it runs in a second.
//! `cargo lab bench schedulers`, or `cargo run --release --manifest-path labrt/peers/Cargo.toml`, with a part
//! of a program's name behind `--` for some programs alone. About one minute.
//!
//! Runs until found are medians of nine searches with different seeds; exhaustive searches are made once,
//! with at most two preemptions. The last table says how the default policy of labrt does against the bounds.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]
#![allow(clippy::duplicate_mod, reason = "the eight programs are compiled over each of the libraries")]

mod ours;
mod table;
mod with_loom;
mod with_shuttle;

use std::process::ExitCode;
use std::time::Duration;

/// Searches of which the median is taken.
const ROUNDS: u64 = 9;

/// Runs after which a search gives up.
const MOST_RUNS: u64 = 5000;

/// How long a scheduler searches for its rate.
const RATED: Duration = Duration::from_millis(400);

/// What one scheduler did with one program.
#[derive(Clone, Copy)]
pub(crate) struct Finding {
    /// Runs until the bug was found, the median; None if most searches gave up.
    runs: Option<u64>,
    /// Schedules a second.
    rate: f64,
}

/// A program: a closure of one of the three worlds.
pub(crate) type Program = fn();

/// Looks for the bug with `search`: nine times for the median, and then for a while for the rate, since one
/// search may be over at once. `search` gets the number of the round and gives the runs until it found the
/// bug, or, as an error, all that it made.
pub(crate) fn measure(search: impl Fn(u64) -> Result<u64, u64>) -> Finding {
    let mut found: Vec<u64> = (0..ROUNDS).map(|round| search(round).unwrap_or(u64::MAX)).collect();
    let (started, mut runs, mut round) = (std::time::Instant::now(), 0, ROUNDS);
    while started.elapsed() < RATED {
        runs += search(round).unwrap_or_else(|all| all);
        round += 1;
    }
    let took = started.elapsed();
    found.sort_unstable();
    let median = found[found.len() / 2];
    Finding { runs: (median != u64::MAX).then_some(median), rate: runs as f64 / took.as_secs_f64() }
}

/// Runs this program once more: a backtrace for each bug that is found costs more than the search.
fn without_backtraces() -> ExitCode {
    let program = std::env::current_exe().expect("a program that runs has a file");
    let mut again = std::process::Command::new(program);
    let status = again.args(std::env::args().skip(1)).env("RUST_BACKTRACE", "0").status();
    let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(2))
}

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted == "--help" || wanted == "-h" {
        println!("Usage: peers [PART OF A PROGRAM'S NAME]\n\n  e.g. `peers wake` for the lost wake-up alone");
        return ExitCode::SUCCESS;
    }
    if wanted == with_loom::CHILD {
        let index = std::env::args().nth(2).and_then(|index| index.parse().ok());
        with_loom::search(index.expect("the parent gives a number"));
        return ExitCode::SUCCESS;
    }
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        return without_backtraces();
    }
    std::panic::set_hook(Box::new(|_| {}));
    let rows = table::rows(&wanted);
    if rows.is_empty() {
        eprintln!("no program's name contains {wanted:?}");
        return ExitCode::from(2);
    }
    table::print(&rows);
    if rows.iter().all(table::Row::is_within_bounds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
