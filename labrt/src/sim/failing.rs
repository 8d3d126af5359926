//! The failure of a run, and the panic behind it.
//!
//! A panic becomes the run's failure when it has unwound its thread. The destructors that it runs may wait,
//! or never end, and meanwhile others may notice that the thread is going: their `recv` fails, say. Whatever
//! ends the run then, the first panic is what its author has to know.

use std::time::Duration;

use super::policy::Slot;
use super::task::Phase;
use super::{NO_TASK, Sim};
use crate::outcome::{Failure, FailureKind};
use crate::panics::PanicInfo;
use crate::strangers::STRANGER;

impl Sim {
    /// Ends the run with a failure, unless it is already ending.
    pub(super) fn fail(&mut self, kind: FailureKind, message: String, location: Option<String>) {
        if !self.stopping {
            self.set_failure(kind, message, location);
        }
    }

    /// As [`Sim::fail`], also if the main task has returned: what goes wrong while the run is cleared away.
    pub(super) fn fail_late(&mut self, kind: FailureKind, message: String, location: Option<String>) {
        if self.failure.is_none() {
            self.set_failure(kind, message, location);
        }
    }

    /// The running task has been unwound by this panic. `late`: it counts also if the main task has returned.
    pub(super) fn fail_by_panic(&mut self, panic: PanicInfo, late: bool) {
        if self.stopping && !(late && self.failure.is_none()) {
            return;
        }
        let Some((slot, first)) = self.first_panic(self.current) else {
            return self.store_failure(FailureKind::Panic, panic);
        };
        let (node, thread) = self.whoami();
        let place = panic.location.map_or_else(String::new, |place| format!(" ({place})"));
        let then = format!(
            "The panic unwinds the thread, and before it came to its end, `{thread}` of `{node}` panicked as well{place}: {}",
            panic.message
        );
        self.store_failure_of(slot, first, &then);
    }

    /// The failure of the run so far.
    pub(crate) fn known_failure(&self) -> Option<Failure> {
        self.failure.clone()
    }

    /// A thread that the run does not know has panicked, if one has.
    pub(super) fn fail_by_a_stranger(&mut self) {
        if self.failure.is_none()
            && let Some(panic) = self.pulse.strangers.failure()
        {
            let node = self.whoami().0;
            self.put_failure(FailureKind::Panic, panic, (node, STRANGER.to_owned()));
        }
    }

    fn set_failure(&mut self, kind: FailureKind, message: String, location: Option<String>) {
        match self.first_panic(NO_TASK) {
            Some((slot, first)) => {
                let then =
                    format!("The panic unwinds the thread, and this keeps it from its end:\n  {message}");
                self.store_failure_of(slot, first, &then);
            }
            None => self.store_failure(kind, PanicInfo { message, location, backtrace: None }),
        }
    }

    /// Of the tasks that a panic unwinds the one that panicked first; not that in the slot `but`, whose panic
    /// is known.
    fn first_panic(&self, but: Slot) -> Option<(Slot, PanicInfo)> {
        let panicked = |&slot: &Slot| {
            let task = &self.tasks[slot as usize];
            let is_running = slot == self.current && std::thread::panicking() && self.current_unwinds();
            let waits = matches!(task.phase, Phase::Parked | Phase::Ready | Phase::Held) && task.unwinds;
            slot != but && !task.killed && !task.is_gone() && (is_running || waits)
        };
        let unwinding = (0..self.tasks.len() as Slot).filter(panicked);
        let found = unwinding.filter_map(|slot| {
            let (age, panic) = crate::panics::of_task(self.tasks[slot as usize].serial)?;
            Some((age, slot, panic))
        });
        found.max_by_key(|&(age, slot, _)| (age, slot)).map(|(_, slot, panic)| (slot, panic))
    }

    /// The failure is the panic that unwinds the task in this slot, with what came of it.
    fn store_failure_of(&mut self, slot: Slot, panic: PanicInfo, then: &str) {
        let caller = std::mem::replace(&mut self.current, slot);
        let message = format!("{}\n{then}", panic.message);
        self.store_failure(FailureKind::Panic, PanicInfo { message, ..panic });
        self.current = caller;
    }

    fn store_failure(&mut self, kind: FailureKind, what: PanicInfo) {
        // Whatever it is may have come of the panic of a thread that the run does not know.
        self.fail_by_a_stranger();
        match &mut self.failure {
            Some(failure) if failure.thread == STRANGER => {
                failure.message += &format!("\nThe run came to this then: {}", what.message);
            }
            _ => {
                let who = self.whoami();
                self.put_failure(kind, what, who);
            }
        }
    }

    fn put_failure(&mut self, kind: FailureKind, what: PanicInfo, (node, thread): (String, String)) {
        let at = Duration::from_nanos(self.now);
        let printed = self.pulse.printed.lines();
        let PanicInfo { message, location, backtrace } = what;
        self.failure = Some(Failure { kind, message, location, node, thread, at, backtrace, printed });
        self.stopping = true;
    }
}
