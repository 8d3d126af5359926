//! The watchdog: one OS thread that ends what goes on too long, eats too much memory, or never comes back.
//!
//! A run publishes which thread is running and how often it has switched, in a few atomics that cost a
//! nanosecond. When the count stands still the running task either loops without a call into this crate or
//! blocks the OS thread, and the watchdog names it.

mod helper;
mod runs;
mod stubborn;

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Once, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::{Config, Limits};
use crate::name::Name;
use crate::outcome::{Failure, FailureKind};
use crate::printed::Printed;
use crate::sim::policy::Slot;
use crate::stack_trace;
use crate::strangers::Strangers;
use crate::system::{OsThread, number_of_this_thread, resident, used};

pub(crate) use helper::beside;
pub(crate) use runs::{going_on, is_running, seed_of_a_run};
pub(crate) use stubborn::Stubborn;

/// How often the watchdog looks.
const PERIOD: Duration = Duration::from_millis(20);

/// How long a run that holds too much memory, and takes more, may go on without a call into this crate. One
/// that takes no more gets ten times as long, since it may be about to give some back.
const MEMORY_PATIENCE: Duration = Duration::from_millis(100);

const STOP_NOTHING: u8 = 0;
const STOP_REAL_TIME: u8 = 1;
pub(crate) const STOP_MEMORY: u8 = 2;
const STOP_STRANGER: u8 = 3;

/// What a run publishes of itself.
#[derive(Default)]
pub(crate) struct Pulse {
    switches: AtomicU64,
    now: AtomicU64,
    current: AtomicU32,
    stop: AtomicU8,
    ended: AtomicU8,
    /// Number of the simulation that runs; 0 between runs.
    run: AtomicU32,
    names: Mutex<Names>,
    watched: Mutex<Option<Watched>>,
    /// What the run's threads have printed. It stands here since the watchdog may have to report it.
    pub(crate) printed: Printed,
    pub(crate) strangers: Strangers,
}

/// A run on real threads, as the watchdog sees it.
pub(crate) trait RealRun: Send + Sync {
    /// The threads but the main one that have not ended, for a run that was asked to end; None if its main
    /// thread has ended, since the run then waits for the others for some seconds at most.
    fn stubborn(&self) -> Option<Vec<Stubborn>>;
    /// How long it has lasted.
    fn at(&self) -> Duration;
    /// The panic that has failed it, although it goes on: in a destructor of the thread that panicked.
    fn panic(&self) -> Option<Failure>;
}

#[derive(Default)]
struct Names {
    nodes: Vec<Arc<str>>,
    tasks: Vec<(u32, Name)>,
    /// The last panic of a task, caught or not: the slot, line and message.
    panicked: Option<(Slot, String)>,
}

/// What the watchdog remembers of a run.
struct Watched {
    limits: Limits,
    seed: u64,
    tag: u64,
    started: Instant,
    /// How long the OS thread had waited for a processor when this run was looked at first, and how long the
    /// process had used processors. Most runs end before.
    before: Option<(Duration, Duration)>,
    /// Number of switches when it last changed, and when that was.
    last: (u64, Instant),
    /// Processor time of the OS thread when the number was first seen to stand still; None while it moves.
    computed: Option<Duration>,
    /// The OS thread, which tells whether it waits or computes.
    thread: Option<OsThread>,
    /// Its number, by which it can be asked for its stack.
    number: Option<i32>,
    /// Resident memory of the process at the last look.
    resident: u64,
    /// When that had grown last.
    grew: Instant,
    /// Since when it has been beyond the limit without shrinking.
    too_large_since: Option<Instant>,
    /// The run, if it is one on real threads.
    real: Option<Weak<dyn RealRun>>,
    /// The OS thread for which the run's own waits, see [`beside`].
    helper: Option<OsThread>,
    /// How long its earlier ones had waited for a processor.
    helpers_waited: Duration,
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

