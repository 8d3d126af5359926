//! The token of a job: a secret that its processes share.
//!
//! The coordinator draws it and writes it to `--token-file`, or to its second line of output. A worker sends
//! it when it connects to the coordinator or to another worker. It keeps out strangers and workers of other
//! jobs. It travels unencrypted, so it does not protect against a reader of the network: use an SSH tunnel or
//! a private network.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::names::check_place;

/// The token of a job. Unix sockets have the empty token, since file permissions protect them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The empty token.
    pub fn none() -> Token {
        Token::default()
    }

    /// A new secret of 128 random bits.
    pub fn draw() -> Token {
        Token(format!("{:016x}{:016x}", labrt::random_seed(), labrt::random_seed()))
    }

    /// The text, without the white space around it.
    pub fn from_text(text: &str) -> Token {
        Token(text.trim().to_owned())
    }

    /// Reads the token from a file.
    ///
    /// # Errors
    /// The file system's.
    pub fn read(path: &Path) -> io::Result<Token> {
        Ok(Token::from_text(&std::fs::read_to_string(path)?))
    }

    /// Writes the token to a file that only this user can read.
    ///
    /// # Errors
    /// The file system's; also if the path exists and is not a regular file.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        check_place(path)?;
        // The mode applies only to new files, so an older file is removed.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{}", self.0)
    }

    /// Whether this is the empty token.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, for the user or the other side.
    pub fn as_text(&self) -> &str {
        &self.0
    }

    /// Whether a text is this token. The comparison takes the same time wherever they differ, so the time
    /// reveals nothing.
    pub(super) fn admits(&self, text: &[u8]) -> bool {
        let ours = self.0.as_bytes();
        let differing = ours.iter().zip(text).fold(0, |sum, (ours, theirs)| sum | (ours ^ theirs));
        ours.len() == text.len() && differing == 0
    }
}

impl fmt::Debug for Token {
    /// Keeps the secret out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_none() { "Token(none)" } else { "Token(…)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_admits_itself_alone() {
        let token = Token::draw();
        assert_eq!(token.as_text().len(), 32);
        assert!(token.admits(token.as_text().as_bytes()));
        assert!(!token.admits(b"") && !token.admits(Token::draw().as_text().as_bytes()));
        assert!(!token.admits(&token.as_text().as_bytes()[..31]));
        assert!(Token::none().admits(b"") && !Token::none().admits(b"x"));
        assert!(!format!("{token:?}").contains(token.as_text()));
    }
}
