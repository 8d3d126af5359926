//! The simulated world: tasks, the virtual clock, and the state that one seed determines.
//!
//! All of it lives on one OS thread, in a thread-local [`Sim`]. Tasks are coroutines (`task.rs`); the loop
//! that runs them is in `drive.rs`; the waiting tasks are kept in wait queues inside the primitives
//! (`park.rs`).

pub(crate) mod circles;
pub(crate) mod drive;
mod events;
pub(crate) mod explore;
mod failing;
pub(crate) mod hash_keys;
pub(crate) mod kill;
pub(crate) mod lock_order;
pub(crate) mod park;
pub(crate) mod policy;
mod report;
pub(crate) use report::kind_of;
pub(crate) mod stack;
pub(crate) mod task;
mod timers;
mod turns;
pub(crate) mod unwind;

use std::cell::RefCell;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use park::Disturbances;
use policy::{Policy, Slot};
use rand::{SeedableRng, rngs::SmallRng};
use task::{Phase, Task};
use timers::Timers;

use crate::config::{Config, Limits, Schedule, Sink};
use crate::node::Node;
use crate::outcome::{Decision, Event, Failure};
use crate::panics::Whereabouts;
use crate::watchdog::Pulse;

/// Runs are numbered through all OS threads; no run has number 0.
static NEXT_RUN: AtomicU32 = AtomicU32::new(1);

/// No task: the scheduler itself, or a timer's closure, is running.
pub(crate) const NO_TASK: Slot = Slot::MAX;

thread_local! {
    /// The simulation of this OS thread. It outlives runs, so that stacks and tables are reused from seed to
    /// seed.
    static SIM: RefCell<Sim> = RefCell::new(Sim::new());
}

/// Runs `f` on this thread's simulation. Never nested, and never across a suspension: `f` must be short.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut Sim) -> R) -> R {
    SIM.with(|sim| f(&mut sim.borrow_mut()))
}

/// As [`with`], for code that may run when the simulation is already borrowed (signal handlers, panic hooks).
pub(crate) fn try_with<R>(f: impl FnOnce(&mut Sim) -> R) -> Option<R> {
    SIM.try_with(|sim| sim.try_borrow_mut().ok().map(|mut sim| f(&mut sim))).ok().flatten()
}

/// As [`with`], for a process that is about to end: also while another frame of this OS thread has borrowed
/// the simulation.
#[allow(unsafe_code, reason = "the fault handler runs on top of whatever the thread was doing")]
fn with_even_if_borrowed(f: impl FnOnce(&Sim)) {
    // SAFETY: the frame that has borrowed it is on this very OS thread and never goes on: the process ends.
    // What `f` reads of it, names of nodes and tasks, changes only when a node or a task is made.
    let _ = SIM.try_with(|sim| f(unsafe { &*sim.as_ptr() }));
}

/// The running thread with time and seed, in words, for a handler of signals: nothing is allocated, and the
/// process ends afterwards.
pub(crate) fn write_whereabouts(text: &mut impl std::fmt::Write) {
    with_even_if_borrowed(|sim| {
        let at = Duration::from_nanos(sim.now);
        // A text that does not fit is cut.
        let _ = sim.write_whoami(text);
        let _ = write!(text, " at {}.{:06} s, seed {}", at.as_secs(), at.subsec_micros(), sim.seed);
    });
}

