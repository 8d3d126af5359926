//! Exercise 1: start threads, wait for them, and read what they wrote.

use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::thread;

// handout: body 0B
/// Adds the numbers with so many threads, each of which adds one part.
///
/// A thread's writes happen before its `join` returns, so the caller sees them whatever the memory ordering
/// of the writes. Without the join the caller could read the initial 0.
///
/// # Panics
/// If `threads` is 0.
pub fn parallel_sum(numbers: &Arc<[u64]>, threads: usize) -> u64 {
    assert!(threads > 0, "somebody must add the numbers");
    let sums: Arc<[AtomicU64]> = (0..threads).map(|_| AtomicU64::new(0)).collect();
    let part = numbers.len().div_ceil(threads).max(1);
    let running: Vec<_> = (0..threads)
        .map(|thread| {
            // Captured by value: the thread may outlive the loop's variables.
            let (numbers, sums) = (Arc::clone(numbers), Arc::clone(&sums));
            thread::spawn_named("adder", move || {
                let sum = numbers.chunks(part).nth(thread).unwrap_or_default().iter().sum();
                sums[thread].store(sum, Ordering::Relaxed);
            })
        })
        .collect();
    for adder in running {
        // An adder cannot fail; if its node is killed, so is this thread.
        let _ = adder.join();
    }
    sums.iter().map(|sum| sum.load(Ordering::Relaxed)).sum()
}
