//! Small programs under many schedules: each a simulation of its own, beside the run of the test.

use labrt::runtime::beside;
use labrt::{Bounds, Config, Failure, FailureKind, Outcome, PolicyKind, Search, explore, run};
use tester::Test;

/// The configuration with this seed in which a thread often loses its turn, at every other point on average.
pub(crate) fn perturbed(seed: u64) -> Config {
    Config::simulated(seed).policy(PolicyKind::Random { switch_every: 2 })
}

/// Runs a program once, beside the test's own run.
pub(crate) fn simulate<T: Send + 'static>(
    config: Config,
    main: impl FnOnce() -> T + Send + 'static,
) -> Outcome<T> {
    let outcome = beside(move || run(config, main));
    labrt::runtime::note(outcome.stats.event_hash);
    // Here a test ends that has taken too long.
    labrt::thread::yield_now();
    outcome
}

/// How many runs are made beside the test's own until it is asked whether it has taken too long.
const BATCH: u64 = 50;

/// Runs a program with up to `count` seeds, drawn from the test's own, until `judge` says something of one.
fn search<R: Send + 'static>(
    count: u64,
    main: impl Fn() + Clone + Send + 'static,
    judge: fn(Outcome<()>) -> Option<R>,
) -> Option<(u64, R)> {
    let first: u64 = labrt::rand::random();
    for begin in (0..count).step_by(BATCH as usize) {
        let seeds = (begin..count.min(begin + BATCH)).map(move |number| first.wrapping_add(number));
        let main = main.clone();
        let (hash, found) = beside(move || {
            let mut hash = 0_u64;
            let found = seeds.into_iter().find_map(|seed| {
                let outcome = run(perturbed(seed), main.clone());
                hash = hash.rotate_left(1) ^ outcome.stats.event_hash;
                judge(outcome).map(|told| (seed, told))
            });
            (hash, found)
        });
        labrt::runtime::note(hash);
        // Here a test ends that has taken too long.
        labrt::thread::yield_now();
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Runs a program with `count` seeds, drawn from the test's own. Fails the test with the first run that
/// fails, or that warns.
pub(crate) fn in_all_seeds<F: Fn() + Clone + Send + 'static>(t: &Test, count: u64, main: F) {
    let complaint = search(count, main, |outcome| match outcome.result {
        Ok(()) => outcome.warnings.into_iter().next().map(Ok),
        Err(failure) => Some(Err(failure)),
    });
    if let Some((seed, complaint)) = complaint {
        let complaint = complaint.unwrap_or_else(unless_unwritten);
        t.fail(format!("under schedule {seed}: {complaint}"));
    }
}

/// The first seed, of `count`, in which a program fails as it is said to.
pub(crate) fn failing_seed(
    count: u64,
    kind: FailureKind,
    main: impl Fn() + Clone + Send + 'static,
) -> Option<u64> {
    let (seed, failure) = search(count, main, |outcome| outcome.result.err())?;
    let is_expected = failure.kind == kind;
    let words = unless_unwritten(failure);
    assert!(is_expected, "{words}");
    Some(seed)
}

/// Runs a program under every schedule.
pub(crate) fn in_all_schedules(main: impl Fn() + Send + Sync + 'static) -> Search {
    beside(move || explore(Bounds::default(), main))
}

/// The words of a failure. If the program calls what is still to be written, the test panics as if it had
/// called it itself.
pub(crate) fn unless_unwritten(failure: Failure) -> String {
    if failure.message.contains("not yet implemented") {
        panic!("{}", failure.message);
    }
    failure.to_string()
}
