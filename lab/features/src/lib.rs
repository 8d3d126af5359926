//! This crate holds no code. It makes cargo build the same libraries whichever packages are asked for.
//!
//! Cargo builds a library with the union of the features that the *selected* packages ask for. `cargo lab`
//! selects `lab`, whose command line needs all of `syn`; `cargo test -p raft` selects `raft`, which needs
//! half of it. Without this crate the second command would build syn anew, then serde with its macros, and
//! then everything that stands on serde.
//!
//! So every package whose tests would build less has this crate among its dev-dependencies, and the root
//! manifest fixes the features of libraries. `.ci/features` proves that this holds.
