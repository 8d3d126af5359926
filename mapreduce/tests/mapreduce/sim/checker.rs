//! The invariants of a job (the text's eight), watched all the time by every test: from the messages
//! between coordinator and workers (`wire.rs`), from each change of what a final name in the store shows, and
//! from each call of reduce. So a broken invariant fails the test in the moment when it breaks, whatever the
//! coordinator looks like inside. What it shows to an observer only adds to the story.

use std::collections::{BTreeMap, BTreeSet};

use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::time::{Duration, Instant};
use mapreduce::Observer;
use mapreduce::events::{Event, Loss};
use mapreduce::rpc::{
    AttemptId, GetTaskArgs, GetTaskReply, MapAssignment, TaskDoneArgs, TaskDoneReply, TaskId, WorkerId,
};
use mapreduce::state::{Backup, Phase, State};
use tester::Test;

use super::books::{Books, End};
use super::expected::Expected;
use super::store::Change;
use super::story;
use super::wire::{Question, Reply};

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Every attempt that was handed out: to whom, and whether as a backup.
    pub(crate) handed_out: BTreeMap<AttemptId, (WorkerId, bool)>,
    /// Every attempt that was accepted, in order, with the machine.
    pub(crate) accepted: Vec<(AttemptId, WorkerId, String)>,
    /// Attempts that were reported as done, and did not count.
    pub(crate) late: Vec<(AttemptId, WorkerId)>,
    /// Outputs that were lost, and made anew.
    pub(crate) lost: Vec<AttemptId>,
    /// Failed fetches.
    pub(crate) fetch_failures: Vec<AttemptId>,
    /// Records that are stepped over: map, piece of its split, and offset.
    pub(crate) skipped: BTreeSet<(usize, u32, u64)>,
    /// Attempts that were handed out for the second time because the reply was lost.
    pub(crate) handed_out_again: usize,
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

/// What the checker must know of a job.
pub(crate) struct Facts {
    /// The machines with a replica of each map's input.
    pub(crate) replicas: Vec<Vec<String>>,
    pub(crate) reduces: usize,
    pub(crate) timeout: Duration,
    pub(crate) backup: Backup,
    pub(crate) local_disks: bool,
}

/// Watches one job.
pub(crate) struct Checker {
    test: Test,
    expected: Expected,
    facts: Facts,
    record: Mutex<Record>,
    books: Mutex<Books>,
    /// Called after each event, in a handler of the coordinator: it may wake others, and must not block.
    on_event: Mutex<Option<EventHook>>,
}

type EventHook = Arc<dyn Fn(&Event) + Send + Sync>;

/// What was known when a question came.
pub(crate) struct Asked {
    at: Instant,
    /// Whether it is a new question, and not one that the network has repeated.
    is_new: bool,
    /// Tasks of the phase that were idle, and how often each was handed out.
    idle: Vec<(TaskId, usize)>,
}

/// The checker as the coordinator's observer: it tells what the messages do not show.
pub(crate) struct Eye(pub(crate) Arc<Checker>);

impl Observer for Eye {
    fn observe(&mut self, _: &State, events: &[Event]) {
        let hidden = |event: &&Event| {
            matches!(event, Event::GivenUp { .. } | Event::MachineDied { .. } | Event::MachineBack { .. })
        };
        events.iter().filter(hidden).for_each(|event| story::tell(&self.0.test, event));
    }
}

