//! The models that come with the checker.
//!
//! Each is a sequential specification of a few lines; the types of their values are free wherever nothing
//! depends on them. [`key_value`] and the register have methods of their own. So have the queue, the stack
//! and the set that is read as a whole if no value is put in twice, the counter if one number alone is added,
//! the lock of one owner and the set of single elements; all others are checked by the general search.

pub mod any;
pub mod collections;
pub mod counter;
mod equal_steps;
mod fifo;
mod lifo;
pub use crate::keys::key_value;
pub mod lock;
pub mod log;
mod paired;
pub mod register;
mod register_words;
mod registers;
pub mod scalar;
pub mod stack;
mod switch;
pub mod versioned;
mod whole_set;

use std::fmt::Debug;
use std::hash::Hash;

/// What a value must be able to do: be compared, kept and printed.
pub trait Value: Clone + Debug + Eq + Hash + Send + Sync {}

impl<T: Clone + Debug + Eq + Hash + Send + Sync> Value for T {}
