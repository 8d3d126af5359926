//! EDN, the notation of Clojure: nil, booleans, numbers, characters, strings, keywords, symbols, vectors,
//! lists, sets, maps, `#tag form`; commas are blanks, `;` begins a comment, and `#_` takes the form behind it
//! away. Clojure also prints what EDN does not have: metadata (`^{:line 1} form`, which does not change what
//! the form is), regular expressions (`#"a\d"`) and variables (`#'user/x`).
//!
//! In two steps: where a form ends, which needs no more than its brackets and quotes and can be asked of the
//! part of a file that was read so far; and what it says. There are crates for EDN. The two that are kept up
//! build a tree with a map of every map, and take a whole file at once; a history has a million small maps of
//! which five fields are wanted.

mod namespaces;
mod numbers;

use std::borrow::Cow;

use linearize::words::quoted;
use numbers::number;

use super::{LONGEST_VALUE, Problem, broken};

/// Forms may be nested so deeply.
const DEEPEST: usize = 128;

/// Where something ends.
pub(super) enum End {
    /// In front of the byte with this number.
    At(usize),
    /// Behind what was read so far.
    Unknown,
}

/// What a byte is to the reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Token,
    Blank,
    /// Ends a token and is one of `"` `;` `(` `)` `[` `]` `{` `}`.
    Mark,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Token; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b',' | b'\t'..=b'\r' | 0x1c..=0x1f => Class::Blank,
            b'"' | b';' | b'(' | b')' | b'[' | b']' | b'{' | b'}' => Class::Mark,
            _ => Class::Token,
        };
        byte += 1;
    }
    classes
};

/// The bytes behind which a token or a form goes on in a way of its own; few tokens have them, so that one
/// look tells most often.
const IS_PREFIX: [bool; 256] = {
    let mut prefixes = [false; 256];
    (prefixes[b'#' as usize], prefixes[b'^' as usize], prefixes[b'\\' as usize]) = (true, true, true);
    prefixes
};

fn class(byte: u8) -> Class {
    CLASSES[byte as usize]
}

/// Whether a form begins with this byte, and no comment, tag or the like.
pub(super) fn begins_form(byte: u8) -> bool {
    !matches!(byte, b';' | b'#' | b'^') && class(byte) != Class::Blank
}

/// Where blanks, comments, metadata and forms that `#_` takes away end.
pub(super) fn end_of_blanks(bytes: &[u8], ended: bool) -> Result<End, Problem> {
    let mut at = 0;
    loop {
        match bytes.get(at) {
            Some(&byte) if class(byte) == Class::Blank => at += 1,
            Some(b';') => match memchr::memchr(b'\n', &bytes[at..]) {
                Some(length) => at += length,
                None if ended => at = bytes.len(),
                None => return Ok(End::Unknown),
            },
            Some(b'#') if bytes[at..].starts_with(b"#_") => match end_of_forms(&bytes[at..], ended, 0)? {
                End::At(length) => at += length,
                End::Unknown => return Ok(End::Unknown),
            },
            Some(b'^') => match end_of_metadata(&bytes[at..], ended)? {
                End::At(length) => at += length,
                End::Unknown => return Ok(End::Unknown),
            },
            // What follows it says whether it is one.
            Some(b'#') if at + 1 == bytes.len() && !ended => return Ok(End::Unknown),
            None if !ended => return Ok(End::Unknown),
            _ => return Ok(End::At(at)),
        }
    }
}

/// Where the metadata end that `bytes` begin with: `^:word`, or `^` and a form.
fn end_of_metadata(bytes: &[u8], ended: bool) -> Result<End, Problem> {
    Ok(match end_of_forms(&bytes[1..], ended, 1)? {
        End::At(length) => End::At(1 + length),
        End::Unknown => End::Unknown,
    })
}

/// Where the form ends that `bytes` begin with.
pub(super) fn end_of_form(bytes: &[u8], ended: bool) -> Result<End, Problem> {
    end_of_forms(bytes, ended, 1)
}

