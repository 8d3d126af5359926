//! Tests of the clerks and clusters: a history that is wrong on purpose is found, and no other.

mod clusters;
mod fake;
mod pictures;
