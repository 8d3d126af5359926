//! Tests of the clerks and clusters: a history that is wrong on purpose is found, and no other.

#![allow(clippy::disallowed_macros, reason = "the fakes are told from outside of a run how to be wrong")]

mod clusters;
mod fake;
mod pictures;
