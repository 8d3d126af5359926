//! The real world: OS threads and the wall clock, under the same names.
//!
//! Nothing can stop an OS thread from outside, so each call into this crate looks whether the thread's node
//! was killed or its run has ended, and unwinds the thread then; waiting calls wake up every [`SLICE`] to
//! look.

mod failing;
mod living;
pub(crate) mod pool;
pub(crate) mod timer;
mod vain;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

pub(crate) use failing::{known_failure, note_panic};
use living::{LastPlace, Living};
pub(crate) use living::{whereabouts, write_whereabouts};
use parking_lot::{Condvar, Mutex};

use crate::config::{Config, Limits, Sink};
use crate::context::{self, Mode};
use crate::name::Name;
use crate::node::Node;
use crate::outcome::{Event, Failure, FailureKind, Fields, Outcome, Stats};
use crate::run::Job;
use crate::sim::task::Killed;
use crate::system::number_of_this_thread;
use crate::watchdog::{self, Pulse, Stubborn};

/// How long a waiting thread sleeps before it looks whether it was killed.
pub(crate) const SLICE: Duration = Duration::from_millis(5);

/// How long the end of a run, or of a node, waits for threads that do not call into this crate.
const PATIENCE: Duration = Duration::from_secs(5);

/// Clock of everything outside of runs.
static PROCESS_START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A run on real threads.
pub(crate) struct RealWorld {
    seed: u64,
    started: Instant,
    limits: Limits,
    nodes: Mutex<Vec<Node>>,
    stopping: AtomicBool,
    failure: Mutex<Option<Failure>>,
    /// Threads that have not ended yet, by number. The main thread is not among them.
    living: Mutex<BTreeMap<u64, Living>>,
    one_ended: Condvar,
    main_place: LastPlace,
    /// Whether the main closure has returned, or was unwound.
    main_ended: AtomicBool,
    threads_started: AtomicU64,
    trace: bool,
    sink: Option<Sink>,
    events: Mutex<Vec<Event>>,
    pulse: Arc<Pulse>,
}

/// What an OS thread knows of the run that it works for.
#[derive(Clone)]
pub(crate) struct Here {
    world: Arc<RealWorld>,
    node: Node,
    name: Name,
    place: LastPlace,
}

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
    /// The system's number of this OS thread; 0 if it is not known.
    static NUMBER: i32 = number_of_this_thread().unwrap_or(0);
}

fn here<R>(f: impl FnOnce(&Here) -> R) -> R {
    HERE.with_borrow(|here| f(here.as_ref().expect("a thread in the real world knows its run")))
}

/// The context that timers and pooled threads take over from the thread that set them.
pub(crate) fn capture() -> Here {
    here(Clone::clone)
}

impl Here {
    fn event(&self, kind: &'static str, target: &'static str, fields: Fields, text: String) -> Event {
        Event {
            t: self.world.started.elapsed().as_nanos() as u64,
            node: self.node.shared_name(),
            task: self.name.to_string().into(),
            // Pooled threads have no number of their own.
            thread: u64::from(self.node.id().0),
            kind,
            target,
            fields,
            text,
        }
    }

    /// Runs `f` on this OS thread as part of the captured run; only drops it if that run is over. A panic
    /// fails that run and does not reach the caller, which serves other runs as well.
    pub(crate) fn run(self, f: impl FnOnce()) {
        let world = Arc::clone(&self.world);
        let before = HERE.replace(Some(self));
        let mode = context::enter(Mode::Threads);
        let run_or_drop = || if world.stopping.load(Ordering::Relaxed) { drop(f) } else { f() };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(run_or_drop)) {
            world.record_panic(payload);
        }
        context::leave(mode);
        HERE.set(before);
    }
}

/// As [`check`], for a call at this place.
#[inline]
pub(crate) fn check_at(place: &'static Location<'static>) {
    let goes_on = here(|here| {
        here.place.set(place);
        !must_end(here) && !here.node.is_paused()
    });
    if !goes_on {
        check();
    }
}

/// As [`may_block`], for a call at this place.
#[inline]
pub(crate) fn may_block_at(place: &'static Location<'static>) -> bool {
    here(|here| here.place.set(place));
    may_block()
}

/// Waits for a lock: calls `attempt`, which waits for a while, until it succeeds.
pub(crate) fn wait_for_lock<G>(attempt: impl Fn() -> Option<G>) -> G {
    here(|here| here.place.waits_for_lock(true));
    let guard = loop {
        if let Some(guard) = attempt() {
            break guard;
        }
        check();
    };
    here(|here| here.place.waits_for_lock(false));
    guard
}

