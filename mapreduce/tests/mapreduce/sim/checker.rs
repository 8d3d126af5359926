//! The invariants of a job (the specification's §5), watched all the time by every test. The coordinator
//! shows each of its steps while it holds its lock, the store each change of what a final name shows, and the
//! application each call of reduce; so a broken invariant fails the test in the moment when it breaks.

use std::collections::BTreeMap;

use labrt::quiet::Mutex;
use labrt::sync::Arc;
use mapreduce::Observer;
use mapreduce::events::{Cause, Event};
use mapreduce::rpc::{AttemptId, TaskId, WorkerId};
use mapreduce::state::{Phase, State};
use tester::Test;

use super::expected::Expected;
use super::store::Change;
use super::story;

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Every attempt that was handed out: to whom, and whether as a backup.
    pub(crate) handed_out: BTreeMap<AttemptId, (WorkerId, bool)>,
    /// Every attempt that was accepted, in order, with the machine.
    pub(crate) accepted: Vec<(AttemptId, WorkerId, String)>,
    /// Attempts that were reported as done, and did not count.
    pub(crate) late: Vec<(AttemptId, WorkerId)>,
    /// Attempts that were given up.
    pub(crate) given_up: Vec<(AttemptId, WorkerId, Cause)>,
    /// Outputs that were lost, and whether the map runs again.
    pub(crate) lost: Vec<(AttemptId, bool)>,
    /// Failed fetches.
    pub(crate) fetch_failures: Vec<AttemptId>,
    /// Records that are stepped over: map and offset.
    pub(crate) skipped: Vec<(usize, u64)>,
    /// Attempts that were handed out for the second time because the reply was lost.
    pub(crate) handed_out_again: usize,
    /// Machines that were declared dead.
    pub(crate) machines_died: usize,
    /// The phases, in order.
    pub(crate) phases: Vec<Phase>,
    /// What final names show.
    pub(crate) outputs: BTreeMap<String, Vec<u8>>,
}

impl Record {
    /// Attempts of maps (or reduces) that were handed out.
    pub(crate) fn executions(&self, maps: bool) -> usize {
        self.handed_out.keys().filter(|id| is_map(id.task) == maps).count()
    }

    /// Attempts of this task that were handed out.
    pub(crate) fn executions_of(&self, task: TaskId) -> usize {
        self.handed_out.keys().filter(|id| id.task == task).count()
    }
}

pub(crate) fn is_map(task: TaskId) -> bool {
    matches!(task, TaskId::Map(_))
}

/// Watches one job.
pub(crate) struct Checker {
    test: Test,
    expected: Expected,
    maps: usize,
    /// The machines with a replica of each map's input.
    replicas: Vec<Vec<String>>,
    record: Mutex<Record>,
    /// Called after each event, with the coordinator's lock held: it may wake others, and must not block.
    on_event: Mutex<Option<EventHook>>,
}

type EventHook = Box<dyn FnMut(&Event) + Send>;

/// The checker as the coordinator's observer.
pub(crate) struct Eye(pub(crate) Arc<Checker>);

impl Observer for Eye {
    fn observe(&mut self, state: &State, events: &[Event]) {
        for event in events {
            self.0.event(state, event);
        }
    }
}

impl Checker {
    pub(crate) fn new(test: &Test, expected: Expected, replicas: Vec<Vec<String>>) -> Arc<Checker> {
        Arc::new(Checker {
            test: test.clone(),
            expected,
            maps: replicas.len(),
            replicas,
            record: Mutex::default(),
            on_event: Mutex::default(),
        })
    }

    /// What has happened so far.
    pub(crate) fn record(&self) -> Record {
        self.record.lock().clone()
    }

