//! Tests of the network: those of the course, its behaviours as measured, and what goes beyond them.

mod course;
mod fixture;
