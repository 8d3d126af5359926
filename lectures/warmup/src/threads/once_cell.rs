//! Exercise 6: a value that the first thread makes, from a lock and a condition variable.

use labrt::sync::{Condvar, Mutex};

/// A value that is made once, when it is first asked for.
#[derive(Default)]
pub struct OnceCell<T> {
    // handout: drop classic
    state: Mutex<State<T>>,
    ready: Condvar,
    // handout: end
    // handout: put classic
    // // Your data here, in place of this.
    // data: std::marker::PhantomData<T>,
    // handout: end
}

// handout: drop classic
#[derive(Default)]
enum State<T> {
    #[default]
    Empty,
    /// Some thread is making the value.
    Busy,
    Ready(T),
}

// handout: end
// handout: bodies 0B
impl<T: Clone> OnceCell<T> {
    /// A cell without a value.
    pub fn new() -> OnceCell<T> {
        OnceCell { state: Mutex::new(State::Empty), ready: Condvar::new() }
    }

    /// A copy of the value. The first caller makes it with `make`; the others wait until it is made.
    ///
    /// `make` runs without the lock, so it may take its time, and other cells may be used in it.
    pub fn get_or_make(&self, make: impl FnOnce() -> T) -> T {
        let mut state = self.state.lock();
        loop {
            match &*state {
                State::Ready(value) => return value.clone(),
                State::Busy => self.ready.wait(&mut state),
                State::Empty => break,
            }
        }
        *state = State::Busy;
        drop(state);
        let value = make();
        *self.state.lock() = State::Ready(value.clone());
        self.ready.notify_all();
        value
    }
}
