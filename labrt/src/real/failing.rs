//! The failure of a run on real threads, and the panic behind it: as `sim/failing.rs`.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{HERE, RealWorld, here};
use crate::outcome::{Failure, FailureKind};
use crate::panics::PanicInfo;
use crate::sim::task::Killed;
use crate::strangers::STRANGER;

/// Who fails: node and thread.
type Who = (String, String);

/// The failure of the calling thread's run so far.
pub(crate) fn known_failure() -> Option<Failure> {
    let world = HERE.try_with(|here| Some(Arc::clone(&here.try_borrow().ok()?.as_ref()?.world)));
    // This is asked by a process that is about to end; whoever holds the lock may be the one who asks.
    world.ok().flatten()?.failure.try_lock()?.clone()
}

/// The calling thread panics.
pub(crate) fn note_panic(panic: &PanicInfo) {
    let place = HERE.try_with(|here| Some(here.try_borrow().ok()?.as_ref()?.place.clone()));
    if let Ok(Some(place)) = place {
        place.note_panic(panic.clone());
    }
}

impl RealWorld {
    pub(super) fn fail(&self, kind: FailureKind, message: String, backtrace: Option<String>) {
        self.store_failure(kind, PanicInfo { message, location: None, backtrace }, whoami());
    }

    fn store_failure(&self, kind: FailureKind, what: PanicInfo, who: Who) {
        // Whatever it is may have come of the panic of a thread that the run does not know.
        self.store(match self.failure_of_a_stranger() {
            Some(failure) => {
                let message = format!("{}\nThe run came to this then: {}", failure.message, what.message);
                Failure { message, ..failure }
            }
            None => self.failure_of(kind, what, who),
        });
    }

    /// The run fails so, unless it is already ending.
    fn store(&self, new: Failure) {
        let mut failure = self.failure.lock();
        if !self.stopping.load(Ordering::Relaxed) {
            failure.get_or_insert(new);
        }
        self.stopping.store(true, Ordering::SeqCst);
    }

    fn failure_of(&self, kind: FailureKind, what: PanicInfo, (node, thread): Who) -> Failure {
        let PanicInfo { message, location, backtrace } = what;
        let (at, printed) = (self.started.elapsed(), self.pulse.printed.lines());
        Failure { kind, message, location, node, thread, at, backtrace, printed }
    }

    /// The run is beyond a limit. If a panic unwinds one of its threads, that is the reason: the destructors
    /// of that thread keep it from its end.
    pub(super) fn fail_at_limit(&self) {
        if let Some(failure) = self.failure_of_a_stranger() {
            return self.store(failure);
        }
        let (kind, message) = self.pulse.stop_reason();
        let message = message + &self.threads_report();
        let Some((_, panic, who)) = self.first_panic() else { return self.fail(kind, message, None) };
        let message = format!(
            "{}\nThe panic unwinds the thread, whose destructors do not end: {message}",
            panic.message
        );
        self.store_failure(FailureKind::Panic, PanicInfo { message, ..panic }, who);
    }

    /// A thread that the run does not know has panicked, if one has.
    pub(super) fn failure_of_a_stranger(&self) -> Option<Failure> {
        let panic = self.pulse.strangers.failure()?;
        let who = ("main".to_owned(), STRANGER.to_owned());
        Some(self.failure_of(FailureKind::Panic, panic, who))
    }

    /// The panics that unwind threads, as far as is known: the first, and whose it is.
    fn first_panic(&self) -> Option<(Instant, PanicInfo, Who)> {
        let main = || ("main".to_owned(), "main".to_owned());
        let main = self.main_place.panic().map(|(at, panic)| (at, panic, main()));
        let living = self.living.lock();
        let others = living.values().filter_map(|thread| {
            let (at, panic) = thread.place.panic()?;
            Some((at, panic, (thread.node.name().to_owned(), thread.name.to_string())))
        });
        main.into_iter().chain(others).min_by_key(|&(at, ..)| at)
    }

    /// A line for each thread: where it was last. A hundred handlers that wait in one place are one line.
    fn threads_report(&self) -> String {
        /// Lines that a report has before it says how many more there are.
        const LISTED: usize = 20;
        let main = self.main_place.words().map(|words| ("`main` of `main`".to_owned(), words));
        let living = self.living.lock();
        let others = living.values().filter_map(|thread| Some((thread.title(), thread.place.words()?)));
        let mut groups: Vec<((String, String), usize)> = Vec::new();
        for line in main.into_iter().chain(others) {
            match groups.iter_mut().find(|(known, _)| *known == line) {
                Some((_, threads)) => *threads += 1,
                None => groups.push((line, 1)),
            }
        }
        let mut report = String::new();
        for ((title, words), threads) in groups.iter().take(LISTED) {
            let all = if *threads > 1 { format!(" ({threads} threads)") } else { String::new() };
            report.push_str(&format!("\n  {title}{all} {words}"));
        }
        if groups.len() > LISTED {
            let more: usize = groups[LISTED..].iter().map(|(_, threads)| threads).sum();
            report.push_str(&format!("\n  and {more} more"));
        }
        report
    }

    pub(super) fn record_panic(&self, payload: Box<dyn Any + Send>) {
        let own = here(|here| here.place.take_panic());
        if payload.is::<Killed>() {
            return;
        }
        let info = crate::panics::take(&*payload);
        let began = own.map_or_else(Instant::now, |(began, _)| began);
        match self.first_panic().filter(|&(first, ..)| first < began) {
            None => self.store_failure(FailureKind::Panic, info, whoami()),
            Some((_, first, who)) => {
                let (node, thread) = whoami();
                let place = info.location.map_or_else(String::new, |place| format!(" ({place})"));
                let message = format!(
                    "{}\nThe panic unwinds the thread, and before it came to its end, `{thread}` of `{node}` panicked \
                     as well{place}: {}",
                    first.message, info.message
                );
                self.store_failure(FailureKind::Panic, PanicInfo { message, ..first }, who);
            }
        }
        crate::panics::discard(payload);
    }
}

fn whoami() -> Who {
    here(|here| (here.node.name().to_owned(), here.name.to_string()))
}
