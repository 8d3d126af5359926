//! What becomes of silence, and of outputs that are lost with their machines (paper, §3.3,
//! fault tolerance).
//!
//! Nothing tells a coordinator that a worker is dead. It can only notice that it has heard
//! nothing for a while, and that may have other reasons: the worker is slow, or cut off. Giving
//! up is therefore a guess, and it must do no harm when it is wrong. It does none, because a
//! task can run twice, and because the report of an attempt that was given up too soon is
//! still welcome.
//!
//! A lost output is another matter: there the coordinator *takes back* what it has said before.
//! The map goes from done to idle, and no report of an earlier attempt is accepted any more,
//! since it would speak of the very files that are gone.
//!
//! When is a lost output needed? A reduce that is done, or has copied all its input, needs it
//! no more. As long as every reduce is one of these, the map stays done, though its output is
//! gone (`Done::lost`); the first reduce that is idle again brings it back.

use labrt::time::Instant;

use crate::events::{Cause, Event, Loss};
use crate::rpc::{AttemptId, FetchFailedArgs, SourceUpdateArgs, SourceUpdateReply, TaskId, WorkerId};
use crate::state::State;
use crate::tasks::{Attempt, Status, Task};

/// Failed fetches of one map's output after which it is held for lost.
const FAILED_FETCHES: usize = 2;

impl State {
    /// When there is next something to give up, if nobody reports before.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.is_over() {
            return None;
        }
        let attempt = self.attempt_deadlines.first().map(|&(deadline, _)| deadline);
        let machine = self.machine_deadlines.first().map(|&(deadline, _)| deadline);
        attempt.into_iter().chain(machine).min()
    }

    /// Gives up the attempts and the machines whose time is over.
    pub fn expire(&mut self, now: Instant) {
        while let Some(&(_, id)) = self.attempt_deadlines.first().filter(|&&(deadline, _)| deadline <= now) {
            // This removes the deadline, too, so that the loop ends.
            let given_up = self.give_up(id, Cause::TimedOut);
            assert!(given_up.is_some(), "{id} has a deadline and is not running");
        }
        while let Some(&(deadline, machine)) =
            self.machine_deadlines.first().filter(|&&(deadline, _)| deadline <= now)
        {
            self.machine_deadlines.remove(&(deadline, machine));
            self.bury(machine as usize);
        }
    }

    /// Ends an attempt that gave no result. None if it is not running.
    pub(crate) fn give_up(&mut self, id: AttemptId, cause: Cause) -> Option<Attempt> {
        let (tasks, number) = self.tasks_mut(id.task);
        tasks.get(number)?;
        let attempt = tasks.stop(number, id.attempt)?;
        self.forget(id, attempt.worker, attempt.deadline);
        self.tell(Event::GivenUp { id, worker: attempt.worker, cause });
        if attempt.fetched {
            // What it had copied is of no use to the next attempt of this reduce,
            // elsewhere.
            self.make_lost_again();
        }
        Some(attempt)
    }

    /// Removes what is kept about a running attempt beside the task itself. A worker whose
    /// attempt is forgotten is free in the coordinator's eyes, though it may work on for a
    /// while, until it reports and is told to stop.
    pub(crate) fn forget(&mut self, id: AttemptId, worker: WorkerId, deadline: Instant) {
        self.attempt_deadlines.remove(&(deadline, id));
        if let Some(held) = self.holding.get_mut(&worker) {
            held.retain(|other| *other != id);
            if held.is_empty() {
                self.holding.remove(&worker);
            }
        }
    }

    /// Declares a machine dead: what its maps have written is lost (part B).
    fn bury(&mut self, machine: usize) {
        self.machines[machine].deadline = None;
        self.machines[machine].dead = true;
        let outputs = std::mem::take(&mut self.machines[machine].outputs);
        self.tell(Event::MachineDied { host: self.machines[machine].host.clone() });
        // Some of these may have been lost before, and done again elsewhere.
        for map in outputs {
            let done = self.maps.get(map).and_then(Task::done);
            if done.is_some_and(|done| done.machine as usize == machine && !done.lost) {
                self.lose(map, Loss::MachineDied);
            }
        }
    }

    /// The output of a finished map is lost. The map goes back to idle if a reducer still
    /// needs it. Reduces that are done, or have copied all their input, do not: their
    /// output lies in the shared store and is never made again.
    fn lose(&mut self, map: usize, loss: Loss) {
        let again = self.is_output_needed();
        let Some(Task { status: Status::Done(done), .. }) = self.maps.get_mut(map) else {
            panic!("map {map} has no output to lose")
        };
        // For the moment the map is still done: nobody's work is undone before it is clear that
        // somebody needs it.
        done.lost = true;
        let id = AttemptId { task: TaskId::Map(map), attempt: done.attempt };
        self.tell(Event::Lost { id, loss, again });
        self.lost.push(map);
        if again {
            self.make_lost_again();
        }
    }

    /// If lost outputs are needed, or needed again, their maps go back to idle.
    fn make_lost_again(&mut self) {
        if self.is_over() || !self.is_output_needed() {
            return;
        }
        for map in std::mem::take(&mut self.lost) {
            self.maps.undo(map);
        }
        self.enter_phase();
    }

    /// Whether some reduce has yet to fetch its input. Looks at all reduces, which it can afford:
    /// outputs are lost rarely, and tasks are handed out all the time.
    fn is_output_needed(&self) -> bool {
        self.reduces.iter().any(|reduce| match &reduce.status {
            Status::Idle => true,
            Status::Running(attempts) => !attempts.iter().any(|attempt| attempt.fetched),
            Status::Done(_) => false,
        })
    }

    /// A reducer could not fetch a map's output. One failure may be chance; the second
    /// means that the output is lost, even if its machine says that it is alive: the
    /// reducer cannot do without.
    pub fn fetch_failed(&mut self, args: &FetchFailedArgs, now: Instant) {
        let id = AttemptId { task: TaskId::Map(args.map), attempt: args.attempt };
        if self.is_over() || !self.set_deadline(args.running, now, |_| ()) {
            return;
        }
        let Some(Task { status: Status::Done(done), .. }) = self.maps.get_mut(args.map) else { return };
        // The message may be old: the map may run again already, or have run again. And it may
        // be a repetition, which is no second failure.
        let complaint = (args.worker, args.number);
        if done.attempt != args.attempt || done.lost || done.complaints.contains(&complaint) {
            return;
        }
        done.complaints.push(complaint);
        let lost = done.complaints.len() >= FAILED_FETCHES;
        self.tell(Event::FetchFailed { map: id, reducer: args.running });
        if lost {
            self.lose(args.map, Loss::FetchFailed);
        }
    }

    /// A reducer asks where outputs are that it lacks. It waits for others, so that it is
    /// not to blame for getting no further, and keeps its time.
    pub fn source_update(&mut self, args: &SourceUpdateArgs, now: Instant) -> SourceUpdateReply {
        let TaskId::Reduce(reduce) = args.running.task else { return SourceUpdateReply::Cancel };
        if self.is_over() || !self.set_deadline(args.running, now, |_| ()) {
            return SourceUpdateReply::Cancel;
        }
        SourceUpdateReply::Sources(self.sources(args.missing.iter().copied(), reduce))
    }
}
