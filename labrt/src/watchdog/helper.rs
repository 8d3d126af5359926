//! OS threads that work for a run, which waits for them meanwhile.

use std::sync::Arc;

use super::{MINE, Pulse};
use crate::system::OsThread;

/// An OS thread that works for a run, while it does.
struct Helper(Arc<Pulse>);

impl Helper {
    fn of(pulse: Arc<Pulse>) -> Helper {
        if let Some(watched) = pulse.watched.lock().as_mut() {
            watched.helper = OsThread::current();
        }
        Helper(pulse)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if let Some(watched) = self.0.watched.lock().as_mut() {
            let waited = watched.helper.take().as_ref().and_then(OsThread::waiting_time);
            watched.helpers_waited += waited.unwrap_or_default();
        }
    }
}

/// Runs `f` on an OS thread of its own, and waits for it, as [`crate::runtime::beside`] says.
pub(crate) fn beside<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> std::thread::Result<T> {
    let pulse = MINE.with(|mine| mine.borrow().clone());
    let work = move || {
        let _helper = pulse.map(Helper::of);
        f()
    };
    std::thread::spawn(work).join()
}
