//! What the tester knows of a job from the messages between coordinator and workers. It needs nothing of the
//! coordinator but the messages of `rpc.rs`.
//!
//! The coordinator decides by its own clock and under its own lock, and the tester sees the messages just
//! before and just after that. So times are taken in the coordinator's favour: a time-out counts from the
//! moment before the request that it follows was handled, to the moment after the reply that rests on it.

use std::collections::{BTreeMap, BTreeSet};

use labrt::time::{Duration, Instant};
use mapreduce::rpc::{AttemptId, FetchFailedArgs, TaskId, WorkerId};

use super::checker::is_map;

/// After this many failed fetches an output counts as lost.
const FAILED_FETCHES: usize = 2;

/// An attempt that was handed out.
pub(crate) struct Attempt {
    pub(crate) worker: WorkerId,
    /// When it was handed out. A coordinator may count its time-out from there, or from the last progress.
    since: Instant,
    pub(crate) end: Option<End>,
}

/// How an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its worker has reported that it failed.
    Failed,
    /// The time-out was over, and its task was handed out again.
    TimedOut,
    /// Its worker asked for work, and so does not know of it.
    Unknown,
    /// An attempt of its task was accepted, itself or another one.
    Decided,
}

/// All attempts, and what was heard of whom.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) attempts: BTreeMap<AttemptId, Attempt>,
    /// The attempt of each finished task, and its machine.
    pub(crate) done: BTreeMap<TaskId, (AttemptId, String)>,
    hosts: BTreeMap<WorkerId, String>,
    /// When each machine was last heard of.
    heard: BTreeMap<String, Instant>,
    /// The number of each worker's latest question.
    asked: BTreeMap<WorkerId, u64>,
    /// How many questions for tasks are being handled: each may have got one that the tester takes for idle.
    pub(crate) open: usize,
    complaints: BTreeMap<AttemptId, BTreeSet<(WorkerId, u64)>>,
    /// Machines that were silent for the time-out after they had this output.
    doubtful: BTreeSet<AttemptId>,
}

impl Books {
    /// A message has come from this worker.
    pub(crate) fn hear(&mut self, worker: WorkerId, host: Option<&str>, now: Instant, timeout: Duration) {
        if let Some(host) = host {
            self.hosts.insert(worker, host.to_owned());
        }
        let Some(host) = self.hosts.get(&worker).cloned() else { return };
        if self.is_silent(&host, now, timeout) {
            let there = self.done.values().filter(|(_, of)| *of == host).map(|(id, _)| *id);
            self.doubtful.extend(there);
        }
        self.heard.insert(host, now);
    }

    /// Whether this question of the worker is a new one.
    pub(crate) fn is_new(&mut self, worker: WorkerId, number: u64) -> bool {
        let last = self.asked.entry(worker).or_default();
        let is_new = number > *last;
        *last = number.max(*last);
        is_new
    }

    fn is_silent(&self, host: &str, now: Instant, timeout: Duration) -> bool {
        self.heard.get(host).is_some_and(|&last| now >= last + timeout)
    }

    pub(crate) fn complain(&mut self, args: &FetchFailedArgs) {
        let id = AttemptId { task: TaskId::Map(args.map), attempt: args.attempt };
        self.complaints.entry(id).or_default().insert((args.worker, args.number));
    }

    /// Ends an attempt, if it still runs.
    pub(crate) fn end(&mut self, id: AttemptId, end: End) {
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.end.get_or_insert(end);
        }
    }

    /// The attempts that this worker runs, as far as the coordinator was told.
    pub(crate) fn held_by(&self, worker: WorkerId) -> Vec<AttemptId> {
        let held = self.attempts.iter().filter(|(_, attempt)| attempt.worker == worker);
        held.filter(|(_, attempt)| attempt.end.is_none()).map(|(id, _)| *id).collect()
    }

    pub(crate) fn hand_out(&mut self, id: AttemptId, worker: WorkerId, now: Instant) {
        self.attempts.insert(id, Attempt { worker, since: now, end: None });
    }

    /// The attempt was handed out once more, because the reply was lost.
    pub(crate) fn hand_out_again(&mut self, id: AttemptId) {
        if let Some(attempt) = self.attempts.get_mut(&id)
            && attempt.end == Some(End::Unknown)
        {
            attempt.end = None;
        }
    }

    /// Ends the attempts of a task whose time-out is over. Returns them, and how many still run.
    pub(crate) fn time_out(
        &mut self,
        task: TaskId,
        now: Instant,
        timeout: Duration,
    ) -> (Vec<AttemptId>, usize) {
        let (mut over, mut running) = (Vec::new(), 0);
        let of_task = self.attempts.iter_mut().filter(|(id, _)| id.task == task);
        for (id, attempt) in of_task.filter(|(_, attempt)| attempt.end.is_none()) {
            if now >= attempt.since + timeout {
                attempt.end = Some(End::TimedOut);
                over.push(*id);
            } else {
                running += 1;
            }
        }
        (over, running)
    }

    /// An attempt was accepted. Ends all attempts of its task.
    pub(crate) fn accept(&mut self, id: AttemptId, host: &str) {
        let of_task = self.attempts.iter_mut().filter(|(other, _)| other.task == id.task);
        for (_, attempt) in of_task {
            attempt.end.get_or_insert(End::Decided);
        }
        self.done.insert(id.task, (id, host.to_owned()));
    }

    /// Whether the output of a finished map may be lost: its machine was silent for the time-out, or it could
    /// not be fetched, twice.
    pub(crate) fn may_be_lost(&self, id: AttemptId, host: &str, now: Instant, timeout: Duration) -> bool {
        is_map(id.task)
            && (self.doubtful.contains(&id)
                || self.is_silent(host, now, timeout)
                || self.cannot_be_fetched(id))
    }

    /// Whether reducers could not fetch the output, twice.
    pub(crate) fn cannot_be_fetched(&self, id: AttemptId) -> bool {
        self.complaints.get(&id).map_or(0, BTreeSet::len) >= FAILED_FETCHES
    }

    /// The first of these idle tasks that no question which is handled beside this one can have got.
    pub(crate) fn left_by_others(&self, mut idle: impl Iterator<Item = TaskId>) -> Option<TaskId> {
        idle.nth(self.open - 1)
    }

    /// Tasks that are certainly idle, and how often each was handed out.
    pub(crate) fn idle(&self, tasks: impl Iterator<Item = TaskId>) -> Vec<(TaskId, usize)> {
        let attempts = |task| self.attempts.iter().filter(move |(id, _)| id.task == task);
        let is_idle = |task: &TaskId| {
            let failed = |(_, attempt): (_, &Attempt)| attempt.end == Some(End::Failed);
            !self.done.contains_key(task) && attempts(*task).all(failed)
        };
        tasks.filter(is_idle).map(|task| (task, attempts(task).count())).collect()
    }
}

// handout: drop
#[cfg(test)]
mod tests {
    use super::*;

    /// Two workers ask at one moment for the last idle map. One gets it, and the other is told to wait before
    /// the tester has seen the first one's reply.
    #[test]
    fn each_question_that_is_being_handled_may_have_got_a_task() {
        let left = |open: usize, idle: &[usize]| {
            let books = Books { open, ..Books::default() };
            books.left_by_others(idle.iter().map(|&map| TaskId::Map(map)))
        };
        assert_eq!(left(1, &[79]), Some(TaskId::Map(79)));
        assert_eq!(left(2, &[79]), None);
        assert_eq!(left(2, &[78, 79]), Some(TaskId::Map(79)));
    }
}
// handout: end
