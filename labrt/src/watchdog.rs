//! The watchdog: one OS thread that ends what goes on too long, eats too much memory, or never comes back.
//!
//! A run publishes who is running and how often it has switched, in a few atomics that cost a nanosecond. When the count
//! stands still the running task either loops without a call into this crate or blocks the OS thread, and the watchdog
//! names it.

use crate::config::{Config, Limits};
use crate::name::Name;
use crate::outcome::{Failure, FailureKind};
use crate::sim::policy::Slot;
use crate::system::{OsThread, resident};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Once, Weak};
use std::time::{Duration, Instant};

/// How often the watchdog looks.
const PERIOD: Duration = Duration::from_millis(20);

const STOP_NOTHING: u8 = 0;
const STOP_REAL_TIME: u8 = 1;
pub(crate) const STOP_MEMORY: u8 = 2;

/// What a run publishes of itself.
#[derive(Default)]
pub(crate) struct Pulse {
    switches: AtomicU64,
    now: AtomicU64,
    current: AtomicU32,
    stop: AtomicU8,
    ended: AtomicU8,
    names: Mutex<Names>,
    watched: Mutex<Option<Watched>>,
}

#[derive(Default)]
struct Names {
    nodes: Vec<String>,
    tasks: Vec<(u32, Name)>,
}

/// What the watchdog remembers of a run.
struct Watched {
    limits: Limits,
    seed: u64,
    tag: u64,
    started: Instant,
    /// Number of switches when it last changed, and when that was.
    last: (u64, Instant),
    /// Processor time of the OS thread when the number was first seen to stand still; None while it moves.
    computed: Option<Duration>,
    /// The OS thread, which tells whether it waits or computes.
    thread: Option<OsThread>,
    simulated: bool,
}

impl Pulse {
    #[inline]
    pub(crate) fn running(&self, slot: Slot, switches: u64, now: u64) {
        self.current.store(slot, Ordering::Relaxed);
        self.now.store(now, Ordering::Relaxed);
        self.switches.store(switches, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn must_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != STOP_NOTHING
    }

    pub(crate) fn stop_reason(&self) -> (FailureKind, String) {
        let limits = self.watched.lock().as_ref().map_or_else(Limits::default, |watched| watched.limits);
        let code = self.stop.load(Ordering::Relaxed);
        let message = if code == STOP_MEMORY {
            let limit = limits.memory / (1024 * 1024);
            format!(
                "the process holds {} MiB of memory, the limit is {limit} MiB",
                resident() / (1024 * 1024)
            )
        } else {
            format!("the run has not ended after {} s of real time", limits.real_time.as_secs_f64())
        };
        (crate::sim::kind_of(code), message)
    }

    pub(crate) fn name_node(&self, node: u32, name: &str) {
        let mut names = self.names.lock();
        names.nodes.truncate(node as usize);
        names.nodes.push(name.to_owned());
    }

    pub(crate) fn name_task(&self, slot: Slot, node: u32, name: &Name) {
        let names = &mut *self.names.lock();
        match names.tasks.get_mut(slot as usize) {
            Some(task) => {
                task.0 = node;
                // An owned name is copied only when it changed.
                if task.1 != *name {
                    task.1 = name.clone();
                }
            }
            None => names.tasks.push((node, name.clone())),
        }
    }

    pub(crate) fn end(&self) {
        self.ended.store(1, Ordering::Relaxed);
    }

    fn whoami(&self) -> (String, String) {
        let names = self.names.lock();
        let current = self.current.load(Ordering::Relaxed) as usize;
        let (node, task) = names.tasks.get(current).cloned().unwrap_or((0, Name::from("scheduler")));
        (names.nodes.get(node as usize).cloned().unwrap_or_default(), task.to_string())
    }

    /// Looks once; a failure if the run is stuck and cannot end itself.
    fn look(&self, resident: u64) -> Option<Failure> {
        let mut watched = self.watched.lock();
        let watched = watched.as_mut()?;
        if watched.limits.memory > 0 && resident > watched.limits.memory {
            self.stop.store(STOP_MEMORY, Ordering::Relaxed);
        } else if watched.started.elapsed() > watched.limits.real_time {
            self.stop.store(STOP_REAL_TIME, Ordering::Relaxed);
        }
        let switches = self.switches.load(Ordering::Relaxed);
        if switches != watched.last.0 || !watched.simulated {
            watched.last = (switches, Instant::now());
            watched.computed = None;
            return None;
        }
        let silent = watched.last.1.elapsed();
        if watched.computed.is_none() {
            watched.computed = watched.processor_time();
        }
        // A run that eats memory without a call into the runtime is not waited for.
        let out_of_memory = self.stop.load(Ordering::Relaxed) == STOP_MEMORY && silent > 5 * PERIOD;
        if out_of_memory {
            let (kind, message) = (FailureKind::Memory, self.memory_message(watched, resident));
            return Some(self.failure(kind, message));
        }
        (silent > watched.limits.stuck_after && !watched.is_starved())
            .then(|| self.failure(FailureKind::Stuck, watched.stuck_message(silent)))
    }

    fn memory_message(&self, watched: &Watched, resident: u64) -> String {
        let mib = 1024 * 1024;
        format!(
            "the process holds {} MiB of memory, the limit is {} MiB (seed {})",
            resident / mib,
            watched.limits.memory / mib,
            watched.seed
        )
    }

    fn failure(&self, kind: FailureKind, message: String) -> Failure {
        let (node, thread) = self.whoami();
        let at = Duration::from_nanos(self.now.load(Ordering::Relaxed));
        Failure { kind, message, location: None, node, thread, at, backtrace: None }
    }
}

impl Watched {
    fn is_runnable(&self) -> Option<bool> {
        self.thread.as_ref()?.is_runnable()
    }

