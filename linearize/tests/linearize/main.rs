//! Tests of the checker as its users see it.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

mod browser;
#[path = "../common/brute.rs"]
mod brute;
mod devtools;
mod explain;
mod floors;
mod kv;
mod looks;
mod models;
mod picture;
#[path = "../common/random.rs"]
mod random;
mod samples;
mod small;
