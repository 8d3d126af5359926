//! A list of work, on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often something is said of work that takes long.
const QUIET: Duration = Duration::from_secs(10);

/// As [`in_parallel`]. Of what takes long it says now and then how much is done: `what: 7 of 51`.
pub(crate) fn in_parallel_told<T: Sync>(what: &str, items: &[T], threads: usize, work: impl Fn(&T) + Sync) {
    let said = Mutex::new((0, Instant::now()));
    in_parallel(items, threads, |item| {
        work(item);
        let (done, last) = &mut *said.lock().unwrap_or_else(PoisonError::into_inner);
        *done += 1;
        if last.elapsed() > QUIET {
            *last = Instant::now();
            eprintln!("{what}: {done} of {}", items.len());
        }
    });
}

/// Calls `work` for each item, on as many threads, which begin the items in their order.
pub(crate) fn in_parallel<T: Sync>(items: &[T], threads: usize, work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(worker);
        }
    });
}