/// Where so many forms end, and those that `#_` among them takes away.
fn end_of_forms(bytes: &[u8], ended: bool, mut wanted: usize) -> Result<End, Problem> {
    let mut open: Vec<u8> = Vec::new();
    let mut at = 0;
    loop {
        let Some(&byte) = bytes.get(at) else {
            return match (ended, open.last()) {
                (false, _) => Ok(End::Unknown),
                (true, Some(closing)) => Err(broken(format!("{:?} is missing", char::from(*closing)))),
                (true, None) => Err(broken("the file ends where something should come")),
            };
        };
        let begin = at;
        match byte {
            _ if class(byte) == Class::Blank => {
                at += 1;
                continue;
            }
            b';' => {
                at = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
                continue;
            }
            b'"' => match end_of_string(&bytes[at..]) {
                Some(length) => at += length,
                None if ended => return Err(broken("a string without end")),
                None => return Ok(End::Unknown),
            },
            b'{' | b'[' | b'(' => {
                open.push(if byte == b'(' { b')' } else { byte + 2 });
                if open.len() > DEEPEST {
                    return Err(broken("nested too deeply"));
                }
                at += 1;
                continue;
            }
            b'}' | b']' | b')' => {
                closes(byte, open.pop())?;
                at += 1;
            }
            _ => match end_of_token(bytes, at).unwrap_or(bytes.len()) {
                end if end < bytes.len() || ended => at = end,
                _ => return Ok(End::Unknown),
            },
        }
        if open.is_empty() {
            wanted = wanted + 1 - completed(&bytes[begin..at], bytes.get(at).copied());
            if wanted == 0 {
                return Ok(End::At(at));
            }
        }
    }
}

/// Whether a closing bracket is the one that is wanted.
fn closes(found: u8, wanted: Option<u8>) -> Result<(), Problem> {
    match wanted {
        Some(wanted) if wanted == found => Ok(()),
        Some(wanted) => {
            Err(broken(format!("{:?} where {:?} should be", char::from(found), char::from(wanted))))
        }
        None => Err(broken(format!("{:?} and nothing that it ends", char::from(found)))),
    }
}

/// One more than how many forms fewer are wanted behind a token: a tag wants the form behind it, `#_` and
/// metadata want it besides.
fn completed(token: &[u8], next: Option<u8>) -> usize {
    match token {
        b"#_" | b"^" => 0,
        [b'#', b'\'', ..] => 2,
        [b'#'] if matches!(next, Some(b'{' | b'"' | b'(')) => 1,
        [b'#', b'#', ..] => 2,
        [b'#', _, ..] => 1,
        _ => 2,
    }
}

