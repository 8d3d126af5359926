//! Tests of the checker as its users see it.

mod brute;
mod kv;
mod models;
mod small;
