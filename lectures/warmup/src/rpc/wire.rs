//! Marshalling: values as bytes, and bytes that come from anywhere as values or as an error.
//!
//! A value is a tag (one byte) and what the tag announces. Lengths and counts are eight bytes, little endian,
//! like integers.
//!
//! | tag | value | what follows |
//! |---|---|---|
//! | 0 | `Unit` | nothing |
//! | 1 | `Integer` | the number |
//! | 2 | `Text` | the length in bytes, and the text in UTF-8 |
//! | 3 | `Bytes` | the length, and the bytes |
//! | 4 | `List` | the number of values, and the values |
//!
//! Lists in lists decode at least 32 levels deep. A thousand levels and more are malformed: a message from
//! outside must not decide how much stack a server needs.

use std::fmt;

// handout: drop classic
/// How deep values may be nested.
const MAX_DEPTH: usize = 64;

// handout: end
/// An argument or a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing to say.
    Unit,
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Any bytes.
    Bytes(Vec<u8>),
    /// Several values.
    List(Vec<Value>),
}

/// Bytes that are no value: cut off, too deep, with an unknown tag, a text that is not UTF-8, or with
/// something behind the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are no value")
    }
}

impl std::error::Error for Malformed {}

// handout: bodies 0C

/// The bytes of a value.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(value, &mut bytes);
    bytes
}

fn put(value: &Value, bytes: &mut Vec<u8>) {
    let tagged = |bytes: &mut Vec<u8>, tag: u8, number: u64| {
        bytes.push(tag);
        bytes.extend_from_slice(&number.to_le_bytes());
    };
    match value {
        Value::Unit => bytes.push(0),
        Value::Integer(number) => tagged(bytes, 1, number.cast_unsigned()),
        Value::Text(text) => {
            tagged(bytes, 2, text.len() as u64);
            bytes.extend_from_slice(text.as_bytes());
        }
        Value::Bytes(content) => {
            tagged(bytes, 3, content.len() as u64);
            bytes.extend_from_slice(content);
        }
        Value::List(values) => {
            tagged(bytes, 4, values.len() as u64);
            values.iter().for_each(|value| put(value, bytes));
        }
    }
}

/// The value that the bytes stand for.
///
/// # Errors
/// [`Malformed`].
pub fn decode(mut bytes: &[u8]) -> Result<Value, Malformed> {
    let value = take(&mut bytes, 0)?;
    if bytes.is_empty() { Ok(value) } else { Err(Malformed) }
}

/// Takes a value from the front of the bytes.
fn take(bytes: &mut &[u8], depth: usize) -> Result<Value, Malformed> {
    let tag = bytes.split_off_first().ok_or(Malformed)?;
    Ok(match tag {
        0 => Value::Unit,
        1 => Value::Integer(take_number(bytes)?.cast_signed()),
        2 => Value::Text(String::from_utf8(take_bytes(bytes)?.to_vec()).map_err(|_| Malformed)?),
        3 => Value::Bytes(take_bytes(bytes)?.to_vec()),
        4 if depth < MAX_DEPTH => {
            let count = take_number(bytes)?;
            // No memory is set aside for it: the count may be a lie.
            let values: Result<Vec<_>, _> = (0..count).map(|_| take(bytes, depth + 1)).collect();
            Value::List(values?)
        }
        _ => return Err(Malformed),
    })
}

fn take_number(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let (number, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(u64::from_le_bytes(*number))
}

/// A length, and so many bytes.
fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(take_number(bytes)?).map_err(|_| Malformed)?;
    bytes.split_off(..length).ok_or(Malformed)
}
