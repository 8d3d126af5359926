//! Checks after a run: outside of it, so that they cost no virtual time and need no thread of the simulation.
//! They run whether the run has passed or not.

use std::time::Duration;

use labreport::Kind;

use crate::test::Test;

/// Checks what was recorded in a run.
pub(crate) type FinalCheck = Box<dyn FnOnce(&Test) -> Option<Finding> + Send>;

/// What a check after a run has found ([`Test::afterwards`]).
pub struct Finding {
    /// The fault, if there is one: its kind, and one line.
    pub wrong: Option<(Kind, String)>,
    /// An explanation in lines; may be empty.
    pub words: String,
    /// The oldest request that had no answer when the run ended.
    pub unanswered: Option<Unanswered>,
    /// A picture of it, as a page of HTML. Called at most once, and only for a run that has failed.
    pub page: Box<dyn FnOnce() -> String>,
}

/// A request to a service that has no answer.
pub struct Unanswered {
    /// When it was made, in nanoseconds.
    pub since: u64,
    /// Who asked for what: "client 3's get of \"x\"".
    pub what: String,
}

/// Whether somebody has waited for an answer for too long, whatever the test did to the servers meanwhile:
/// from `since` (nanoseconds) to `at`.
pub(crate) fn has_waited(since: u64, at: Duration) -> bool {
    const PATIENCE: Duration = Duration::from_secs(30);
    at.saturating_sub(Duration::from_nanos(since)) >= PATIENCE
}

impl Unanswered {
    /// What was expected, if the request has waited for too long at `at`.
    pub(crate) fn broken(&self, at: Duration) -> Option<String> {
        let since = Duration::from_nanos(self.since);
        let seconds = at.saturating_sub(since).as_secs_f64();
        let words = || {
            format!("{} has had no answer in {seconds:.1} s, from {:.3} s on", self.what, since.as_secs_f64())
        };
        has_waited(self.since, at).then(words)
    }
}
