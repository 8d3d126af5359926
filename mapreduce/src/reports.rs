//! What becomes of workers' reports: progress, success, failure.
//!
//! The same thing is at stake in all three: a report says something about one *attempt*, and
//! by the time that it arrives the coordinator may have given that attempt up, or accepted
//! another one, or heard the very same report before. So each begins by asking whether the
//! attempt still is what the worker believes it to be.
//!
//! | report | the attempt is running | it was given up, the task is open | the task is done |
//! |---|---|---|---|
//! | progress | lives on | cancel | cancel |
//! | done | accepted | accepted, the others are superseded | late; accepted again, if it is this one |
//! | failed | given up, counted | ignored | ignored |

use labrt::time::Instant;

use crate::events::{Cause, Event};
use crate::rpc::{
    AttemptId, NextStep, ProgressArgs, ProgressReply, TaskDoneArgs, TaskDoneReply, TaskFailedArgs, TaskId,
};
use crate::state::{Phase, State};
use crate::task::TaskError;
use crate::tasks::Done;

/// Failures on one record after which it is stepped over (paper, §4.6: "more than one
/// failure on a particular record").
const FAILURES_ON_RECORD: u32 = 2;

impl State {
    /// A worker says how far it is. An attempt lives as long as it gets further: a worker
    /// that says that it lives, and does not get on, is as good as dead to the job.
    pub fn progress(&mut self, args: &ProgressArgs, now: Instant) -> ProgressReply {
        let id = args.running;
        let Some(attempt) = self.attempt_mut(id) else { return ProgressReply::Cancel };
        // Attempts' numbers say whose they are; this one says that it is somebody else's.
        let (worker, machine) = (attempt.worker, attempt.machine);
        if worker != args.worker || self.is_over() {
            return ProgressReply::Cancel;
        }
        self.hear_machine(machine, now);
        if let Some(attempt) = self.attempt_mut(id).filter(|attempt| args.fraction > attempt.progress) {
            attempt.progress = args.fraction;
            self.set_deadline(id, now, |_| ());
            // A reduce that waits for this map, which its own worker has taken on, is not
            // to blame for waiting.
            for other in self.holding.get(&worker).cloned().unwrap_or_default() {
                self.set_deadline(other, now, |_| ());
            }
        }
        // From here on the mappers' machines may die without harm to this reduce.
        if args.fetched {
            self.set_deadline(id, now, |attempt| attempt.fetched = true);
        }
        ProgressReply::Continue
    }

    /// A worker reports that it has finished an attempt. The first report wins, also that
    /// of an attempt that was given up already: its result is as good as any (paper, §3.3).
    /// All later ones are late.
    pub fn task_done(&mut self, args: &TaskDoneArgs, now: Instant) -> TaskDoneReply {
        let machine = self.hear(&args.host, now);
        let AttemptId { task, attempt } = args.done;
        // The same report again: its reply was lost. To call it late would have the worker
        // delete what counts.
        let repeated =
            self.task(task).and_then(|task| task.done()).is_some_and(|done| done.attempt == attempt);
        if repeated {
            return TaskDoneReply::Accepted;
        }
        if !self.is_acceptable(args.done) {
            self.tell(Event::Late { id: args.done, worker: args.worker });
            return TaskDoneReply::Late;
        }
        // From here on it is decided. The attempts that still run find out when they report.
        let partitions = args.partitions.clone();
        let counters = args.counters;
        let done = Done { attempt, machine, partitions, counters, lost: false, complaints: Vec::new() };
        let (tasks, number) = self.tasks_mut(task);
        let attempts = tasks.finish(number, done, now);
        self.tell(Event::Accepted { id: args.done, worker: args.worker, host: args.host.clone() });
        for other in attempts {
            let id = AttemptId { task, attempt: other.number };
            self.forget(id, other.worker, other.deadline);
            if id != args.done {
                self.tell(Event::GivenUp { id, worker: other.worker, cause: Cause::Superseded });
            }
        }
        // What is on this machine is lost with it. Outputs in the shared store are not.
        if let (TaskId::Map(map), true) = (task, self.job.local_disks) {
            self.machines[machine as usize].outputs.push(map);
        }
        self.enter_phase();
        TaskDoneReply::Accepted
    }

    /// Whether a report of this attempt can still be accepted: nobody else's was, the attempt
    /// was really handed out, and its output has not been lost since. Who has it and whether
    /// it was given up does not matter.
    fn is_acceptable(&self, id: AttemptId) -> bool {
        let open = |task: &crate::tasks::Task| {
            task.done().is_none() && (task.valid_from..task.attempts).contains(&id.attempt)
        };
        !self.is_over() && self.task(id.task).is_some_and(open)
    }

    /// A worker reports that an attempt has failed. A bad record is remembered, and stepped
    /// over the next time if it was not its first; a task that fails again and again takes
    /// the job with it.
    pub fn task_failed(&mut self, args: &TaskFailedArgs) -> NextStep {
        let cause = Cause::Failed(args.error.to_string());
        if self.is_over() {
            return NextStep::Exit;
        }
        let TaskFailedArgs { failed: id, error, .. } = args;
        // An attempt that was given up before has been dealt with; so has a report that
        // comes twice.
        if self.give_up(*id, cause).is_none() {
            return NextStep::Ask;
        }
        if !self.skip_record(id.task, error) {
            self.count_failure(id.task, error);
        }
        if self.is_over() { NextStep::Exit } else { NextStep::Ask }
    }

    /// Remembers a bad record. True if it will be stepped over from now on.
    fn skip_record(&mut self, id: TaskId, error: &TaskError) -> bool {
        let (TaskId::Map(map), TaskError::BadRecord { offset, reason }) = (id, error) else { return false };
        let Some(task) = self.maps.get_mut(map).filter(|_| self.rules.skip_bad_records) else { return false };
        // A record is known by where it begins: the same file gives the same offsets each time.
        let trouble = task.trouble_mut();
        let position = trouble.bad_records.iter().position(|(bad, _)| bad == offset).unwrap_or_else(|| {
            trouble.bad_records.push((*offset, 0));
            trouble.bad_records.len() - 1
        });
        trouble.bad_records[position].1 += 1;
        if trouble.bad_records[position].1 < FAILURES_ON_RECORD {
            return false;
        }
        trouble.skip.push(*offset);
        // The cause of these failures is out of the way: the task starts with a clean
        // record.
        trouble.failures = 0;
        self.tell(Event::Skipped { map, offset: *offset, reason: reason.clone() });
        true
    }

    /// A failure that nothing can be done about but to try again. Some pass (a disk that was full
    /// for a moment); one that comes four times in a row is the input's or the program's, and
    /// would come a hundred times.
    fn count_failure(&mut self, id: TaskId, error: &TaskError) {
        let limit = self.rules.max_failures;
        let (tasks, number) = self.tasks_mut(id);
        let Some(task) = tasks.get_mut(number) else { return };
        let trouble = task.trouble_mut();
        trouble.failures += 1;
        if trouble.failures >= limit {
            let reason = format!("{id} has failed {limit} times, at last so: {error}");
            self.phase = Phase::Failed(reason);
            self.tell(Event::Entered(self.phase.clone()));
        }
    }
}
