//! What has to be done even if a kill unwinds the thread on the way there.

/// Runs its closure when it is dropped.
///
/// A destructor may be killed at each of its calls of the runtime, for it may run in a thread that has ended
/// well. What others wait for (a count that becomes zero) stands behind such a call, in one of these.
pub(crate) struct Finally<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs `f`, and once more if it was unwound: what is being unwound gets its locks, and is not killed again.
pub(crate) fn certainly(f: impl Fn()) {
    let again = Finally(&f);
    f();
    std::mem::forget(again);
}
