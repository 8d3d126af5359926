//! What a sequential specification is: a step function, and a few optional hints.

use std::borrow::Cow;
use std::fmt::Debug;
use std::hash::Hash;

use crate::history::History;
use crate::limits::{Limits, Progress};
use crate::shown::{Edit, Parts};
use crate::verdict::Explanation;
use crate::verdict::{Limit, Verdict};

/// How an operation treats the state, as far as the search may rely on it.
///
/// The hint must be right in every state in which the operation may return what it did. A wrong hint makes
/// the verdict wrong; no hint only makes it slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Never changes the state. Such an operation can take effect as soon as its result is right.
    Read,
    /// Replaces the whole state by one that does not depend on what was there, is always legal, and returns
    /// nothing that depends on the state. What ran just before it leaves no trace.
    Overwrite,
    /// Anything else.
    Update,
}

/// A sequential specification: what one caller alone would see.
///
/// Only [`Model::initial`] and [`Model::step`] are needed; everything else is a hint that makes checking
/// faster or words that make its findings readable. An object whose specification is not deterministic can be
/// described by letting the state be a *set* of states.
///
/// # A model of your own
///
/// A stack, in twenty lines:
///
/// ```
/// use linearize::{History, Limits, Model, Operation, check};
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash)]
/// enum Call { Push(u32), Pop }
///
/// struct Stack;
///
/// impl Model for Stack {
///     type Op = Call;
///     type Result = u32; // what Pop returned; 0 from an empty stack, and always from Push
///     type State = Vec<u32>;
///
///     fn initial(&self) -> Vec<u32> { Vec::new() }
///
///     fn step(&self, stack: &Vec<u32>, call: &Call, result: Option<&u32>) -> Option<Vec<u32>> {
///         let mut next = stack.clone();
///         let answer = match call {
///             Call::Push(value) => { next.push(*value); 0 }
///             Call::Pop => next.pop().unwrap_or(0),
///         };
///         // An operation that never returned has no result, and may have had any.
///         result.is_none_or(|seen| *seen == answer).then_some(next)
///     }
/// }
///
/// let history = History::new(vec![
///     Operation::new(0, Call::Push(1), 0, 0, 10), // client, what it asked, what it got, called, returned
///     Operation::new(1, Call::Push(2), 0, 5, 15),
///     Operation::open(2, Call::Push(3), 7), // never returned
///     Operation::new(0, Call::Pop, 1, 20, 30), // 1 is on top only if it was pushed last, which is possible
/// ]).unwrap();
/// let verdict = check(&Stack, &history, &Limits::default());
/// assert!(verdict.is_linearizable());
/// // In words for a terminal; nothing went wrong meanwhile, so there are no faults to show. The crate `linearize-page`
/// // makes a page to look at.
/// println!("{}", linearize::text::render(&Stack, &history, &verdict, &[], 100));
/// ```
pub trait Model: Sync {
    /// What a client asks for, with its arguments.
    type Op: Clone + Debug + Eq + Hash + Send + Sync;
    /// What a client got back.
    type Result: Clone + Debug + Eq + Hash + Send + Sync;
    /// The state of one partition. Equal states must behave equally.
    type State: Clone + Eq + Hash + Debug + Send;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after `op`, or `None` if `op` cannot have returned `result` in `state`.
    ///
    /// `result` is `None` for an operation that never returned: its result is unknown, so every result is
    /// right.
    fn step(&self, state: &Self::State, op: &Self::Op, result: Option<&Self::Result>) -> Option<Self::State>;

    /// As [`Model::step`], for a caller that no longer needs the state before it. A model whose states are
    /// large need not copy them here.
    fn advance(
        &self,
        state: Self::State,
        op: &Self::Op,
        result: Option<&Self::Result>,
    ) -> Option<Self::State> {
        self.step(&state, op, result)
    }

    /// How many bytes `state` holds outside of itself (on the heap), for [`Limits::memory`].
    fn state_bytes(&self, _state: &Self::State) -> usize {
        64
    }

    /// The part of the object that `op` touches. Operations of different partitions must not affect one
    /// another; each partition is then checked by itself (Herlihy and Wing 1990, §3: linearizability is
    /// local).
    fn partition(&self, _op: &Self::Op) -> u64 {
        0
    }

