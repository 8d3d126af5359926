//! File names as text. On Unix a name can be any bytes; messages, output and applications need text.
//!
//! A byte that is not UTF-8 becomes `\xHH` with two hexadecimal digits, and so does a backslash. So
//! [`to_bytes`] finds the same name again: `caf\xe9` is the name whose last byte is 0xE9.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The name as text.
pub(crate) fn to_text(name: &OsStr) -> String {
    let mut text = String::new();
    let escape = |text: &mut String, byte: u8| *text += &format!("\\x{byte:02x}");
    for chunk in name.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                escape(&mut text, b'\\');
            } else {
                text.push(character);
            }
        }
        chunk.invalid().iter().for_each(|&byte| escape(&mut text, byte));
    }
    text
}

/// Reverses [`to_text`]. A backslash that does not begin an escape stands for itself.
pub(crate) fn to_bytes(text: &str) -> OsString {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.strip_prefix(b"x").and_then(|digits| digits.first_chunk::<2>());
        let byte = escaped.filter(|_| first == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
        });
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes)
}

/// The text without characters that would change a terminal. Names of files may have any.
pub(crate) fn printable(text: &str) -> String {
    let is_harmless = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    let mut printable = String::new();
    for character in text.chars() {
        if is_harmless(character) {
            printable.push(character);
        } else {
            printable += &format!("\\x{:02x}", u32::from(character));
        }
    }
    printable
}

/// The most symbolic links that are followed, as in Linux.
const MOST_LINKS: usize = 40;

/// Whether the name leads into `/proc`, as `/dev/stdin` does, where each process finds another file.
pub(crate) fn is_of_one_process(name: &OsStr) -> bool {
    let mut path = PathBuf::from(name);
    for _ in 0..MOST_LINKS {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (Ok(parent), Some(last)) = (fs::canonicalize(parent), path.file_name()) else { return false };
        if parent.starts_with("/proc") {
            return true;
        }
        let Ok(target) = fs::read_link(parent.join(last)) else { return false };
        path = parent.join(target);
    }
    false
}

/// Whether two names lead to one file.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|data| (data.dev(), data.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// Checks that nothing or a regular file is at this path. Writing a file there would replace a device or a
/// pipe.
pub(crate) fn check_place(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if there.is_file() => Ok(()),
        Ok(_) => Err(io::Error::new(ErrorKind::AlreadyExists, "exists and is no regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_each_process_understands_in_its_own_way() {
        for name in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/proc/self/exe", "/dev/stdout"] {
            assert!(is_of_one_process(OsStr::new(name)), "{name}");
        }
        for name in ["src/names.rs", "/dev/null", "/etc/passwd", "nowhere", "", "/", "..", "."] {
            assert!(!is_of_one_process(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn names_are_any_bytes() {
        for (name, text) in [
            (&b"plain.txt"[..], "plain.txt"),
            ("Ä,\n b".as_bytes(), "Ä,\n b"),
            (b"caf\xe9.txt", r"caf\xe9.txt"),
            (br"a\xe9", r"a\x5cxe9"),
            (b"\xff\xfe\\", r"\xff\xfe\x5c"),
            (b"\xc3", r"\xc3"),
            (b"", ""),
        ] {
            let name = OsStr::from_bytes(name);
            assert_eq!(to_text(name), text);
            assert_eq!(to_bytes(text), name);
        }
        assert_eq!(to_bytes(r"\x+1\xg0\x1"), r"\x+1\xg0\x1");
    }

    #[test]
    fn what_is_printed_does_not_change_the_terminal() {
        assert_eq!(printable("a\tb\nÄ \x1b]0;x\x07\u{9b}\r"), "a\tb\nÄ \\x1b]0;x\\x07\\x9b\\x0d");
    }
}
