//! Checks after a run: outside of it, so that they cost no virtual time and need no thread of the simulation.
//! They run whether the run has passed or not.

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
    /// A picture of it, as a page of HTML. Called at most once, and only for a run that has failed.
    pub page: Box<dyn FnOnce() -> String>,
}
