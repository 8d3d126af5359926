// handout: file guided
//! Silence (paper, §3.3, worker failure).
//!
//! Nothing tells a coordinator that a worker is dead. It only notices that it has heard nothing for a while,
//! and the worker may just be slow or cut off. Giving up an attempt is therefore a guess, and must do no harm
//! when it is wrong. It does none, because a task can run twice, and because the report of an attempt that
//! was given up too soon is still welcome.

use labrt::time::Instant;

use crate::events::{Cause, Event};
use crate::rpc::{AttemptId, WorkerId};
use crate::state::State;
use crate::table::Attempt;

// handout: bodies 1A
impl State {
    /// When the coordinator must next give something up, unless a worker reports before.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.is_over() {
            return None;
        }
        let attempt = self.deadlines.first().map(|&(deadline, _)| deadline);
        attempt.into_iter().chain(self.machines.next_deadline()).min()
    }

    /// Gives up the attempts, and (part 1B) the machines, whose time is over.
    pub fn expire(&mut self, now: Instant) {
        while let Some(&(_, id)) = self.deadlines.first().filter(|&&(deadline, _)| deadline <= now) {
            // This also removes the deadline, so that the loop ends.
            let given_up = self.give_up(id, Cause::TimedOut);
            assert!(given_up.is_some(), "{id} has a deadline and is not running");
        }
        // handout: from 1B: `expire_machines`
        self.expire_machines(now);
        // handout: end
    }

    /// Ends an attempt that gave no result. `None` if it is not running.
    pub(crate) fn give_up(&mut self, id: AttemptId, cause: Cause) -> Option<Attempt> {
        let (tasks, number) = self.tasks_mut(id.task);
        let attempt = tasks.stop(number, id.attempt)?;
        self.forget(id, attempt.worker, attempt.deadline);
        self.tell(Event::GivenUp { id, worker: attempt.worker, cause });
        // handout: from 1B: `rerun_lost_maps`, for a reduce that had fetched its input
        if attempt.fetched {
            // The next attempt of this reduce, on another machine, cannot use what this one had copied.
            self.rerun_lost_maps();
        }
        // handout: end
        Some(attempt)
    }

    /// Removes what the coordinator keeps about a running attempt beside the task itself. To the coordinator
    /// the worker is free, though it may work on until it reports and is told to stop.
    pub(crate) fn forget(&mut self, id: AttemptId, worker: WorkerId, deadline: Instant) {
        self.deadlines.remove(&(deadline, id));
        if let Some(held) = self.holding.get_mut(&worker) {
            held.retain(|other| *other != id);
            if held.is_empty() {
                self.holding.remove(&worker);
            }
        }
    }

    /// Changes a running attempt, and gives it the whole time-out again. False if it is not running.
    pub(crate) fn set_deadline(
        &mut self,
        id: AttemptId,
        now: Instant,
        change: impl FnOnce(&mut Attempt),
    ) -> bool {
        let deadline = now + self.rules.timeout;
        let Some(attempt) = self.attempt_mut(id) else { return false };
        change(attempt);
        let before = std::mem::replace(&mut attempt.deadline, deadline);
        let machine = attempt.machine;
        self.deadlines.remove(&(before, id));
        self.deadlines.insert((deadline, id));
        // handout: from 1B: `hear_machine`
        self.hear_machine(machine, now);
        // handout: end
        true
    }
}
