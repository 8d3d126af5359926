//! Is this history linearizable, and if not, why not?
//!
//! An object is *linearizable* (Herlihy and Wing 1990) if every operation seems to take effect at one instant
//! between its call and its return. This crate takes what clients observed of an object, a [`History`], and
//! what one client alone would observe, a [`Model`], and answers with an order that proves the history
//! linearizable, or with the few operations that prove that it is not. If its [`Limits`] stop it first it
//! says [`Verdict::Unknown`], which is never a pass.
//!
//! ```
//! use linearize::{KvBuilder, Limits, Verdict};
//!
//! let mut builder = KvBuilder::new();
//! builder.put(0, "x", "a", 0, Some(10)); // client 0 puts "a" from 0 to 10 ns
//! builder.append(1, "x", "b", 20, Some(30));
//! builder.get(0, "x", 40, Some(("a", 50))); // and reads what was there before the append
//! let history = builder.finish().unwrap();
//!
//! let Verdict::NotLinearizable(explanation) = history.check(&Limits::default()) else { panic!() };
//! assert_eq!(explanation.operations, [0, 1, 2]);
//! println!("{explanation}"); // … but Append "b" by client 1 had already returned 10 ns before it was called …
//! ```
//!
//! # How to read
//!
//! The crate stands on floors, and no module imports one of a floor above.
//!
//! The core:
//!
//! - `history` is what was observed, `model` what a specification is: a step function, and hints. `verdict`
//!   is what is found: an order, an
//!   [`Explanation`], or how far the limits reached; `replay` checks orders.
//! - `search` is Lowe's just-in-time graph search (2017), for every model.
//! - `explain` looks for the fewest operations that still show the error, and says so in words.
//! - `check` splits a history into partitions (linearizability is local: Herlihy and Wing, theorem 1), and
//!   chooses the method. `check::touching` keeps each client's operations in order where the clock does not
//!   tell.
//!
//! Above it:
//!
//! - `keys` has the methods for keys with texts. `keys::order`: what reads returned tells the order of
//!   writes, so only times are left to compare (Gibbons and Korach 1997; the extension to chains of appends
//!   is ours). Begin with `keys::order::blocks`. `keys::ambiguous` chooses, by conflict-directed backjumping,
//!   which write was read, where a text does not say; and `keys::ambiguous::walk` asks only when the key held
//!   which text, where few texts are appended again and again.
//! - [`models`] has ten models. `models::registers` takes a register without compare-and-swap for such a key,
//!   decides others if each value is written once, and finds the usual errors of the rest without any order.
//!   `models::fifo`, `models::lifo`, `models::whole_set` and `models::equal_steps` decide queues, stacks and
//!   sets of distinct values, and counters of equal steps, without any search, and `models::switch` locks of
//!   one owner and single elements of sets.
//! - `recorder` collects a history while clients run; the crate `linearize-read` takes it from files;
//!   [`generate`] makes it up; [`text`] shows it in a terminal, and the crate `linearize-page` in a
//!   browser.
//!
//! Every method is exact; which one is used changes the time, never the verdict. Tests compare all of them
//! with the definition, tried out on a hundred thousand small histories for each model.
//!
//! # What is left out on purpose
//!
//! - *Time limits*: a verdict must not depend on how busy a machine is. Limits count states and bytes.
//! - *Nondeterministic steps*: let the state be a set of states.
//! - *Polynomial methods for priority queues* with distinct values (Lee and Mathur 2024).
//!
//! # What no checker can do
//!
//! Of a model that is only a step function nothing is known but what its steps say. Take m rounds of k
//! updates, all of a round under way at once, and a model whose last operation is legal after one order of
//! them alone: a checker of that history must try up to (k!)^m orders. So for such models there is always
//! a history that is answered with [`Verdict::Unknown`], and for a queue, which keeps the order of its
//! enqueues until long after, it is an ordinary one: with eight clients and 1,000 operations the default
//! limits suffice while no more than a few values wait, often not if ten do, and not if a hundred do, be the
//! history good or bad.
//!
//! Knowing what it is helps. This is how far it goes with the default limits:
//!
//! | object | values distinct | values repeated, or a take that never returned |
//! |---|---|---|
//! | queue, stack | always decided, in time n log n | the search: up to a few waiting values at 1,000 operations of 8 clients |
//! | register without compare-and-swap | always, in time n log n | nearly always, see below |
//! | register with compare-and-swap | always, in time n log n, if none that failed says what it saw | the usual errors always, the rest by the search |
//! | set, by element | always, in time n log n | always |
//! | lock of one owner | always, in time n log n | always |
//! | set read as a whole | always, in time n log n and one look at each element shown | the search: states are few while few adds are under way |
//! | counter | if one number alone is added always, in time n log n | different numbers: the search, which is fast while few are under way |
//!
//! Keys with repeated texts are NP-complete too (Gibbons and Korach 1997, theorem 3.1): 10,000 operations of
//! 50 clients that put and append only five different texts take seconds, and about a minute if every fifth
//! is a put. Up to there nearly all that was tried is decided within the default limits; spoilt histories of
//! two or five texts may need more. Keys without puts whose texts can be cut in one way only are always
//! decided, in time linear in operations times clients.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "checks recorded histories, on real threads and outside of any simulation"
)]

mod check;
pub mod explain;
mod fault;
pub mod generate;
mod history;
mod keys;
mod limits;
mod model;
pub mod models;
mod recorder;
mod replay;
mod search;
mod shown;
pub mod text;
mod verdict;
pub mod words;

pub use check::{check, check_by_search, check_watched};
pub use fault::Fault;
pub use history::{History, HistoryError, HistoryErrorKind, OPEN, Operation, Unit};
pub use keys::key_value::{Key, KeyValue, KvBuilder, KvHistory, KvOp};
pub use keys::texts::{Text, Texts};
pub use limits::{Limits, Progress};
#[doc(hidden)]
pub use model::Decision;
pub use model::{Effect, Model};
pub use recorder::{KvRecorder, Recorder, Ticket};
pub use replay::ReplayError;
pub use shown::{Edit, Parts};
pub use verdict::{Explanation, Kind, Limit, Order, Undecided, Verdict, Witness};
