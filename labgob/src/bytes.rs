//! Byte vectors copied at once: `#[serde(with = "labgob::bytes")]` on a field of type `Vec<u8>`.
//!
//! Serde does not know that a `Vec<u8>` is special, and visits it byte by byte. For a command of ten bytes
//! that does not matter; for a snapshot it does. What is written is the same either way, so the attribute may
//! come and go.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// Writes the bytes in one piece.
///
/// # Errors
///
/// Those of the serializer; [`encode`](crate::encode) has none for bytes.
pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Reads bytes in one piece.
///
/// # Errors
///
/// Those of the deserializer, for instance that fewer bytes follow than the length promises.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    deserializer.deserialize_byte_buf(BytesVisitor)
}

/// Accepts bytes that are borrowed from the input as well as bytes that are handed over.
struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}
