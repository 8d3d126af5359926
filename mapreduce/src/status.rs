//! What observers, tests and a progress line may ask of a coordinator. Nothing here changes anything.

// handout: drop classic
use crate::rpc::TaskId;
// handout: end
use crate::server::Coordinator;
// handout: drop classic
use crate::state::{Phase, State};
use crate::table::{Task, TaskTable};
// handout: end
// handout: put classic
// use crate::state::Phase;
// handout: end
use crate::tasks::Counters;

/// How a job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Why it has failed, if it has.
    pub failure: Option<String>,
    /// What the accepted maps have counted.
    pub maps: Counters,
    /// What the accepted reduces have counted.
    pub reduces: Counters,
}

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

// handout: bodies classic 1A
impl Coordinator {
    /// Waits until the job is over.
    pub fn wait(&self) -> Summary {
        let mut monitored = self.lock();
        while !monitored.state.is_over() {
            monitored.wait(|on| &on.over);
        }
        let failure = match monitored.state.phase() {
            Phase::Failed(reason) => Some(reason.clone()),
            _ => None,
        };
        let (maps, reduces) = monitored.state.counters();
        Summary { failure, maps, reduces }
    }

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

// handout: drop classic
impl State {
    /// How far the job is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The maps.
    pub fn maps(&self) -> &TaskTable {
        &self.maps
    }

    /// The reduces.
    pub fn reduces(&self) -> &TaskTable {
        &self.reduces
    }

    /// What the accepted maps and the accepted reduces have counted.
    pub fn counters(&self) -> (Counters, Counters) {
        (self.maps.counters(), self.reduces.counters())
    }

    /// The tasks that go out now: the maps while one of them is not done, since no reduce could end.
    pub fn current(&self) -> &TaskTable {
        if self.maps.all_done() { &self.reduces } else { &self.maps }
    }

    /// The name of the machine on which a finished task ran.
    pub fn host_of(&self, task: TaskId) -> Option<&str> {
        Some(self.machines.name(self.task(task)?.done()?.machine))
    }
}

impl TaskTable {
    /// All tasks, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter()
    }

    /// The number of tasks.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there are no tasks.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The number of idle tasks.
    pub fn idle(&self) -> usize {
        self.idle
    }

    /// The number of running tasks.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// The number of tasks that are done.
    pub fn done(&self) -> usize {
        self.done
    }

    /// What the accepted attempts have counted, each task once (paper, §4.8).
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
// handout: end
