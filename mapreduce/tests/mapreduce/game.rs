// handout: file guided
//! A coordinator's state and a clock to play with.

use labrt::time::{Duration, Instant};
use mapreduce::events::Event;
use mapreduce::rpc::{
    AttemptId, FetchFailedArgs, GetTaskArgs, GetTaskReply, Job, NextStep, PartitionSet, ProgressArgs,
    ProgressReply, SourceUpdateArgs, SourceUpdateReply, TaskDoneArgs, TaskDoneReply, TaskFailedArgs, TaskId,
    WorkerId,
};
use mapreduce::split::{Piece, RecordPlace, Split};
use mapreduce::state::{Input, Rules, State};
use mapreduce::store::FileVersion;
use mapreduce::tasks::{Counters, TaskError};

pub(crate) const SECOND: u64 = 1_000_000_000;

pub(crate) fn map(map: usize, attempt: u32) -> AttemptId {
    AttemptId { task: TaskId::Map(map), attempt }
}

pub(crate) fn reduce(reduce: usize, attempt: u32) -> AttemptId {
    AttemptId { task: TaskId::Reduce(reduce), attempt }
}

/// A record at this byte.
pub(crate) fn at(offset: u64) -> RecordPlace {
    RecordPlace { piece: 0, offset }
}

pub(crate) fn worker(number: u64) -> WorkerId {
    number
}

/// The state, and what time it is.
pub(crate) struct Game {
    pub(crate) state: State,
    pub(crate) now: Instant,
    events: Vec<Event>,
    /// The number of questions so far.
    pub(crate) asked: u64,
}

fn job(reduces: usize, local_disks: bool) -> Job {
    Job {
        id: 1,
        application: "wc".to_owned(),
        parameters: Vec::new(),
        reduces,
        local_disks,
        report_every_ms: 1000,
    }
}

pub(crate) fn input(number: usize, hosts: &[&str]) -> Input {
    let version = FileVersion { length: 1, ..FileVersion::default() };
    let piece = Piece { file: format!("file-{number}"), offset: 0, length: 1, version };
    let split = Split { pieces: vec![piece] };
    Input { split, hosts: hosts.iter().map(|&host| host.to_owned()).collect() }
}

impl Game {
    pub(crate) fn new(maps: usize, reduces: usize) -> Game {
        Game::of(job(reduces, false), (0..maps).map(|number| input(number, &[])).collect())
    }

    pub(crate) fn on_local_disks(maps: usize, reduces: usize) -> Game {
        Game::of(job(reduces, true), (0..maps).map(|number| input(number, &[])).collect())
    }

    pub(crate) fn with_replicas(replicas: &[&[&str]]) -> Game {
        Game::of(
            job(1, false),
            replicas.iter().enumerate().map(|(number, hosts)| input(number, hosts)).collect(),
        )
    }

    fn of(job: Job, inputs: Vec<Input>) -> Game {
        let state = State::new(job, inputs, Rules::default());
        Game { state, now: Instant::from_nanos(0), events: Vec::new(), asked: 0 }
    }

    /// Another game with other rules. To be called before anything has happened.
    pub(crate) fn rules(&mut self, change: impl FnOnce(&mut Rules)) {
        let mut rules = Rules::default();
        change(&mut rules);
        let inputs = (0..self.state.maps().len()).map(|number| input(number, &[])).collect();
        self.state = State::new(self.state.job.clone(), inputs, rules);
    }

    pub(crate) fn pass(&mut self, nanos: u64) {
        self.now += Duration::from_nanos(nanos);
    }

    pub(crate) fn expire(&mut self) {
        self.state.expire(self.now);
    }

    /// All events so far.
    pub(crate) fn events(&mut self) -> &[Event] {
        self.events.extend(self.state.take_events());
        &self.events
    }

    pub(crate) fn ask_raw(&mut self, number: u64, running: Option<AttemptId>) -> GetTaskReply {
        self.asked(number, &format!("host-{number}"), running)
    }

    fn asked(&mut self, number: u64, host: &str, running: Option<AttemptId>) -> GetTaskReply {
        self.asked += 1;
        self.ask_numbered(number, host, self.asked, running)
    }

    /// A question with this number.
    pub(crate) fn ask_numbered(
        &mut self,
        worker: u64,
        host: &str,
        number: u64,
        running: Option<AttemptId>,
    ) -> GetTaskReply {
        let args = GetTaskArgs { worker, host: host.to_owned(), number, running };
        self.state.get_task(&args, self.now)
    }

