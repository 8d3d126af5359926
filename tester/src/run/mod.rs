//! The run loop: a test's code, once for each seed.
//!
//! The seeds run one after the other on a worker thread, while the test's own thread waits: so a run that
//! never comes back (an endless loop in a handler) fails its test, and the other tests of the process go on.

mod board;
mod channel;
mod pictures;
mod plan;
mod repeat;
mod report;
mod seed;
mod starved;
mod traced;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use board::Board;
use channel::Reports;
pub(crate) use pictures::target as target_folder;
use plan::Plan;
pub use plan::report_width;
use report::Report;
pub(crate) use report::wrap;

use crate::failure::Invariant;
use crate::test::Test;

/// How long a finished seed's report may wait until it is printed.
const FLUSH: Duration = Duration::from_millis(25);

/// What a test may consume; the environment (`LAB_VIRTUAL_LIMIT_S` and so on) goes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Virtual time; on real threads, wall time.
    pub virtual_time: Duration,
    /// Wall time of one run.
    pub real_time: Duration,
}

impl Default for Allowance {
    /// The course's two minutes of the cluster's time, and as much of the user's.
    fn default() -> Self {
        Allowance { virtual_time: Duration::from_secs(120), real_time: Duration::from_secs(120) }
    }
}

pub(crate) type Body = dyn Fn(&Test) + Send + Sync;

/// Runs a test, to be called from a plain `#[test]` function: once with a seed from the system's randomness,
/// or as the environment says.
///
/// | variable | meaning |
/// |---|---|
/// | `LAB_SEED=n` | this seed |
/// | `LAB_SEEDS=a..b` | all seeds from `a` to below `b`, in this process; with ` from m` they begin at `m`, and those before it come last |
/// | `LAB_RUNTIME=threads` | real threads instead of the simulation |
/// | `LAB_CHECK_DETERMINISM=1` | each seed again, after another one, and in a process of its own: all must be equal |
/// | `LAB_SWARM=1`, `tenth` | each seed, or one in ten, also draws delays, scheduler, clocks and pauses |
/// | `LAB_SCHEDULER=random`, `pct:D` | how threads are scheduled, if not as each seed draws |
/// | `LAB_UNWATCHED=1` | give solutions no observer: see what the tests notice of one that has none |
/// | `LAB_REPORT=1` | a line for each seed on standard output; with `socket`, through the socket that `lab` gives, which may also name the seeds |
/// | `LAB_KEEP_GOING=1` | go on after a seed that failed (implied by `LAB_REPORT`) |
/// | `LAB_STORY=1` | tell the whole story, also of runs that pass |
/// | `LAB_COLUMNS=N` | how wide the lines of a report may be; by default as `COLUMNS` says, or 100 |
/// | `LAB_TRACE=FILE` | write all events of the (last) run to this file |
/// | `LAB_VARIANTS=FILE` | number n of the seeds is not a seed, but the n-th run that this file describes |
/// | `LAB_PICTURES=DIR` | where pictures of failed runs go; unless given, into `lab-pictures` in cargo's target folder |
/// | `LAB_STUCK_LIMIT_S` | how long a thread may do without the runtime: five seconds, or more in a debugger |
/// | `LAB_VIRTUAL_LIMIT_S`, `LAB_REAL_LIMIT_S`, `LAB_MEMORY_LIMIT_MB` | limits of a run; the first may be `120,TEST=900` |
///
/// A test on real threads that misses an expectation while other programs have the processors does not fail.
/// It is inconclusive, and says so on standard output and in its report.
///
/// # Panics
/// If the test fails, after its story was printed; or if the environment makes no sense.
pub fn run(name: &'static str, body: impl Fn(&Test) + Send + Sync + 'static) {
    run_within(name, Allowance::default(), body);
}

/// As [`run`], for a test that needs more or less than the usual two minutes.
///
/// # Panics
/// As [`run`].
pub fn run_within(name: &'static str, allowance: Allowance, body: impl Fn(&Test) + Send + Sync + 'static) {
    play(name, allowance, &(Arc::new(body) as Arc<Body>));
}

