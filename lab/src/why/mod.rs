//! From "run 317 failed" to why: `trace`, `logs`, `view`, `shrink`, `when`.
//!
//! All of them begin with [`traced`], which runs a seed again and reads what it has written down, or with
//! [`variants`], which runs a seed many times, each time with something about it changed. The page of `view`
//! is made by a program of its own, `lab/view`.

pub(crate) mod cli;
pub(crate) mod logs;
pub(crate) mod shrink;
pub(crate) mod trace;
pub(crate) mod traced;
mod variants;
pub(crate) mod view;
pub(crate) mod when;
