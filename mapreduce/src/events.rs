//! What happens in the coordinator, for observers: the progress bar, the report, the tests' story and
//! checkers.

use std::fmt;

use crate::rpc::{AttemptId, TaskId, WorkerId};
// handout: drop classic
use crate::state::{Phase, State};
// handout: end
// handout: put classic
// use crate::state::Phase;
// handout: end
use crate::tasks::Counters;

/// Why the coordinator gave up an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was silent, or made no progress, for the time-out (paper, §3.3).
    TimedOut,
    /// The worker reported that it failed.
    Failed(String),
    /// Another attempt of the task was accepted.
    Superseded,
    /// The worker does not know that it holds this reduce, and meanwhile a map's output was lost.
    TakenBack,
}

/// Why the output of a finished map is lost (part 1B).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The coordinator declared its machine dead.
    MachineDied,
    /// Reducers could not fetch it, twice.
    FetchFailed,
}

/// Something that has happened. The coordinator keeps it until it gives up its lock, and shows it to its
/// observer then.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker has registered.
    Registered {
        /// The worker.
        worker: WorkerId,
        /// Its machine.
        host: String,
    },
    /// A worker got an attempt of a task.
    HandedOut {
        /// The attempt.
        id: AttemptId,
        /// The worker.
        worker: WorkerId,
        /// The worker's machine.
        host: String,
        /// Another attempt of the task is running; this one runs against it (paper, §3.6).
        backup: bool,
    },
    /// The same worker got the same attempt again, because the first reply was lost.
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
        /// The worker.
        worker: WorkerId,
        /// The worker's machine.
        host: String,
        /// What the attempt has counted.
        counters: Counters,
    },
    /// A worker reported an attempt that does not count.
    Late {
        /// The attempt.
        id: AttemptId,
        /// The worker.
        worker: WorkerId,
    },
    /// The coordinator no longer expects the attempt to end.
    GivenUp {
        /// The attempt.
        id: AttemptId,
        /// The worker.
        worker: WorkerId,
        /// Why.
        cause: Cause,
    },
    /// A reducer could not fetch a map's output.
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
        /// Whether the map runs again, because some reduce needs it.
        again: bool,
    },
    /// A machine was silent for the time-out.
    MachineDied {
        /// The machine.
        host: String,
    },
    /// A machine that was declared dead was heard of again.
    MachineBack {
        /// The machine.
        host: String,
    },
    /// The next attempts skip a record, because map failed on it twice.
    Skipped {
        /// The map.
        map: usize,
        /// The file with the record.
        file: String,
        /// Where the record begins in its file.
        offset: u64,
        /// The message of the last failure.
        reason: String,
    },
    /// The job has entered another phase. It goes back from reduces to maps when outputs are lost.
    Entered(Phase),
}

// handout: drop classic
impl State {
    /// Keeps an event for the observer.
    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
// handout: end

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskId::Map(map) => write!(f, "map {map}"),
            TaskId::Reduce(reduce) => write!(f, "reduce {reduce}"),
        }
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.task, self.attempt)
    }
}
