//! What happens in the coordinator, for whoever watches it: the progress bar, the tests'
//! story, the tests' checkers.

use crate::rpc::{AttemptId, WorkerId};
use crate::state::Phase;

/// Why an attempt was given up, and its task perhaps handed out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing was heard of it for the time-out, or it has got no further for that long
    /// (paper, §3.3).
    TimedOut,
    /// The worker reported that it failed.
    Failed(String),
    /// Another attempt of the task was accepted.
    Superseded,
    /// The worker does not know that it was given this reduce, and meanwhile a map's output
    /// was lost.
    TakenBack,
}

/// Why the output of a finished map is lost (part B).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its machine was declared dead.
    MachineDied,
    /// Reducers could not fetch it, twice.
    FetchFailed,
}

/// Something that has happened. Kept until the coordinator gives up its lock, and shown to
/// its observer then.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker has said that it is there.
    Registered {
        /// The worker.
        worker: WorkerId,
        /// Its machine.
        host: String,
    },
    /// A task was handed out.
    HandedOut {
        /// The task, and which run of it this is.
        id: AttemptId,
        /// To whom.
        worker: WorkerId,
        /// The worker's machine.
        host: String,
        /// Another attempt of the task is running; this one runs against it (paper, §3.6).
        backup: bool,
    },
    /// The reply that handed it out was lost, so the same attempt was handed out again, to
    /// the same worker.
    HandedOutAgain {
        /// The attempt.
        id: AttemptId,
        /// The worker.
        worker: WorkerId,
    },
    /// A worker was told to wait.
    Waits {
        /// The worker.
        worker: WorkerId,
    },
    /// An attempt was accepted: its task is done.
    Accepted {
        /// The attempt.
        id: AttemptId,
        /// Who has done it.
        worker: WorkerId,
        /// On which machine.
        host: String,
    },
    /// An attempt was reported as done that does not count.
    Late {
        /// The attempt.
        id: AttemptId,
        /// Who has done it.
        worker: WorkerId,
    },
    /// An attempt is not expected to end any more.
    GivenUp {
        /// The attempt.
        id: AttemptId,
        /// Who was doing it.
        worker: WorkerId,
        /// Why.
        cause: Cause,
    },
    /// A reducer has reported that it could not fetch a map's output.
    FetchFailed {
        /// The map's attempt.
        map: AttemptId,
        /// The reducer's.
        reducer: AttemptId,
    },
    /// The output of a finished map is lost.
    Lost {
        /// The map's attempt.
        id: AttemptId,
        /// Why.
        loss: Loss,
        /// Whether the map runs again: some reducer still needs it.
        again: bool,
    },
    /// Nothing was heard from a machine for the time-out.
    MachineDied {
        /// The machine.
        host: String,
    },
    /// Something was heard from a machine that had been declared dead.
    MachineBack {
        /// The machine.
        host: String,
    },
    /// A record will be stepped over from now on, because map failed on it twice.
    Skipped {
        /// The map.
        map: usize,
        /// Where the record begins in its file.
        offset: u64,
        /// What map said the last time.
        reason: String,
    },
    /// The job has entered another phase. From reduces it goes back to maps when outputs
    /// are lost.
    Entered(Phase),
}
