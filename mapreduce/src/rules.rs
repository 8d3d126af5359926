//! What a coordinator may decide in more than one way, and is told when it starts.

use labrt::time::Duration;

/// What the coordinator may decide in more than one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long an attempt may go without getting further, and a machine without being
    /// heard of, until it is given up.
    pub timeout: Duration,
    /// How long a worker waits until it asks again, when there is nothing to do.
    pub wait: Duration,
    /// Which stragglers are run a second time near the end of a phase.
    pub backup: Backup,
    /// Failures in a row after which a task, and with it the job, has failed.
    pub max_failures: u32,
    /// Whether a record on which map has failed twice is stepped over (paper, §4.6).
    pub skip_bad_records: bool,
}

impl Default for Rules {
    /// The course's ten seconds; the other numbers are Hadoop's and common sense's.
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

/// Which straggler is run a second time first (paper, §3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// None is.
    Off,
    /// The one that was started first.
    LongestRunning,
    /// The one that, as far as its progress tells, will end last (Zaharia et al.,
    /// *Improving MapReduce Performance in Heterogeneous Environments*, OSDI 2008).
    LongestRemaining,
}
