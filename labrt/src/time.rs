//! Time: std's `Duration`, and an `Instant` that is virtual in the simulation.

use std::ops::{Add, AddAssign, Sub, SubAssign};

use crate::context::{Mode, mode};
use crate::{real, sim};
pub use std::time::Duration;

/// A moment on the clock of the calling task's node: as [`std::time::Instant`], but virtual in the
/// simulation, and possibly running fast or slow ([`crate::node::Node::set_clock_rate`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The time now.
    #[inline]
    pub fn now() -> Instant {
        match mode() {
            Mode::Simulated => {
                let (nanos, must_end) = sim::with(|sim| {
                    let must_end = sim.note_clock_reading();
                    (sim.time_of_current(), must_end)
                });
                if must_end {
                    sim::park::suspend_ready();
                }
                Instant(nanos)
            }
            Mode::Threads => Instant(real::local_nanos()),
            Mode::Outside => Instant(run_nanos()),
        }
    }

    /// Nanoseconds since the start of the run (outside of runs: of the process), on the node's clock.
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment this many nanoseconds after the start of the run.
    pub fn from_nanos(nanos: u64) -> Instant {
        Instant(nanos)
    }

    /// Time since this moment; zero if it is in the future.
    pub fn elapsed(self) -> Duration {
        Instant::now().duration_since(self)
    }

    /// Time from `earlier` to this moment; zero if `earlier` is later.
    pub fn duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// As [`Instant::duration_since`]; the name that std uses to stress the saturation.
    pub fn saturating_duration_since(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }

    /// The sum, or None if it cannot be represented (beyond some 584 years).
    pub fn checked_add(self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(u64::try_from(duration.as_nanos()).ok()?).map(Instant)
    }

    /// The same moment on the run's clock, in nanoseconds.
    pub(crate) fn to_run(self) -> u64 {
        match mode() {
            Mode::Simulated => sim::with(|sim| {
                let node = sim.current_node();
                sim.nodes[node as usize].global(self.0)
            }),
            Mode::Threads => real::current_node().global(self.0),
            Mode::Outside => self.0,
        }
    }
}

/// Adds with saturation, so that "in a very long time" is no panic.
impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        self.checked_add(duration).unwrap_or(Instant(u64::MAX))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

/// Nanoseconds since the start of the run, on the run's own clock.
pub(crate) fn run_nanos() -> u64 {
    match mode() {
        Mode::Simulated => sim::with(|sim| sim.now),
        Mode::Threads | Mode::Outside => real::run_nanos(),
    }
}

/// The moment of the run at which a time-out of the calling task ends.
pub(crate) fn deadline_after(timeout: Duration) -> u64 {
    let now = match mode() {
        // Whoever waits does not look at the clock in order to wait.
        Mode::Simulated => Instant(sim::with(|sim| sim.time_of_current())),
        Mode::Threads | Mode::Outside => Instant::now(),
    };
    (now + timeout).to_run()
}
