// handout: file guided
//! The coordinator's state under thousands of random schedules: workers that ask, report, fail, fall silent
//! and come back in any order, with messages that come twice and late. Whatever happens, the books must agree
//! with themselves, and with one worker that does what it is told the job must end.

use mapreduce::rpc::{AttemptId, GetTaskReply, SourceUpdateReply, TaskId};
use mapreduce::state::State;
use mapreduce::table::{Status, TaskTable};
use mapreduce::tasks::TaskError;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::game::{Game, SECOND, at, id_of};

#[test]
fn the_books_agree_after_any_order_of_messages() {
    for seed in 0..2000 {
        Play::new(seed).run();
    }
}

/// One random schedule.
struct Play {
    seed: u64,
    rng: SmallRng,
    game: Game,
    /// Every attempt that some worker was ever given.
    given: Vec<(u64, AttemptId)>,
}

impl Play {
    fn new(seed: u64) -> Play {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (maps, reduces) = (rng.random_range(0..30), rng.random_range(1..6));
        let game =
            if rng.random_bool(0.5) { Game::on_local_disks(maps, reduces) } else { Game::new(maps, reduces) };
        Play { seed, rng, game, given: Vec::new() }
    }

    fn run(&mut self) {
        for _ in 0..self.rng.random_range(0..300) {
            self.step();
            self.check();
        }
        self.finish();
    }

    /// One message, a new one or one of long ago, or some time.
    fn step(&mut self) {
        let worker = self.rng.random_range(1..6);
        match self.rng.random_range(0..10) {
            0..=2 => self.ask(worker),
            3 => {
                let nanos = self.rng.random_range(0..4 * SECOND);
                self.game.pass(nanos);
                self.game.expire();
            }
            _ => self.report(),
        }
    }

    fn ask(&mut self, worker: u64) {
        let reply = if self.rng.random_bool(0.8) {
            self.game.ask_raw(worker, None)
        } else {
            let number = self.rng.random_range(0..=self.game.asked);
            self.game.ask_numbered(worker, &format!("host-{worker}"), number, None)
        };
        if let Some(id) = id_of(&reply) {
            self.given.push((worker, id));
        }
    }

    /// Something about an attempt of this moment, or of any time.
    fn report(&mut self) {
        if self.given.is_empty() {
            return;
        }
        let recent = self.given.len().saturating_sub(6);
        let from = if self.rng.random_bool(0.8) { recent } else { 0 };
        let (worker, id) = self.given[self.rng.random_range(from..self.given.len())];
        match self.rng.random_range(0..12) {
            0 => {
                let fraction = self.rng.random_range(0.0..1.0);
                self.game.progress(worker, id, fraction);
            }
            // Few of them, or most jobs would fail.
            1 if self.rng.random_bool(0.1) => {
                let error = TaskError::BadRecord { place: at(0), file: String::new(), reason: String::new() };
                self.game.fail(worker, id, error);
            }
            2 if matches!(id.task, TaskId::Reduce(_)) && !self.game.state.maps().is_empty() => {
                let map = self.rng.random_range(0..self.game.state.maps().len());
                let attempt = self.rng.random_range(0..3);
                let number = self.rng.random_range(0..4);
                self.game.fetch_failed(worker, id, AttemptId { task: TaskId::Map(map), attempt }, number);
                let _: SourceUpdateReply = self.game.source_update(worker, id, &[map]);
            }
            _ => {
                self.game.report(worker, id);
            }
        }
    }

    /// The books agree with themselves.
    fn check(&self) {
        let state = &self.game.state;
        check_tasks(state.maps(), self.seed);
        check_tasks(state.reduces(), self.seed);
        let running = state.maps().running() + state.reduces().running();
        assert!(
            state.is_over() || running == 0 || state.next_deadline().is_some(),
            "seed {}: no deadline",
            self.seed
        );
        let (maps, reduces) = state.counters();
        assert_eq!(
            maps.records,
            state.maps().done() as u64,
            "seed {}: maps are counted otherwise",
            self.seed
        );
        assert_eq!(reduces.records, state.reduces().done() as u64, "seed {}: so are reduces", self.seed);
    }

    /// From now on all workers but one are silent, and that one does as it is told: the job must end soon.
    fn finish(&mut self) {
        for _ in 0..1000 {
            if self.game.state.is_over() {
                return;
            }
            match self.game.ask_raw(99, None) {
                GetTaskReply::Wait { .. } => {
                    self.game.pass(SECOND);
                    self.game.expire();
                }
                reply => {
                    let Some(id) = id_of(&reply) else { panic!("seed {}: told to exit early", self.seed) };
                    assert!(is_ready(&self.game.state, &reply), "seed {}: a reduce lacks sources", self.seed);
                    self.game.report(99, id);
                }
            }
            self.check();
        }
        panic!("seed {}: the job does not end: {:?}", self.seed, self.game.state);
    }
}

/// Whether a reduce was given all its sources.
fn is_ready(state: &State, reply: &GetTaskReply) -> bool {
    match reply {
        GetTaskReply::Reduce(reduce) => reduce.sources.rows.len() == state.maps().len(),
        _ => true,
    }
}

fn check_tasks(tasks: &TaskTable, seed: u64) {
    let count = |is: fn(&Status) -> bool| tasks.iter().filter(|task| is(&task.status)).count();
    let idle = count(|status| matches!(status, Status::Idle));
    let running = count(|status| matches!(status, Status::Running(_)));
    let done = count(|status| matches!(status, Status::Done(_)));
    assert_eq!((idle, running, done), (tasks.idle(), tasks.running(), tasks.done()), "seed {seed}");
    for task in tasks.iter() {
        let attempts = task.running();
        assert!(attempts.len() <= 2, "seed {seed}: more than one backup: {task:?}");
        assert!(attempts.iter().all(|attempt| attempt.number < task.attempts), "seed {seed}: {task:?}");
    }
}
