//! The loop of the simulated world: run a ready task; if there is none, move the clock to the next timer.

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::kill::kill_tasks;
use super::policy::Slot;
use super::task::{TaskCoroutine, record_panic, resume, spawn};
use super::timers::Action;
use super::{NO_TASK, Sim, hash_keys, with};
use crate::config::Config;
use crate::context::{self, Mode};
use crate::name::Name;
use crate::node::Node;
use crate::outcome::{Decision, FailureKind, Outcome, Stats, TOLD_DECISIONS};
use crate::run::Job;
use crate::watchdog;

enum Step {
    Run(Slot, TaskCoroutine),
    Call(Box<dyn FnOnce() + Send>),
    Stop,
}

/// Runs `main` as the first task of a new simulation on this OS thread.
pub(crate) fn run(config: &Config, main: Job) -> Outcome<()> {
    let started = Instant::now();
    let pulse = watchdog::watch_this_thread(config, started);
    with(|sim| {
        sim.reset(config);
        pulse.begin_simulation(sim.run);
        sim.pulse = Arc::clone(&pulse);
        let root = Node::root();
        pulse.name_node(0, root.shared_name());
        sim.nodes.push(root);
    });
    crate::exit::watch_this_thread();
    let mode = context::enter(Mode::Simulated);
    hash_keys::enter(config.seed);
    let main = move || {
        let _end = EndOfMain;
        main();
        with(|sim| sim.stopping = true);
    };
    spawn(0, Name::from("main"), Box::new(main));
    drive();
    kill_tasks(None, Location::caller());
    // Closures of timers may own locks, channels, nodes: they are dropped while the world still stands.
    let timers = with(|sim| std::mem::take(&mut sim.timers));
    call_outside_of_tasks(|| drop(timers), true);
    call_outside_of_tasks(crate::thread::local::drop_all_locals, true);
    hash_keys::leave();
    context::leave(mode);
    pulse.end();
    with(|sim| sim.outcome(started.elapsed()))
}

fn drive() {
    loop {
        match with(Sim::next_step) {
            Step::Run(slot, coroutine) => resume(slot, coroutine),
            Step::Call(call) => call_outside_of_tasks(call, false),
            Step::Stop => break,
        }
    }
}

/// Runs a timer's closure; its panic fails the run, as that of a task would. `late`: also if the run has
/// come to its end.
fn call_outside_of_tasks(call: impl FnOnce(), late: bool) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        record_panic(payload, late);
    }
}

/// Is dropped when the main task ends, however it does.
struct EndOfMain;

impl Drop for EndOfMain {
    fn drop(&mut self) {
        with(Sim::fail_if_main_was_killed);
    }
}

impl Sim {
    fn next_step(&mut self) -> Step {
        let last = std::mem::replace(&mut self.current, NO_TASK);
        loop {
            if self.stopping {
                return Step::Stop;
            }
            while let Some(action) = self.timers.pop_due(self.now) {
                match action {
                    Action::Wake(waiter) => {
                        self.wake(waiter, true);
                    }
                    Action::Call(call) => {
                        self.note(self.now);
                        self.publish_call(last);
                        return Step::Call(call);
                    }
                }
            }
            if !self.ready.is_empty() {
                // The policy knows the task that ran last as the current one.
                self.current = last;
                return self.run_one();
            }
            self.advance();
        }
    }

    /// A closure of a timer runs. Many of them one after the other are no silence, either.
    fn publish_call(&mut self, last: Slot) {
        self.calls += 1;
        if self.calls.is_multiple_of(1024) {
            self.publish(last);
        }
    }

    /// Nothing else would end a run whose main task is gone.
    fn fail_if_main_was_killed(&mut self) {
        if self.current_is_killed() && !self.stopping {
            let message = "the main thread was unwound by a kill of its own node";
            self.fail(FailureKind::Panic, message.to_owned(), None);
        }
    }

    fn run_one(&mut self) -> Step {
        let promised = self.next.take();
        let choice = promised.and_then(|slot| self.ready.iter().position(|&ready| ready == slot));
        let choice = choice.unwrap_or_else(|| self.pick());
        let slot = self.ready.swap_remove(choice);
        let coroutine = self.tasks[slot as usize]
            .coroutine
            .take()
            .expect("a ready task has a coroutine: only the running one has lent it");
        self.clock_readings = 0;
        self.begin_turn(slot);
        if self.pulse.must_stop() {
            self.report_real_time();
        }
        if self.stopping {
            // Nothing takes its turn away any more, and it may never give it up.
            self.give_back(slot, coroutine);
            return Step::Stop;
        }
        Step::Run(slot, coroutine)
    }

    /// The task that was to run is one that could run, once more.
    fn give_back(&mut self, slot: Slot, coroutine: TaskCoroutine) {
        self.tasks[slot as usize].coroutine = Some(coroutine);
        self.make_ready(slot);
    }

    pub(super) fn remember_decision(&mut self, slot: Slot) {
        if self.decisions.len() == TOLD_DECISIONS {
            return;
        }
        let task = &self.tasks[slot as usize];
        let who = format!("{} / {}", self.nodes[task.node as usize].name(), task.name);
        let place = task.place.map_or_else(|| "its start".to_owned(), ToString::to_string);
        self.decisions.push(Decision { at: Duration::from_nanos(self.now), who, place });
    }

    /// No task is ready: moves the clock to the next timer, or ends the run.
    fn advance(&mut self) {
        let (timers, tasks) = (&mut self.timers, &self.tasks);
        let Some(next) = timers.next(|waiter| super::park::is_parked(tasks, waiter)) else {
            self.report_deadlock();
            return;
        };
        self.now = next;
        if let Some((at, seed)) = self.reseed
            && next >= at
        {
            self.draw_from_another_seed(seed);
        }
        self.clock_readings = 0;
        self.forget_steps_of_this_instant();
        if self.pulse.must_stop() {
            self.report_real_time();
        }
        if Duration::from_nanos(next) > self.limits.virtual_time {
            let limit = self.limits.virtual_time.as_secs_f64();
            let report = self.waiting_report();
            let message = format!("the run has not ended after {limit} s of virtual time\n{report}");
            self.fail(FailureKind::VirtualTime, message, None);
        }
    }

    fn outcome(&mut self, real_time: Duration) -> Outcome<()> {
        self.sink = None;
        self.fail_by_a_stranger();
        self.warnings.extend(self.pulse.strangers.take_warnings());
        Outcome {
            result: self.failure.take().map_or(Ok(()), Err),
            stats: Stats {
                virtual_time: Duration::from_nanos(self.now),
                real_time,
                steps: self.steps,
                tasks: self.tasks_started,
                event_hash: self.hash,
            },
            events: std::mem::take(&mut self.events),
            warnings: std::mem::take(&mut self.warnings),
            schedule: std::mem::take(&mut self.schedule),
            decisions: std::mem::take(&mut self.decisions),
        }
    }
}

/// Runs a short closure at `at` (virtual nanoseconds), outside of any task. A run that is ending drops it
/// here and now, so that destructors that run then leave nothing behind.
pub(crate) fn call_at(at: u64, call: Box<dyn FnOnce() + Send>) {
    let late = with(|sim| {
        if sim.stopping {
            return Some(call);
        }
        let at = at.max(sim.now);
        sim.timers.call_at(at, call);
        None
    });
    drop(late);
}