/// Looks whether this thread has to end, and unwinds it then; waits while its node is paused.
#[inline]
pub(crate) fn check() {
    while here(|here| must_end(here) || here.node.is_paused()) {
        if here(must_end) {
            end_this_thread();
            return;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[inline]
fn must_end(here: &Here) -> bool {
    let world = &here.world;
    here.node.is_killed() || world.stopping.load(Ordering::Relaxed) || world.pulse.must_stop()
}

#[cold]
fn end_this_thread() {
    let world = here(|here| Arc::clone(&here.world));
    if world.pulse.must_stop() {
        world.fail_at_limit();
    }
    if std::thread::panicking() {
        vain::slow_down(vain::LOOKS);
    } else {
        vain::slow_down(vain::CALLS);
        resume_unwind(Box::new(Killed));
    }
}

/// Whether a blocking call of this thread may go on waiting: destructors of a thread that is being unwound
/// may not.
pub(crate) fn may_block() -> bool {
    check();
    let may = !std::thread::panicking()
        || here(|here| !here.node.is_killed() && !here.world.stopping.load(Ordering::Relaxed));
    if !may {
        vain::slow_down(vain::CALLS);
    }
    may
}

pub(crate) fn new_node(name: String) -> Node {
    here(|here| {
        let mut nodes = here.world.nodes.lock();
        let node = Node::with_id(nodes.len() as u32, name);
        nodes.push(node.clone());
        node
    })
}

pub(crate) fn current_node() -> Node {
    here(|here| here.node.clone())
}

pub(crate) fn root_node() -> Node {
    here(|here| here.world.nodes.lock()[0].clone())
}

pub(crate) fn is_current_killed() -> bool {
    here(|here| here.node.is_killed())
}

pub(crate) fn current_name() -> String {
    here(|here| here.name.to_string())
}

pub(crate) fn set_current_node(node: Node) -> Node {
    HERE.with_borrow_mut(|here| {
        let here = here.as_mut().expect("a thread in the real world knows its run");
        std::mem::replace(&mut here.node, node)
    })
}

pub(crate) fn run_nanos() -> u64 {
    let start = HERE.with_borrow(|here| here.as_ref().map(|here| here.world.started));
    start.unwrap_or_else(|| *PROCESS_START).elapsed().as_nanos() as u64
}

pub(crate) fn local_nanos() -> u64 {
    here(|here| here.node.local(here.world.started.elapsed().as_nanos() as u64))
}

pub(crate) fn trace_enabled() -> bool {
    here(|here| here.world.trace)
}

pub(crate) fn emit(kind: &'static str, target: &'static str, fields: Fields, text: String) {
    here(|here| {
        let event = here.event(kind, target, fields, text);
        here.world.record(event);
    });
}

/// The calling thread has printed a line.
pub(crate) fn note_printed(target: &'static str, text: String) {
    HERE.with_borrow(|here| {
        let Some(here) = here else { return };
        let event = here.event("print", target, Fields::new(), text);
        if here.world.trace {
            here.world.record(event.clone());
        }
        here.world.pulse.printed.push(event);
    });
}

/// Waits by `wait`, which uses no core of what the threads of a run have to share.
pub(crate) fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    if context::mode() != Mode::Threads {
        return wait();
    }
    pool::stops();
    let result = wait();
    pool::works();
    result
}

/// Starts a thread on `node`; false if the node was killed or the run is over.
#[track_caller]
pub(crate) fn spawn(node: &Node, name: Name, job: Job) -> bool {
    let world = here(|here| Arc::clone(&here.world));
    if node.is_killed() || world.stopping.load(Ordering::Relaxed) {
        return false;
    }
    let number = world.threads_started.fetch_add(1, Ordering::Relaxed);
    let os_number = Arc::new(AtomicI32::new(0));
    let (place, own_number) = (LastPlace::default(), Arc::clone(&os_number));
    let living = Living { node: node.clone(), name: name.clone(), place: place.clone(), number: own_number };
    world.living.lock().insert(number, living);
    let here = Here { world, node: node.clone(), name, place };
    pool::execute(Box::new(move || {
        os_number.store(NUMBER.with(|number| *number), Ordering::Relaxed);
        let world = Arc::clone(&here.world);
        let mode = context::enter(Mode::Threads);
        HERE.set(Some(here));
        crate::exit::watch_this_thread();
        vain::forget();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(job)) {
            world.record_panic(payload);
        }
        world.drop_locals();
        HERE.set(None);
        context::leave(mode);
        world.living.lock().remove(&number);
        world.one_ended.notify_all();
    }));
    true
}

/// Waits until no thread of the killed node is left. A thread of that node is unwound instead: the others may
/// be waiting for a lock that it holds.
pub(crate) fn wait_for_end_of(node: &Node) {
    let (world, own) = here(|here| (Arc::clone(&here.world), here.node == *node));
    if own {
        check();
        return;
    }
    let left = world.wait_until_ended(|other| other == node, 0);
    if !left.is_empty() {
        let message = format!(
            "threads of `{}` go on {} s after it was killed: {}",
            node.name(),
            PATIENCE.as_secs(),
            Stubborn::titles(&left)
        );
        world.fail(FailureKind::Stuck, message, Stubborn::traces(&left));
    }
}

impl watchdog::RealRun for RealWorld {
    fn stubborn(&self) -> Option<Vec<Stubborn>> {
        if self.main_ended.load(Ordering::SeqCst) {
            return None;
        }
        Some(self.living.lock().values().map(Living::stubborn).collect())
    }

    fn at(&self) -> Duration {
        self.started.elapsed()
    }

    fn panic(&self) -> Option<Failure> {
        self.failure.lock().clone().filter(|failure| failure.kind == FailureKind::Panic)
    }
}

impl RealWorld {
    /// The calling thread has ended: drops the values that it had of its own.
    fn drop_locals(&self) {
        if let Err(payload) = catch_unwind(crate::thread::local::drop_all_locals) {
            self.record_panic(payload);
        }
    }

    /// Waits until at most `spared` threads of matching nodes live; those that are left after the patience
    /// has run out.
    fn wait_until_ended(&self, of: impl Fn(&Node) -> bool, spared: usize) -> Vec<Stubborn> {
        let deadline = Instant::now() + PATIENCE;
        let mut living = self.living.lock();
        loop {
            let left: Vec<Stubborn> =
                living.values().filter(|thread| of(&thread.node)).map(Living::stubborn).collect();
            if left.len() <= spared {
                return Vec::new();
            }
            if self.one_ended.wait_until(&mut living, deadline).timed_out() {
                return left;
            }
        }
    }
}

/// Runs `main` on this OS thread as the first thread of a run in the real world.
///
/// Not inlined: else the locals of `main` would be in the frame of a caller that simulates, and a large array
/// would overflow that caller's stack.
#[inline(never)]
pub(crate) fn run(config: &Config, main: Job) -> Outcome<()> {
    crate::sim::stack::watch_overflows();
    let pulse = watchdog::watch_this_thread(config, Instant::now());
    let root = Node::root();
    let world = Arc::new(RealWorld {
        seed: config.seed,
        started: Instant::now(),
        limits: config.limits,
        nodes: Mutex::new(vec![root.clone()]),
        stopping: AtomicBool::new(false),
        failure: Mutex::new(None),
        living: Mutex::new(BTreeMap::new()),
        one_ended: Condvar::new(),
        main_place: LastPlace::default(),
        main_ended: AtomicBool::new(false),
        threads_started: AtomicU64::new(1),
        trace: config.trace,
        sink: config.sink.clone(),
        events: Mutex::new(Vec::new()),
        pulse: Arc::clone(&pulse),
    });
    let weak: std::sync::Weak<RealWorld> = Arc::downgrade(&world);
    pulse.watch_real(weak);
    let place = world.main_place.clone();
    let name = Name::from("main");
    let before = HERE.replace(Some(Here { world: Arc::clone(&world), node: root, name, place }));
    crate::exit::watch_this_thread();
    let mode = context::enter(Mode::Threads);
    pool::works();
    vain::forget();
    let value = match catch_unwind(AssertUnwindSafe(main)) {
        Ok(value) => Some(value),
        Err(payload) => {
            world.record_panic(payload);
            None
        }
    };
    world.drop_locals();
    world.main_ended.store(true, Ordering::SeqCst);
    world.stopping.store(true, Ordering::SeqCst);
    pool::stops();
    let left = world.wait_until_ended(|_| true, 0);
    context::leave(mode);
    HERE.set(before);
    pulse.end();
    world.outcome(value, &left)
}

impl RealWorld {
    fn record(&self, event: Event) {
        match &self.sink {
            Some(sink) => sink.take(&event),
            None => self.events.lock().push(event),
        }
    }

    fn outcome(&self, value: Option<()>, left: &[Stubborn]) -> Outcome<()> {
        let elapsed = self.started.elapsed();
        let failure = self.failure.lock().take().or_else(|| self.failure_of_a_stranger());
        let result = match (failure, value) {
            (Some(failure), _) => Err(failure),
            (None, Some(())) => Ok(()),
            (None, None) => Err(Failure {
                kind: FailureKind::Panic,
                message: "the main thread was unwound by a kill of its own node".to_owned(),
                location: None,
                node: "main".to_owned(),
                thread: "main".to_owned(),
                at: elapsed,
                backtrace: None,
                printed: self.pulse.printed.lines(),
            }),
        };
        let mut warnings = self.pulse.strangers.take_warnings();
        if !left.is_empty() {
            warnings.push(format!("threads that did not end with the run: {}", Stubborn::titles(left)));
        }
        if elapsed > self.limits.virtual_time {
            warnings.push(format!("the run took {:.1} s, longer than its limit", elapsed.as_secs_f64()));
        }
        Outcome {
            result,
            stats: Stats {
                virtual_time: elapsed,
                real_time: elapsed,
                steps: 0,
                tasks: self.threads_started.load(Ordering::Relaxed),
                event_hash: 0,
            },
            events: std::mem::take(&mut self.events.lock()),
            warnings,
            schedule: Default::default(),
            decisions: Vec::new(),
        }
    }
}
