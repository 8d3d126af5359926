//! What can be wrong with bytes.

use std::fmt;

use bincode::error::DecodeError as Bincode;
use bincode::serde::DecodeError as Serde;

/// Why bytes are not the value that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end before the value does: a torn write, a cut message, or a garbled length that promises
    /// more elements than follow.
    Truncated,
    /// The value is complete, and more bytes follow it.
    Trailing {
        /// How many bytes the value took.
        used: usize,
        /// How many are left over; at least 1.
        extra: usize,
    },
    /// The bytes cannot stand for this type: a variant that does not exist, text that is not UTF-8, a boolean
    /// that is neither 0 nor 1, too deep a nesting. The text says which.
    Invalid(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Truncated => write!(f, "the bytes end before the value does"),
            DecodeError::Trailing { used, extra } => {
                write!(f, "{extra} bytes are left over behind a value of {used} bytes")
            }
            DecodeError::Invalid(reason) => write!(f, "the bytes are no such value: {reason}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// The one place that knows bincode's errors. The guard's own complaints arrive as `OtherString`.
impl From<Bincode> for DecodeError {
    fn from(error: Bincode) -> DecodeError {
        match error {
            Bincode::UnexpectedEnd { .. } => DecodeError::Truncated,
            Bincode::OtherString(reason) => DecodeError::Invalid(reason),
            Bincode::Serde(Serde::AnyNotSupported) => DecodeError::Invalid(
                "the type asks the bytes what they are (serde's untagged, internally tagged or flattened types do), and \
                 they do not say it"
                    .to_owned(),
            ),
            Bincode::Utf8 { inner } => DecodeError::Invalid(inner.to_string()),
            other => DecodeError::Invalid(other.to_string()),
        }
    }
}