/// The length of a string with its quotes, if all of it is there.
fn end_of_string(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// What comes behind the prefix at `at`, and whether it is of the same token. What `#_` and `^` are about may
/// follow at once: `#_#_ a b`, `^:a b`.
fn behind_prefix(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    Some(match bytes[at] {
        b'^' => (at + 1, false),
        b'#' if bytes.get(at + 1) == Some(&b'_') => (at + 2, false),
        // The first byte of a character tells how many it has.
        b'\\' => (at + 1 + bytes.get(at + 1)?.leading_ones().max(1) as usize, true),
        _ => (at + 1, true),
    })
}

/// Where the token at `at` ends; `None` if not even its first character is there. Behind a backslash any
/// character is one.
#[inline]
fn end_of_token(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    if IS_PREFIX[bytes[at] as usize] {
        let (behind, goes_on) = behind_prefix(bytes, at)?;
        if !goes_on {
            return Some(behind);
        }
        end = behind;
    }
    while bytes.get(end).is_some_and(|&byte| class(byte) == Class::Token) {
        end += 1;
    }
    Some(end.min(bytes.len()))
}

/// What a form says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form<'a> {
    Nil,
    Number(i64),
    Text(Cow<'a, str>),
    /// Without its colon.
    Keyword(&'a str),
    /// Any other scalar: a symbol, a boolean, a character, a number that is no 64-bit integer.
    Word(Cow<'a, str>),
    /// A vector or a list.
    Row(Vec<Form<'a>>),
    Set(Vec<Form<'a>>),
    Map(Vec<(Form<'a>, Form<'a>)>),
}

/// Reads forms from a text.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Reader { text, at: 0 }
    }

    /// The next byte behind blanks.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, Problem> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(&byte) if class(byte) == Class::Blank => self.at += 1,
                Some(&byte) if byte == b';' || IS_PREFIX[byte as usize] => {
                    if byte == b'\\' {
                        return Ok(Some(byte));
                    }
                    let before = self.at;
                    if let End::At(length) = end_of_blanks(&self.text.as_bytes()[self.at..], true)? {
                        self.at += length;
                    }
                    if self.at == before {
                        return Ok(Some(b'#'));
                    }
                }
                byte => return Ok(byte.copied()),
            }
        }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Begins a map, which may have a tag.
    pub(super) fn begin_map(&mut self) -> Result<(), Problem> {
        let mut next = self.peek()?;
        if next == Some(b'#') && !self.rest().starts_with("#{") {
            if let Some(space) = self.token().strip_prefix("#:") {
                return Err(broken(format!("an event's keys have no namespace: {}", quoted(space))));
            }
            next = self.peek()?;
        }
        if next != Some(b'{') || self.text[..self.at].ends_with('#') {
            return Err(broken("an event should be a map: {:process 0, :type :invoke, …}"));
        }
        self.at += 1;
        Ok(())
    }

    /// The next key of a map, if it is a keyword or else empty; `None` at the end of the map.
    pub(super) fn key(&mut self) -> Result<Option<&'a str>, Problem> {
        match self.peek()? {
            Some(b'}') => {
                self.at += 1;
                Ok(None)
            }
            Some(b':') => Ok(Some(&self.token()[1..])),
            _ => self.skip().map(|()| Some("")),
        }
    }

    /// Skips a form.
    pub(super) fn skip(&mut self) -> Result<(), Problem> {
        if self.peek()?.is_some_and(|byte| class(byte) == Class::Token && byte != b'#') {
            self.token();
            return Ok(());
        }
        match end_of_form(self.rest().as_bytes(), true)? {
            End::At(length) => self.at += length,
            End::Unknown => self.at = self.text.len(),
        }
        Ok(())
    }

    /// The next form, as it is written.
    pub(super) fn written(&mut self) -> Result<&'a str, Problem> {
        if self.peek()?.is_none() {
            return Err(broken("the line ends where a value should be"));
        }
        let begin = self.at;
        self.skip()?;
        Ok(&self.text[begin..self.at])
    }

    /// The next form.
    pub(super) fn form(&mut self) -> Result<Form<'a>, Problem> {
        self.nested(0)
    }

    fn nested(&mut self, depth: usize) -> Result<Form<'a>, Problem> {
        if depth > DEEPEST {
            return Err(broken("nested too deeply"));
        }
        match self.peek()? {
            None => Err(broken("the line ends where a value should be")),
            Some(b'"') => self.string().map(Form::Text),
            Some(b'[') => self.row(b']', depth).map(Form::Row),
            Some(b'(') => self.row(b')', depth).map(Form::Row),
            Some(b'{') => self.map(depth),
            Some(byte @ (b'}' | b']' | b')')) => {
                Err(broken(format!("{:?} where a value should be", char::from(byte))))
            }
            Some(b'#') if self.rest().starts_with("#{") => {
                self.at += 1;
                self.row(b'}', depth).map(Form::Set)
            }
            Some(b'#') if self.rest().starts_with("#\"") => {
                self.written().map(|text| Form::Word(text.into()))
            }
            Some(b'#') if !self.rest().starts_with("##") && !self.rest().starts_with("#'") => {
                self.tagged(depth)
            }
            Some(_) => atom(self.token()),
        }
    }

    /// What a tag says of a collection does not matter here: a tuple is a vector. A scalar with a tag is
    /// another scalar. The namespace of a map, `#:a{:b 1}`, is part of its keys.
    fn tagged(&mut self, depth: usize) -> Result<Form<'a>, Problem> {
        let begin = self.at;
        let tag = self.token();
        self.peek()?;
        let inside = self.at;
        let form = self.nested(depth + 1)?;
        let written = &self.text[inside..self.at];
        Ok(match form {
            Form::Map(pairs) if tag.starts_with("#:") => Form::Map(namespaces::qualified(pairs, &tag[2..])),
            Form::Row(_) | Form::Set(_) | Form::Map(_) => form,
            _ if inside == begin + tag.len() + 1 => Form::Word(Cow::Borrowed(&self.text[begin..self.at])),
            _ => Form::Word(Cow::Owned(format!("{tag} {written}"))),
        })
    }

    fn row(&mut self, closing: u8, depth: usize) -> Result<Vec<Form<'a>>, Problem> {
        self.at += 1;
        let mut forms = Vec::new();
        while self.peek()? != Some(closing) {
            forms.push(self.nested(depth + 1)?);
        }
        self.at += 1;
        Ok(forms)
    }

    fn map(&mut self, depth: usize) -> Result<Form<'a>, Problem> {
        let row = self.row(b'}', depth)?;
        if row.len() % 2 == 1 {
            return Err(broken("a map with a key and no value"));
        }
        let mut row = row.into_iter();
        let mut pairs = Vec::with_capacity(row.len() / 2);
        while let (Some(key), Some(value)) = (row.next(), row.next()) {
            pairs.push((key, value));
        }
        Ok(Form::Map(pairs))
    }

    fn token(&mut self) -> &'a str {
        let end = end_of_token(self.text.as_bytes(), self.at).unwrap_or(self.text.len());
        let token = &self.text[self.at..end];
        self.at = end;
        token
    }

    /// A string; borrowed if it has no escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, Problem> {
        let Some(length) = end_of_string(self.rest().as_bytes()) else {
            return Err(broken("a string without end"));
        };
        let inside = &self.text[self.at + 1..self.at + length - 1];
        self.at += length;
        if inside.len() > LONGEST_VALUE {
            return Err(Problem::LongValue);
        }
        if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
            return Ok(Cow::Borrowed(inside));
        }
        unescape(inside).map(Cow::Owned)
    }
}