/// A run in the simulated world.
pub(crate) struct Sim {
    /// Virtual nanoseconds since the start of the run.
    pub(crate) now: u64,
    tasks: Vec<Task>,
    /// Slots of finished tasks, reused in last-in, first-out order.
    free: Vec<Slot>,
    /// Slots of the tasks that could run now.
    ready: Vec<Slot>,
    pub(crate) current: Slot,
    timers: Timers,
    policy: Box<dyn Policy>,
    /// The task that was chosen to run next when the running one gave way.
    next: Option<Slot>,
    pub(crate) disturbances: Disturbances,
    /// Readings of the clock since it last moved or another task ran.
    clock_readings: u64,
    /// Free yield points until the running task may be replaced.
    stride: u32,
    /// The stream of scheduling choices.
    schedule_rng: SmallRng,
    /// The stream behind `labrt::rand`, apart from the other so that a lab's draws do not depend on the
    /// policy.
    user_rng: SmallRng,
    /// See [`Config::own_streams`]: by node, made at its first draw.
    own_streams: Option<u64>,
    streams: Vec<Option<SmallRng>>,
    /// See [`Config::reseed`], until it has happened.
    reseed: Option<(u64, u64)>,
    /// See [`Config::skipped_sleeps`].
    skipped_sleeps: Vec<(u64, u64)>,
    sleeps: u64,
    /// All nodes, by number.
    pub(crate) nodes: Vec<Node>,
    pub(crate) seed: u64,
    /// Number of the run in this process, for what outlives runs.
    run: u32,
    /// The number that the last parking got.
    tokens: u64,
    /// Locks that have got a number so far.
    locks: u32,
    lock_orders: lock_order::LockOrders,
    limits: Limits,
    steps: u64,
    /// Closures of timers that have run.
    calls: u64,
    steps_at_this_instant: u64,
    /// How many of these steps let others go first, or only looked whether something has changed, again and
    /// again.
    looks_at_this_instant: u64,
    /// Points to switch at that belong to these steps.
    points_at_this_instant: u64,
    tasks_started: u64,
    hash: u64,
    /// Tasks that wait until one more task of a node that they kill has ended.
    killers: Vec<park::Waiter>,
    /// Tasks that are suspended while they are being unwound.
    unwinders: u32,
    /// Set when the main task has ended or something failed: nothing is scheduled any more.
    stopping: bool,
    failure: Option<Failure>,
    pub(crate) warnings: Vec<String>,
    /// Pairs of source lines that the lint has already named.
    warned: Vec<(&'static Location<'static>, &'static Location<'static>)>,
    pub(crate) trace: bool,
    pub(crate) events: Vec<Event>,
    words: events::Words,
    sink: Option<Sink>,
    record: bool,
    schedule: Schedule,
    decisions: Vec<Decision>,
    pub(crate) pulse: Arc<Pulse>,
    stacks: stack::StackPool,
}

impl Sim {
    fn new() -> Self {
        let mut rng = SmallRng::seed_from_u64(0);
        Sim {
            now: 0,
            tasks: Vec::new(),
            free: Vec::new(),
            ready: Vec::new(),
            current: NO_TASK,
            timers: Timers::default(),
            policy: policy::make(&Default::default(), &mut rng),
            next: None,
            disturbances: Disturbances::default(),
            clock_readings: 0,
            stride: 1,
            user_rng: rng.clone(),
            own_streams: None,
            streams: Vec::new(),
            reseed: None,
            skipped_sleeps: Vec::new(),
            sleeps: 0,
            schedule_rng: rng,
            nodes: Vec::new(),
            seed: 0,
            run: 0,
            tokens: 0,
            locks: 0,
            lock_orders: lock_order::LockOrders::default(),
            limits: Limits::default(),
            steps: 0,
            calls: 0,
            steps_at_this_instant: 0,
            looks_at_this_instant: 0,
            points_at_this_instant: 0,
            tasks_started: 0,
            hash: 0,
            killers: Vec::new(),
            unwinders: 0,
            stopping: false,
            failure: None,
            warnings: Vec::new(),
            warned: Vec::new(),
            trace: false,
            events: Vec::new(),
            words: events::Words::default(),
            sink: None,
            record: false,
            schedule: Schedule::default(),
            decisions: Vec::new(),
            pulse: Arc::new(Pulse::default()),
            stacks: stack::StackPool::default(),
        }
    }