    /// The run ends at its next call into this crate, with what [`Strangers::failure`] says.
    pub(crate) fn stop_for_a_stranger(&self) {
        self.stop.store(STOP_STRANGER, Ordering::Relaxed);
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

    pub(crate) fn name_node(&self, node: u32, name: Arc<str>) {
        let mut names = self.names.lock();
        names.nodes.truncate(node as usize);
        names.nodes.push(name);
    }

    pub(crate) fn name_task(&self, slot: Slot, node: u32, name: &Name) {
        let names = &mut *self.names.lock();
        names.panicked.take_if(|(other, _)| *other == slot);
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

    /// The task in this slot panics.
    pub(crate) fn note_panic(&self, slot: Slot, panic: String) {
        self.names.lock().panicked = Some((slot, panic));
    }

    /// What is to be added to a report of the running task.
    fn panicked_before(&self) -> String {
        let (names, current) = (self.names.lock(), self.current.load(Ordering::Relaxed));
        let own = names.panicked.as_ref().filter(|(slot, _)| *slot == current);
        own.map_or_else(String::new, |(_, panic)| format!("\nThe thread had panicked before{panic}"))
    }

    /// The run that has just begun is one on real threads.
    pub(crate) fn watch_real(&self, run: Weak<dyn RealRun>) {
        if let Some(watched) = self.watched.lock().as_mut() {
            watched.real = Some(run);
        }
    }

    pub(crate) fn begin_simulation(&self, run: u32) {
        self.run.store(run, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.run.store(0, Ordering::Relaxed);
        self.ended.store(1, Ordering::Relaxed);
    }

    fn whoami(&self) -> (String, String) {
        let names = self.names.lock();
        let current = self.current.load(Ordering::Relaxed) as usize;
        let (node, task) = names.tasks.get(current).cloned().unwrap_or((0, Name::from("scheduler")));
        (names.nodes.get(node as usize).map(ToString::to_string).unwrap_or_default(), task.to_string())
    }

    /// Looks once; a failure if the run is stuck and cannot end itself.
    fn look(&self, resident: u64) -> Option<Failure> {
        let mut watched = self.watched.lock();
        let watched = watched.as_mut()?;
        self.ask_to_stop(watched, resident);
        match watched.real.as_ref().map(Weak::upgrade) {
            None => self.look_at_simulation(watched, resident),
            Some(run) => self.look_at_threads(watched, &*run?, resident),
        }
    }

    /// Tells the run to end itself at its next call into this crate if it is beyond a limit.
    fn ask_to_stop(&self, watched: &mut Watched, resident: u64) {
        if self.stop.load(Ordering::Relaxed) == STOP_STRANGER {
            return;
        }
        let limit = watched.limits.memory;
        let (shrinks, grows) =
            (resident < watched.resident, watched.resident > 0 && resident > watched.resident);
        watched.resident = resident;
        if grows {
            watched.grew = Instant::now();
        }
        if limit > 0 && resident > limit {
            // While memory is being given back, the run is on its way to its limit and gets the time for
            // that.
            if shrinks || watched.too_large_since.is_none() {
                watched.too_large_since = Some(Instant::now());
            }
            self.stop.store(STOP_MEMORY, Ordering::Relaxed);
            return;
        }
        watched.too_large_since = None;
        let stop = if watched.took() > watched.limits.real_time { STOP_REAL_TIME } else { STOP_NOTHING };
        self.stop.store(stop, Ordering::Relaxed);
    }

    fn look_at_simulation(&self, watched: &mut Watched, resident: u64) -> Option<Failure> {
        let switches = self.switches.load(Ordering::Relaxed);
        if switches != watched.last.0 {
            watched.last = (switches, Instant::now());
            watched.computed = None;
            return None;
        }
        if watched.helper.is_some() {
            // It is the runs of the helper that can be stuck, and they are watched themselves.
            watched.last.1 = Instant::now();
        }
        let silent = watched.last.1.elapsed();
        if watched.computed.is_none() {
            watched.computed = watched.processor_time();
        }
        if watched.is_too_large() && silent > MEMORY_PATIENCE {
            let message = self.memory_message(watched, resident);
            return Some(self.failure_of(watched, FailureKind::Memory, message));
        }
        let stuck =
            silent > watched.limits.stuck_after && !watched.is_starved() && !watched.waits_for_reader();
        stuck.then(|| self.failure_of(watched, FailureKind::Stuck, watched.stuck_message(silent)))
    }

    /// A failure of a simulation, with the place where its only OS thread is.
    fn failure_of(&self, watched: &Watched, kind: FailureKind, message: String) -> Failure {
        let message = message + &self.panicked_before();
        Failure { backtrace: stack_trace::of(watched.number), ..self.failure(kind, message) }
    }

    /// Real threads end themselves when they are asked to, at their next call into this crate. The limit of
    /// time holds also for those that make none; only that their process has to end with them.
    fn look_at_threads(&self, watched: &Watched, run: &dyn RealRun, resident: u64) -> Option<Failure> {
        // The limits may be `Duration::MAX`.
        let late = watched.limits.real_time.saturating_add(watched.limits.stuck_after);
        let late = late.saturating_add(Duration::from_secs(1));
        let (kind, message) = if watched.is_too_large() {
            (FailureKind::Memory, self.memory_message(watched, resident))
        } else if watched.started.elapsed() > late && !watched.waits_for_reader() {
            (FailureKind::RealTime, watched.late_message())
        } else {
            return None;
        };
        let mut stubborn = run.stubborn()?;
        stubborn.insert(0, Stubborn { title: "`main` of `main`".to_owned(), number: watched.number });
        let titles = Stubborn::titles(&stubborn);
        let mut failure =
            self.failure(kind, format!("{message}; these threads do not call the runtime: {titles}"));
        failure.backtrace = Stubborn::traces(&stubborn);
        if let Some(panic) = run.panic() {
            let message = format!("{}\nThe run does not end: {}", panic.message, failure.message);
            return Some(Failure { message, backtrace: failure.backtrace, ..panic });
        }
        (failure.node, failure.thread, failure.at) = ("main".to_owned(), "main".to_owned(), run.at());
        Some(failure)
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
        let printed = self.printed.lines();
        Failure { kind, message, location: None, node, thread, at, backtrace: None, printed }
    }
}

impl Watched {
    fn is_runnable(&self) -> Option<bool> {
        self.thread.as_ref()?.is_runnable()
    }

    /// How long the run has taken so far. A simulation has one OS thread, and time in which other programs
    /// had the processors does not count. A process that keeps them busy itself is not excused.
    fn took(&mut self) -> Duration {
        let elapsed = self.started.elapsed();
        if self.real.is_some() || (self.before.is_some() && elapsed <= self.limits.real_time) {
            return elapsed;
        }
        let Some(now) = self.waited().zip(used()) else { return elapsed };
        let before = *self.before.get_or_insert(now);
        let (waited, used) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
        let processors = std::thread::available_parallelism().map_or(1, |number| number.get() as u32);
        if 2 * used < elapsed * processors { elapsed.saturating_sub(waited) } else { elapsed }
    }

    /// How long the run's OS thread has waited for a processor, or those for which it waited.
    fn waited(&self) -> Option<Duration> {
        let own = self.thread.as_ref()?.waiting_time()?;
        let helper = self.helper.as_ref().and_then(OsThread::waiting_time).unwrap_or_default();
        Some(own + self.helpers_waited + helper)
    }

    fn processor_time(&self) -> Option<Duration> {
        self.thread.as_ref()?.processor_time()
    }

    /// Whether the OS thread is silent because other threads have the processors: it wants one and had none
    /// for most of the time. On a very busy machine that may last for many seconds.
    fn is_starved(&self) -> bool {
        let computed =
            self.computed.zip(self.processor_time()).map(|(before, now)| now.saturating_sub(before));
        self.is_runnable() == Some(true) && computed.is_some_and(|time| time < self.limits.stuck_after / 2)
    }

    /// Whether the process has held too much memory for a while and does not give it back.
    fn is_too_large(&self) -> bool {
        let Some(held) = self.too_large_since.map(|since| since.elapsed()) else { return false };
        let grows = self.grew.elapsed() < MEMORY_PATIENCE;
        held > if grows { MEMORY_PATIENCE } else { 10 * MEMORY_PATIENCE }
    }

    /// Whether the OS thread waits until its output is read: a full pipe, or a terminal that stands still.
    fn waits_for_reader(&self) -> bool {
        self.waiting_write().is_some_and(|file| file == 1 || file == 2)
    }

    /// The file that the OS thread waits to write to, if it does.
    fn waiting_write(&self) -> Option<u32> {
        let thread = self.thread.as_ref()?;
        if thread.is_runnable() == Some(false) { thread.writes_to() } else { None }
    }

    /// What the OS thread does instead of calling this crate.
    fn what_it_does(&self) -> &'static str {
        if self.waiting_write().is_some() {
            return "it waits in a write: a pipe or a socket that nobody reads?";
        }
        match self.is_runnable() {
            Some(false) => {
                "it blocks the OS thread, once or again and again: a lock, a sleep or a channel of std instead of labrt's?"
            }
            Some(true) => "it computes all the time: an endless loop?",
            None => "it loops, or blocks the OS thread",
        }
    }

    fn stuck_message(&self, silent: Duration) -> String {
        let (silent, why) = (silent.as_secs_f64(), self.what_it_does());
        format!("the thread has not called the runtime for {silent:.1} s: {why} (seed {})", self.seed)
    }

    fn late_message(&self) -> String {
        let (limit, why) = (self.limits.real_time.as_secs_f64(), self.what_it_does());
        format!(
            "the run has not ended after {limit} s of real time. Its main thread: {why} (seed {})",
            self.seed
        )
    }
}

type StuckHandler = Arc<dyn Fn(&Failure, u64) + Send + Sync>;

struct Registry {
    pulses: Mutex<Vec<Weak<Pulse>>>,
    on_stuck: Mutex<Option<StuckHandler>>,
}

static REGISTRY: Registry = Registry { pulses: Mutex::new(Vec::new()), on_stuck: Mutex::new(None) };

/// Sets what happens when a run is stuck and cannot be ended from within. By default the report goes to
/// standard error and the process ends with status 101, as after a panic. The handler gets the run's
/// [`Config::tag`] as well, and runs on the watchdog's thread; when it returns, the run is watched no longer.
/// The first handler stays: code of a lab comes too late to silence a report.
pub fn on_stuck(handler: impl Fn(&Failure, u64) + Send + Sync + 'static) {
    REGISTRY.on_stuck.lock().get_or_insert_with(|| Arc::new(handler));
}

thread_local! {
    static MINE: std::cell::RefCell<Option<Arc<Pulse>>> = const { std::cell::RefCell::new(None) };
}

/// Lets the watchdog look at a run that starts on this OS thread.
pub(crate) fn watch_this_thread(config: &Config, now: Instant) -> Arc<Pulse> {
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
        pulse.begin(config, now);
        Arc::clone(pulse)
    })
}

impl Pulse {
    fn begin(&self, config: &Config, now: Instant) {
        let mut watched = self.watched.lock();
        let (thread, number) = match watched.take() {
            Some(watched) => (watched.thread, watched.number),
            None => (OsThread::current(), number_of_this_thread()),
        };
        self.printed.clear();
        self.strangers.clear();
        self.stop.store(STOP_NOTHING, Ordering::Relaxed);
        self.ended.store(0, Ordering::Relaxed);
        *watched = Some(Watched {
            limits: config.limits,
            seed: config.seed,
            tag: config.tag,
            started: now,
            before: None,
            last: (self.switches.load(Ordering::Relaxed), now),
            computed: None,
            thread,
            number,
            resident: 0,
            grew: now,
            too_large_since: None,
            real: None,
            helper: None,
            helpers_waited: Duration::ZERO,
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
                // Told once. That thread cannot be unwound, so it is left alone from now on.
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
            crate::exit::give_up();
        }
    }
}
