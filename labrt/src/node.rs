//! Nodes: simulated server and client processes, which can be killed, paused and given a wrong clock.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::context::{Mode, mode};
use crate::name::Name;
use crate::thread::JoinHandle;
use crate::{real, sim};

/// Number of a node in its run; the root node, on which the main closure runs, has 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// A handle to a node. Every task belongs to one: that of the task that spawned it, unless said otherwise.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    id: u32,
    name: Arc<str>,
    killed: AtomicBool,
    paused: AtomicBool,
    /// Whether `clock` differs from the run's.
    skewed: AtomicBool,
    clock: parking_lot::Mutex<Clock>,
}

/// A clock that runs `rate` times as fast as the run's since `since`.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// Time of the run at which the rate was set, in nanoseconds.
    since: u64,
    /// What the node's clock showed then.
    showed: u64,
    rate: f64,
}

impl Node {
    /// A new node of the current run.
    ///
    /// # Panics
    /// Outside of [`crate::run`].
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Node {
        let name = name.into();
        match mode() {
            Mode::Simulated => sim::with(|sim| {
                let node = Node::with_id(sim.nodes.len() as u32, name);
                sim.pulse.name_node(node.id().0, node.shared_name());
                sim.nodes.push(node.clone());
                node
            }),
            Mode::Threads => real::new_node(name),
            Mode::Outside => panic!("a node was made outside of labrt::run"),
        }
    }

    /// The node of the main closure.
    pub(crate) fn root() -> Node {
        Node::with_id(0, "main")
    }

    pub(crate) fn with_id(id: u32, name: impl Into<Arc<str>>) -> Node {
        let clock = Clock { since: 0, showed: 0, rate: 1.0 };
        Node {
            inner: Arc::new(Inner {
                id,
                name: name.into(),
                killed: AtomicBool::new(false),
                paused: AtomicBool::new(false),
                skewed: AtomicBool::new(false),
                clock: parking_lot::Mutex::new(clock),
            }),
        }
    }

    /// The node's number.
    pub fn id(&self) -> NodeId {
        NodeId(self.inner.id)
    }

