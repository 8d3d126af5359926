//! Names of threads.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

/// The name that a thread was given, or the line that started it: `server.rs:222`. The text of a line is made
/// only when a report asks for it, since most threads are never reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Given(Cow<'static, str>),
    StartedAt(&'static Location<'static>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Given(name) => f.write_str(name),
            Name::StartedAt(place) => {
                let file = place.file().rsplit(['/', '\\']).next().unwrap_or_default();
                write!(f, "{file}:{}", place.line())
            }
        }
    }
}

impl<N: Into<Cow<'static, str>>> From<N> for Name {
    fn from(name: N) -> Name {
        Name::Given(name.into())
    }
}
