//! The runs that go on in this process.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Pulse, REGISTRY};

/// Whether the simulation of this number goes on, on whatever OS thread.
pub(crate) fn is_running(run: u32) -> bool {
    let pulses = REGISTRY.pulses.lock();
    pulses.iter().filter_map(Weak::upgrade).any(|pulse| pulse.run.load(Ordering::Relaxed) == run)
}

/// What the runs that go on publish.
pub(crate) fn going_on() -> Vec<Arc<Pulse>> {
    let pulses = REGISTRY.pulses.lock();
    let goes_on = |pulse: &Arc<Pulse>| pulse.ended.load(Ordering::Relaxed) == 0;
    pulses.iter().filter_map(Weak::upgrade).filter(goes_on).collect()
}

/// The seed of a run that goes on, on whatever OS thread, if one does.
pub(crate) fn seed_of_a_run() -> Option<u64> {
    // The process is about to end, and a thread that holds one of these locks may be gone.
    const PATIENCE: Duration = Duration::from_millis(100);
    let pulses = REGISTRY.pulses.try_lock_for(PATIENCE)?;
    let going_on =
        pulses.iter().filter_map(Weak::upgrade).find(|pulse| pulse.ended.load(Ordering::Relaxed) == 0)?;
    let watched = going_on.watched.try_lock_for(PATIENCE);
    Some(watched.and_then(|watched| Some(watched.as_ref()?.seed)).unwrap_or_default())
}
