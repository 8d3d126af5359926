// handout: file guided
//! Backup tasks: slow machines near the end of a phase (paper, §3.6).
//!
//! A job takes as long as its last task, and a bad disk can make that one thirty times slower. When 95 % of a
//! phase are done and a worker is free, it runs one of the remaining tasks a second time; the attempt that is
//! done first counts. A task that has not yet run for as long as others took is no straggler, so that a
//! healthy job runs nothing twice.
//!
//! For example, of 20 maps that take 1 s each, 19 are done, and the last one has run for 0.5 s: a worker that
//! asks is told to wait. When it asks again after 1.1 s it gets the second attempt of the last map.

use std::cmp::Reverse;

use labrt::time::{Duration, Instant};

use crate::rpc::WorkerId;
use crate::rules::Backup;
use crate::table::{Attempt, TaskTable};

/// A phase is close to its end when at least this share of its tasks is done, in percent.
const BACKUP_FROM_PERCENT: usize = 95;

// handout: bodies 1A
impl TaskTable {
    /// The task that most needs a backup by this worker, if the phase is close to its end: a task with one
    /// attempt, which another worker runs, and no backup before.
    pub(crate) fn straggler(&self, worker: WorkerId, backup: Backup, now: Instant) -> Option<usize> {
        if backup == Backup::Off || self.done() * 100 < self.len() * BACKUP_FROM_PERCENT {
            return None;
        }
        // The tasks of a phase are about equally large. Those that were handed out last are not slow but
        // young, and would be done before their backups.
        let mean = self.mean_time();
        let candidates = self.running.iter().filter_map(|&number| {
            let task = self.get(number)?;
            let [only] = task.running() else { return None };
            let age = now.duration_since(only.started);
            let eligible = only.worker != worker && !task.backed_up && age > mean;
            eligible.then(|| (urgency(backup, only, age), number))
        });
        // Of equals the first, so that equal seeds give equal runs.
        candidates.max_by_key(|&(urgency, number)| (urgency, Reverse(number))).map(|(_, number)| number)
    }

    /// How long an accepted attempt takes on average; zero if there is none.
    pub(crate) fn mean_time(&self) -> Duration {
        self.taken.checked_div(self.done() as u32).unwrap_or_default()
    }
}

/// The straggler with the largest one gets the backup.
fn urgency(backup: Backup, attempt: &Attempt, age: Duration) -> Duration {
    if backup == Backup::LongestRunning {
        return age;
    }
    // How long it will still take if it goes on as it has so far.
    let seconds = age.as_secs_f64() * (1.0 - attempt.progress) / attempt.progress.max(f64::MIN_POSITIVE);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