impl Checker {
    pub(crate) fn new(test: &Test, expected: Expected, facts: Facts) -> Arc<Checker> {
        Arc::new(Checker {
            test: test.clone(),
            expected,
            facts,
            record: Mutex::default(),
            books: Mutex::default(),
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

    pub(crate) fn on_event(&self, hook: impl Fn(&Event) + Send + Sync + 'static) {
        *self.on_event.lock() = Some(Arc::new(hook));
    }

    /// Whether a worker of which this holds was handed an attempt, and nothing is known of the attempt's end.
    pub(crate) fn runs_something(&self, is_it: impl Fn(WorkerId) -> bool) -> bool {
        self.books.lock().attempts.values().any(|attempt| attempt.end.is_none() && is_it(attempt.worker))
    }

    #[track_caller]
    fn broken(&self, number: u32, what: impl AsRef<str>) -> ! {
        self.test.fail(format!("invariant {number}: {}", what.as_ref()))
    }

    /// Must be called without a lock of the checker: the hook may use the runtime, and then another handler
    /// may run, and want the lock.
    fn tell(&self, event: &Event) {
        story::tell(&self.test, event);
        let hook = self.on_event.lock().clone();
        if let Some(hook) = hook {
            hook(event);
        }
    }

    fn all_maps_done(&self, books: &Books) -> bool {
        books.done.keys().filter(|task| is_map(**task)).count() == self.facts.replicas.len()
    }

    /// Tasks of the phase that are certainly idle, and how often each was handed out.
    fn idle(&self, books: &Books) -> Vec<(TaskId, usize)> {
        if self.all_maps_done(books) {
            books.idle((0..self.facts.reduces).map(TaskId::Reduce))
        } else {
            books.idle((0..self.facts.replicas.len()).map(TaskId::Map))
        }
    }

    /// Tasks that are idle, and were so when the question came.
    fn idle_since(&self, books: &Books, asked: &Asked) -> impl Iterator<Item = TaskId> {
        let still = self.idle(books);
        asked.idle.iter().filter(move |idle| still.contains(idle)).map(|&(task, _)| task)
    }

    /// A request has come, and is not handled yet.
    pub(crate) fn asked(&self, question: &Question) -> Asked {
        let (now, timeout) = (Instant::now(), self.facts.timeout);
        let mut asked = Asked { at: now, is_new: true, idle: Vec::new() };
        let mut guard = self.books.lock();
        let books = &mut *guard;
        match question {
            Question::Register(args) => books.hear(args.worker, Some(&args.host), now, timeout),
            Question::GetTask(args) => {
                books.hear(args.worker, Some(&args.host), now, timeout);
                asked.is_new = books.is_new(args.worker, args.number);
                books.open += 1;
                asked.idle = self.idle(books);
                if asked.is_new {
                    let held = books.held_by(args.worker).into_iter();
                    held.filter(|&id| args.running != Some(id)).for_each(|id| books.end(id, End::Unknown));
                }
            }
            Question::Progress(args) => books.hear(args.worker, None, now, timeout),
            Question::TaskDone(args) => books.hear(args.worker, Some(&args.host), now, timeout),
            Question::TaskFailed(args) => books.end(args.failed, End::Failed),
            Question::FetchFailed(args) => {
                books.complain(args);
                let map = AttemptId { task: TaskId::Map(args.map), attempt: args.attempt };
                self.record.lock().fetch_failures.push(map);
                drop(guard);
                self.tell(&Event::FetchFailed { map, reducer: args.running });
            }
        }
        asked
    }

    /// A request was handled, and the reply has not left yet.
    pub(crate) fn answered(&self, question: &Question, asked: &Asked, reply: &Reply) {
        match (question, reply) {
            (Question::GetTask(args), Reply::GetTask(GetTaskReply::Map(map))) => {
                self.note_skipped(map);
                self.handed_out(args, asked, map.id()).iter().for_each(|event| self.tell(event));
            }
            (Question::GetTask(args), Reply::GetTask(GetTaskReply::Reduce(reduce))) => {
                self.handed_out(args, asked, reduce.id()).iter().for_each(|event| self.tell(event));
            }
            (Question::GetTask(args), Reply::GetTask(GetTaskReply::Wait { .. }))
                if asked.is_new && args.running.is_none() =>
            {
                self.waits(asked);
            }
            (Question::TaskDone(args), Reply::TaskDone(TaskDoneReply::Accepted)) => {
                self.accepted(args).iter().for_each(|event| self.tell(event));
            }
            (Question::TaskDone(args), Reply::TaskDone(TaskDoneReply::Late)) => {
                let (id, worker) = (args.done, args.worker);
                self.record.lock().late.push((id, worker));
                self.tell(&Event::Late { id, worker });
            }
            _ => {}
        }
    }

    /// What is to be known of the reply to this question is known.
    pub(crate) fn is_handled(&self, question: &Question) {
        if matches!(question, Question::GetTask(_)) {
            self.books.lock().open -= 1;
        }
    }

    fn note_skipped(&self, map: &MapAssignment) {
        let places = map.skip.iter().map(|place| (map.map, place.piece, place.offset));
        self.record.lock().skipped.extend(places);
    }

    /// Invariants 7 and 8: no execution without a cause, and no input from afar while there is some at hand.
    /// Returns what is to be told.
    fn handed_out(&self, args: &GetTaskArgs, asked: &Asked, id: AttemptId) -> Vec<Event> {
        let (worker, host) = (args.worker, &args.host);
        let books = &mut *self.books.lock();
        if let Some(before) = books.attempts.get(&id) {
            if before.worker != worker {
                self.broken(7, format!("{id} was handed out twice under one number"));
            }
            books.hand_out_again(id);
            self.record.lock().handed_out_again += 1;
            return vec![Event::HandedOutAgain { id, worker }];
        }
        let now = Instant::now();
        let lost = self.undo(books, id.task, now);
        let (over, running) = books.time_out(id.task, now, self.facts.timeout);
        let backup = running > 0;
        if backup && !self.may_have_backup(books, id.task, running) {
            self.broken(
                7,
                format!(
                    "{} runs again, though {running} of its attempts {} and {over:?} are over; it is no backup, \
                     for {}",
                    id.task,
                    if running == 1 { "runs" } else { "run" },
                    self.why_no_backup(books, id.task)
                ),
            );
        }
        if let TaskId::Map(map) = id.task
            && !backup
        {
            self.check_locality(books, asked, map, host);
        }
        books.hand_out(id, worker, asked.at);
        self.record.lock().handed_out.insert(id, (worker, backup));
        let mut events = Vec::new();
        if let Some(id) = lost {
            self.record.lock().lost.push(id);
            let loss = if books.cannot_be_fetched(id) { Loss::FetchFailed } else { Loss::MachineDied };
            events.push(Event::Lost { id, loss, again: true });
        }
        events.push(Event::HandedOut { id, worker, host: host.clone(), backup });
        events
    }

    /// A task that was done is handed out: its output must be lost. Returns the attempt that counted.
    fn undo(&self, books: &mut Books, task: TaskId, now: Instant) -> Option<AttemptId> {
        let (id, host) = books.done.remove(&task)?;
        if !self.facts.local_disks || !books.may_be_lost(id, &host, now, self.facts.timeout) {
            self.broken(7, format!("{id} is done, and {task} runs again for no cause"));
        }
        Some(id)
    }

    /// How many tasks of this one's phase are done, and of how many.
    fn done(&self, books: &Books, task: TaskId) -> (usize, usize) {
        let all = if is_map(task) { self.facts.replicas.len() } else { self.facts.reduces };
        (books.done.keys().filter(|other| is_map(**other) == is_map(task)).count(), all)
    }

    /// Near the end of a phase a task may run twice (paper, §3.6).
    fn may_have_backup(&self, books: &Books, task: TaskId, running: usize) -> bool {
        let (done, all) = self.done(books, task);
        running == 1 && done * 100 >= all * 95 && self.facts.backup != Backup::Off
    }

    fn why_no_backup(&self, books: &Books, task: TaskId) -> String {
        let (done, all) = self.done(books, task);
        match self.facts.backup {
            Backup::Off => "this job has none".to_owned(),
            _ => format!(
                "{done} of {all} tasks of its phase are done, and there is one beside one from 95 % on"
            ),
        }
    }

    fn check_locality(&self, books: &Books, asked: &Asked, map: usize, host: &str) {
        let is_near = |map: usize| self.facts.replicas[map].iter().any(|replica| replica == host);
        if self.facts.replicas[map].is_empty() || is_near(map) {
            return;
        }
        let near = self
            .idle_since(books, asked)
            .filter(|&task| matches!(task, TaskId::Map(other) if is_near(other)));
        if let Some(near) = books.left_by_others(near) {
            self.broken(
                8,
                format!("{host} got map {map}, whose input is elsewhere, and not {near}, whose input it has"),
            );
        }
    }

    /// Invariants 2 and 6: one attempt counts, unless its output was lost since. Returns what is to be told.
    fn accepted(&self, args: &TaskDoneArgs) -> Vec<Event> {
        let (id, worker, host) = (args.done, args.worker, args.host.clone());
        let books = &mut *self.books.lock();
        if self.record.lock().lost.contains(&id) {
            self.broken(6, format!("{id} was accepted again, though its output was lost with its machine"));
        }
        let before = books.done.get(&id.task).cloned();
        if let Some((other, at)) = before {
            if other == id {
                return Vec::new();
            }
            let (now, timeout) = (Instant::now(), self.facts.timeout);
            if !self.facts.local_disks || !books.may_be_lost(other, &at, now, timeout) {
                self.broken(2, format!("{id} was accepted, though {other} counts already"));
            }
        }
        books.accept(id, &host);
        self.record.lock().accepted.push((id, worker, host.clone()));
        let mut events = vec![Event::Accepted { id, worker, host, counters: args.counters }];
        if is_map(id.task) && self.all_maps_done(books) {
            events.push(Event::Entered(Phase::Reduce));
        }
        events
    }

    /// Invariant 5, work conservation.
    fn waits(&self, asked: &Asked) {
        let books = self.books.lock();
        let idle = books.left_by_others(self.idle_since(&books, asked));
        drop(books);
        if let Some(idle) = idle {
            self.broken(5, format!("a worker was told to wait, and {idle} is idle"));
        }
    }

    /// Invariant 4: reduce is called, so all maps must have been done.
    pub(crate) fn reduce_called(&self, worker: WorkerId) {
        let record = self.record.lock();
        let mut done = vec![false; self.facts.replicas.len()];
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
