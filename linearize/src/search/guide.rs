//! What a method that knows more than the step function may tell the search.

use super::events::Events;
use crate::model::Model;

/// Where the search stands.
pub(crate) struct View<'a, S, D> {
    pub(crate) events: &'a Events,
    /// The next return, by number.
    pub(crate) event: u32,
    /// One more than the return before which the newest overwrite took effect; 0 if none has.
    pub(crate) overwritten: u32,
    pub(crate) state: &'a S,
    /// Tells of an item that is under way, or will be, whether it has happened.
    pub(crate) is_done: D,
}

impl<S, D> View<'_, S, D> {
    /// The next return.
    pub(crate) fn now(&self) -> u64 {
        self.events.time(self.event)
    }

    /// By then the state is replaced.
    pub(crate) fn until(&self) -> u64 {
        self.events.replaced_by(self.overwritten)
    }
}

/// Knowledge about what is to come. It must be right; it never changes the answer, only the time to it.
pub(crate) trait Guide<M: Model> {
    /// Whether `op` is legal in every state and nobody learns anything from its result, so that it may happen right
    /// before an overwrite without any trace.
    fn leaves_no_trace(&self, op: &M::Op) -> bool;

    /// A state that stands for all those that nobody can make use of before the next overwrite, if there is one.
    fn nowhere(&self) -> Option<M::State>;

    /// Whether nobody can make use of the state: until it is replaced, no operation but an overwrite can tell it
    /// from [`Guide::nowhere`].
    fn is_useless(&self, view: &View<'_, M::State, impl Fn(u32) -> bool>) -> bool;

    /// Whether there surely is no way from here to the end.
    fn is_hopeless(&self, view: &View<'_, M::State, impl Fn(u32) -> bool>) -> bool;
}

/// Nothing is known.
pub(crate) struct Unguided;

impl<M: Model> Guide<M> for Unguided {
    fn leaves_no_trace(&self, _op: &M::Op) -> bool {
        false
    }

    fn nowhere(&self) -> Option<M::State> {
        None
    }

    fn is_useless(&self, _view: &View<'_, M::State, impl Fn(u32) -> bool>) -> bool {
        false
    }

    fn is_hopeless(&self, _view: &View<'_, M::State, impl Fn(u32) -> bool>) -> bool {
        false
    }
}
