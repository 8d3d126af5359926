//! How long messages are on their way.

use std::time::Duration;

use labrt::World;
use labrt::rand::{random, random_range};

/// The distribution of the time that a message takes one way when nothing is wrong with the network.
///
/// The delays of faults (an unreliable network's, long delays, long reordering) are the course's own and do
/// not depend on the model; where both apply, the longer one counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DelayModel(Law);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Law {
    Zero,
    /// Nanoseconds, both ends included.
    Uniform(u64, u64),
    /// Nanoseconds: the shortest delay, and the mean of what comes on top.
    Exponential(u64, f64),
}

impl DelayModel {
    /// Messages arrive at once.
    pub const fn zero() -> DelayModel {
        DelayModel(Law::Zero)
    }

    /// Every message takes this long.
    pub fn fixed(delay: Duration) -> DelayModel {
        DelayModel::uniform(delay, delay)
    }

    /// Uniform between the two, both included.
    ///
    /// # Panics
    /// If `from` is longer than `to`.
    pub fn uniform(from: Duration, to: Duration) -> DelayModel {
        assert!(from <= to, "the range of delays from {from:?} to {to:?} is empty");
        DelayModel(Law::Uniform(nanos(from), nanos(to)))
    }

    /// `from` and an exponentially distributed time with this mean on top: most messages are quick, a few are
    /// very late.
    pub fn exponential(from: Duration, mean: Duration) -> DelayModel {
        DelayModel(Law::Exponential(nanos(from), nanos(mean) as f64))
    }

    /// The model of a new network: uniform between 1 and 10 ms in the simulation, where otherwise clients
    /// that call in a closed loop would make endless progress at one instant of virtual time; nothing on real
    /// threads, as in the course.
    pub fn default_here() -> DelayModel {
        match labrt::world() {
            World::Simulated => DelayModel::uniform(Duration::from_millis(1), Duration::from_millis(10)),
            World::Threads => DelayModel::zero(),
        }
    }

    /// Draws a delay in nanoseconds.
    #[inline]
    pub(crate) fn draw(&self) -> u64 {
        match self.0 {
            Law::Zero => 0,
            Law::Uniform(from, to) => random_range(from..=to),
            // 1 - u lies in (0, 1], so that the logarithm is finite.
            Law::Exponential(from, mean) => {
                from.saturating_add((-(1.0 - random::<f64>()).ln() * mean) as u64)
            }
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds in a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// The course's delays and chances. Milliseconds are whole numbers, both ends included.
pub(crate) mod course {
    use super::MS;
    use labrt::rand::random_range;

    /// How often the network looks whether the server of a waiting call is dead.
    pub(crate) const POLL: u64 = 100 * MS;

    /// Until the caller learns that a request could not be delivered at all.
    pub(crate) fn undeliverable(long_delays: bool) -> u64 {
        random_range(0..=if long_delays { 6999 } else { 99 }) * MS
    }

    /// A request's delay on an unreliable network.
    pub(crate) fn unreliable() -> u64 {
        random_range(0..=26) * MS
    }

    /// Whether an unreliable network drops this message: one in ten.
    pub(crate) fn drops() -> bool {
        random_range(0..1000) < 100
    }

    /// A reply's delay under long reordering, which befalls two of three.
    pub(crate) fn reordering() -> Option<u64> {
        let delayed = random_range(0..900) < 600;
        delayed.then(|| {
            let longest = random_range(0..=1999);
            (200 + random_range(0..=longest)) * MS
        })
    }
}
