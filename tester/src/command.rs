//! Commands as the tests of consensus send them: a number or a text, in bytes.

use std::fmt;

/// A command for the replicated log. Consensus does not look into it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Command(pub Vec<u8>);

impl Command {
    /// A random number as command, as the course's tests use where the value does not matter.
    pub fn random() -> Command {
        Command::from(labrt::rand::random::<u64>() >> 1)
    }

    /// A random text of so many characters.
    pub fn random_text(characters: usize) -> Command {
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        let mut text = vec![0; characters];
        labrt::rand::fill_bytes(&mut text);
        for byte in &mut text {
            *byte = letters[usize::from(*byte) % letters.len()];
        }
        Command(text)
    }

    /// The number that the command was made from, if it was.
    pub fn number(&self) -> Option<u64> {
        self.0.as_slice().try_into().ok().map(u64::from_le_bytes)
    }
}

impl From<u64> for Command {
    fn from(number: u64) -> Command {
        Command(number.to_le_bytes().to_vec())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => write!(f, "{number}"),
            None if self.0.len() <= 32 => write!(f, "{:?}", String::from_utf8_lossy(&self.0)),
            None => write!(f, "a command of {} bytes", self.0.len()),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({self})")
    }
}
