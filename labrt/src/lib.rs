//! The runtime of the labs.