    /// The node's name, for reports.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.inner.name)
    }

    /// Starts a thread that belongs to this node. On a killed node it never runs, and joining it gives an
    /// error.
    #[track_caller]
    pub fn spawn<T: Send + 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        crate::thread::spawn_on(self, Name::Given(name.into()), f)
    }

    /// Runs `f` here and now, as if the calling thread belonged to this node: what it spawns does.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _back = Back { node: set_current(self.clone()) };
        f()
    }

    /// Stops all threads of the node at once, as a crash of the process would: each is unwound where it
    /// stands, its locks and other values are dropped. On real threads each is unwound at its next call into
    /// this crate (blocking calls notice within some milliseconds), and this call waits for that. A killed
    /// node starts nothing any more.
    ///
    /// If the calling thread belongs to the node, it is unwound, too, before it could wait for anything.
    ///
    /// If a destructor of the node's threads wants a lock that a thread of another node holds, this call
    /// waits until it is free.
    #[track_caller]
    pub fn kill(&self) {
        let place = Location::caller();
        if self.inner.killed.swap(true, Ordering::SeqCst) {
            return;
        }
        crate::trace::emit("fault", "kill", || format!("{} is killed", self.name()));
        match mode() {
            Mode::Simulated => sim::kill::kill_tasks(Some(self.inner.id), place),
            Mode::Threads => real::wait_for_end_of(self),
            Mode::Outside => {}
        }
    }

    /// Whether [`Node::kill`] was called.
    pub fn is_killed(&self) -> bool {
        self.inner.killed.load(Ordering::Relaxed)
    }

    /// Stops scheduling the node's threads until [`Node::resume`]: a long garbage collection, a suspended
    /// virtual machine. Its clock goes on. On real threads they stop at their next call into this crate.
    pub fn pause(&self) {
        if !self.inner.paused.swap(true, Ordering::SeqCst) {
            crate::trace::emit("fault", "pause", || format!("{} is paused", self.name()));
            if mode() == Mode::Simulated {
                sim::with(|sim| sim.hold_paused(self.inner.id));
            }
        }
    }

    /// Ends a pause.
    pub fn resume(&self) {
        if self.inner.paused.swap(false, Ordering::SeqCst) {
            crate::trace::emit("fault", "resume", || format!("{} goes on", self.name()));
            if mode() == Mode::Simulated {
                sim::with(|sim| sim.release_paused(self.inner.id));
            }
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.inner.paused.load(Ordering::Relaxed)
    }

    /// Lets the node's clock run `rate` times as fast as the run's from now on, for [`crate::time::Instant`]
    /// and for every time-out. 1.0 is right; the clock never jumps.
    ///
    /// # Panics
    /// Unless `rate` is positive and finite.
    #[track_caller]
    pub fn set_clock_rate(&self, rate: f64) {
        assert!(
            rate > 0.0 && rate.is_finite(),
            "the rate of a clock must be positive and finite, not {rate}"
        );
        let now = crate::time::run_nanos();
        let showed = self.local(now);
        *self.inner.clock.lock() = Clock { since: now, showed, rate };
        self.inner.skewed.store(true, Ordering::SeqCst);
    }

    /// What the node's clock shows at time `global` of the run.
    #[inline]
    pub(crate) fn local(&self, global: u64) -> u64 {
        if !self.inner.skewed.load(Ordering::Relaxed) {
            return global;
        }
        let clock = *self.inner.clock.lock();
        let passed = global.saturating_sub(clock.since) as f64 * clock.rate;
        clock.showed.saturating_add(passed as u64)
    }

    /// The time of the run at which the node's clock shows `local`.
    #[inline]
    pub(crate) fn global(&self, local: u64) -> u64 {
        if !self.inner.skewed.load(Ordering::Relaxed) {
            return local;
        }
        if local == u64::MAX {
            // A deadline that never comes does not come on a fast clock either.
            return u64::MAX;
        }
        let clock = *self.inner.clock.lock();
        let passed = (local.saturating_sub(clock.showed) as f64 / clock.rate).ceil();
        clock.since.saturating_add(passed as u64)
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Node {}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}, {:?})", self.inner.id, self.inner.name)
    }
}

/// The node of the running task.
///
/// # Panics
/// Outside of [`crate::run`].
#[track_caller]
pub fn current() -> Node {
    match mode() {
        Mode::Simulated => sim::with(|sim| sim.nodes[sim.current_node() as usize].clone()),
        Mode::Threads => real::current_node(),
        Mode::Outside => panic!("there is no node outside of labrt::run"),
    }
}

/// The root node of the run, on which its main closure runs.
///
/// # Panics
/// Outside of [`crate::run`].
#[track_caller]
pub fn root() -> Node {
    match mode() {
        Mode::Simulated => sim::with(|sim| sim.nodes[0].clone()),
        Mode::Threads => real::root_node(),
        Mode::Outside => panic!("there is no node outside of labrt::run"),
    }
}

/// Whether the calling thread is one that [`Node::kill`] ends, or the end of its run: it is being unwound, or
/// will be at its next wait.
#[inline]
pub fn is_current_killed() -> bool {
    match mode() {
        Mode::Simulated => sim::with(|sim| sim.current_is_killed()),
        Mode::Threads => real::is_current_killed(),
        Mode::Outside => false,
    }
}

/// Makes the running task one of `node`; returns the node it belonged to.
fn set_current(node: Node) -> Node {
    match mode() {
        Mode::Simulated => sim::with(|sim| sim.move_current(&node)),
        Mode::Threads => real::set_current_node(node),
        Mode::Outside => panic!("there is no node outside of labrt::run"),
    }
}

/// Puts the calling task back on its own node, also when it unwinds.
struct Back {
    node: Node,
}

impl Drop for Back {
    fn drop(&mut self) {
        set_current(self.node.clone());
    }
}
