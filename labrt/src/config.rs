//! How a run is set up: which world, which seed, which scheduling policy, which limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::outcome::Event;

/// Which of the two worlds a run lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum World {
    /// Every thread is a coroutine on one OS thread, the clock is virtual and the seed decides everything.
    #[default]
    Simulated,
    /// OS threads and the wall clock.
    Threads,
}

/// How the simulation chooses the task that runs next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PolicyKind {
    /// The default: each seed draws how it schedules. The first fifty decisions, which are all of a small
    /// program, are made at every point: mostly one thread runs ahead to where it races with another, and the
    /// others go past it there; otherwise by partial order sampling ([`PolicyKind::Pos`]), by a random walk,
    /// or by a step of each thread in turn. In three of four seeds what no other thread notices comes first
    /// then, so that all threads that are started run beside each other. A random walk
    /// ([`PolicyKind::Random`]) follows, whose `switch_every` is drawn, log-uniform in 1 to 64.
    #[default]
    Varied,
    /// Any ready task, with equal chances. The running task is put back among the ready ones at about one in
    /// `switch_every` of the points where it could go on (a free lock, an unlock, a send, a notify).
    Random {
        /// Mean number of free yield points between two voluntary switches; 1 switches at each of them.
        switch_every: u32,
    },
    /// Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): the ready task of highest priority
    /// runs; at `depth - 1` random points the running task falls to the lowest priority, and so does a task
    /// that yields or looks at the same object again and again. It finds a bug that needs
    /// `depth` ordering constraints with a probability of at least 1/(tasks · steps^(depth-1)).
    Pct {
        /// Number of ordering constraints of the bugs to be found, at least 1.
        depth: u32,
        /// Number of scheduling decisions of a run, among which the change points are drawn: that of an
        /// earlier run ([`crate::Stats::steps`]). 0 if it is unknown; then every order of magnitude is
        /// equally likely.
        steps: u32,
    },
    /// Partial order sampling (Yuan, Yang and Gu, CAV 2018): each step gets a random priority, the highest
    /// runs, and the steps that race with it draw anew. So orders of steps that do not touch the same object
    /// cost no tries.
    Pos,
    /// The ready task that has waited longest.
    RoundRobin,
    /// As simple as can be: the task that became ready first runs until it waits.
    Calm,
    /// The choices of an earlier run ([`crate::Outcome::schedule`]); after the last of them the first ready
    /// task.
    Replay(Schedule),
    /// The next schedule of an exhaustive search; [`crate::explore()`] makes it.
    #[doc(hidden)]
    Explore(crate::sim::explore::Tree),
}

/// The choices that a policy made in a run, in order; see [`PolicyKind::Replay`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// Positions in the list of ready tasks.
    pub picks: Vec<u32>,
    /// Numbers of free yield points until the running task could be replaced.
    pub strides: Vec<u32>,
}

/// What a run may consume before it is ended with a [`crate::Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Virtual time (on real threads: wall time) since the start of the run.
    pub virtual_time: Duration,
    /// Wall time since the start of the run.
    pub real_time: Duration,
    /// Wall time that one task may go on without coming back to the runtime: beyond it, it loops or blocks
    /// the OS thread.
    pub stuck_after: Duration,
    /// Scheduling decisions at one instant of virtual time by which tasks only let others go first, or look
    /// again and again: beyond it, they wait for one another by spinning. Other decisions may be work, a
    /// million messages say, so that they count a fiftieth.
    pub spin_steps: u64,
    /// Resident memory of the whole process, in bytes; 0 means no limit.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            virtual_time: Duration::from_secs(3600),
            real_time: Duration::from_secs(120),
            stuck_after: Duration::from_secs(5),
            spin_steps: 200_000,
            memory: 0,
        }
    }
}

/// Everything that decides how [`crate::run`] behaves. Two runs of the same code with equal configurations
/// are equal, event for event, in the simulated world.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Simulated or real.
    pub world: World,
    /// The source of every choice and random number of the run.
    pub seed: u64,
    /// How the next thread is chosen; only used in the simulation.
    pub policy: PolicyKind,
    /// What the run may consume.
    pub limits: Limits,
    /// Whether to record [`crate::Event`]s. Costs time, so only replays turn it on.
    pub trace: bool,
    /// What takes the events of a traced run as they come. None to keep them for [`crate::Outcome::events`].
    pub sink: Option<Sink>,
    /// A number of the caller's choice: [`crate::on_stuck`] passes it on, to say which run is stuck. It
    /// decides nothing.
    pub tag: u64,
    /// The longest time that a thread may seem to compute at a point where it could lose its turn; zero for
    /// none. Without it virtual time passes only between steps, so that two things that come at different
    /// times never overlap.
    pub jitter: Duration,
    /// One in so many waits for a [`crate::sync::Condvar`] ends without a notification, as any may on real
    /// machines; 0 for none. It finds a wait that is in no loop.
    pub spurious_wakes: u32,
    /// Draws the random numbers and scheduling choices from this time on from another seed: another future of
    /// the same past.
    pub reseed: Option<(Duration, u64)>,
    /// Gives each node a stream of random numbers of its own, made of its name, the run's seed and this
    /// number, so that a change of one node's draws leaves those of the others as they were. None for the one
    /// stream that all share.
    pub own_streams: Option<u64>,
    /// Sleeps of the root node that take no time: pairs of the first and the last, counted from 1.
    pub skipped_sleeps: Vec<(u64, u64)>,
    /// Whether to record every scheduling decision, for [`PolicyKind::Replay`] and for comparing two runs.
    pub record: bool,
}

/// Takes events as they come: those of a long run fill memory, and keeping them takes longer than writing
/// them. Clones are the same.
#[derive(Clone)]
pub struct Sink {
    take: Arc<Mutex<Take>>,
}

type Take = dyn FnMut(&Event) + Send;

impl Sink {
    /// Hands every event to `take`, which must not call the runtime.
    pub fn new(take: impl FnMut(&Event) + Send + 'static) -> Sink {
        Sink { take: Arc::new(Mutex::new(take)) }
    }

    pub(crate) fn take(&self, event: &Event) {
        (self.take.lock())(event);
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// Whether they are the same one.
impl PartialEq for Sink {
    fn eq(&self, other: &Sink) -> bool {
        Arc::ptr_eq(&self.take, &other.take)
    }
}

impl Eq for Sink {}

impl Config {
    /// The simulated world with this seed and defaults for the rest.
    pub fn simulated(seed: u64) -> Self {
        Config { seed, ..Config::default() }
    }

    /// Real threads. They do not repeat themselves, so the seed is only told in reports.
    pub fn threads(seed: u64) -> Self {
        Config { world: World::Threads, seed, ..Config::default() }
    }

    /// The same with another scheduling policy.
    pub fn policy(mut self, policy: PolicyKind) -> Self {
        self.policy = policy;
        self
    }

    /// The same with other limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same with threads that seem to compute for up to `longest` now and then.
    pub fn jitter(mut self, longest: Duration) -> Self {
        self.jitter = longest;
        self
    }

    /// The same with one in `waits` waits for a condition variable that ends without a notification.
    pub fn spurious_wakes(mut self, waits: u32) -> Self {
        self.spurious_wakes = waits;
        self
    }

    /// The same with events recorded or not.
    pub fn trace(mut self, on: bool) -> Self {
        self.trace = on;
        self
    }
}
