//! Names of ends and servers.

use std::fmt;

/// What an end or a server of the network is called: a number or a text. Testers like numbers for servers and
/// texts for ends; the number 7 and the text "7" are different names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A name that is a number.
    Number(i64),
    /// A name that is a text.
    Text(String),
}

impl From<i64> for Name {
    fn from(number: i64) -> Name {
        Name::Number(number)
    }
}

impl From<i32> for Name {
    fn from(number: i32) -> Name {
        Name::Number(number.into())
    }
}

impl From<usize> for Name {
    /// # Panics
    /// Beyond `i64::MAX`, where no index of a server lies.
    fn from(number: usize) -> Name {
        match i64::try_from(number) {
            Ok(number) => Name::Number(number),
            Err(_) => panic!("{number} is too large for a name"),
        }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name::Text(text.to_owned())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name::Text(text)
    }
}

impl From<&Name> for Name {
    fn from(name: &Name) -> Name {
        name.clone()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Number(number) => write!(f, "{number}"),
            Name::Text(text) => write!(f, "{text}"),
        }
    }
}
