//! Taps on the link from a leader to a follower, for the directed tests.
//!
//! A tap does not look into messages, whose fields are the solution's own affair. It tells by its size the
//! AppendEntries that carries a certain command: the command is large, and nothing else on that link is.

use labrpc::{Direction, Name, TapAction, TapEvent};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use labrt::time::Instant;
use raft::Raft;
use std::time::Duration;
use tester::Cluster;

/// Length of the command that makes a message stand out, in bytes.
pub(crate) const LARGE: usize = 1000;

/// A message that is on its way for long.
pub(crate) struct Late {
    /// When it was sent, in nanoseconds of the run; 0 until then.
    sent: Arc<AtomicU64>,
    delay: Duration,
}

impl Late {
    pub(crate) fn is_under_way(&self) -> bool {
        self.sent.load(Ordering::SeqCst) > 0
    }

    /// How long it will be on its way yet.
    pub(crate) fn remaining(&self) -> Duration {
        let arrives = Instant::from_nanos(self.sent.load(Ordering::SeqCst)) + self.delay;
        arrives.saturating_duration_since(Instant::now())
    }
}

/// Delays the first AppendEntries on this link that carries a command of [`LARGE`] bytes.
pub(crate) fn delay_first_large_append(
    cluster: &Cluster<Raft>,
    from: usize,
    to: usize,
    delay: Duration,
) -> Late {
    let link = Name::from(cluster.link(from, to));
    let sent = Arc::new(AtomicU64::new(0));
    let of_tap = Arc::clone(&sent);
    cluster.net().network().set_tap(move |event| {
        if of_tap.load(Ordering::SeqCst) > 0 || !is_large_append(event, &link) {
            return TapAction::Deliver;
        }
        of_tap.store(Instant::now().as_nanos(), Ordering::SeqCst);
        TapAction::Delay(delay)
    });
    Late { sent, delay }
}

/// Watches for the reply to an AppendEntries on this link that carries a command of [`LARGE`] bytes; true once the reply has
/// left.
pub(crate) fn watch_for_acknowledgement(cluster: &Cluster<Raft>, from: usize, to: usize) -> Arc<AtomicBool> {
    let link = Name::from(cluster.link(from, to));
    let (mut asked, answered) = (false, Arc::new(AtomicBool::new(false)));
    let of_tap = Arc::clone(&answered);
    cluster.net().network().set_tap(move |event| {
        asked |= is_large_append(event, &link);
        if asked && event.direction == Direction::Reply && *event.end == link {
            of_tap.store(true, Ordering::SeqCst);
        }
        TapAction::Deliver
    });
    answered
}

fn is_large_append(event: &TapEvent<'_>, link: &Name) -> bool {
    event.direction == Direction::Request && event.end == link && event.bytes.len() >= LARGE
}
