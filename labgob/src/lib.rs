//! Encoding of the labs.
