//! Marks: comments in the reference that say what students get of it. CONTRIBUTING.md lists them.
//!
//! A mark is a comment on a line of its own that begins with `handout:`, in Rust, TOML or Markdown.
//! Behind the verb may stand a condition, and then the mark counts only if it holds: `classic` or `guided`,
//! or `oracle` if consensus comes from the oracle. `apart` always holds; it also leaves out of the solution
//! what stands on crates that the handout lacks ([`solution`]).
//!
//! | mark | what becomes of the source |
//! |---|---|
//! | `handout: file guided`, `handout: file never` | the whole file is for that level only, or for no student |
//! | `handout: bodies 2A` | from here on, the body of each function is `todo!("2A")`; at the level `classic` functions that are not public go |
//! | `handout: bodies kept` | from here on, bodies stay, and what is private may stand at the level `classic` too |
//! | `handout: body 2A`, `handout: body kept` | the same for the next function alone |
//! | `handout: drop` … `handout: end` | what stands between is left out |
//! | `handout: drop, leave: TEXT` … `handout: end` | a comment takes its place |
//! | `handout: put` … `handout: end` | the comments between become source |
//! | `handout: from 2B: the entries` … `handout: end` | within a body: a solution of an earlier part lacks what stands between; students read that 2B adds the entries |

mod private;
mod solutions;

use std::ops::Range;

use crate::scan::{Kind, Language, kinds};

pub(crate) use solutions::{reference, solution, solution_before};

/// How much of the reference's structure students are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// The public interface only.
    Classic,
    /// The reference's files, types, signatures and docs, and the tests of its rules.
    Guided,
}

impl Level {
    /// As it stands on the command line and in marks.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Classic => "classic",
            Level::Guided => "guided",
        }
    }
}

/// What decides which marks count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) level: Level,
    /// Whether consensus comes from the oracle.
    pub(crate) has_oracle: bool,
}

impl Case {
    /// Whether a condition in a mark holds; None if the word is no condition.
    fn holds(self, word: &str) -> Option<bool> {
        match word {
            "classic" => Some(self.level == Level::Classic),
            "guided" => Some(self.level == Level::Guided),
            "oracle" => Some(self.has_oracle),
            "apart" => Some(true),
            _ => None,
        }
    }
}

/// What is wrong with a mark, and the line, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// A file as students get it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The text; `None` if the file is not for students.
    pub(crate) text: Option<String>,
    /// The lines of the reference that are not in it.
    pub(crate) dropped: Vec<String>,
    /// The lines of the reference that are.
    pub(crate) kept: Vec<String>,
    /// At the level classic: what of it others cannot call or read, and no mark keeps; with its line, from 1.
    pub(crate) private: Vec<(usize, String)>,
}

/// What a mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verb {
    File(bool),
    /// `None`: bodies stay.
    Bodies(Option<String>),
    Body(Option<String>),
    Drop(Option<String>),
    Put,
    /// A part, and what it adds.
    From(String, String),
    End,
    /// The mark's condition does not hold.
    Other(Box<Verb>),
}

/// How a mark begins, behind the sign for a comment.
const SIGN: &str = "handout:";

/// Cuts a file for students.
pub(crate) fn cut(text: &str, language: Language, case: Case) -> Result<Cut, Fault> {
    let kinds = kinds(text, language);
    let marks = read_marks(text, &kinds, language, case)?;
    if marks.iter().any(|mark| mark.verb == Verb::File(false)) {
        return Ok(Cut { dropped: lines(text), ..Cut::default() });
    }
    let mut edits = regions(text, &marks, language)?;
    let mut private = Vec::new();
    if language == Language::Rust {
        edits.extend(bodies(text, &kinds, &marks, case, &|_| true));
        // A file for this level alone is written for students.
        let is_for_them = marks.iter().any(|mark| mark.verb == Verb::File(true));
        if case.level == Level::Classic && !is_for_them {
            private = private::private(text, &kinds, &marks, &edits);
        }
    }
    Ok(Cut { private, ..apply(text, edits) })
}

/// A mark and the bytes of its line.
#[derive(Debug)]
struct Mark {
    verb: Verb,
    line: usize,
    range: Range<usize>,
}

/// A piece of text that students get in another form.
#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    replacement: String,
    /// What of it is part of the solution; empty if nothing is.
    dropped: Range<usize>,
}

impl Edit {
    /// The line of a mark goes.
    fn without(mark: &Range<usize>) -> Edit {
        Edit { range: mark.clone(), replacement: String::new(), dropped: 0..0 }
    }
}

