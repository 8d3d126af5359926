//! Tests of the checker as its users see it.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

#[path = "../common/brute.rs"]
mod brute;
mod distinct;
mod explain;
mod floors;
#[path = "../common/hostile.rs"]
mod hostile;
mod kv;
mod models;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/rounds.rs"]
mod rounds;
mod small;
mod text;
