//! How far a job is, for a progress line.

use crate::server::Coordinator;
use crate::state::Phase;
use crate::tasks::Counters;

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// Maps that are done, and all of them.
    pub maps: (usize, usize),
    /// Reduces that are done, and all of them.
    pub reduces: (usize, usize),
    /// Tasks of the phase that are running.
    pub running: usize,
    /// What the accepted maps and the accepted reduces have counted so far.
    pub counters: (Counters, Counters),
}

impl Coordinator {
    /// How far the job is.
    pub fn status(&self) -> Status {
        let state = &self.lock().state;
        Status {
            phase: state.phase().clone(),
            maps: (state.maps().done(), state.maps().len()),
            reduces: (state.reduces().done(), state.reduces().len()),
            running: state.current().running(),
            counters: state.counters(),
        }
    }
}
