//! Keys with texts: what they are, and the methods for them.
//!
//! `key_value` is the model and `texts` holds what was written and read, once. `order` reads the order of
//! writes from what reads returned; where texts do not name their writes, `ambiguous` chooses. `explain` and
//! `shows` find words for what these find.

pub(crate) mod ambiguous;
pub(crate) mod explain;
pub mod key_value;
pub(crate) mod order;
mod shows;
pub(crate) mod texts;