/// Carries out the edits. One that begins within another is part of what that one replaces.
fn apply(text: &str, mut edits: Vec<Edit>) -> Cut {
    edits.sort_by_key(|edit| (edit.range.start, std::cmp::Reverse(edit.range.end)));
    let (mut out, mut dropped, mut kept, mut at) = (String::new(), Vec::new(), Vec::new(), 0);
    for edit in edits {
        if edit.range.start < at {
            continue;
        }
        kept.extend(lines(&text[at..edit.range.start]));
        push(&mut out, &text[at..edit.range.start]);
        push(&mut out, &edit.replacement);
        dropped.extend(lines(&text[edit.dropped]));
        at = edit.range.end;
    }
    kept.extend(lines(&text[at..]));
    push(&mut out, &text[at..]);
    Cut { text: Some(tidy(&out)), dropped, kept, ..Cut::default() }
}

/// The text as rustfmt would have it where something was left out: no block without functions, and no empty
/// line at the end, of a comment or of all.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let is_block = line.starts_with("impl") && !line.contains(" for ") && line.ends_with("{\n");
        if is_block && lines.next_if_eq(&"}\n").is_some() {
            // Its comment, and one of the empty lines around it.
            while out.lines().next_back().is_some_and(|last| last.starts_with("//")) {
                out.truncate(out.trim_end().rfind('\n').map_or(0, |end| end + 1));
            }
            if out.ends_with("\n\n") {
                lines.next_if_eq(&"\n");
            }
            continue;
        }
        // What stood behind an empty line of a comment was left out.
        let is_open = line.trim() == "//!" && lines.peek().is_none_or(|next| next.trim().is_empty());
        if !is_open {
            out.push_str(line);
        }
    }
    let end = out.trim_end_matches('\n').len();
    out.truncate(end + 1);
    out
}

/// Adds a piece of text. What was left out before it leaves no second empty line, and none where a block
/// begins or ends.
fn push(out: &mut String, piece: &str) {
    let mut piece = piece;
    let ends = |out: &str| out.is_empty() || out.ends_with("\n\n") || out.ends_with("{\n");
    while ends(out) && piece.starts_with('\n') {
        piece = &piece[1..];
    }
    if out.ends_with("\n\n") && piece.trim_start_matches(' ').starts_with('}') {
        out.pop();
    }
    out.push_str(piece);
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// The marks of a file, in order.
fn read_marks(text: &str, kinds: &[Kind], language: Language, case: Case) -> Result<Vec<Mark>, Fault> {
    let mut marks = Vec::new();
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let range = start..start + line.len();
        start = range.end;
        let sign = format!("{} {SIGN}", language.comment());
        let Some(place) = line.find(&sign) else { continue };
        let fault = |message: &str| Fault { line: number + 1, message: message.to_owned() };
        match kinds[range.start + place] {
            Kind::Literal => return Err(fault("a mark stands in a string")),
            Kind::BlockComment => return Err(fault("a mark stands in a block comment")),
            Kind::Code | Kind::LineComment if !line[..place].trim().is_empty() => {
                return Err(fault("a mark needs a line of its own"));
            }
            Kind::Code | Kind::LineComment => {}
        }
        let words = language.inside(&line[place + sign.len()..]).trim();
        let verb = Verb::parse(words, case).map_err(|message| fault(&message))?;
        marks.push(Mark { verb, line: number + 1, range });
    }
    Ok(marks)
}

impl Verb {
    /// Whether the mark needs an `end`.
    fn opens(&self) -> bool {
        match self {
            Verb::Drop(_) | Verb::Put | Verb::From(..) => true,
            Verb::Other(verb) => verb.opens(),
            Verb::File(_) | Verb::Bodies(_) | Verb::Body(_) | Verb::End => false,
        }
    }

    fn parse(text: &str, case: Case) -> Result<Verb, String> {
        let (verb, rest) = text.split_once([' ', ',']).unwrap_or((text, ""));
        if verb == "file" {
            return match rest.trim() {
                "never" | "apart" => Ok(Verb::File(false)),
                word if case.holds(word).is_some() => Ok(Verb::File(case.holds(word) == Some(true))),
                other => {
                    Err(format!("a file is for guided, classic, oracle, never or apart, not for `{other}`"))
                }
            };
        }
        let (word, behind) = rest.trim().split_once([' ', ',']).unwrap_or((rest.trim(), ""));
        let condition = case.holds(word);
        let rest = if condition.is_some() { behind } else { rest };
        let verb = Verb::parse_alone(verb, rest.trim().trim_start_matches(',').trim())?;
        Ok(if condition == Some(false) { Verb::Other(Box::new(verb)) } else { verb })
    }