/// All that does not depend on the body's type: compiled once, and not for each test.
fn play(name: &'static str, allowance: Allowance, body: &Arc<Body>) {
    match Plan::from_environment(name, allowance) {
        Ok(plan) => conduct(&Arc::new(plan), body),
        Err(complaint) => panic!("{complaint}"),
    }
}

/// How one run has ended; see [`try_seed`].
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Whether the test passed.
    pub ok: bool,
    /// The invariant that was broken, if one was.
    pub invariant: Option<Invariant>,
    /// What was wrong, in one line; empty if nothing was.
    pub message: String,
    /// What the user sees: the line of a success, or the story of a failure.
    pub text: String,
    /// What `lab` sees.
    pub report: labreport::Report,
}

/// Runs a test once, here, in the simulation, and tells how it ended instead of failing: for tests of the
/// tester.
pub fn try_seed(name: &'static str, seed: u64, body: impl Fn(&Test) + Send + Sync + 'static) -> Verdict {
    let plan = Plan::simulated(name, seed);
    let report = seed::run_one(&plan, &(Arc::new(body) as Arc<Body>), 0, seed);
    report.into_verdict()
}

/// As [`try_seed`], with observers ignored (`LAB_UNWATCHED`): what is noticed of any solution.
pub fn try_unwatched(name: &'static str, seed: u64, body: impl Fn(&Test) + Send + Sync + 'static) -> Verdict {
    let plan = Plan { unwatched: true, ..Plan::simulated(name, seed) };
    let report = seed::run_one(&plan, &(Arc::new(body) as Arc<Body>), 0, seed);
    report.into_verdict()
}

/// Starts the worker, prints what it reports, and fails if a seed has failed.
fn conduct(plan: &Arc<Plan>, body: &Arc<Body>) {
    let board = Board::open(plan);
    let (of_worker, plan_of_worker, body) = (Arc::clone(&board), Arc::clone(plan), Arc::clone(body));
    let worker = std::thread::Builder::new().name(plan.test.to_owned());
    let worker = worker.spawn(move || seed::run_all(&plan_of_worker, &body, &of_worker));
    let worker = worker.expect("the operating system has room for one thread more");
    let stuck = loop {
        let news = board.wait(FLUSH);
        print(plan.reports, &news.lines);
        if news.stuck.is_some() || news.done {
            break news.stuck;
        }
        if worker.is_finished() {
            let last = board.wait(Duration::ZERO);
            print(plan.reports, &last.lines);
            // A worker that ended without saying so panicked, outside of any run.
            break if last.done { None } else { Some(lost_worker(plan, &board, worker.join())) };
        }
    };
    if let Some(report) = stuck {
        give_up(plan, &report);
    }
    let failed = board.failed();
    board.close();
    if failed > 0 {
        // The story is printed; a panic's own message would only hide it.
        std::panic::resume_unwind(Box::new(format!("{failed} of the seeds of {} failed", plan.test)));
    }
}

/// The report of a worker whose thread is gone.
fn lost_worker(plan: &Plan, board: &Board, end: std::thread::Result<()>) -> Report {
    let payload = end.err();
    let text = payload.as_ref().and_then(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied())
    });
    Report::of_lost_worker(plan, board.seed.load(Ordering::Relaxed), text.unwrap_or("no reason given"))
}

/// A run is stuck and cannot be ended.
fn give_up(plan: &Plan, report: &Report) -> ! {
    if plan.reports != Reports::Nobody {
        let mut line = String::new();
        report.write_line(&mut line);
        print(plan.reports, &line);
    } else {
        eprintln!("{}", report.text());
    }
    // With reports, the line says that the process ends here, and `lab` goes on behind the seed in another
    // one. And when memory runs out, ending the process is all that is left to do.
    if plan.reports != Reports::Nobody || report.ends_process() {
        labrt::runtime::give_up();
    }
    std::panic::resume_unwind(Box::new(format!("{} is stuck", plan.test)));
}

fn print(reports: Reports, lines: &str) {
    use std::io::Write;
    if reports == Reports::Lab {
        reports.send(lines);
        return;
    }
    if lines.is_empty() {
        return;
    }
    // Through `print!`, so that libtest can capture it. A closed standard output cannot be reported anywhere.
    print!("{lines}");
    let _ = std::io::stdout().flush();
}
