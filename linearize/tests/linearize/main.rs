//! Tests of the checker as its users see it.

mod browser;
mod brute;
mod devtools;
mod files;
mod kv;
mod models;
mod picture;
mod read;
mod samples;
mod small;
