//! The paths that a source uses, each as if it were written out: `use std::sync;` and `sync::Mutex::new` use
//! `std::sync::Mutex::new`. Scopes are passed over: what is imported somewhere in a file is known in all of
//! it. That is enough for a warning, and needs no parser of Rust.

use std::collections::BTreeMap;

/// A path, and the line where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) line: usize,
    pub(super) path: String,
}

/// A word, `::`, or a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token<'a> {
    line: usize,
    text: &'a str,
}

/// What `use` declarations bring into a file.
#[derive(Default)]
struct Imports {
    /// Each name with its path.
    names: BTreeMap<String, String>,
    /// Modules of which everything is imported.
    globs: Vec<String>,
    used: Vec<Used>,
}

/// The paths in a text without comments and string literals, unit tests left out. What a banned import stands
/// for is told once, where it is imported.
pub(super) fn used(code: &str, is_banned: impl Fn(&str) -> bool) -> Vec<Used> {
    let tokens = without_tests(&tokens(code));
    let mut imports = Imports::default();
    let mut others = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text == "use" {
            at = imports.take(&tokens, at + 1, "");
        } else if let Some((path, behind)) = path(&tokens, at) {
            // What stands behind a point is a field or a method, whatever its name.
            if at.checked_sub(1).is_none_or(|before| tokens[before].text != ".") {
                others.push(Used { line: tokens[at].line, path });
            }
            at = behind;
        } else {
            at += 1;
        }
    }
    let Imports { names, globs, mut used } = imports;
    for Used { line, path } in others {
        let (first, rest) = path.split_once("::").map_or((path.as_str(), ""), |(first, rest)| (first, rest));
        let full = |stem: &str| if rest.is_empty() { stem.to_owned() } else { format!("{stem}::{rest}") };
        let path = match names.get(first) {
            Some(imported) if is_banned(imported) => continue,
            Some(imported) => full(imported),
            None => {
                let of_glob = globs.iter().map(|glob| full(&format!("{glob}::{first}")));
                of_glob.into_iter().find(|path| is_banned(path)).unwrap_or(path)
            }
        };
        used.push(Used { line, path });
    }
    used
}

impl Imports {
    /// Takes the tree of a `use` that begins at a token and stands below `stem`. Returns what follows it.
    fn take(&mut self, tokens: &[Token<'_>], mut at: usize, stem: &str) -> usize {
        let mut path = stem.to_owned();
        let mut line = tokens.get(at).map_or(0, |token| token.line);
        while let Some(token) = tokens.get(at) {
            match token.text {
                "::" => {}
                "{" => return self.take_list(tokens, at + 1, &path),
                "*" => {
                    self.globs.push(path);
                    return at + 1;
                }
                "as" => {
                    let name = tokens.get(at + 1).map_or("_", |token| token.text);
                    self.add(name, path, line);
                    return at + 2;
                }
                word if is_word(word) => (line, path) = (token.line, below(&path, word)),
                _ => break,
            }
            at += 1;
        }
        let name = path.rsplit("::").next().unwrap_or_default().to_owned();
        self.add(&name, path, line);
        // A sign that no tree has is passed over, so that each call gets on.
        at + usize::from(tokens.get(at).is_some_and(|token| ![",", "}", ";"].contains(&token.text)))
    }

    /// Takes the trees in braces. Returns what follows them. Where they were not closed, the semicolon ends
    /// them: the compiler will say so, and has not seen the source yet.
    fn take_list(&mut self, tokens: &[Token<'_>], mut at: usize, stem: &str) -> usize {
        while tokens.get(at).is_some_and(|token| !["}", ";"].contains(&token.text)) {
            at = self.take(tokens, at, stem);
            at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
        }
        // A semicolon ends the lists around this one, too.
        at + usize::from(tokens.get(at).is_some_and(|token| token.text == "}"))
    }

    fn add(&mut self, name: &str, path: String, line: usize) {
        if !path.is_empty() {
            self.names.insert(name.to_owned(), path.clone());
            self.used.push(Used { line, path });
        }
    }
}

/// What is called `word` below a path; `self` is the path.
fn below(path: &str, word: &str) -> String {
    match (path, word) {
        ("", word) => word.to_owned(),
        (path, "self") => path.to_owned(),
        (path, word) => format!("{path}::{word}"),
    }
}

/// The path of words that begins here, and the place behind it.
fn path(tokens: &[Token<'_>], mut at: usize) -> Option<(String, usize)> {
    let begins = |at: usize| tokens.get(at).is_some_and(|token| is_word(token.text));
    if tokens.get(at)?.text == "::" && at.checked_sub(1).is_none_or(|before| !is_word(tokens[before].text)) {
        at += 1;
    }
    if !begins(at) {
        return None;
    }
    let mut path = tokens[at].text.to_owned();
    at += 1;
    while tokens.get(at).is_some_and(|token| token.text == "::") && begins(at + 1) {
        path += "::";
        path += tokens[at + 1].text;
        at += 2;
    }
    Some((path, at))
}

fn is_word(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (line, mut rest) in (1..).zip(code.lines()) {
        while let Some(letter) = rest.chars().next() {
            let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
            let length = match letter {
                _ if is_part(letter) => rest.find(|letter| !is_part(letter)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                '\'' => character(rest).unwrap_or(1),
                _ => letter.len_utf8(),
            };
            let (text, behind) = rest.split_at(length);
            if !letter.is_whitespace() {
                tokens.push(Token { line, text });
            }
            rest = behind;
        }
    }
    tokens
}

/// How long the character literal is that begins here; None if a lifetime does.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    // A backslash stands for at least one sign more.
    let first = inner.chars().next()?;
    let least = first.len_utf8() + usize::from(first == '\\');
    let end = if first == '\\' { inner.get(least..)?.find('\'')? + least } else { least };
    inner.get(end..)?.starts_with('\'').then_some(end + 2)
}

/// The tokens without items that only tests have.
fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_mark = tokens[at..].len() >= MARK.len()
            && tokens[at..].iter().zip(MARK).all(|(token, mark)| token.text == mark);
        if is_mark {
            at = behind_item(tokens, at + MARK.len());
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// The place behind the item that begins here: behind its semicolon, or the end of its braces.
fn behind_item(tokens: &[Token<'_>], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.text {
            "{" => depth += 1,
            "}" if depth <= 1 => break,
            "}" => depth -= 1,
            ";" if depth == 0 => break,
            _ => {}
        }
    }
    at
}