    /// Makes everything a function of `config` again; only allocated memory is kept from the last run.
    fn reset(&mut self, config: &Config) {
        self.now = 0;
        self.tasks.clear();
        self.free.clear();
        self.ready.clear();
        self.current = NO_TASK;
        self.timers.clear();
        self.schedule_rng = SmallRng::seed_from_u64(config.seed);
        self.user_rng = SmallRng::seed_from_u64(config.seed ^ 0x9E37_79B9_7F4A_7C15);
        self.own_streams = config.own_streams;
        self.streams.clear();
        self.reseed =
            config.reseed.map(|(at, seed)| (u64::try_from(at.as_nanos()).unwrap_or(u64::MAX), seed));
        self.skipped_sleeps.clone_from(&config.skipped_sleeps);
        self.sleeps = 0;
        self.policy = policy::make(&config.policy, &mut self.schedule_rng);
        self.next = None;
        self.disturbances = Disturbances::of(config);
        self.clock_readings = 0;
        self.record = config.record;
        self.schedule = Schedule::default();
        self.decisions = Vec::new();
        self.stride = self.draw_stride();
        self.nodes.clear();
        self.seed = config.seed;
        self.run = NEXT_RUN.fetch_add(1, Ordering::Relaxed);
        self.tokens = u64::from(self.run) << 32;
        self.locks = 0;
        self.lock_orders.clear();
        self.limits = config.limits;
        (self.steps, self.calls) = (0, 0);
        self.forget_steps_of_this_instant();
        self.tasks_started = 0;
        self.hash = config.seed;
        self.killers.clear();
        self.unwinders = 0;
        self.stopping = false;
        self.failure = None;
        self.warnings = Vec::new();
        self.warned.clear();
        self.trace = config.trace;
        self.events = Vec::new();
        self.words.clear();
        self.sink.clone_from(&config.sink);
    }

    /// The stream that the running task draws from.
    #[inline]
    pub(crate) fn user_rng(&mut self) -> &mut SmallRng {
        match self.own_streams {
            None => &mut self.user_rng,
            Some(number) => self.own_stream(number),
        }
    }

    #[cold]
    fn own_stream(&mut self, number: u64) -> &mut SmallRng {
        let index = self.current_node() as usize;
        if self.streams.len() <= index {
            self.streams.resize(index + 1, None);
        }
        let (seed, nodes) = (self.seed, &self.nodes);
        self.streams[index].get_or_insert_with(|| {
            let name = |node: &Node| node.shared_name();
            let own = nodes.get(index).map(name).unwrap_or_default();
            // Each incarnation of a server is a node, and all have one name.
            let life = nodes[..index.min(nodes.len())].iter().filter(|node| name(node) == own).count();
            let facts = own.bytes().map(u64::from).chain([seed, number, life as u64]);
            let mixed = facts.fold(0xCBF2_9CE4_8422_2325, |hash: u64, fact| {
                (hash ^ fact).wrapping_mul(0x0100_0000_01B3).rotate_left(23)
            });
            SmallRng::seed_from_u64(mixed)
        })
    }

    /// The clock has come to the moment from which another seed decides.
    #[cold]
    fn draw_from_another_seed(&mut self, seed: u64) {
        self.reseed = None;
        let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.seed.rotate_left(17);
        self.schedule_rng = SmallRng::seed_from_u64(seed);
        self.user_rng = SmallRng::seed_from_u64(!seed);
        self.streams.clear();
    }

    /// Whether this sleep of the running task takes no time.
    pub(crate) fn skips_sleep(&mut self) -> bool {
        if self.skipped_sleeps.is_empty() || self.current_node() != 0 {
            return false;
        }
        self.sleeps += 1;
        let number = self.sleeps;
        self.skipped_sleeps.iter().any(|&(first, last)| (first..=last).contains(&number))
    }

    fn draw_stride(&mut self) -> u32 {
        let stride = self.policy.stride(&mut self.schedule_rng);
        if self.record {
            self.schedule.strides.push(stride);
        }
        stride
    }

    /// Number of the running task; that of none outside of tasks.
    pub(crate) fn current_serial(&self) -> u64 {
        self.tasks.get(self.current as usize).map_or(u64::MAX, |task| task.serial)
    }

    /// Number of this run in the process.
    pub(crate) fn run(&self) -> u32 {
        self.run
    }

    /// The running task uses an end of a channel; whether the channel belongs to this run.
    pub(crate) fn use_channel(&mut self, run: u32, channel: usize, side: circles::Side) -> bool {
        if let Some(task) = self.tasks.get_mut(self.current as usize) {
            task.note_channel(channel, side);
        }
        run == self.run
    }

    /// Folds a fact into the event hash.
    #[inline]
    pub(crate) fn note(&mut self, fact: u64) {
        self.hash = (self.hash ^ fact).wrapping_mul(0x9FB2_1C65_1E98_DF25).rotate_left(29);
    }

    fn make_ready(&mut self, slot: Slot) {
        let task = &mut self.tasks[slot as usize];
        task.phase = Phase::Ready;
        if self.nodes[task.node as usize].is_paused() && !task.killed {
            task.phase = Phase::Held;
        } else {
            self.ready.push(slot);
        }
    }

