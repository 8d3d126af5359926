//! The tests of the key/value lab.
