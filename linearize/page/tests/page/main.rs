//! Tests of the page as its readers see it, with and without a browser.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

mod browser;
mod devtools;
#[path = "../../../tests/common/hostile.rs"]
mod hostile;
mod looks;
mod picture;
mod policy;
#[path = "../../../tests/common/rounds.rs"]
mod rounds;
mod samples;
