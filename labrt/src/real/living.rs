//! The threads of a run on real threads, as its reports name them, and the calling one among them.

use std::cell::RefCell;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::{HERE, Here};
use crate::name::Name;
use crate::node::Node;
use crate::panics::{PanicInfo, Whereabouts};
use crate::watchdog::Stubborn;

/// Where a thread has entered the runtime last. Other threads read it when a run has failed.
#[derive(Clone, Default)]
pub(crate) struct LastPlace {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    place: AtomicPtr<Location<'static>>,
    waits_for_lock: AtomicBool,
    has_panicked: AtomicBool,
    /// The panic that unwinds the thread, and when it began.
    panic: Mutex<Option<(Instant, PanicInfo)>>,
}

impl LastPlace {
    #[inline]
    pub(super) fn set(&self, place: &'static Location<'static>) {
        self.inner.place.store(ptr::from_ref(place).cast_mut(), Ordering::Relaxed);
        if self.inner.has_panicked.load(Ordering::Relaxed) && !std::thread::panicking() {
            self.take_panic();
        }
    }

    /// The thread panics. It may catch the panic, which is known at its next call into this crate.
    pub(super) fn note_panic(&self, panic: PanicInfo) {
        *self.inner.panic.lock() = Some((Instant::now(), panic));
        self.inner.has_panicked.store(true, Ordering::Relaxed);
    }

    /// The panic has come to its end, or was caught.
    pub(super) fn take_panic(&self) -> Option<(Instant, PanicInfo)> {
        self.inner.has_panicked.store(false, Ordering::Relaxed);
        self.inner.panic.lock().take()
    }

    /// The panic that unwinds the thread, as far as is known.
    pub(super) fn panic(&self) -> Option<(Instant, PanicInfo)> {
        self.inner.panic.lock().clone()
    }

    /// Whether the thread waits there for a lock.
    pub(super) fn waits_for_lock(&self, waits: bool) {
        self.inner.waits_for_lock.store(waits, Ordering::Relaxed);
    }

    #[allow(unsafe_code, reason = "there is no atomic reference")]
    fn get(&self) -> Option<&'static Location<'static>> {
        // SAFETY: the pointer is null, or was made of a reference to what is never changed and never goes.
        unsafe { self.inner.place.load(Ordering::Relaxed).as_ref() }
    }

    /// What a report says of the thread; None if it has not entered the runtime yet.
    pub(super) fn words(&self) -> Option<String> {
        let place = self.get()?;
        let what =
            if self.inner.waits_for_lock.load(Ordering::Relaxed) { "waits for a lock" } else { "was last" };
        Some(format!("{what} at {place}"))
    }
}

/// A thread of a run, but the main one.
pub(super) struct Living {
    pub(super) node: Node,
    pub(super) name: Name,
    pub(super) place: LastPlace,
    /// The system's number of the OS thread that runs it; 0 until it does, and if it is not known.
    pub(super) number: Arc<AtomicI32>,
}

impl Living {
    pub(super) fn title(&self) -> String {
        format!("`{}` of `{}`", self.name, self.node.name())
    }

    pub(super) fn stubborn(&self) -> Stubborn {
        let number = Some(self.number.load(Ordering::Relaxed)).filter(|number| *number != 0);
        Stubborn { title: self.title(), number }
    }
}

/// As [`whereabouts`], in words and without allocating, for a handler of signals.
pub(crate) fn write_whereabouts(text: &mut impl std::fmt::Write) {
    let _ = HERE.try_with(|here| {
        let here = here.try_borrow().ok()?;
        let here = here.as_ref()?;
        let (seed, at) = (here.world.seed, here.world.started.elapsed());
        let (seconds, micros) = (at.as_secs(), at.subsec_micros());
        let (name, node) = (&here.name, here.node.name());
        write!(text, "thread `{name}` of `{node}` at {seconds}.{micros:06} s, seed {seed}").ok()
    });
}

pub(crate) fn whereabouts() -> Option<Whereabouts> {
    let find = |here: &RefCell<Option<Here>>| {
        let here = here.try_borrow().ok()?;
        let here = here.as_ref()?;
        let (node, thread) = (here.node.name().to_owned(), here.name.to_string());
        let (seed, at) = (here.world.seed, here.world.started.elapsed());
        Some(Whereabouts { node, thread, task: 0, seed, at })
    };
    HERE.try_with(find).ok().flatten()
}