    /// What the worker gets to do, if anything.
    pub(crate) fn ask(&mut self, number: u64) -> Option<AttemptId> {
        id_of(&self.ask_raw(number, None))
    }

    pub(crate) fn ask_from(&mut self, number: u64, host: &str) -> Option<AttemptId> {
        id_of(&self.asked(number, host, None))
    }

    /// What a worker gets to do whose reduce waits.
    pub(crate) fn help(&mut self, number: u64, host: &str, waiting: AttemptId) -> Option<AttemptId> {
        id_of(&self.asked(number, host, Some(waiting)))
    }

    /// The records that a worker is told to skip in the map that it is given.
    pub(crate) fn skips(&mut self, number: u64) -> Vec<RecordPlace> {
        match self.ask_raw(number, None) {
            GetTaskReply::Map(map) => map.skip,
            other => panic!("expected a map, not {other:?}"),
        }
    }

    pub(crate) fn progress(&mut self, number: u64, running: AttemptId, fraction: f64) -> ProgressReply {
        let args = ProgressArgs { worker: worker(number), running, fraction, fetched: false };
        self.state.progress(&args, self.now)
    }

    pub(crate) fn fetched(&mut self, number: u64, running: AttemptId) {
        let args = ProgressArgs { worker: worker(number), running, fraction: 0.3, fetched: true };
        assert_eq!(self.state.progress(&args, self.now), ProgressReply::Continue);
    }

    pub(crate) fn report(&mut self, number: u64, done: AttemptId) -> TaskDoneReply {
        self.report_on(number, &format!("host-{number}"), done)
    }

    pub(crate) fn report_on(&mut self, number: u64, host: &str, done: AttemptId) -> TaskDoneReply {
        let args = TaskDoneArgs {
            worker: worker(number),
            host: host.to_owned(),
            done,
            partitions: PartitionSet::of_lengths(&vec![1; self.state.job.reduces]),
            counters: Counters { records: 1, ..Counters::default() },
        };
        self.state.task_done(&args, self.now)
    }

    pub(crate) fn finish(&mut self, number: u64, done: AttemptId) {
        assert_eq!(self.report(number, done), TaskDoneReply::Accepted, "{done}");
    }

    pub(crate) fn finish_on(&mut self, number: u64, host: &str, done: AttemptId) {
        assert_eq!(self.report_on(number, host, done), TaskDoneReply::Accepted, "{done}");
    }

    /// Worker 1 does all maps.
    pub(crate) fn run_maps(&mut self) {
        while *self.state.phase() == mapreduce::state::Phase::Map {
            let Some(id) = self.ask(1) else { panic!("no map was handed out") };
            self.finish(1, id);
        }
    }

    pub(crate) fn fail(&mut self, number: u64, failed: AttemptId, error: TaskError) -> NextStep {
        self.state.task_failed(&TaskFailedArgs { worker: worker(number), failed, error })
    }

    pub(crate) fn fetch_failed(&mut self, reducer: u64, running: AttemptId, of: AttemptId, number: u64) {
        let TaskId::Map(map) = of.task else { panic!("{of} is no map") };
        let args = FetchFailedArgs {
            worker: worker(reducer),
            running,
            map,
            attempt: of.attempt,
            host: String::new(),
            number,
        };
        self.state.fetch_failed(&args, self.now);
    }

    pub(crate) fn source_update(
        &mut self,
        reducer: u64,
        running: AttemptId,
        missing: &[usize],
    ) -> SourceUpdateReply {
        let args = SourceUpdateArgs { worker: worker(reducer), running, missing: missing.to_vec() };
        self.state.source_update(&args, self.now)
    }

    /// Attempts of this task that were handed out.
    pub(crate) fn attempts(&self, id: AttemptId) -> u32 {
        self.state.task(id.task).map_or(0, |task| task.attempts)
    }
}

pub(crate) fn id_of(reply: &GetTaskReply) -> Option<AttemptId> {
    match reply {
        GetTaskReply::Map(map) => Some(map.id()),
        GetTaskReply::Reduce(reduce) => Some(reduce.id()),
        GetTaskReply::Wait { .. } | GetTaskReply::Exit => None,
    }
}
