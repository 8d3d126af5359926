//! Tests of the checker as its users see it.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

mod brute;
mod files;
mod kv;
mod models;
mod read;
mod small;