    fn parse_alone(verb: &str, rest: &str) -> Result<Verb, String> {
        let part = |rest: &str| match rest {
            "kept" => Ok(None),
            "" => Err(format!("`{verb}` needs the name of a part, or `kept`")),
            part if part.chars().all(char::is_alphanumeric) => Ok(Some(part.to_owned())),
            other => Err(format!("`{other}` is not the name of a part")),
        };
        match (verb, rest) {
            ("bodies", rest) => part(rest).map(Verb::Bodies),
            ("body", rest) => part(rest).map(Verb::Body),
            ("drop", "") => Ok(Verb::Drop(None)),
            ("drop", rest) => match rest.strip_prefix("leave:") {
                Some(comment) => Ok(Verb::Drop(Some(comment.trim().to_owned()))),
                None => Err(format!("`{rest}` behind `drop`: expected `leave: TEXT`")),
            },
            ("put", "") => Ok(Verb::Put),
            ("from", rest) => {
                match rest.split_once(": ").map(|(name, what)| Ok((part(name)?, what))) {
                    Some(Ok((Some(part), what))) => Ok(Verb::From(part, what.to_owned())),
                    Some(Err(fault)) => Err(fault),
                    _ => Err("`from` needs the name of a part, and what it adds: `from 2B: the entries`"
                        .to_owned()),
                }
            }
            ("end", "") => Ok(Verb::End),
            (verb, _) => Err(format!("`{verb}` is no mark: file, bodies, body, drop, put, from or end")),
        }
    }
}

/// What `drop` and `put` do, and the removal of the marks' own lines. Regions may stand in regions.
fn regions(text: &str, marks: &[Mark], language: Language) -> Result<Vec<Edit>, Fault> {
    let mut edits = Vec::new();
    let mut open: Vec<&Mark> = Vec::new();
    for mark in marks {
        if mark.verb.opens() {
            open.push(mark);
        } else if mark.verb == Verb::End {
            let nothing = || Fault { line: mark.line, message: "`end` closes nothing".to_owned() };
            let begin = open.pop().ok_or_else(nothing)?;
            let stays = match &begin.verb {
                // Dropped in other cases, or in solutions of earlier parts.
                Verb::Other(verb) => matches!(**verb, Verb::Drop(_) | Verb::From(..)),
                verb => matches!(verb, Verb::From(..)),
            };
            if stays {
                edits.extend([begin, mark].map(|mark| Edit::without(&mark.range)));
            } else {
                edits.push(region(text, begin, mark, language)?);
            }
        } else {
            edits.push(Edit::without(&mark.range));
        }
    }
    match open.pop() {
        Some(mark) => Err(Fault { line: mark.line, message: "the mark is not closed".to_owned() }),
        None => Ok(edits),
    }
}

/// What becomes of the text between two marks.
fn region(text: &str, begin: &Mark, end: &Mark, language: Language) -> Result<Edit, Fault> {
    let within = begin.range.end..end.range.start;
    let inner = &text[within.clone()];
    let line = &text[begin.range.clone()];
    let indent = &line[..line.len() - line.trim_start().len()];
    let range = begin.range.start..end.range.end;
    let no_comment =
        |line| Fault { line: begin.line + line, message: "what is put must be a comment".to_owned() };
    let (replacement, dropped) = match &begin.verb {
        Verb::Drop(None) => (String::new(), within),
        Verb::Drop(Some(comment)) => {
            let words = format!("{} {comment} {}", language.comment(), language.comment_end());
            (format!("{indent}{}\n", words.trim_end()), within)
        }
        Verb::Put => (uncomment(inner, language).map_err(no_comment)?, 0..0),
        // Text to put in other cases stays away.
        _ => (String::new(), 0..0),
    };
    Ok(Edit { range, replacement, dropped })
}

/// The source that stands behind the signs of comments. An error is the number of a line that has none.
fn uncomment(text: &str, language: Language) -> Result<String, usize> {
    let mut out = String::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let place = line.find(language.comment()).ok_or(number + 1)?;
        if !line[..place].trim().is_empty() {
            return Err(number + 1);
        }
        let rest = &line[place + language.comment().len()..];
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        if language.inside(rest).is_empty() {
            out.push('\n');
        } else {
            out.push_str(&line[..place]);
            out.push_str(language.inside(rest));
            out.push('\n');
        }
    }
    Ok(out)
}

