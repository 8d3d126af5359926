//! Tests of the marks.

use super::*;

const GUIDED: Case = Case { level: Level::Guided, has_oracle: false };

fn guided(text: &str) -> Cut {
    cut(text, Language::Rust, GUIDED).unwrap()
}

fn fault(text: &str) -> (usize, String) {
    let Fault { line, message } = cut(text, Language::Rust, GUIDED).unwrap_err();
    (line, message)
}

#[test]
fn bodies_become_todo() {
    let text = "fn a() { 1 }\n// handout: bodies 2A\n/// Doc.\nfn b(x: [u8; 2]) -> u8 {\n    \"}\"; '}'\n}\n";
    let expected = "fn a() { 1 }\n/// Doc.\nfn b(x: [u8; 2]) -> u8 {\n    todo!(\"2A\")\n}\n";
    assert_eq!(guided(text).text.as_deref(), Some(expected));
    assert_eq!(guided(text).dropped, ["", "    \"}\"; '}'"]);
    let text = "// handout: bodies 2A\nimpl A {\n    // handout: body kept\n    fn a() { 1 }\n    fn b();\n    fn c() {}\n}\n";
    let expected = "impl A {\n    fn a() { 1 }\n    fn b();\n    fn c() {\n        todo!(\"2A\")\n    }\n}\n";
    assert_eq!(guided(text).text.as_deref(), Some(expected));
}

#[test]
fn what_is_apart_is_for_no_student() {
    let text = "a\n// handout: drop apart\nmod b;\n// handout: end\n// handout: drop\nc\n// handout: end\n";
    assert_eq!(guided(text).text.as_deref(), Some("a\n"));
    assert_eq!(guided("// handout: file apart\na\n").text, None);
}

#[test]
fn a_block_whose_functions_have_gone_goes_too() {
    let text = "struct A;\n\n// handout: bodies 2A\n/// A thread.\nimpl A {\n    fn a() { 1 }\n}\n\nimpl B for A {\n}\n\n// handout: drop\nx\n// handout: end\n";
    let cut = cut(text, Language::Rust, Case { level: Level::Classic, has_oracle: false }).unwrap();
    assert_eq!(cut.text.as_deref(), Some("struct A;\n\nimpl B for A {\n}\n"));
}

/// A reader does not see where something was left out.
#[test]
fn what_is_left_out_leaves_no_empty_lines() {
    let gone = "    // handout: drop\n    fn b();\n    // handout: end\n";
    let head = "//! A.\n//!\n// handout: drop\n//! B.\n// handout: end\n\nuse c;\n";
    assert_eq!(guided(head).text.as_deref(), Some("//! A.\n\nuse c;\n"));
    let text = format!("impl A {{\n{gone}\n    fn a();\n\n{gone}\n{gone}\n    fn c();\n\n{gone}}}\n");
    assert_eq!(guided(&text).text.as_deref(), Some("impl A {\n    fn a();\n\n    fn c();\n}\n"));
}

#[test]
fn regions_are_left_out_or_put_in() {
    let text = "a\n    // handout: drop, leave: Yours (2A).\n    b\n    // handout: end\n// handout: put\n//     c\n//\n// handout: end\n";
    let cut = guided(text);
    assert_eq!(cut.text.as_deref(), Some("a\n    // Yours (2A).\n    c\n"));
    assert_eq!(cut.dropped, ["    b"]);
    let other =
        "// handout: drop classic\na\n// handout: end\n// handout: put classic\n// b\n// handout: end\n";
    assert_eq!(guided(other).text.as_deref(), Some("a\n"));
}

#[test]
fn classic_leaves_the_interface() {
    let text = "// handout: bodies 2A\nimpl A {\n    /// Doc.\n    fn a() { 1 }\n    pub fn b() { 2 }\n}\nimpl C for A {\n    fn c() { 3 }\n}\n";
    let expected = "impl A {\n    pub fn b() {\n        todo!(\"2A\")\n    }\n}\nimpl C for A {\n    fn c() {\n        todo!(\"2A\")\n    }\n}\n";
    let cut = cut(text, Language::Rust, Case { level: Level::Classic, has_oracle: false }).unwrap();
    assert_eq!(cut.text.as_deref(), Some(expected));
}

/// What is missing before a part is begun is there for those who have bodies at all.
#[test]
fn what_is_from_a_part_stays_where_bodies_stay() {
    let text = "fn a() {\n    // handout: from 2B: the call of `b`\n    b();\n    // handout: end\n}\n";
    assert_eq!(guided(text).text.as_deref(), Some("fn a() {\n    b();\n}\n"));
    let text = format!("// handout: bodies 2A\n{text}");
    let expected = "fn a() {\n    // 2B adds the call of `b`.\n    todo!(\"2A\")\n}\n";
    assert_eq!(guided(&text).text.as_deref(), Some(expected));
}

#[test]
fn files_are_for_a_level() {
    assert_eq!(guided("// handout: file guided\na\n").text.as_deref(), Some("a\n"));
    assert_eq!(guided("// handout: file classic\na\n").text, None);
    assert_eq!(guided("// handout: file never\na\n").dropped.len(), 2);
}

#[test]
fn texts_have_marks_too() {
    let text = "a\n<!-- handout: drop classic -->\n`b.rs`\n<!-- handout: end -->\n<!-- handout: put classic -->\n\
                <!-- \"c -->\n<!-- -->\n<!-- handout: end -->\n<!-- handout: drop, leave: e -->\nd\n\
                <!-- handout: end -->\nf\n";
    let of = |level| cut(text, Language::Markdown, Case { level, has_oracle: false }).unwrap().text.unwrap();
    assert_eq!(of(Level::Classic), "a\n\"c\n\n<!-- e -->\nf\n");
    assert_eq!(of(Level::Guided), "a\n`b.rs`\n<!-- e -->\nf\n");
}

#[test]
fn a_wrong_mark_is_named_with_its_line() {
    assert_eq!(fault("a\n// handout: drop\n"), (2, "the mark is not closed".to_owned()));
    assert_eq!(fault("// handout: drop\n// handout: put\n").0, 2);
    assert_eq!(fault("// handout: drop\n// handout: put\n// handout: end\n").0, 1);
    assert_eq!(fault("// handout: end\n"), (1, "`end` closes nothing".to_owned()));
    assert_eq!(fault("let a = \"\n// handout: end\n\";"), (2, "a mark stands in a string".to_owned()));
    assert_eq!(fault("r#\"\n// handout: end\n\"#;").1, "a mark stands in a string");
    assert_eq!(fault("/*\n// handout: end\n*/").1, "a mark stands in a block comment");
    assert_eq!(fault("let a; // handout: drop\n").1, "a mark needs a line of its own");
    assert_eq!(
        fault("// handout: dorp\n").1,
        "`dorp` is no mark: file, bodies, body, drop, put, from or end"
    );
    assert_eq!(
        fault("// handout: put\na\n// handout: end\n"),
        (2, "what is put must be a comment".to_owned())
    );
    assert_eq!(fault("// handout: bodies\n").1, "`bodies` needs the name of a part, or `kept`");
    assert_eq!(
        fault("// handout: from 2B\n// handout: end\n").1,
        "`from` needs the name of a part, and what it adds: `from 2B: the entries`"
    );
    assert_eq!(
        fault("// handout: file some\n").1,
        "a file is for guided, classic, oracle, never or apart, not for `some`"
    );
}
