//! Tests of the checker as its users see it.

mod browser;
mod brute;
mod devtools;
mod kv;
mod models;
mod samples;
mod small;
