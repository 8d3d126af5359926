//! Which bytes of a source file are code, comment or text, as far as marks and function bodies need it.

/// What a byte of a source file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Code, white space included.
    Code,
    /// A comment that ends with its line.
    LineComment,
    /// A comment between `/*` and `*/`.
    BlockComment,
    /// A string or character literal, quotes included.
    Literal,
}

/// The language of a file, which decides what a comment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// `//` begins a comment.
    Rust,
    /// `#` begins a comment.
    Toml,
    /// A comment stands between `<!--` and `-->`, for marks in one line.
    Markdown,
}

impl Language {
    /// How a line comment begins.
    pub(crate) fn comment(self) -> &'static str {
        match self {
            Language::Rust => "//",
            Language::Toml => "#",
            Language::Markdown => "<!--",
        }
    }

    /// How a comment ends within its line, if it does.
    pub(crate) fn comment_end(self) -> &'static str {
        match self {
            Language::Rust | Language::Toml => "",
            Language::Markdown => "-->",
        }
    }

    /// What stands in a comment, of which this is the rest of the line behind its beginning.
    pub(crate) fn inside(self, rest: &str) -> &str {
        let rest = rest.trim_end();
        rest.strip_suffix(self.comment_end()).unwrap_or(rest).trim_end()
    }
}

/// The kind of each byte.
pub(crate) fn kinds(text: &str, language: Language) -> Vec<Kind> {
    let mut scanner = Scanner { bytes: text.as_bytes(), kinds: Vec::with_capacity(text.len()), language };
    while scanner.kinds.len() < text.len() {
        scanner.step();
    }
    scanner.kinds.truncate(text.len());
    scanner.kinds
}

struct Scanner<'a> {
    bytes: &'a [u8],
    kinds: Vec<Kind>,
    language: Language,
}

impl Scanner<'_> {
    /// Takes one token, or one byte of code.
    fn step(&mut self) {
        let at = self.kinds.len();
        let rest = &self.bytes[at..];
        let (kind, length) = match (self.language, rest) {
            (Language::Markdown, _) => (Kind::Code, rest.len()),
            (Language::Toml, [b'#', ..]) => (Kind::LineComment, line(rest)),
            (Language::Toml, [b'"', b'"', b'"', ..] | [b'\'', b'\'', b'\'', ..]) => {
                (Kind::Literal, until(rest, 3, &rest[..3]))
            }
            (Language::Toml, [b'\'', ..]) => (Kind::Literal, until(rest, 1, b"'")),
            (Language::Rust, [b'/', b'/', ..]) => (Kind::LineComment, line(rest)),
            (Language::Rust, [b'/', b'*', ..]) => (Kind::BlockComment, block(rest)),
            (Language::Rust, [b'r', ..]) if !self.within_word(at) => match raw_string(rest) {
                Some(length) => (Kind::Literal, length),
                None => (Kind::Code, 1),
            },
            (Language::Rust, [b'\'', ..]) => match character(rest) {
                Some(length) => (Kind::Literal, length),
                None => (Kind::Code, 1),
            },
            (_, [b'"', ..]) => (Kind::Literal, string(rest)),
            _ => (Kind::Code, 1),
        };
        self.kinds.resize(at + length, kind);
    }

    /// Whether the byte at this place continues a name. `br"…"` begins a string all the same.
    fn within_word(&self, at: usize) -> bool {
        let before = |back: usize| at.checked_sub(back).map(|place| self.bytes[place]);
        let is_word =
            |byte: Option<u8>| byte.is_some_and(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
        is_word(before(1)) && (before(1) != Some(b'b') || is_word(before(2)))
    }
}

/// Bytes to the end of the line, which is not included.
fn line(rest: &[u8]) -> usize {
    rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
}

/// Bytes up to and including `end`, looked for from `from` on.
fn until(rest: &[u8], from: usize, end: &[u8]) -> usize {
    let found = rest[from..].windows(end.len()).position(|window| window == end);
    found.map_or(rest.len(), |place| from + place + end.len())
}

/// Bytes of a block comment, which may contain others.
fn block(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Bytes of a string in double quotes.
fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Bytes of a raw string, if one begins here.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    Some(until(rest, hashes + 2, &end))
}

/// Bytes of a character literal, if this quote begins one and not a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return Some(until(rest, 3, b"'"));
    }
    // One character of up to four bytes.
    let end = (2..=5).find(|&end| rest.get(end) == Some(&b'\''))?;
    let is_one = std::str::from_utf8(&rest[1..end]).is_ok_and(|inner| inner.chars().count() == 1);
    is_one.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that are not code.
    fn other(text: &str, language: Language) -> String {
        let kinds = kinds(text, language);
        text.bytes()
            .zip(kinds)
            .map(|(byte, kind)| if kind == Kind::Code { '.' } else { byte as char })
            .collect()
    }

    #[test]
    fn literals_and_comments_are_no_code() {
        for (text, expected) in [
            ("a // b\nc", "..// b.."),
            ("a /* /* */ b */ c", "../* /* */ b */.."),
            ("\"//\\\"\" x", "\"//\\\"\".."),
            ("r#\"a\"b\"# x", "r#\"a\"b\"#.."),
            ("br\"\\\" x", ".r\"\\\".."),
            ("for\"a\"", "...\"a\""),
            ("'{' &'a x", "'{'......"),
            ("'\\'' x", "'\\''.."),
        ] {
            assert_eq!(other(text, Language::Rust), expected, "{text}");
        }
        assert_eq!(other("a = \"#\" # b", Language::Toml), "....\"#\".# b");
    }
}
