//! Values that each thread has of its own: [`crate::thread_local!`].
//!
//! All threads of a simulation share one OS thread, and so they share what std's macro makes: between
//! servers, and from seed to seed. Here each task has its own slot, which is dropped when the task ends. So
//! it is on real threads, since one OS thread runs many of them, one after the other.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::context::{Mode, mode};
use crate::sim;

/// Declares values that each thread has of its own; as std's macro of this name, for code that runs in both
/// worlds.
///
/// ```
/// use std::cell::Cell;
///
/// labrt::thread_local! {
///     static CALLS: Cell<u32> = const { Cell::new(0) };
/// }
///
/// let outcome = labrt::run(labrt::Config::simulated(1), || {
///     CALLS.set(CALLS.get() + 1);
///     labrt::thread::spawn(|| CALLS.get()).join().unwrap()
/// });
/// assert_eq!(outcome.result.unwrap(), 0);
/// ```
#[macro_export]
macro_rules! thread_local {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = const $init:block;
        $($rest:tt)*) => {
        $crate::thread_local!($(#[$attribute])* $visibility static $name: $type = $init);
        $crate::thread_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = const $init:block) => {
        $crate::thread_local!($(#[$attribute])* $visibility static $name: $type = $init);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $init:expr; $($rest:tt)*) => {
        $crate::thread_local!($(#[$attribute])* $visibility static $name: $type = $init);
        $crate::thread_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $init:expr) => {
        $(#[$attribute])*
        #[allow(clippy::disallowed_macros, reason = "the slot of code outside of simulations is std's")]
        $visibility static $name: $crate::thread::LocalKey<$type> = {
            ::std::thread_local! {
                static OF_OS_THREAD: $type = $init;
            }
            fn init() -> $type {
                $init
            }
            $crate::thread::LocalKey::new(&OF_OS_THREAD, init)
        };
    };
}

/// What [`crate::thread_local!`] declares; as [`std::thread::LocalKey`].
pub struct LocalKey<T: 'static> {
    of_os_thread: &'static std::thread::LocalKey<T>,
    init: fn() -> T,
}

/// The values of one task, by the addresses of their keys.
#[derive(Default)]
pub(crate) struct Locals {
    values: RefCell<Vec<(usize, Rc<dyn Any>)>>,
}

impl Locals {
    fn find(&self, key: usize) -> Option<Rc<dyn Any>> {
        self.values.borrow().iter().find(|(other, _)| *other == key).map(|(_, value)| Rc::clone(value))
    }
}

/// Stands for the thread that an OS thread runs at the moment, on real threads.
const REAL: u64 = u64::MAX - 1;

std::thread_local! {
    /// The values of tasks that have some, by their numbers.
    static OF_TASKS: RefCell<Vec<(u64, Rc<Locals>)>> = const { RefCell::new(Vec::new()) };
    /// Whether `OF_TASKS` is not empty, so that the end of a task costs nothing where none are used.
    static USED: Cell<bool> = const { Cell::new(false) };
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(of_os_thread: &'static std::thread::LocalKey<T>, init: fn() -> T) -> Self {
        LocalKey { of_os_thread, init }
    }

    /// Runs `f` on the calling thread's value, which is made by the first call.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        let task = match mode() {
            Mode::Outside => return self.of_os_thread.with(f),
            Mode::Simulated => sim::with(|sim| sim.current_serial()),
            Mode::Threads => REAL,
        };
        let locals = OF_TASKS.with_borrow_mut(|tasks| {
            USED.set(true);
            if let Some((_, locals)) = tasks.iter().find(|(other, _)| *other == task) {
                return Rc::clone(locals);
            }
            let locals = Rc::new(Locals::default());
            tasks.push((task, Rc::clone(&locals)));
            locals
        });
        let key = std::ptr::from_ref(self) as usize;
        let value = locals.find(key).unwrap_or_else(|| {
            let value: Rc<dyn Any> = Rc::new((self.init)());
            locals.values.borrow_mut().push((key, Rc::clone(&value)));
            value
        });
        f(value.downcast_ref().expect("a key has one type"))
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    /// Replaces the value.
    pub fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    /// A copy of the value.
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    /// Takes the value and leaves the default in its place.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    /// Replaces the value; the one before.
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Runs `f` on the borrowed value.
    ///
    /// # Panics
    /// If it is mutably borrowed.
    pub fn with_borrow<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| f(&cell.borrow()))
    }

    /// Runs `f` on the mutably borrowed value.
    ///
    /// # Panics
    /// If it is borrowed.
    pub fn with_borrow_mut<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }

    /// Replaces the value.
    ///
    /// # Panics
    /// If it is borrowed.
    pub fn set(&'static self, value: T) {
        self.with(|cell| *cell.borrow_mut() = value);
    }

    /// Takes the value and leaves the default in its place.
    ///
    /// # Panics
    /// If it is borrowed.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }
}

/// The running task has ended: drops its values, on its own stack.
pub(crate) fn drop_locals() {
    if USED.get() {
        let task = sim::with(|sim| sim.current_serial());
        drop(OF_TASKS.with_borrow_mut(|tasks| {
            let position = tasks.iter().position(|(other, _)| *other == task)?;
            Some(tasks.swap_remove(position))
        }));
    }
}

/// A run has ended, or a real thread, whose OS thread will run others: drops what is left. A destructor that
/// uses such a value makes it anew, and it is dropped in the next round; one that always does so is given up.
pub(crate) fn drop_all_locals() {
    const ROUNDS: usize = 5;
    for _ in 0..ROUNDS {
        if USED.replace(false) {
            drop(OF_TASKS.take());
        }
    }
    if USED.replace(false) {
        std::mem::forget(OF_TASKS.take());
    }
}
