//! The place of a write hook: one that is set runs for every write, one write after the other.

use labrt::oneshot::{self, Put};
use labrt::runtime::{self, ThreadKey};
use parking_lot::Mutex;

use crate::persister::Write;

pub(crate) type WriteHook = Box<dyn FnMut(&Write) + Send>;

/// See [`crate::Persister::on_write`].
#[derive(Default)]
pub(crate) struct HookPlace {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hook: Hook,
    /// Threads that have written while the hook ran for another one.
    waiters: Vec<Put<()>>,
}

#[derive(Default)]
enum Hook {
    #[default]
    None,
    Set(WriteHook),
    /// It runs on this thread, without a lock, so that it may use the disk itself.
    Runs(ThreadKey),
}

/// The hook while it runs.
struct Turn<'a> {
    place: &'a HookPlace,
    of: ThreadKey,
    hook: Option<WriteHook>,
}

impl HookPlace {
    pub(crate) fn set(&self, hook: WriteHook) {
        let before = std::mem::replace(&mut self.state.lock().hook, Hook::Set(hook));
        // The old hook's destructor is foreign code.
        drop(before);
    }

    /// Calls the hook, if there is one, and if it is not the hook that writes.
    #[track_caller]
    pub(crate) fn call(&self, write: &Write) {
        let Some(mut turn) = self.take_turn() else { return };
        // If this unwinds, since the hook has crashed the thread's server, the hook is let go of.
        let Some(mut hook) = turn.hook.take() else { return };
        hook(write);
        turn.hook = Some(hook);
    }

    #[track_caller]
    fn take_turn(&self) -> Option<Turn<'_>> {
        let of = runtime::thread_key();
        loop {
            let mut state = self.state.lock();
            match std::mem::take(&mut state.hook) {
                Hook::None => return None,
                Hook::Set(hook) => {
                    state.hook = Hook::Runs(of);
                    return Some(Turn { place: self, of, hook: Some(hook) });
                }
                Hook::Runs(other) => {
                    state.hook = Hook::Runs(other);
                    if other == of {
                        return None;
                    }
                }
            }
            let (put, turn) = oneshot::channel();
            state.waiters.push(put);
            drop(state);
            // Nothing comes if the hook has crashed this thread, which writes in a destructor.
            turn.wait()?;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.place.state.lock();
        // Another hook may stand in its place by now.
        if matches!(state.hook, Hook::Runs(of) if of == self.of) {
            state.hook = self.hook.take().map_or(Hook::None, Hook::Set);
        }
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(|waiter| waiter.put(()));
    }
}