    fn processor_time(&self) -> Option<Duration> {
        self.thread.as_ref()?.processor_time()
    }

    /// Whether the OS thread is silent because others have the processors: it wants one and had none for most of the
    /// time. On a very busy machine that may last for many seconds.
    fn is_starved(&self) -> bool {
        let computed =
            self.computed.zip(self.processor_time()).map(|(before, now)| now.saturating_sub(before));
        self.is_runnable() == Some(true) && computed.is_some_and(|time| time < self.limits.stuck_after / 2)
    }

    fn stuck_message(&self, silent: Duration) -> String {
        let why = match self.is_runnable() {
            Some(false) => "it blocks the OS thread: a lock, a sleep or a channel of std instead of labrt's?",
            Some(true) => "it computes all the time: an endless loop?",
            None => "it loops, or blocks the OS thread",
        };
        let silent = silent.as_secs_f64();
        format!("the thread has not called the runtime for {silent:.1} s: {why} (seed {})", self.seed)
    }
}

type StuckHandler = Arc<dyn Fn(&Failure, u64) + Send + Sync>;

struct Registry {
    pulses: Mutex<Vec<Weak<Pulse>>>,
    on_stuck: Mutex<Option<StuckHandler>>,
}

static REGISTRY: Registry = Registry { pulses: Mutex::new(Vec::new()), on_stuck: Mutex::new(None) };

/// What to do when a run is stuck and cannot be ended from within. By default the report goes to standard error and the
/// process ends with status 101, as after a panic. The handler gets the run's [`Config::tag`] as well, and runs on the
/// watchdog's thread; when it returns, the run is watched no longer.
pub fn on_stuck(handler: impl Fn(&Failure, u64) + Send + Sync + 'static) {
    *REGISTRY.on_stuck.lock() = Some(Arc::new(handler));
}

thread_local! {
    static MINE: std::cell::RefCell<Option<Arc<Pulse>>> = const { std::cell::RefCell::new(None) };
}

/// Puts a run that starts on this OS thread under the watchdog's eyes.
pub(crate) fn watch_this_thread(config: &Config) -> Arc<Pulse> {
    static DOG: Once = Once::new();
    DOG.call_once(|| {
        let builder = std::thread::Builder::new().name("labrt-watchdog".to_owned());
        builder.spawn(watch).expect("the operating system gives one thread for the watchdog");
    });
    MINE.with(|mine| {
        let mut mine = mine.borrow_mut();
        let pulse = mine.get_or_insert_with(|| {
            let pulse = Arc::new(Pulse::default());
            REGISTRY.pulses.lock().push(Arc::downgrade(&pulse));
            pulse
        });
        pulse.begin(config);
        Arc::clone(pulse)
    })
}

impl Pulse {
    fn begin(&self, config: &Config) {
        let mut watched = self.watched.lock();
        let now = Instant::now();
        let thread = match watched.take() {
            Some(watched) => watched.thread,
            None => OsThread::current(),
        };
        self.stop.store(STOP_NOTHING, Ordering::Relaxed);
        self.ended.store(0, Ordering::Relaxed);
        *watched = Some(Watched {
            limits: config.limits,
            seed: config.seed,
            tag: config.tag,
            started: now,
            last: (self.switches.load(Ordering::Relaxed), now),
            computed: None,
            thread,
            simulated: config.world == crate::World::Simulated,
        });
    }
}

fn watch() {
    loop {
        std::thread::sleep(PERIOD);
        let resident = resident();
        let pulses = {
            let mut all = REGISTRY.pulses.lock();
            all.retain(|pulse| pulse.strong_count() > 0);
            all.clone()
        };
        for pulse in pulses.iter().filter_map(Weak::upgrade) {
            if pulse.ended.load(Ordering::Relaxed) != 0 {
                continue;
            }
            if let Some(failure) = pulse.look(resident) {
                // Told once; nobody can unwind that thread, so it is left alone from now on.
                pulse.ended.store(1, Ordering::Relaxed);
                let tag = pulse.watched.lock().as_ref().map_or(0, |watched| watched.tag);
                report(&failure, tag);
            }
        }
    }
}

fn report(failure: &Failure, tag: u64) {
    let handler = REGISTRY.on_stuck.lock().clone();
    match handler {
        Some(handler) => handler(failure, tag),
        None => {
            eprintln!("{failure}");
            std::process::exit(101);
        }
    }
}
