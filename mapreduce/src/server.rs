//! The monitor: one lock, one thread, and the RPC handlers.
//!
//! Everything that the coordinator decides is in [`State`], which knows of no thread;
//! everything about threads is here, and decides nothing. Every access to the state goes
//! through [`Coordinator::lock`]; giving up the lock shows the observer what has happened
//! and wakes who waits for it, so that no other place needs to remember to.
//!
//! A handler runs in a thread of its own for each call, so that all of them may want the lock at
//! once. They get it one after the other, and each sees the state that the one before it has
//! left: whatever interleaving there was outside, inside there is an order.
//!
//! The lock is never held while a task runs: handlers change the state and answer at once.
//! One thread, `deadline_loop`, sleeps until the next attempt or machine is to be given up,
//! since silence makes no call.

use std::ops::{Deref, DerefMut};

use labrt::sync::{Arc, Condvar, Mutex, MutexGuard};
use labrt::thread;
use labrt::time::Instant;

use crate::events::Event;
use crate::rpc::{
    CoordinatorRpc, FetchFailedArgs, GetTaskArgs, GetTaskReply, Job, NextStep, ProgressArgs, ProgressReply,
    RegisterArgs, RegisterReply, SourceUpdateArgs, SourceUpdateReply, TaskDoneArgs, TaskDoneReply,
    TaskFailedArgs,
};
use crate::state::{Input, Phase, Rules, State};
use crate::task::Counters;

/// Sees every step of the coordinator, under its lock: it must not block.
pub trait Observer: Send {
    /// These things have happened, and this is the state after them.
    fn observe(&mut self, state: &State, events: &[Event]);
}

/// The coordinator of one job (the paper's master).
pub struct Coordinator {
    monitor: Mutex<Monitored>,
    /// Signalled when the job is over; [`Coordinator::wait`] waits for it.
    over: Condvar,
    /// Signalled when there is an earlier deadline than the one for which `deadline_loop`
    /// waits, or the job is over.
    sooner: Condvar,
}

/// What the lock protects.
struct Monitored {
    /// All that the coordinator knows.
    state: State,
    /// Whoever watches, if anybody does.
    observer: Option<Box<dyn Observer>>,
    /// Until when `deadline_loop` sleeps; None if it waits for a deadline.
    sleeps_until: Option<Instant>,
}

/// The state while this thread has the lock.
///
/// There is no way to the state but this one, and no way out of it that forgets to settle:
/// dropping it does.
struct Locked<'a> {
    monitored: MutexGuard<'a, Monitored>,
    coordinator: &'a Coordinator,
}

/// How a job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What has made it fail, if it has failed.
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
}

impl Coordinator {
    /// Starts the coordinator of a job whose maps are `inputs`, and returns at once. Its
    /// thread belongs to the node on which this is called, and ends with the job.
    ///
    /// # Panics
    /// If the job has no reduces.
    pub fn new(job: Job, inputs: Vec<Input>, rules: Rules) -> Arc<Coordinator> {
        let state = State::new(job, inputs, rules);
        let coordinator = Arc::new(Coordinator {
            monitor: Mutex::new(Monitored { state, observer: None, sleeps_until: None }),
            over: Condvar::new(),
            sooner: Condvar::new(),
        });
        let of_thread = coordinator.clone();
        let spawned =
            thread::Builder::new().name("deadline_loop".to_owned()).spawn(move || of_thread.deadline_loop());
        // Without its thread it would wait for lost workers for ever.
        spawned.expect("the system has room for a thread");
        coordinator
    }

    /// From now on the observer is shown each step.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        self.lock().monitored.observer = Some(observer);
    }

    /// Waits until the job is over.
    pub fn wait(&self) -> Summary {
        let mut state = self.lock();
        // A notification says that there may be news, not which: the condition is looked at anew.
        while !state.is_over() {
            state.settle();
            self.over.wait(&mut state.monitored);
        }
        let failure = match state.phase() {
            Phase::Failed(reason) => Some(reason.clone()),
            _ => None,
        };
        let (maps, reduces) = state.counters();
        Summary { failure, maps, reduces }
    }

    /// How far the job is.
    pub fn status(&self) -> Status {
        let state = self.lock();
        Status {
            phase: state.phase().clone(),
            maps: (state.maps().done(), state.maps().len()),
            reduces: (state.reduces().done(), state.reduces().len()),
            running: state.current().running(),
        }
    }

    /// Takes the lock. Nobody who has it may wait for anything but one of the two conditions.
    fn lock(&self) -> Locked<'_> {
        Locked { monitored: self.monitor.lock(), coordinator: self }
    }

    /// Gives up attempts and machines when their time is over.
    fn deadline_loop(&self) {
        let mut state = self.lock();
        while !state.is_over() {
            // Deadlines move away all the time, because workers report. So most of the times when
            // this thread wakes there is nothing to give up, and it goes back to sleep.
            state.expire(Instant::now());
            let deadline = state.next_deadline();
            state.monitored.sleeps_until = deadline;
            state.settle();
            match deadline {
                None => self.sooner.wait(&mut state.monitored),
                Some(deadline) => {
                    self.sooner.wait_until(&mut state.monitored, deadline);
                }
            }
        }
    }
}

impl CoordinatorRpc for Coordinator {
    fn register(&self, args: RegisterArgs) -> RegisterReply {
        self.lock().register(&args, Instant::now())
    }

    fn get_task(&self, args: GetTaskArgs) -> GetTaskReply {
        self.lock().get_task(&args, Instant::now())
    }

    fn progress(&self, args: ProgressArgs) -> ProgressReply {
        self.lock().progress(&args, Instant::now())
    }

    fn task_done(&self, args: TaskDoneArgs) -> TaskDoneReply {
        self.lock().task_done(&args, Instant::now())
    }

    fn task_failed(&self, args: TaskFailedArgs) -> NextStep {
        self.lock().task_failed(&args)
    }

    fn fetch_failed(&self, args: FetchFailedArgs) {
        self.lock().fetch_failed(&args, Instant::now());
    }

    fn source_update(&self, args: SourceUpdateArgs) -> SourceUpdateReply {
        self.lock().source_update(&args, Instant::now())
    }
}

impl Locked<'_> {
    /// What is due before the lock is given up.
    fn settle(&mut self) {
        let Monitored { state, observer, sleeps_until } = &mut *self.monitored;
        let events = state.take_events();
        if let Some(observer) = observer.as_mut().filter(|_| !events.is_empty()) {
            observer.observe(state, &events);
        }
        // Waking the thread for every deadline would cost a switch for every message; it has to
        // know of one only if it would oversleep it.
        let is_sooner = match (state.next_deadline(), *sleeps_until) {
            (Some(next), Some(until)) => next < until,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if state.is_over() {
            self.coordinator.over.notify_all();
        }
        if is_sooner || state.is_over() {
            self.coordinator.sooner.notify_all();
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // A thread that is being killed, or has panicked, may have left a change half done.
        if !std::thread::panicking() {
            self.settle();
        }
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.monitored.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.monitored.state
    }
}
