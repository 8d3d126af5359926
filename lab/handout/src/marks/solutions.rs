//! The reference as a student's solution: whole, or without what later parts ask for.

use super::{Case, Edit, Fault, Level, SIGN, Verb, apply, bodies, read_marks};
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
            && matches!(&begin.verb, Verb::From(part) if is_later(part))
        {
            edits.push(Edit::without(&(begin.range.start..mark.range.end)));
        }
    }
    Ok(apply(&text, edits).text)
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
        let text = "fn a() {\n    b();\n    // handout: from 2B\n    c();\n    // handout: end\n}\n";
        let before = |later: &'static str| solution_before(text, &move |part| part == later).unwrap();
        assert_eq!(before("2B").as_deref(), Some("fn a() {\n    b();\n}\n"));
        assert_eq!(before("2C").as_deref(), Some(text));
        assert_eq!(solution_before("// handout: file apart\na\n", &|_| true).unwrap(), None);
    }
}
