//! Tests of labgob: what goes in comes out (`round_trip`), and bytes that are wrong come out as errors
//! (`hostile`).

mod hostile;
mod round_trip;
mod values;
