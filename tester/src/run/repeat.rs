//! The check that a seed decides everything: the run again, after another seed, and in a process of its own.
//!
//! Which of the three differs from the first run names the cause, as far as a cause can be named from
//! outside:
//!
//! | again | after another seed | in a fresh process | cause |
//! |---|---|---|---|
//! | any | any | same | state in a `static` |
//! | any | any | differs, but fresh processes agree | state in a `static`, left by an earlier run |
//! | differs | any | differs | the clock, or randomness that is not labrt's |
//! | same | any | differs | an address, or the number of a process or thread |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use labreport::Kind;
use labrt::{Decision, TOLD_DECISIONS};

use super::Body;
use super::plan::Plan;
use super::report::Report;
use super::seed::attempt;

/// What one run of a seed was, for comparing.
#[derive(PartialEq, Eq)]
struct Trace {
    hash: String,
    /// One line for each of the first scheduling decisions.
    decisions: Vec<String>,
}

/// Runs the seed once more in three ways; the report of the first run, or of the difference.
pub(super) fn check(plan: &Plan, body: &Arc<Body>, tag: u64, seed: u64) -> Report {
    let (report, first) = attempt(plan, body, tag, seed);
    let trace = |outcome: &labrt::Outcome<_>| Trace::new(outcome.stats.event_hash, &outcome.decisions);
    let first = trace(&first);
    let again = trace(&attempt(plan, body, tag, seed).1);
    drop(attempt(plan, body, tag, seed ^ 0x5EED));
    let after_another = trace(&attempt(plan, body, tag, seed).1);
    let fresh = match in_fresh_process(plan, seed) {
        Ok(fresh) => fresh,
        Err(error) => {
            let message = format!("the seed could not be run in a process of its own: {error}");
            return report.fail(Kind::Determinism, message.clone()).tell(&message, None, plan);
        }
    };
    let (differs_again, differs_fresh) = (again != first, fresh != first);
    let other = [&again, &after_another, &fresh].into_iter().find(|other| **other != first);
    let Some(other) = other else { return report };
    let fresh_agree = differs_fresh && in_fresh_process(plan, seed).is_ok_and(|second| second == fresh);
    let cause = match (differs_again, differs_fresh) {
        (_, false) => "state in a `static`, which outlives a run",
        (_, true) if fresh_agree => "state in a `static`, left by an earlier run",
        (true, true) => "the clock, or randomness that is not labrt's",
        (false, true) => "an address, or the number of a process or thread",
    };
    let say = |differs: bool| if differs { "differs" } else { "is the same" };
    let message = format!(
        "two runs with one seed differ, which looks like {cause}: run again at once it {}, after another seed it {}, in a \
         fresh process it {}; {}",
        say(differs_again),
        say(after_another != first),
        say(differs_fresh),
        first.difference(other)
    );
    report.fail(Kind::Determinism, message.clone()).tell(&message, None, plan)
}

impl Trace {
    fn new(hash: u64, decisions: &[Decision]) -> Trace {
        let decisions = decisions.iter().map(ToString::to_string).collect();
        Trace { hash: format!("{hash:016x}"), decisions }
    }

    /// Where the two part.
    fn difference(&self, other: &Trace) -> String {
        let (one, other) = (&self.decisions, &other.decisions);
        let position = (0..one.len().max(other.len())).find(|&i| one.get(i) != other.get(i));
        let Some(position) = position else {
            if one.len() == TOLD_DECISIONS {
                return format!(
                    "the first {TOLD_DECISIONS} scheduling decisions are the same, and no later ones are told"
                );
            }
            return "every scheduling decision is the same, so what differs was sent or drawn".to_owned();
        };
        let say = |decision: Option<&String>| decision.map_or("its end", String::as_str).to_owned();
        let (one, other) = (say(one.get(position)), say(other.get(position)));
        format!("decision {position} is {one} in the first run and {other} in the other")
    }
}

/// Runs the seed in a process of its own, which writes its decisions into a file.
fn in_fresh_process(plan: &Plan, seed: u64) -> io::Result<Trace> {
    let name = format!("lab-decisions-{}-{}-{seed}", std::process::id(), plan.test);
    let file = Temporary(std::env::temp_dir().join(name));
    let binary = std::env::current_exe()?;
    let mut command = Command::new(&binary);
    // Without `--exact` a test whose name contains this one's would run too, and write the same file.
    command.args(["--exact", &path_in(&binary, plan.test)?, "--nocapture", "--test-threads", "1"]);
    command.env("LAB_SEED", seed.to_string()).env_remove("LAB_SEEDS").env("LAB_REPORT", "0");
    command.env("LAB_CHECK_DETERMINISM", "0").env("LAB_DECISIONS", &file.0).env_remove("LAB_TRACE");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A run that fails is to be compared as well.
    command.status()?;
    let text = fs::read_to_string(&file.0)?;
    let mut lines = text.lines().map(str::to_owned);
    let hash = lines.next().ok_or_else(|| io::Error::other("it wrote nothing"))?;
    Ok(Trace { hash, decisions: lines.collect() })
}

/// The test's name with its modules, as the test binary lists it.
fn path_in(binary: &Path, test: &str) -> io::Result<String> {
    let list = Command::new(binary).args(["--list", "--format", "terse"]).stdin(Stdio::null()).output()?;
    let list = String::from_utf8_lossy(&list.stdout);
    let mut paths = list.lines().filter_map(|line| line.strip_suffix(": test"));
    let path = paths.find(|path| path.rsplit("::").next() == Some(test));
    path.map(str::to_owned).ok_or_else(|| io::Error::other(format!("the test binary lists no test {test}")))
}

/// Writes what [`in_fresh_process`] reads.
pub(super) fn write_decisions(path: &Path, hash: u64, decisions: &[Decision]) -> io::Result<()> {
    let trace = Trace::new(hash, decisions);
    fs::write(path, [vec![trace.hash], trace.decisions].concat().join("\n"))
}

/// A file that goes with the value.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is not there if the process died early.
        let _ = fs::remove_file(&self.0);
    }
}
