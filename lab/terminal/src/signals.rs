//! Ctrl-C, and ctrl-C once more.

use std::time::{Duration, Instant};

/// Signals that come so soon after the first one are the same wish: timeout(1) signals its child and then the
/// whole group, and a terminal's ctrl-C reaches a program twice if its parent passes it on.
const SAME_WISH: Duration = Duration::from_millis(500);

/// The signals that ask a program to end.
#[derive(Debug, Default)]
pub struct Signals {
    first: Option<Instant>,
}

impl Signals {
    /// Takes one more. Returns whether it is another wish than the first: to end at once.
    pub fn is_second(&mut self) -> bool {
        self.is_second_at(Instant::now())
    }

    fn is_second_at(&mut self, now: Instant) -> bool {
        now.duration_since(*self.first.get_or_insert(now)) > SAME_WISH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_at_once_are_one_wish() {
        let (mut signals, now) = (Signals::default(), Instant::now());
        assert!(!signals.is_second_at(now));
        assert!(!signals.is_second_at(now + Duration::from_millis(5)));
        assert!(signals.is_second_at(now + Duration::from_secs(1)));
    }
}
