//! Is this history linearizable, and if not, why not?
//!
//! An object is *linearizable* (Herlihy and Wing 1990) if every operation seems to take effect at one instant between its
//! call and its return. This crate takes what clients observed of an object, a [`History`], and what one client alone
//! would observe, a [`Model`], and answers with an order that proves the history linearizable, or with the two to four operations
//! that prove that it is not.

#![forbid(unsafe_code)]

mod ambiguous;
mod check;
pub mod explain;
pub mod generate;
mod history;
mod limits;
mod model;
pub mod models;
mod order;
pub mod picture;
pub mod read;
mod recorder;
mod search;
mod shown;
pub mod text;
mod texts;
mod verdict;
pub mod words;

pub use check::{check, check_by_search, check_watched};
pub use explain::{Explanation, Kind};
pub use history::{History, HistoryError, HistoryErrorKind, OPEN, Operation, Unit};
pub use limits::{Limits, Progress};
pub use model::{Effect, Model};
pub use models::key_value::{Key, KeyValue, KvBuilder, KvHistory, KvOp};
pub use recorder::{KvRecorder, Recorder, Ticket};
pub use shown::{Edit, Parts};
pub use texts::{Text, Texts};
pub use verdict::{Limit, Order, ReplayError, Undecided, Verdict, Witness};
