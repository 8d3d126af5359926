//! Tests of the tester: it finds what is wrong on purpose, and nothing else.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "these tests look at the tester from outside of its runs"
)]

mod checkers;
mod disk_lines;
mod fake;
mod outside;
mod process;
mod stalls;
mod starved;
mod verbs;
