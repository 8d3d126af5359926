//! Tests of the checker as its users see it.

mod brute;
mod files;
mod kv;
mod models;
mod read;
mod small;
