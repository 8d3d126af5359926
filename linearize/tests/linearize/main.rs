//! Tests of the checker as its users see it.

mod brute;
mod kv;
mod small;
