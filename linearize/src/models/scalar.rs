//! Values as files hold them.

use std::fmt;
use std::sync::{Arc, LazyLock};

/// A value of a file.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scalar {
    /// A whole number of 64 bits.
    Number(i64),
    /// A text.
    Text(Arc<str>),
    /// Anything else, as it is written: `nil`, `true`, `:a`, `1/2`, `\newline`, `[1 2]`.
    Word(Arc<str>),
}

impl Scalar {
    /// What a register holds in files before anything is written, unless told otherwise.
    pub fn nil() -> Self {
        /// One for all: every call of a read says it.
        static NIL: LazyLock<Arc<str>> = LazyLock::new(|| "nil".into());
        Scalar::Word(Arc::clone(&NIL))
    }

    /// Without quotes, as the name of a key.
    pub fn name(&self) -> String {
        match self {
            Scalar::Number(number) => number.to_string(),
            Scalar::Text(text) | Scalar::Word(text) => text.to_string(),
        }
    }
}

/// As sentences show it: texts in quotes, and nothing that steers a terminal.
impl fmt::Debug for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Number(number) => write!(formatter, "{number}"),
            Scalar::Text(text) => formatter.write_str(&crate::words::quoted(text)),
            Scalar::Word(word) => formatter.write_str(&crate::words::unquoted(word)),
        }
    }
}
