//! Several jobs at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long the receiver waits until it looks at the clock.
const TICK: Duration = Duration::from_secs(1);

/// Runs `work` on each of `jobs`, in their order, on `workers` threads, and hands what the work sends to
/// `receive`, which runs on this thread until all work is done. After `receive` returns `false`, no more jobs
/// are begun.
pub(crate) fn run<J: Sync, M: Send>(
    workers: usize,
    jobs: &[J],
    work: impl Fn(&J, &Sender<M>) + Sync,
    mut receive: impl FnMut(M) -> bool,
) {
    run_with_clock(workers, jobs, work, |message| message.is_none_or(&mut receive));
}

/// As [`run`]; where nothing is sent for a second, `receive` gets a None.
pub(crate) fn run_with_clock<J: Sync, M: Send>(
    workers: usize,
    jobs: &[J],
    work: impl Fn(&J, &Sender<M>) + Sync,
    mut receive: impl FnMut(Option<M>) -> bool,
) {
    let next = AtomicUsize::new(0);
    let go_on = AtomicBool::new(true);
    let (sender, receiver): (Sender<M>, Receiver<M>) = channel();
    thread::scope(|scope| {
        for number in 0..workers.min(jobs.len()) {
            let sender = sender.clone();
            let (next, go_on, work) = (&next, &go_on, &work);
            let worker = move || {
                while go_on.load(Ordering::Relaxed)
                    && let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    work(job, &sender);
                }
            };
            let begun = thread::Builder::new().spawn_scoped(scope, worker);
            // A system that allows no more threads lets those go on that there are.
            assert!(begun.is_ok() || number > 0, "the system allows no thread");
        }
        // Only the workers' clones are left, so that the loop ends with the last worker.
        drop(sender);
        loop {
            let message = match receiver.recv_timeout(TICK) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if !receive(message) {
                go_on.store(false, Ordering::Relaxed);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_done_once() {
        let jobs: Vec<u64> = (0..100).collect();
        let mut done = Vec::new();
        run(
            4,
            &jobs,
            |job, sender| sender.send(*job).expect("somebody listens"),
            |job| {
                done.push(job);
                true
            },
        );
        done.sort_unstable();
        assert_eq!(done, jobs);
    }

    #[test]
    fn no_job_is_begun_after_the_receiver_has_had_enough() {
        let jobs: Vec<u64> = (0..100_000).collect();
        let mut done = 0;
        run(
            1,
            &jobs,
            |job, sender| {
                sender.send(*job).expect("somebody listens");
                thread::yield_now();
            },
            |_| {
                done += 1;
                false
            },
        );
        assert!(done < jobs.len(), "all {done} jobs were done");
    }
}