    /// The node was resumed: its tasks that could run meanwhile may do so.
    pub(crate) fn release_paused(&mut self, node: u32) {
        for slot in 0..self.tasks.len() {
            let task = &self.tasks[slot];
            if task.node == node && task.phase == Phase::Held {
                self.make_ready(slot as Slot);
            }
        }
    }

    /// The node was paused: its ready tasks are held back.
    pub(crate) fn hold_paused(&mut self, node: u32) {
        let tasks = &mut self.tasks;
        self.ready.retain(|&slot| {
            let task = &mut tasks[slot as usize];
            let held = task.node == node;
            if held {
                task.phase = Phase::Held;
            }
            !held
        });
    }

    /// The time on the clock of the running task.
    #[inline]
    pub(crate) fn time_of_current(&self) -> u64 {
        match self.tasks.get(self.current as usize) {
            Some(task) => self.nodes[task.node as usize].local(self.now.saturating_add(task.ahead)),
            None => self.nodes[0].local(self.now),
        }
    }

    /// The node that what is done now belongs to: the running task's, or the root node outside of tasks.
    pub(crate) fn current_node(&self) -> u32 {
        self.tasks.get(self.current as usize).map_or(0, |task| task.node)
    }

    /// Makes the running task one of `node`; returns the node it belonged to.
    pub(crate) fn move_current(&mut self, node: &Node) -> Node {
        let task = &mut self.tasks[self.current as usize];
        let before = std::mem::replace(&mut task.node, node.id().0);
        self.forget_title(self.current);
        self.nodes[before as usize].clone()
    }

    /// As [`Sim::whoami`], without allocating.
    fn write_whoami(&self, text: &mut impl std::fmt::Write) -> std::fmt::Result {
        match self.tasks.get(self.current as usize) {
            Some(task) => {
                write!(text, "thread `{}` of `{}`", task.name, self.nodes[task.node as usize].name())
            }
            None => write!(text, "a timer's closure"),
        }
    }

    /// Names of the running node and task, for events and reports.
    pub(crate) fn whoami(&self) -> (String, String) {
        match self.tasks.get(self.current as usize) {
            Some(task) => (self.nodes[task.node as usize].name().to_owned(), task.name.to_string()),
            None => {
                (self.nodes.first().map_or_else(String::new, |n| n.name().to_owned()), "scheduler".to_owned())
            }
        }
    }

    /// The running task panics; its number.
    pub(crate) fn note_panic(&mut self) -> u64 {
        let among_others = self.unwinders > 0;
        let Some(task) = self.tasks.get_mut(self.current as usize) else { return u64::MAX };
        task.unwinds |= among_others;
        task.serial
    }

    pub(crate) fn whereabouts(&self) -> Whereabouts {
        let (node, thread) = self.whoami();
        let task = self.tasks.get(self.current as usize).map_or(u64::MAX, |task| task.serial);
        Whereabouts { node, thread, task, seed: self.seed, at: Duration::from_nanos(self.now) }
    }

    #[inline]
    pub(crate) fn lock_released(&mut self, lock: u64) {
        let current = self.current as usize;
        let held_here = |task: &Task| task.held.iter().rposition(|&(held, _)| held == lock);
        // The guard may have moved to another task since the lock was taken.
        let holder = match self.tasks.get(current) {
            Some(task) if held_here(task).is_some() => Some(current),
            _ => self.tasks.iter().position(|task| held_here(task).is_some()),
        };
        if let Some(task) = holder.map(|holder| &mut self.tasks[holder]) {
            let position = held_here(task).expect("the holder was found by this very search");
            task.held.remove(position);
        }
    }

    /// The lint: the running task is about to block in `what` at `place` while it holds a lock.
    pub(crate) fn lint_blocking(&mut self, what: &str, place: &'static Location<'static>) {
        let Some(task) = self.tasks.get(self.current as usize) else { return };
        let Some(&(_, locked_at)) = task.held.last() else { return };
        if self.warned.contains(&(locked_at, place)) {
            return;
        }
        self.warned.push((locked_at, place));
        let (node, thread) = self.whoami();
        self.warnings.push(format!(
            "`{thread}` of `{node}` holds the lock taken at {locked_at} while it blocks in {what} at {place}; \
             give up the lock first, or every thread that wants it waits as well"
        ));
    }
}
