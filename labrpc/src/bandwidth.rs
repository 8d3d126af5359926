//! How long a message occupies a link of limited bandwidth.

use labrt::runtime;

/// The latest time to which a pipe counts, 146 years in nanoseconds, so that no sum with a delay overflows.
const LATEST: u64 = 1 << 62;

/// One direction of a link: messages leave it one after the other, in the order in which they were sent.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    /// Nanosecond of the run at which the last byte of the messages sent so far has left.
    free_at: u64,
}

impl Pipe {
    /// Sends a message of this many bytes now, at this bandwidth in bytes a second. Returns the nanoseconds
    /// until its last byte has left: it waits for the messages before it, then for itself. Nothing at all
    /// without a bandwidth.
    pub(crate) fn send(&mut self, bytes: usize, bandwidth: Option<u64>) -> u64 {
        match bandwidth {
            None => 0,
            Some(bandwidth) => self.send_at(runtime::now().as_nanos(), bytes, bandwidth),
        }
    }

    fn send_at(&mut self, now: u64, bytes: usize, bandwidth: u64) -> u64 {
        let takes = bytes as u128 * 1_000_000_000 / u128::from(bandwidth);
        let takes = u64::try_from(takes).unwrap_or(u64::MAX);
        self.free_at = self.free_at.max(now).saturating_add(takes).min(LATEST);
        self.free_at.saturating_sub(now)
    }
}

/// Checks a bandwidth that a tester sets.
///
/// # Panics
/// If it is 0.
pub(crate) fn check(bandwidth: Option<u64>) {
    assert!(bandwidth != Some(0), "over a link of 0 bytes a second nothing arrives; cut it instead");
}

#[cfg(test)]
mod tests {
    use super::Pipe;

    #[test]
    fn messages_leave_one_after_the_other() {
        let mut pipe = Pipe::default();
        assert_eq!(pipe.send_at(0, 500, 1000), 500_000_000);
        // It waits for the rest of the first one.
        assert_eq!(pipe.send_at(100_000_000, 500, 1000), 900_000_000);
        // The pipe has been free for a while.
        assert_eq!(pipe.send_at(5_000_000_000, 1, 1000), 1_000_000);
        assert_eq!(pipe.send_at(5_000_000_000, 0, 1000), 1_000_000);
    }

    #[test]
    fn no_size_overflows() {
        let mut pipe = Pipe::default();
        assert_eq!(pipe.send_at(7, usize::MAX, 1), super::LATEST - 7);
        assert_eq!(pipe.send_at(8, 1, 1), super::LATEST - 8);
    }

    #[test]
    fn without_a_bandwidth_nothing_takes_time() {
        assert_eq!(Pipe::default().send(usize::MAX, None), 0);
    }
}
