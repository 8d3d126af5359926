//! The coordinator's settings.

use labrt::time::Duration;

/// The coordinator's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The coordinator gives up an attempt that has made no progress for this long, and (part 1B) declares a
    /// machine dead that was silent for this long.
    pub timeout: Duration,
    /// How long a worker waits before it asks again when there is nothing to do.
    pub wait: Duration,
    /// Which stragglers run a second time near the end of a phase.
    pub backup: Backup,
    /// After this many failures in a row a task, and with it the job, has failed. A failure that leads to a
    /// record being skipped ends the row.
    pub max_failures: u32,
    /// Whether to skip a record on which map has failed twice (paper, §4.6). Who starts a job sets it as the
    /// application says ([`bad_records`](crate::Application::bad_records)).
    pub skip_bad_records: bool,
}

impl Default for Rules {
    /// The course's ten seconds. Four failures are Hadoop's default.
    fn default() -> Self {
        Rules {
            timeout: Duration::from_secs(10),
            wait: Duration::from_millis(100),
            backup: Backup::LongestRunning,
            max_failures: 4,
            skip_bad_records: true,
        }
    }
}

/// Which straggler gets a backup attempt first (paper, §3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// None.
    Off,
    /// The one that started first.
    LongestRunning,
    /// The one that, judging by its progress, will end last (Zaharia et al., *Improving MapReduce Performance
    /// in Heterogeneous Environments*, OSDI 2008).
    LongestRemaining,
}
