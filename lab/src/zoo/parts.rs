//! `cargo lab zoo LAB --parts`: do the tests of each part need that part, and the earlier ones, only?
//!
//! A solution of part 2A must pass all its tests. The complete reference cannot show whether that is
//! possible. So each `bugs/parts/LAB-PART.patch` makes a partial solution of the reference: what belongs to
//! later parts panics, or does nothing. The tests up to that part are run against what is left, and all of
//! them must pass.

use console::style;
use lab_terminal::count;
use serde_json::json;

use super::build::Builder;
use super::cli::ZooOptions;
use super::examine::examine;
use super::interrupted;
use super::patch::Patch;
use crate::catalogue::{Lab, Test};
use crate::runner::Runner;
use crate::style::say;
use crate::{Failure, Outcome};

/// The partial solutions of this lab, by their names.
pub(super) fn of_lab(patches: Vec<Patch>, lab: &Lab) -> Result<Vec<Patch>, Failure> {
    let prefix = format!("{}-", lab.name);
    let partial: Vec<Patch> = patches.into_iter().filter(|patch| patch.id.starts_with(&prefix)).collect();
    if partial.is_empty() {
        return Err(Failure::new(format!("bugs/parts has no partial solution of {}", lab.name)));
    }
    Ok(partial)
}

/// Builds each of these partial solutions, runs the tests of its parts, and prints those that fail.
pub(super) fn run(
    mut builder: Builder,
    lab: &Lab,
    tests: &[Test],
    partial: Vec<Patch>,
    runner: &Runner,
    options: &ZooOptions,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Passed;
    for solution in partial {
        let what = format!("{}, {}", solution.id, solution.title);
        let built = builder.build(solution, &tests[..1]);
        let row = built.and_then(|built| examine(&built, lab, tests, runner, options));
        if runner.supervisor.has_stopped(&row) {
            return Ok(interrupted(outcome, options.form.json));
        }
        let row = row?;
        let failed: Vec<_> = row.failures().collect();
        if options.form.json {
            let named = |(test, reason): &(&Test, String)| json!({"test": test.name, "reason": reason});
            let names: Vec<_> = failed.iter().map(named).collect();
            println!("{}", json!({"solution": what, "tests": row.run(), "failed": names}));
            outcome = if failed.is_empty() { outcome } else { Outcome::Failed };
            continue;
        }
        if failed.is_empty() {
            let word = style("passed:").green();
            say(&format!("{word} {what}: {}, none needs a later part", count(row.run(), "test")));
        } else {
            outcome = Outcome::Failed;
            let word = style("failed:").red().bold();
            say(&format!("{word} {what}: {} of {}", failed.len(), count(row.run(), "test")));
        }
        for (test, reason) in failed {
            say(&format!("  {} of part {}, {reason}", test.name, test.part));
        }
    }
    Ok(outcome)
}
