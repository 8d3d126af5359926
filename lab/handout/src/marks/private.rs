//! What a source keeps to itself. At the level `classic` students get none of it, unless a mark keeps it.

use std::ops::Range;

use super::{Edit, Mark, SIGN, Verb};
use crate::scan::Kind;

/// Words that begin an item.
const ITEMS: [&str; 8] = ["fn ", "struct ", "enum ", "union ", "trait ", "type ", "const ", "static "];

/// The items and fields that are not public, by line from 1, as far as they are left and no `bodies kept` or
/// `body kept` stands before them. The source is formatted, so what an item stands in begins in the first
/// column. Its own tests, at its end, are none of it.
pub(super) fn private(text: &str, kinds: &[Kind], marks: &[Mark], edits: &[Edit]) -> Vec<(usize, String)> {
    let (mut found, mut head, mut start) = (Vec::new(), "", 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let at = start;
        start += line.len();
        if line == "#[cfg(test)]\n" {
            break;
        }
        if kinds.get(at) == Some(&Kind::Code) && begins_block(line) {
            head = line;
        }
        let Some(name) = name(line, head) else { continue };
        let begins = at + line.len() - line.trim_start().len();
        let is_code = kinds.get(begins) == Some(&Kind::Code);
        let is_gone = edits.iter().any(|edit| edit.range.contains(&begins));
        if is_code && !is_gone && !is_kept(text, marks, at) {
            found.push((number + 1, name));
        }
    }
    found
}

/// Whether the line says what those below it stand in.
fn begins_block(line: &str) -> bool {
    let is_plain = line.starts_with(|first: char| first.is_alphabetic() || first == '}');
    is_plain && !line.starts_with("where")
}

/// The item or field that is private and begins in this line, if one does.
fn name(line: &str, head: &str) -> Option<String> {
    let plain = line.trim_start();
    if plain.starts_with("pub ") && !plain.contains("struct ") {
        return None;
    }
    let indent = line.len() - plain.len();
    let plain = without_visibility(plain);
    let head = without_visibility(head);
    let is_in_struct = head.starts_with("struct ") && head.ends_with("{\n");
    let is_inside = head.starts_with("impl") && !head.contains(" for ") || head.starts_with("mod ");
    let is_item = indent == 0 || indent == 4 && is_inside;
    if is_item {
        let is_private = without_visibility(line.trim_start()).len() != plain.len() || !is_public(line);
        let holds_private = plain.starts_with("struct ") && plain.contains('(') && !plain.contains("(pub ");
        let begins = ITEMS.iter().any(|word| plain.starts_with(word));
        return (begins && is_private || holds_private).then(|| first_words(plain));
    }
    let (field, _) = plain.split_once(": ")?;
    let is_field = field.chars().all(|letter| letter == '_' || letter.is_ascii_alphanumeric());
    (indent == 4 && is_in_struct && is_field && !is_public(line)).then(|| format!("the field {field}"))
}

fn is_public(line: &str) -> bool {
    line.trim_start().starts_with("pub ")
}

/// A line without `pub`, `pub(crate)` and the like.
fn without_visibility(line: &str) -> &str {
    let rest = line.strip_prefix("pub").unwrap_or(line);
    let rest = match rest.strip_prefix('(') {
        Some(inner) if rest.len() < line.len() => inner.split_once(')').map_or(rest, |(_, rest)| rest),
        _ => rest,
    };
    if rest.len() < line.len() { rest.trim_start() } else { line }
}

/// `struct Name` of `struct Name<T> {`.
fn first_words(plain: &str) -> String {
    let end = |letter: char| !(letter == '_' || letter == ' ' || letter.is_ascii_alphanumeric());
    plain.split(end).next().unwrap_or(plain).trim_end().to_owned()
}

/// Whether a mark says that what begins here stays.
fn is_kept(text: &str, marks: &[Mark], at: usize) -> bool {
    let before = marks.iter().rev().filter(|mark| mark.range.end <= at);
    let mut parts =
        before.filter_map(|mark| if let Verb::Bodies(part) = &mark.verb { Some(part) } else { None });
    let once = format!("// {SIGN} body kept");
    parts.next() == Some(&None) || lines_above(text, 0..at).any(|line| line == once)
}

/// The comments and attributes directly above a place.
fn lines_above(text: &str, before: Range<usize>) -> impl Iterator<Item = &str> {
    let lines = text[before].lines().rev().map(str::trim);
    lines.take_while(|line| line.starts_with("//") || line.starts_with("#["))
}

#[cfg(test)]
mod tests {
    use crate::marks::{Case, Level, cut};
    use crate::scan::Language;

    fn private(text: &str) -> Vec<(usize, String)> {
        cut(text, Language::Rust, Case { level: Level::Classic, has_oracle: false }).unwrap().private
    }

    fn names(text: &str) -> Vec<String> {
        private(text).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn what_is_not_public_is_private() {
        for (text, expected) in [
            ("struct A;\n", &["struct A"][..]),
            ("pub(crate) enum A<T> {\n    B(T),\n}\n", &["enum A"]),
            (
                "pub struct A {\n    pub a: u8,\n    pub(crate) b: u8,\n    c: Vec<u8>,\n}\n",
                &["the field b", "the field c"],
            ),
            ("pub struct A(u8);\n", &["struct A"]),
            ("pub struct A(pub u8);\n", &[]),
            ("pub const A: u8 = 1;\nconst B: u8 = 1;\n", &["const B"]),
            ("impl A {\n    pub fn a() {\n        let b: u8 = 1;\n    }\n\n    fn c() {}\n}\n", &["fn c"]),
            ("impl A for B {\n    type C = D;\n    fn a() {}\n}\n", &[]),
            ("impl<C> A for B<C>\nwhere\n    C: D,\n{\n    fn a() {}\n}\n", &[]),
            ("pub trait A {\n    fn a();\n}\n", &[]),
            ("pub fn a() {\n    const B: u8 = 1;\n}\n", &[]),
            ("/*\nstruct A;\n*/\n// struct B;\n", &[]),
            ("#[cfg(test)]\nmod tests {\n    fn a() {}\n}\n", &[]),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
        assert_eq!(private("\n\n    \nfn a() {}\n"), [(4, "fn a".to_owned())]);
    }

    #[test]
    fn marks_leave_it_out_or_keep_it() {
        let dropped = "// handout: drop classic\nstruct A;\n// handout: end\nstruct B;\n";
        assert_eq!(names(dropped), ["struct B"]);
        assert_eq!(names("// handout: bodies 2A\nfn a() {}\n"), [""; 0]);
        let kept = "fn a() {}\n// handout: bodies kept\nfn b() {}\nstruct C {\n    d: u8,\n}\n// handout: bodies 2A\nstruct E;\n";
        assert_eq!(names(kept), ["fn a", "struct E"]);
        let once = "// handout: body kept\n/// Doc.\n#[derive(Debug)]\nstruct A;\n\nstruct B;\n";
        assert_eq!(names(once), ["struct B"]);
        assert_eq!(names("// handout: put classic\n// struct A;\n// handout: end\n"), [""; 0]);
        assert_eq!(names("// handout: file classic\nstruct A;\n"), [""; 0], "it is written for students");
    }
}
