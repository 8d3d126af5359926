//! Variables of the environment that test binaries know, and what the command line makes of them.
//!
//! A variable is honoured or refused with a sentence. It is never passed over.

use std::env;

use lab_terminal::Failure;

use crate::runner::{CHECK_DETERMINISM, OVER, SCHEDULER, SWARM, UNWATCHED};

/// What the command line sets itself, from labs.toml.
const LIMITS: [&str; 3] = ["LAB_VIRTUAL_LIMIT_S", "LAB_REAL_LIMIT_S", "LAB_MEMORY_LIMIT_MB"];

/// Of what it sets itself, or must find unset, and which verb is for that.
const OWN: [(&str, &str); 4] = [
    ("LAB_REPORT", "`cargo lab` reads the reports of tests itself"),
    ("LAB_TRACE", "`cargo lab trace` keeps a trace"),
    ("LAB_VARIANTS", "`cargo lab replay --shrunk FILE` runs what `cargo lab shrink` has left"),
    ("LAB_DECISIONS", "--check-determinism compares two runs"),
];

/// What changes the runs, and not those of a bench.
const KNOBS: [&str; 8] =
    [SWARM, SCHEDULER, CHECK_DETERMINISM, OVER, UNWATCHED, "LAB_PROFILE", "LAB_STORY", "LAB_STUCK_LIMIT_S"];

/// What test binaries read themselves: 0 or 1, and numbers.
const FLAGS: [&str; 3] = [UNWATCHED, "LAB_STORY", "LAB_KEEP_GOING"];
const NUMBERS: [&str; 2] = ["LAB_STUCK_LIMIT_S", "LAB_COLUMNS"];

/// Whether `LAB_RUNTIME` asks for real threads.
///
/// # Errors
/// If it asks for a world that there is not.
pub(crate) fn asks_for_threads() -> Result<bool, Failure> {
    match value("LAB_RUNTIME").as_deref() {
        None | Some("simulated") => Ok(false),
        Some("threads") => Ok(true),
        Some(other) => {
            Err(Failure::new(format!("LAB_RUNTIME is {other:?}; it must be `simulated` or `threads`")))
        }
    }
}

/// Whether this variable is 1.
///
/// # Errors
/// If it is anything but 0 or 1.
pub(crate) fn flag(name: &str) -> Result<bool, Failure> {
    match value(name).as_deref() {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => Err(Failure::new(format!("{name} is {other:?}; it must be 0 or 1"))),
    }
}

/// Refuses what no verb that runs tests can honour.
///
/// # Errors
/// If such a variable is set, or one that tests read says what makes no sense.
pub(crate) fn check() -> Result<(), Failure> {
    if let Some(name) = LIMITS.into_iter().find(|name| value(name).is_some()) {
        return Err(Failure::new(format!(
            "{name} is set, and `cargo lab` takes its limits from labs.toml: unset it"
        )));
    }
    OWN.iter().try_for_each(|(name, why)| refuse(name, why))?;
    FLAGS.iter().try_for_each(|name| flag(name).map(drop))?;
    if let Some(name) =
        NUMBERS.into_iter().find(|name| value(name).is_some_and(|text| text.parse::<u64>().is_err()))
    {
        return Err(Failure::new(format!("{name} must be a whole number that is not negative")));
    }
    refuse("LAB_SEEDS", "`cargo lab stress --first-seed A --runs N` runs a range of seeds")
}

/// Refuses the variables that name a seed, for a verb that has its own.
///
/// # Errors
/// If one is set.
pub(crate) fn check_without_seed() -> Result<(), Failure> {
    check()?;
    refuse("LAB_SEED", "this verb draws its own seeds (see --first-seed of `cargo lab stress`)")
}

/// Refuses a choice of the world, for a verb that is simulated always.
///
/// # Errors
/// If one is set.
pub(crate) fn check_simulated() -> Result<(), Failure> {
    check_without_seed()?;
    match asks_for_threads()? {
        true => {
            Err(Failure::new("LAB_RUNTIME is `threads`, and this verb runs in the simulation only: unset it"))
        }
        false => Ok(()),
    }
}

/// Refuses whatever would make the runs of a bench others than its bounds are for.
///
/// # Errors
/// If one is set.
pub(crate) fn check_for_bench() -> Result<(), Failure> {
    check_simulated()?;
    KNOBS.iter().try_for_each(|name| refuse(name, "a bench measures what its bound is for: unset it"))
}

/// The words of the command line, whose options do not look at variables that are empty: these count as not
/// set.
pub(crate) fn without_empty(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|option| {
        let value = option.get_env().and_then(env::var_os);
        if value.is_some_and(|value| value.is_empty()) { option.env(None) } else { option }
    });
    command.mut_subcommands(without_empty)
}

fn refuse(name: &str, why: &str) -> Result<(), Failure> {
    match value(name) {
        None => Ok(()),
        Some(value) => Err(Failure::new(format!("{name} is {value:?} and would be ignored: {why}"))),
    }
}

/// A variable's text; None if it is not set, or empty.
fn value(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}
