// handout: put classic
// //! The coordinator: what its threads share, and the RPC handlers.
// handout: end
// handout: drop classic
//! The monitor: one lock, one thread, and the RPC handlers.
//!
//! Every decision is in [`State`], which knows of no thread; the threads are here, and decide nothing.
//! A `Monitor` is a lock that calls `settle` whenever a thread releases it, also when the thread begins to
//! wait. Here `settle` shows the observer what has happened, and wakes the threads that wait for it, so that
//! no other place can forget to.
//!
//! Each call runs its handler in a thread of its own, and the handlers take the lock one after the other, so
//! that each sees the state that the one before it has left. No thread holds the lock while a task runs:
//! handlers change the state and answer at once. Another thread, `deadline_loop`, sleeps until the next
//! deadline, since silence makes no call.
// handout: end

// handout: drop classic
use labrt::sync::{Arc, Condvar, Monitor, MonitorGuard, Settle};
use labrt::thread;
use labrt::time::Instant;
// handout: end
// handout: put classic
// use labrt::sync::{Arc, Mutex};
// handout: end

use crate::events::Event;
use crate::rpc::{
    CoordinatorRpc, FetchFailedArgs, GetTaskArgs, GetTaskReply, Job, NextStep, ProgressArgs, ProgressReply,
    RegisterArgs, RegisterReply, SourceUpdateArgs, SourceUpdateReply, TaskDoneArgs, TaskDoneReply,
    TaskFailedArgs,
};
use crate::state::{Input, Rules, State};

/// Sees every step of the coordinator, under its lock: it must not block.
pub trait Observer: Send {
    /// These events have happened, and this is the state after them.
    fn observe(&mut self, state: &State, events: &[Event]);
}

/// The coordinator of one job (the paper's master).
pub struct Coordinator {
    // handout: put classic
    // /// What all threads of the coordinator share.
    // state: Mutex<State>,
    // /// Sees what happens, for the story of a failure.
    // observer: Mutex<Option<Box<dyn Observer>>>,
    // // Your data here.
    // handout: end
    // handout: drop classic
    monitor: Monitor<Monitored>,
    // handout: end
}

// handout: drop classic
/// What the lock protects.
pub(crate) struct Monitored {
    pub(crate) state: State,
    observer: Option<Box<dyn Observer>>,
    /// Until when `deadline_loop` sleeps; `None` if no deadline would wake it.
    sleeps_until: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Signals {
    /// The job is over.
    pub(crate) over: Condvar,
    /// There is an earlier deadline than the one for which `deadline_loop` waits, or the job is over.
    sooner: Condvar,
}

// handout: end
// handout: bodies 1A
// handout: drop classic
impl Settle for Monitored {
    type Signals = Signals;

    fn settle(&mut self, signals: &Signals) {
        let Monitored { state, observer, sleeps_until } = self;
        let events = state.take_events();
        if let Some(observer) = observer.as_mut().filter(|_| !events.is_empty()) {
            observer.observe(state, &events);
        }
        // `deadline_loop` must know of a deadline only if it would oversleep it. To wake it for each would
        // cost a switch of threads for every message.
        let is_sooner = match (state.next_deadline(), *sleeps_until) {
            (Some(next), Some(until)) => next < until,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if state.is_over() {
            signals.over.notify_all();
        }
        if is_sooner || state.is_over() {
            signals.sooner.notify_all();
        }
    }
}

// handout: end
impl Coordinator {
    /// Starts the coordinator of a job whose maps are `inputs`, and returns at once. Its thread belongs to
    /// the node on which this is called, and ends with the job.
    ///
    /// # Panics
    /// If the job has no reduces.
    pub fn new(job: Job, inputs: Vec<Input>, rules: Rules) -> Arc<Coordinator> {
        Coordinator::of(State::new(job, inputs, rules), None)
    }

    // handout: drop classic
    /// Starts a coordinator that goes on from this state, and shows each step to the observer.
    pub fn of(state: State, observer: Option<Box<dyn Observer>>) -> Arc<Coordinator> {
        let monitor = Monitor::new(Monitored { state, observer, sleeps_until: None });
        let coordinator = Arc::new(Coordinator { monitor });
        let of_thread = coordinator.clone();
        thread::spawn_named("deadline_loop", move || of_thread.deadline_loop());
        coordinator
    }

    // handout: end
    // handout: put classic
    // /// Shows these steps to the observer, if there is one: call it with the lock of the state held.
    // fn show(&self, state: &State, events: &[Event]) {
    //     if let Some(observer) = &mut *self.observer.lock() {
    //         observer.observe(state, events);
    //     }
    // }
    //
    // /// Has each step shown to this observer from now on.
    // pub fn watch(&self, observer: Box<dyn Observer>) {
    //     *self.observer.lock() = Some(observer);
    // }
    // handout: end
    // handout: drop classic
    // handout: body kept
    /// Shows each step to the observer from now on.
    pub fn watch(&self, observer: Box<dyn Observer>) {
        self.lock().observer = Some(observer);
    }

    // handout: body kept
    /// Takes the lock. A thread that has it may wait for one of the two conditions, and for nothing else.
    pub(crate) fn lock(&self) -> MonitorGuard<'_, Monitored> {
        self.monitor.lock()
    }

    /// Gives up attempts and machines when their time is over.
    fn deadline_loop(&self) {
        let mut monitored = self.lock();
        while !monitored.state.is_over() {
            // Reports move the deadlines all the time. So mostly there is nothing to give up when this thread
            // wakes.
            monitored.state.expire(Instant::now());
            let deadline = monitored.state.next_deadline();
            monitored.sleeps_until = deadline;
            monitored.wait_until(|on| &on.sooner, deadline);
        }
    }
    // handout: end
}

impl CoordinatorRpc for Coordinator {
    fn register(&self, args: RegisterArgs) -> RegisterReply {
        self.lock().state.register(&args, Instant::now())
    }

    fn get_task(&self, args: GetTaskArgs) -> GetTaskReply {
        self.lock().state.get_task(&args, Instant::now())
    }

    fn progress(&self, args: ProgressArgs) -> ProgressReply {
        self.lock().state.progress(&args, Instant::now())
    }

    fn task_done(&self, args: TaskDoneArgs) -> TaskDoneReply {
        self.lock().state.task_done(&args, Instant::now())
    }

    fn task_failed(&self, args: TaskFailedArgs) -> NextStep {
        self.lock().state.task_failed(&args)
    }

    // handout: body classic 1B
    fn fetch_failed(&self, args: FetchFailedArgs) {
        self.lock().state.fetch_failed(&args, Instant::now());
    }

    // handout: body classic 1B
    fn source_update(&self, args: SourceUpdateArgs) -> SourceUpdateReply {
        self.lock().state.source_update(&args, Instant::now())
    }
}