/// A string with its escapes replaced.
fn unescape(text: &str) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        out.push_str(&rest[..place]);
        rest = &rest[place + 1..];
        let mut characters = rest.chars();
        out.push(match characters.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some(other @ ('"' | '\\')) => other,
            Some('u') => {
                let (character, length) = unicode(&rest[1..])?;
                rest = &rest[1 + length..];
                out.push(character);
                continue;
            }
            _ => return Err(broken("an unknown escape in a string")),
        });
        rest = characters.as_str();
    }
    out.push_str(rest);
    Ok(out)
}

/// The character that `XXXX` or `XXXX\uXXXX` stands for, and how long that is.
fn unicode(text: &str) -> Result<(char, usize), Problem> {
    let hexadecimal = |from: usize| {
        let digits = text.get(from..from + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| broken("four hexadecimal digits expected behind \\u"))
    };
    let first = hexadecimal(0)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, 4));
    }
    if first < 0xdc00 && text[4..].starts_with("\\u") {
        let low = hexadecimal(6)?.checked_sub(0xdc00).filter(|low| *low < 0x400);
        let character = low.and_then(|low| char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low));
        return character
            .map(|character| (character, 10))
            .ok_or_else(|| broken("half a character in a string"));
    }
    Err(broken("half a character in a string"))
}

/// A token that is no string.
fn atom(token: &str) -> Result<Form<'_>, Problem> {
    let bytes = token.as_bytes();
    match bytes[0] {
        b':' if bytes.len() > 1 => return Ok(Form::Keyword(&token[1..])),
        b'n' if token == "nil" => return Ok(Form::Nil),
        _ => {}
    }
    if matches!(bytes, [b'0'..=b'9', ..] | [b'+' | b'-', b'0'..=b'9', ..]) {
        return number(token).ok_or_else(|| broken(format!("{} is no number", quoted(token))));
    }
    Ok(Form::Word(Cow::Borrowed(token)))
}

#[cfg(test)]
mod tests;
