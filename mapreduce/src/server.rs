//! The monitor: one lock, one thread, and the RPC handlers.
//!
//! Every decision is in [`State`], which knows of no thread; the threads are here, and decide nothing. Every access to the
//! state goes through [`Coordinator::lock`]. Releasing the lock shows the observer what has happened and wakes the threads
//! that wait for it, so that no other place can forget to.
//!
//! Each call runs its handler in a thread of its own, and the handlers take the lock one after the other, so that each sees
//! the state that the one before it has left. No thread holds the lock while a task runs: handlers change the state and
//! answer at once. Another thread, `deadline_loop`, sleeps until the next deadline, since silence makes no call.

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
use crate::tasks::Counters;

/// Sees every step of the coordinator, under its lock: it must not block.
pub trait Observer: Send {
    /// These events have happened, and this is the state after them.
    fn observe(&mut self, state: &State, events: &[Event]);
}

/// The coordinator of one job (the paper's master).
pub struct Coordinator {
    monitor: Mutex<Monitored>,
    /// Signalled when the job is over; [`Coordinator::wait`] waits for it.
    over: Condvar,
    /// Signalled when there is an earlier deadline than the one for which `deadline_loop` waits, or the job is over.
    sooner: Condvar,
}

/// What the lock protects.
struct Monitored {
    state: State,
    observer: Option<Box<dyn Observer>>,
    /// Until when `deadline_loop` sleeps; `None` if no deadline would wake it.
    sleeps_until: Option<Instant>,
}

/// The state while this thread has the lock. Dropping it settles.
pub(crate) struct Locked<'a> {
    monitored: MutexGuard<'a, Monitored>,
    coordinator: &'a Coordinator,
}

/// How a job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Why it has failed, if it has.
    pub failure: Option<String>,
    /// What the accepted maps have counted.
    pub maps: Counters,
    /// What the accepted reduces have counted.
    pub reduces: Counters,
}

impl Coordinator {
    /// Starts the coordinator of a job whose maps are `inputs`, and returns at once. Its thread belongs to the node on which
    /// this is called, and ends with the job.
    ///
    /// # Panics
    /// If the job has no reduces.
    pub fn new(job: Job, inputs: Vec<Input>, rules: Rules) -> Arc<Coordinator> {
        Coordinator::of(State::new(job, inputs, rules))
    }

    /// Starts a coordinator that goes on from this state.
    pub fn of(state: State) -> Arc<Coordinator> {
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

    /// Shows each step to the observer from now on.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        self.lock().monitored.observer = Some(observer);
    }

    /// Waits until the job is over.
    pub fn wait(&self) -> Summary {
        let mut state = self.lock();
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

    /// Takes the lock. A thread that has it may wait for one of the two conditions, and for nothing else.
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked { monitored: self.monitor.lock(), coordinator: self }
    }

    /// Gives up attempts and machines when their time is over.
    fn deadline_loop(&self) {
        let mut state = self.lock();
        while !state.is_over() {
            // Reports move the deadlines all the time. So mostly there is nothing to give up when this thread wakes.
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
    /// What must happen before the lock is released.
    fn settle(&mut self) {
        let Monitored { state, observer, sleeps_until } = &mut *self.monitored;
        let events = state.take_events();
        if let Some(observer) = observer.as_mut().filter(|_| !events.is_empty()) {
            observer.observe(state, &events);
        }
        // `deadline_loop` must know of a deadline only if it would oversleep it. To wake it for each would cost a switch of
        // threads for every message.
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
