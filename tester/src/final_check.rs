//! Checks after a run: outside of it, so that they cost no virtual time and need no thread of the simulation.
//! They run whether the run has passed or not.

use crate::run::Kind;
use crate::test::Test;

/// Checks what was recorded in a run.
pub(crate) type FinalCheck = Box<dyn FnOnce(&Test) -> Option<Finding> + Send>;

/// What a final check has found.
pub(crate) struct Finding {
    /// The fault, if there is one: its kind, and one line.
    pub(crate) wrong: Option<(Kind, String)>,
    /// An explanation in lines; may be empty.
    pub(crate) words: String,
    /// A picture of it, as a page of HTML. Called at most once, and only for a run that has failed.
    pub(crate) page: Box<dyn FnOnce() -> String>,
}
