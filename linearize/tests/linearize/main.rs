//! Tests of the checker as its users see it.
