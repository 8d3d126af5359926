//! The models that come with the checker.

pub mod key_value;
