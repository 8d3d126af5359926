//! What the programs of the command line share: how they end, and how they print.
//!
//! `lab` runs tests and `lab-check` checks histories. They are two programs so that a first test run need not
//! build a checker. What a user sees of both is the same, so it stands here: [`Outcome`] and its exit codes,
//! [`Failure`], the colours and tables of `style`, the nearest names of `names`, the words of `waiting`, the
//! terminal's settings in `echo`, the limit of a process's `silence`.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "nothing here runs in a simulation: users wait on the wall clock"
)]

mod echo;
mod fingerprint;
mod names;
mod outcome;
mod signals;
mod silence;
mod style;
mod waiting;

pub use echo::{hide_echo, restore_echo};
pub use fingerprint::{RECORD, fingerprint};
pub use names::{nearest, plain};
pub use outcome::{Failure, INTERRUPTED, Outcome, end_quietly_when_nobody_reads, end_unread, exit_code};
pub use signals::Signals;
pub use silence::Silence;
pub use style::{count, cut, duration, error_width, error_word, height, table, width, wrapped};
pub use waiting::{Waiting, is_lively};
