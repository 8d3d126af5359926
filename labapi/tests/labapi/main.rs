//! Tests of the disk and of the window into a server.

#![allow(clippy::disallowed_types, reason = "these tests need no run")]

mod persister;
mod probe;