    /// Looks at what has happened so far.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&Record) -> R) -> R {
        look(&self.record.lock())
    }

    pub(crate) fn on_event(&self, hook: impl FnMut(&Event) + Send + 'static) {
        *self.on_event.lock() = Some(Box::new(hook));
    }

    #[track_caller]
    fn broken(&self, number: u32, what: impl AsRef<str>) -> ! {
        self.test.fail(format!("invariant {number}: {}", what.as_ref()))
    }

    fn event(&self, state: &State, event: &Event) {
        story::tell(&self.test, event);
        match event {
            Event::HandedOut { id, worker, host, backup } => {
                self.handed_out(state, *id, *worker, host, *backup);
            }
            Event::Accepted { id, worker, host, .. } => self.accepted(*id, *worker, host),
            Event::Waits { .. } => self.waits(state),
            _ => {}
        }
        let mut record = self.record.lock();
        match event.clone() {
            Event::HandedOutAgain { .. } => record.handed_out_again += 1,
            Event::Late { id, worker } => record.late.push((id, worker)),
            Event::GivenUp { id, worker, cause } => record.given_up.push((id, worker, cause)),
            Event::FetchFailed { map, .. } => record.fetch_failures.push(map),
            Event::Lost { id, again, .. } => record.lost.push((id, again)),
            Event::MachineDied { .. } => record.machines_died += 1,
            Event::Skipped { map, offset, .. } => record.skipped.push((map, offset)),
            Event::Entered(phase) => record.phases.push(phase),
            _ => {}
        }
        drop(record);
        if let Some(hook) = self.on_event.lock().as_mut() {
            hook(event);
        }
    }

    /// Invariants 7 and 8: no execution without a cause, and no input from afar while there is some at hand.
    fn handed_out(&self, state: &State, id: AttemptId, worker: WorkerId, host: &str, backup: bool) {
        let mut record = self.record.lock();
        if record.handed_out.insert(id, (worker, backup)).is_some() {
            self.broken(7, format!("{id} was handed out twice under one number"));
        }
        let executions = record.executions_of(id.task);
        let causes = causes(&record, id.task);
        if executions > 1 + causes {
            self.broken(7, format!("{} runs for the {executions}th time, for {causes} causes", id.task));
        }
        let TaskId::Map(map) = id.task else { return };
        let is_near = |map: usize| self.replicas[map].iter().any(|replica| replica == host);
        if backup || self.replicas[map].is_empty() || is_near(map) {
            return;
        }
        let idle = state.maps().iter().enumerate().filter(|(_, task)| task.is_idle());
        if let Some((near, _)) = idle.into_iter().find(|&(map, _)| is_near(map)) {
            self.broken(
                8,
                format!(
                    "{host} got {}, whose input is elsewhere, and not map {near}, whose input it has",
                    id.task
                ),
            );
        }
    }

    /// Invariants 2 and 6: one attempt counts, unless its output was lost since.
    fn accepted(&self, id: AttemptId, worker: WorkerId, host: &str) {
        let mut record = self.record.lock();
        let accepted = record.accepted.iter().filter(|(other, ..)| other.task == id.task).count();
        let lost = record.lost.iter().filter(|(other, again)| other.task == id.task && *again).count();
        // What was lost and not needed at first may have become needed later.
        let lost_later = record.lost.iter().filter(|(other, again)| other.task == id.task && !*again).count();
        if accepted > lost + lost_later {
            self.broken(2, format!("{id} was accepted, though an attempt of {} counts already", id.task));
        }
        record.accepted.push((id, worker, host.to_owned()));
    }

    /// Invariant 5, work conservation.
    fn waits(&self, state: &State) {
        let tasks =
            if state.maps().iter().all(|map| map.done().is_some()) { state.reduces() } else { state.maps() };
        if let Some(idle) = tasks.iter().position(|task| task.is_idle()) {
            self.broken(5, format!("a worker was told to wait, and task {idle} of the phase is idle"));
        }
    }

    /// Invariant 4: reduce is called, so all maps must have been done.
    pub(crate) fn reduce_called(&self, worker: WorkerId) {
        let record = self.record.lock();
        let mut done = vec![false; self.maps];
        for (id, ..) in &record.accepted {
            if let TaskId::Map(map) = id.task {
                done[map] = true;
            }
        }
        if let Some(map) = done.iter().position(|done| !done) {
            self.broken(4, format!("worker {worker} called reduce, and map {map} was not done yet"));
        }
    }

    /// Invariants 3 and 6: a final name never shows less than the whole, and what it shows never changes.
    pub(crate) fn final_changed(&self, name: &str, bytes: &[u8], change: Change) {
        if change == Change::Written {
            self.broken(
                3,
                format!("{name} is a final name, and shows {} bytes while it is written", bytes.len()),
            );
        }
        if let Err(difference) = self.expected.compare(name, bytes) {
            self.broken(3, format!("{name} shows what the whole output is not: {difference}"));
        }
        let mut record = self.record.lock();
        let is_committed = record.accepted.iter().any(|(id, ..)| match id.task {
            TaskId::Reduce(reduce) => mapreduce::names::output(reduce) == name,
            TaskId::Map(_) => false,
        });
        match record.outputs.get(name) {
            Some(before) if before != bytes && is_committed => {
                self.broken(6, format!("{name} was committed, and has changed"));
            }
            _ => record.outputs.insert(name.to_owned(), bytes.to_vec()),
        };
    }

    /// Invariants 1 and 2 at the end: the output is the sequential run's, and each pair and key was counted
    /// once.
    pub(crate) fn finished(
        &self,
        state: (mapreduce::tasks::Counters, mapreduce::tasks::Counters),
        reduces: usize,
    ) {
        let record = self.record.lock();
        for reduce in 0..reduces {
            let name = mapreduce::names::output(reduce);
            if !record.outputs.contains_key(&name) {
                self.broken(1, format!("the job is finished, and there is no {name}"));
            }
        }
        if let Err(difference) = self.expected.compare_all(&record.outputs) {
            self.broken(1, difference);
        }
        let (maps, reduces) = state;
        if let Some((pairs, keys)) = self.expected.counted()
            && (maps.pairs, reduces.keys) != (pairs, keys)
        {
            self.broken(
                2,
                format!("{} pairs and {} keys were counted, of {pairs} and {keys}", maps.pairs, reduces.keys),
            );
        }
    }
}

/// How many causes there were to run this task again: silence, failures, a lost output, a backup.
fn causes(record: &Record, task: TaskId) -> usize {
    let given_up = record
        .given_up
        .iter()
        .filter(|(id, _, cause)| id.task == task && !matches!(cause, Cause::Superseded));
    let lost = record.lost.iter().filter(|(id, _)| id.task == task);
    let backups = record.handed_out.iter().filter(|(id, (_, backup))| id.task == task && *backup);
    given_up.count() + lost.count() + backups.count()
}
