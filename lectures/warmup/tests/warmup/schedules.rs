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

/// Runs a program with `count` seeds, drawn from the test's own. Fails the test with the first run that
/// fails, or that warns.
pub(crate) fn in_all_seeds<F: Fn() + Clone + Send + 'static>(t: &Test, count: u64, main: F) {
    let first: u64 = labrt::rand::random();
    for seed in (0..count).map(|number| first.wrapping_add(number)) {
        let outcome = simulate(perturbed(seed), main.clone());
        let complaint = match outcome.result {
            Ok(()) => outcome.warnings.into_iter().next(),
            Err(failure) => Some(unless_unwritten(failure)),
        };
        if let Some(complaint) = complaint {
            t.fail(format!("under schedule {seed}: {complaint}"));
        }
    }
}

/// The first seed, of `count`, in which a program fails as it is said to.
pub(crate) fn failing_seed(
    count: u64,
    kind: FailureKind,
    main: impl Fn() + Clone + Send + 'static,
) -> Option<u64> {
    let first: u64 = labrt::rand::random();
    (0..count).map(|number| first.wrapping_add(number)).find(|&seed| {
        match simulate(perturbed(seed), main.clone()).result {
            Ok(()) => false,
            Err(failure) if failure.kind == kind => {
                unless_unwritten(failure);
                true
            }
            Err(failure) => panic!("{}", unless_unwritten(failure)),
        }
    })
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
