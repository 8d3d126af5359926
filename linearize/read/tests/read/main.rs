//! Tests of the reader: files in, histories and their verdicts out.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

#[path = "../../../tests/common/brute.rs"]
mod brute;
mod cases;
mod files;
mod formats;
mod kinds;
#[path = "../../../tests/common/random.rs"]
mod random;
mod read;
