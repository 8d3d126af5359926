//! OS threads, reused: starting one costs as much as several remote calls.
//!
//! An idle thread spins for some microseconds before it sleeps, since handing work to a sleeping thread costs the
//! kernel's wake-up. At most as many threads spin as there are cores.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

/// How long a thread spins before it sleeps: about the cost of two wake-ups by the kernel.
const SPIN: Duration = Duration::from_micros(50);

/// How long an idle thread is kept.
const IDLE: Duration = Duration::from_secs(10);

static CORES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
static SPINNERS: AtomicUsize = AtomicUsize::new(0);
static IDLE_WORKERS: Mutex<Vec<Arc<Worker>>> = Mutex::new(Vec::new());

/// Spins until `done` holds, for some microseconds at the most and only if a core is free for that; whether it holds.
pub(crate) fn spin_until(done: impl Fn() -> bool) -> bool {
    if done() {
        return true;
    }
    if SPINNERS.fetch_add(1, Ordering::Relaxed) >= *CORES {
        SPINNERS.fetch_sub(1, Ordering::Relaxed);
        return false;
    }
    let started = Instant::now();
    let mut held = done();
    while !held && started.elapsed() < SPIN {
        for _ in 0..32 {
            std::hint::spin_loop();
        }
        held = done();
    }
    SPINNERS.fetch_sub(1, Ordering::Relaxed);
    held
}

struct Worker {
    /// Set when `job` holds one, so that the spinning thread needs no lock to look.
    has_job: AtomicBool,
    job: Mutex<Option<Job>>,
    thread: std::thread::Thread,
}

/// Runs the job on an idle thread of the pool, or on a new one.
pub(crate) fn execute(job: impl FnOnce() + Send + 'static) {
    let job: Job = Box::new(job);
    let idle = IDLE_WORKERS.lock().pop();
    match idle {
        Some(worker) => worker.hand(job),
        None => {
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
        self.has_job.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Waits for a job; None if there was none for long and the thread may end.
    fn next(self: &Arc<Self>) -> Option<Job> {
        let has_job = || self.has_job.load(Ordering::Acquire);
        let deadline = Instant::now() + IDLE;
        while !spin_until(has_job) {
            std::thread::park_timeout(IDLE);
            if !has_job() && Instant::now() >= deadline && self.withdraw() {
                return None;
            }
        }
        self.has_job.store(false, Ordering::Relaxed);
        self.job.lock().take()
    }

    /// Takes this worker from the list of idle ones; false if somebody has just taken it to hand it a job.
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
        job: Mutex::new(None),
        thread: std::thread::current(),
    });
    first();
    loop {
        IDLE_WORKERS.lock().push(Arc::clone(&worker));
        match worker.next() {
            Some(job) => job(),
            None => return,
        }
    }
}
