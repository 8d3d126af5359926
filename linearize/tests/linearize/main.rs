//! Tests of the checker as its users see it.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

mod browser;
mod brute;
mod cases;
mod devtools;
mod explain;
mod files;
mod floors;
mod formats;
mod kv;
mod looks;
mod models;
mod picture;
mod read;
mod samples;
mod small;
