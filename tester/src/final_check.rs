//! What is looked into when a run is over: outside of it, so that it costs no virtual time and needs no thread of the simulation,
//! and whether the run has passed or not.

use crate::run::Kind;
use crate::test::Test;

/// Looks into what was recorded in a run.
pub(crate) type FinalCheck = Box<dyn FnOnce(&Test) -> Option<Finding> + Send>;

/// What a final check has found.
pub(crate) struct Finding {
    /// What is wrong, if anything is: its kind, and one line.
    pub(crate) wrong: Option<(Kind, String)>,
    /// What helps whoever has to find out why, in lines; may be empty.
    pub(crate) words: String,
    /// A picture of it, as a page of HTML. Called at most once, and only if somebody may look at it.
    pub(crate) page: Box<dyn FnOnce() -> String>,
}