/// Bodies of functions that become `todo!`: those of the parts for which `goes` holds.
fn bodies(text: &str, kinds: &[Kind], marks: &[Mark], case: Case, goes: &dyn Fn(&str) -> bool) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut last = 0;
    for function in functions(text, kinds) {
        let before = |verb: fn(&Verb) -> Option<&Option<String>>, from: usize| {
            let marks =
                marks.iter().filter(|mark| mark.range.start >= from && mark.range.end <= function.start);
            marks.filter_map(|mark| verb(&mark.verb)).next_back()
        };
        let once = before(|verb| if let Verb::Body(part) = verb { Some(part) } else { None }, last);
        let general = before(|verb| if let Verb::Bodies(part) = verb { Some(part) } else { None }, 0);
        last = function.start;
        let (Some(Some(part)), Some(body)) = (once.or(general), function.body.clone()) else { continue };
        if !goes(part) {
            continue;
        }
        let line = text[..function.start].rfind('\n').map_or(0, |end| end + 1);
        let indent = &text[line..line + text[line..].len() - text[line..].trim_start().len()];
        let later: String =
            adds(marks, &body).map(|(part, what)| format!("{indent}    // {part} adds {what}.\n")).collect();
        let replacement = format!("\n{later}{indent}    todo!(\"{part}\")\n{indent}");
        if case.level == Level::Classic && !is_interface(text, &function) {
            let whole =
                with_docs(text, &function)..body.end + usize::from(text[body.end..].starts_with('\n'));
            edits.push(Edit { range: whole.clone(), replacement: String::new(), dropped: whole });
            continue;
        }
        let within = body.start + 1..body.end - 1;
        edits.push(Edit { range: within.clone(), replacement, dropped: within });
    }
    edits
}

/// The parts that add something to a body, and what, as marks in it say.
fn adds<'a>(marks: &'a [Mark], body: &Range<usize>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let inside = marks.iter().filter(|mark| body.contains(&mark.range.start));
    inside.filter_map(
        |mark| if let Verb::From(part, what) = &mark.verb { Some((&**part, &**what)) } else { None },
    )
}

/// Whether others can call a function: it is public, or implements a trait.
fn is_interface(text: &str, function: &Function) -> bool {
    let before = &text[..function.start];
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let is_public = text[line..].trim_start().starts_with("pub ");
    // What a function stands in begins in the first column, as rustfmt has it.
    let mut heads = before
        .lines()
        .rev()
        .filter(|line| line.starts_with(|first: char| first.is_alphabetic() || first == '}'));
    let block = heads.find(|line| !line.starts_with("where"));
    let of_trait = block
        .is_some_and(|line| line.starts_with("impl") && line.contains(" for ") || line.contains("trait "));
    is_public || of_trait
}

/// Where the lines of a function begin, docs and attributes included.
fn with_docs(text: &str, function: &Function) -> usize {
    let mut start = text[..function.start].rfind('\n').map_or(0, |end| end + 1);
    loop {
        let before = text[..start].trim_end_matches('\n').rfind('\n').map_or(0, |end| end + 1);
        let line = text[before..start].trim();
        if before == start || !(line.starts_with("///") || line.starts_with("#[")) {
            return start;
        }
        start = before;
    }
}

/// A function in a source.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    /// Where `fn` stands.
    start: usize,
    /// Its body, braces included, if it has one.
    body: Option<Range<usize>>,
}

/// The functions of a source, in order; those within others included.
fn functions(text: &str, kinds: &[Kind]) -> Vec<Function> {
    let bytes = text.as_bytes();
    let is_code = |at: usize| kinds.get(at) == Some(&Kind::Code);
    let is_word = |at: usize| bytes.get(at).is_some_and(|&byte| byte == b'_' || byte.is_ascii_alphanumeric());
    let mut found = Vec::new();
    for (start, _) in text.match_indices("fn ") {
        // A type `fn (…)` has no name.
        let is_item = is_code(start) && (start == 0 || !is_word(start - 1)) && is_word(start + 3);
        if is_item {
            found.push(Function { start, body: body(bytes, start, is_code) });
        }
    }
    found
}

/// The braces of the function that begins here, unless a semicolon ends it.
fn body(bytes: &[u8], start: usize, is_code: impl Fn(usize) -> bool) -> Option<Range<usize>> {
    let (mut depth, mut open) = (0_usize, None);
    for at in (start..bytes.len()).filter(|&at| is_code(at)) {
        match (bytes[at], depth) {
            (b';', 0) => return None,
            (b'{', 0) => (open, depth) = (Some(at), 1),
            (b'(' | b'[' | b'{', _) => depth += 1,
            (b')' | b']' | b'}', _) => {
                depth = depth.saturating_sub(1);
                if let (0, Some(open)) = (depth, open) {
                    return Some(open..at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
