//! OS threads, reused: starting one costs as much as several remote calls.
//!
//! A thread that has nothing to do spins for some microseconds before it sleeps, since handing work to a
//! sleeping thread costs the kernel's wake-up. It spins only on a core that no other thread of ours wants:
//! where many work, spinning would keep them from it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::run::Job;

/// How long a thread spins before it sleeps: about the cost of two wake-ups by the kernel.
const SPIN: Duration = Duration::from_micros(50);

/// How long an idle thread is kept.
const IDLE: Duration = Duration::from_secs(10);

static CORES: LazyLock<isize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, |n| n.get().cast_signed()));
/// How many threads of runs use a core now, or would: those that work, and those that spin, but not those
/// that sleep. It only decides whether spinning is worth it.
static ON_CORES: AtomicIsize = AtomicIsize::new(0);
static IDLE_WORKERS: Mutex<Vec<Arc<Worker>>> = Mutex::new(Vec::new());

/// One more thread works, until [`stops`].
pub(crate) fn works() {
    ON_CORES.fetch_add(1, Ordering::Relaxed);
}

/// One thread less works, until [`works`].
pub(crate) fn stops() {
    ON_CORES.fetch_sub(1, Ordering::Relaxed);
}

/// Spins until `done` holds, for some microseconds at the most and only while a core is free for that;
/// whether it holds. The calling thread counts as one that works all the while.
pub(crate) fn spin_until(done: impl Fn() -> bool) -> bool {
    if done() {
        return true;
    }
    let started = Instant::now();
    let mut held = done();
    while !held && ON_CORES.load(Ordering::Relaxed) <= *CORES && started.elapsed() < SPIN {
        for _ in 0..32 {
            std::hint::spin_loop();
        }
        held = done();
        if !held {
            // A thread that was woken, and has not counted itself yet, may want this very core.
            std::thread::yield_now();
        }
    }
    held
}

struct Worker {
    /// Set when `job` holds one, so that the spinning thread needs no lock to look.
    has_job: AtomicBool,
    /// Set while the thread sleeps and does not count as one that works. Taking this back makes it count
    /// again. The thread itself does that, or the one that hands it a job, since it takes a while to wake.
    asleep: AtomicBool,
    job: Mutex<Option<Job>>,
    thread: std::thread::Thread,
}

/// Runs the job on an idle thread of the pool, or on a new one.
#[track_caller]
pub(crate) fn execute(job: Job) {
    let idle = IDLE_WORKERS.lock().pop();
    match idle {
        Some(worker) => worker.hand(job),
        None => {
            works();
            let builder = std::thread::Builder::new().name("labrt-pool".to_owned());
            let started = builder.spawn(move || work(job));
            if let Err(error) = started {
                panic!("the operating system gives no more threads: {error}");
            }
        }
    }
}

impl Worker {
    fn hand(&self, job: Job) {
        *self.job.lock() = Some(job);
        self.has_job.store(true, Ordering::SeqCst);
        self.wakes();
        self.thread.unpark();
    }

    fn wakes(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            works();
        }
    }

    /// Waits for a job; None if there was none for long and the thread may end.
    fn next(self: &Arc<Self>) -> Option<Job> {
        let has_job = || self.has_job.load(Ordering::SeqCst);
        let deadline = Instant::now() + IDLE;
        while !spin_until(has_job) {
            stops();
            self.asleep.store(true, Ordering::SeqCst);
            if !has_job() {
                std::thread::park_timeout(IDLE);
            }
            self.wakes();
            if !has_job() && Instant::now() >= deadline && self.withdraw() {
                stops();
                return None;
            }
        }
        self.has_job.store(false, Ordering::Relaxed);
        self.job.lock().take()
    }

    /// Takes this worker from the list of idle ones; false if another thread has just taken it to hand it a
    /// job.
    fn withdraw(self: &Arc<Self>) -> bool {
        let mut idle = IDLE_WORKERS.lock();
        let before = idle.len();
        idle.retain(|other| !Arc::ptr_eq(other, self));
        idle.len() < before
    }
}

fn work(first: Job) {
    let worker = Arc::new(Worker {
        has_job: AtomicBool::new(false),
        asleep: AtomicBool::new(false),
        job: Mutex::new(None),
        thread: std::thread::current(),
    });
    run(first);
    loop {
        IDLE_WORKERS.lock().push(Arc::clone(&worker));
        match worker.next() {
            Some(job) => run(job),
            None => return,
        }
    }
}

/// A job of a run catches its panics itself. One that was started outside of runs may panic: std has told so,
/// and this thread serves others.
fn run(job: Job) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(job)) {
        crate::panics::discard(payload);
    }
}
