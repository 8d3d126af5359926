//! Tests of the network: those of the course, its behaviours as measured, and what goes beyond them.

mod bandwidth;
mod behaviours;
mod blame;
mod contract;
mod course;
mod dead;
mod determinism;
mod extras;
mod fixture;
