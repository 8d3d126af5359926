//! The tests of the command.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests of real processes use the real thing"
)]

mod processes;
mod scratch;
