// handout: file never
//! Tests of the parts of this solution that the course does not ask for: reads that bypass the log, sessions
//! that end, messages that do not wait, and a clerk with errors and time limits. They use this solution's own
//! types, so they are a test target of their own, and another solution does without it.

mod bad_input;
mod broken_leases;
mod expiry;
mod late;
mod partial;
mod pipelining;
mod reads;
#[path = "../kvraft/stale_reads.rs"]
mod stale_reads;

/// Whether the servers stand on the oracle (`--over oracle`). It has no leases and sends no entries.
fn is_over_oracle() -> bool {
    std::env::var_os("LAB_OVER").is_some_and(|over| over == "oracle")
}
