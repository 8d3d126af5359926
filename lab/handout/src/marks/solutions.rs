//! The reference as a student's solution: whole, or without what later parts ask for.

use super::{Case, Edit, Fault, Level, SIGN, Verb, apply, bodies, push, read_marks, tidy, uncomment};
use crate::scan::{Language, kinds};

/// A file of the reference as part of a solution; None if it is none: it is `apart`, or says which consensus
/// module is below, which the handout says already.
pub(crate) fn solution(text: &str) -> Option<String> {
    let is_mark = |line: &str, mark: &str| line.trim() == format!("// {SIGN} {mark}");
    if text.lines().any(|line| is_mark(line, "file apart") || is_mark(line, "drop oracle")) {
        return None;
    }
    let mut is_apart = false;
    let kept = text.split_inclusive('\n').filter(|line| {
        let was_apart = is_apart;
        is_apart = is_mark(line, "drop apart") || is_apart && !is_mark(line, "end");
        !was_apart && !is_apart
    });
    Some(kept.collect())
}

/// As [`solution`], but of a student who has not begun with the parts for which `is_later` holds: functions
/// that the marks give to one of them have no body yet, and what is `from` one of them is missing.
pub(crate) fn solution_before(text: &str, is_later: &dyn Fn(&str) -> bool) -> Result<Option<String>, Fault> {
    let Some(text) = solution(text) else { return Ok(None) };
    let case = Case { level: Level::Guided, has_oracle: false };
    let kinds = kinds(&text, Language::Rust);
    let marks = read_marks(&text, &kinds, Language::Rust, case)?;
    let mut edits = bodies(&text, &kinds, &marks, case, is_later);
    let mut open = Vec::new();
    for mark in &marks {
        if mark.verb.opens() {
            open.push(mark);
        } else if mark.verb == Verb::End
            && let Some(begin) = open.pop()
            && matches!(&begin.verb, Verb::From(part, _) if is_later(part))
        {
            edits.push(Edit::without(&(begin.range.start..mark.range.end)));
        }
    }
    Ok(apply(&text, edits).text)
}

/// What becomes of the lines between two marks where the reference is put in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Gone,
    Uncommented,
}

impl Fate {
    /// `verb` opens a region, and `word` is its condition, or whatever stands there.
    fn of(verb: &str, word: &str, case: Case) -> Fate {
        match (verb, word) {
            ("drop", "apart") => Fate::Gone,
            ("drop", "oracle") if case.has_oracle => Fate::Gone,
            ("put", "oracle") if case.has_oracle => Fate::Uncommented,
            // Written for students.
            ("put", _) => Fate::Gone,
            _ => Fate::Kept,
        }
    }
}

/// A file of the reference as it stands in a handout that asks for nothing in it: without marks, and without
/// what is written for students; over the consensus module of that handout. None if it is `apart`.
///
/// # Errors
/// A line to be put that is no comment.
pub(crate) fn reference(text: &str, case: Case) -> Result<Option<String>, Fault> {
    let sign = format!("// {SIGN} ");
    let (mut out, mut open) = (String::new(), Vec::new());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let Some(mark) = line.trim().strip_prefix(&sign) else {
            match open.iter().copied().find(|&fate| fate != Fate::Kept) {
                None => push(&mut out, line),
                Some(Fate::Uncommented) => {
                    let fault =
                        |_| Fault { line: number + 1, message: "what is put must be a comment".to_owned() };
                    push(&mut out, &uncomment(line, Language::Rust).map_err(fault)?);
                }
                Some(_) => {}
            }
            continue;
        };
        let mut words = mark.split([' ', ',']);
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("file", "apart") => return Ok(None),
            (verb @ ("drop" | "put" | "from"), word) => open.push(Fate::of(verb, word, case)),
            ("end", _) => drop(open.pop()),
            _ => {}
        }
    }
    Ok(Some(tidy(&out)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_apart_is_no_part_of_a_solution() {
        let text =
            "a\n// handout: drop apart\nmod b;\n// handout: end\n// handout: drop\nc\n// handout: end\n";
        let whole = "a\n// handout: drop\nc\n// handout: end\n";
        assert_eq!(solution(text).as_deref(), Some(whole));
        assert_eq!(solution("// handout: file apart\na\n"), None);
        assert_eq!(solution("// handout: drop oracle\na\n// handout: end\n"), None);
    }

    #[test]
    fn bodies_of_later_parts_can_be_missing() {
        let text = "// handout: bodies 2A\nfn a() { 1 }\n// handout: body 2B\nfn b() { 2 }\nfn c() { 3 }\n";
        let text = solution_before(text, &|part| part == "2B").unwrap().unwrap();
        let code: Vec<&str> = text.lines().filter(|line| !line.starts_with("//")).collect();
        assert_eq!(code, ["fn a() { 1 }", "fn b() {", "    todo!(\"2B\")", "}", "fn c() { 3 }"]);
        let text = "fn a() {\n    b();\n    // handout: from 2B: the call of `c`\n    c();\n    // handout: end\n}\n";
        let before = |later: &'static str| solution_before(text, &move |part| part == later).unwrap();
        assert_eq!(before("2B").as_deref(), Some("fn a() {\n    b();\n}\n"));
        assert_eq!(before("2C").as_deref(), Some(text));
        assert_eq!(solution_before("// handout: file apart\na\n", &|_| true).unwrap(), None);
    }

    #[test]
    fn a_reference_that_is_put_in_has_no_marks_and_nothing_for_students() {
        let text = "// handout: file guided\n// handout: drop classic\nuse a;\n// handout: end\n\
                    // handout: put classic\n// use b;\n// handout: end\n// handout: drop oracle\nuse raft;\n\
                    // handout: end\n// handout: put oracle\n// use oracle;\n// handout: end\n\
                    // handout: bodies 3A\nfn f() {\n    // handout: from 3B: the call of `g`\n    g();\n\
                    \x20   // handout: end\n}\n\
                    // handout: drop apart\nuse zookeeper;\n// handout: end\n";
        let with = |has_oracle| reference(text, Case { level: Level::Classic, has_oracle });
        let expected = |below: &str| Ok(Some(format!("use a;\nuse {below};\nfn f() {{\n    g();\n}}\n")));
        assert_eq!((with(true), with(false)), (expected("oracle"), expected("raft")));
        assert_eq!(
            reference("// handout: file apart\nuse a;\n", Case { level: Level::Guided, has_oracle: true }),
            Ok(None)
        );
    }
}