    /// How `op` treats the state, given what it returned (`None`: it never did). A compare-and-swap that
    /// failed, for example, is an [`Effect::Read`].
    fn effect(&self, _op: &Self::Op, _result: Option<&Self::Result>) -> Effect {
        Effect::Update
    }

    /// What readers call the partition of `op`, for example the key. Empty if the object has one part only.
    fn partition_name(&self, _op: &Self::Op) -> String {
        String::new()
    }

    /// `op` in a few words, for example `Append z`.
    fn describe_op(&self, op: &Self::Op) -> String {
        format!("{op:?}")
    }

    /// The result of `op` in a few words; empty if it says nothing.
    fn describe_result(&self, _op: &Self::Op, result: &Self::Result) -> String {
        format!("{result:?}")
    }

    /// A state in a few words.
    fn describe_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// `op` and its result in full, for pictures, which cut and escape by themselves. By default what the
    /// descriptions say, cut at the end of the first word.
    fn parts<'a>(&'a self, op: &'a Self::Op, result: Option<&'a Self::Result>) -> Parts<'a> {
        Parts::of_description(&self.describe_op(op), result.map(|result| self.describe_result(op, result)))
    }

    /// What `op`, having returned `result`, does to [`Model::state_text`], if that can be said without
    /// knowing the state. A picture that shows the state after each step then need not keep any state.
    fn edit(&self, op: &Self::Op, result: Option<&Self::Result>) -> Edit {
        if self.effect(op, result) == Effect::Read { Edit::Keep } else { Edit::Other }
    }

    /// `state` in full.
    fn state_text<'a>(&'a self, state: &'a Self::State) -> Cow<'a, str> {
        Cow::Owned(self.describe_state(state))
    }

    /// What `op` would have returned in `state`, in full; `None` if the model cannot say it.
    fn expected<'a>(&'a self, _state: &'a Self::State, _op: &'a Self::Op) -> Option<Cow<'a, str>> {
        None
    }

    /// A faster method for all partitions together, if the model has one. [`crate::check()`] asks it first.
    #[doc(hidden)]
    fn check_specially(
        &self,
        _history: &History<Self::Op, Self::Result>,
        _limits: &Limits,
        _progress: &Progress,
    ) -> Option<Verdict> {
        None
    }

    /// Finds better words for an explanation, if the model has some. By its `operations` and `context`, if
    /// those are minimal.
    #[doc(hidden)]
    fn reword(&self, _history: &History<Self::Op, Self::Result>, _explanation: &mut Explanation) {}

    /// Whether [`Model::decide`] may answer.
    #[doc(hidden)]
    fn decides(&self) -> bool {
        false
    }

    /// A faster method for one partition, the operations `indices` by rising call, if the model has one that
    /// fits them. `None` sends them to the general search.
    #[doc(hidden)]
    fn decide(
        &self,
        _history: &History<Self::Op, Self::Result>,
        _indices: &[u32],
        _limits: &Limits,
        _progress: &Progress,
    ) -> Option<Decision> {
        None
    }
}

/// What a method that fits one model finds out about a partition. Operations are named by their index in the
/// history.
#[doc(hidden)]
#[derive(Debug)]
pub enum Decision {
    /// An order.
    Order(Vec<u32>),
    /// Operations that cannot be reconciled, not even alone.
    Flaw(Vec<u32>),
    /// It is not linearizable, and this is why.
    Explained(Box<Explanation>),
    /// What had returned up to the return of this operation cannot be linearized.
    Stuck(u32),
    /// The limits came first.
    Limited {
        /// Which of them.
        limit: Limit,
        /// How many states were visited.
        states: u64,
        /// Up to where the order was followed.
        reached: u32,
    },
}

impl Decision {
    /// The same with other indices.
    pub(crate) fn renumbered(mut self, index: impl Fn(u32) -> u32) -> Decision {
        match &mut self {
            Decision::Order(operations) | Decision::Flaw(operations) => {
                operations.iter_mut().for_each(|operation| *operation = index(*operation));
            }
            Decision::Explained(explanation) => {
                let Explanation { operations, context, .. } = &mut **explanation;
                for operation in operations.iter_mut().chain(context) {
                    *operation = index(*operation as u32) as usize;
                }
            }
            Decision::Stuck(operation) => *operation = index(*operation),
            Decision::Limited { reached, .. } => *reached = index(*reached),
        }
        self
    }
}
