//! Attributes: some change what is linked or which file is read, and serde takes paths out of texts.

use std::ops::Range;

use super::lists::ATTRIBUTES;
use super::macros::{Macros, Place};
use super::tokens::{Kind, Token, behind_group, tokens};
use super::{Check, Finding, View, Whole, found};

/// `open` is the bracket of an attribute.
pub(super) fn inspect_attribute(view: &View<'_>, open: usize) -> Check {
    inspect_inner(view, open + 1..behind_group(view.all, open).saturating_sub(1).max(open + 1))
}

fn inspect_inner(view: &View<'_>, inner: Range<usize>) -> Check {
    let all = view.all;
    let Some(name) = all.get(inner.start).filter(|_| !inner.is_empty()) else { return Ok(()) };
    match name.text {
        "path" => found("path", name, "`#[path]`: a module must be in the file that its name says"),
        "no_mangle" | "link_section" | "export_name" | "link" | "used" => {
            found("link", name, format!("`#[{}]`: lab code must not tell the linker anything", name.text))
        }
        "cfg_attr" => inspect_conditional(view, inner),
        "serde" => inspect_serde(&all[inner]),
        "tracing" if view.is(inner.start + 3, "instrument") => Ok(()),
        "$" if is_passed_on(view, inner.start) => Ok(()),
        other if !ATTRIBUTES.contains(&other) => {
            found("attribute", name, format!("the attribute `{other}` has no use in a lab"))
        }
        _ => Ok(()),
    }
}

/// Whether `$name` in an attribute stands for one that is inspected where the macro is called.
fn is_passed_on(view: &View<'_>, at: usize) -> bool {
    let is_last = view.is(at + 2, "]") || view.is(at + 2, ":");
    is_last && view.all.get(at + 1).is_some_and(|name| view.attributes.contains(name.text))
}

/// `cfg_attr(condition, attribute, …)`: each of the attributes, of which none may be such a one again.
fn inspect_conditional(view: &View<'_>, inner: Range<usize>) -> Check {
    let mut at = inner.start + 2;
    while at < inner.end {
        if view.is(at, ",") && view.is(at + 1, "cfg_attr") {
            return found(
                "attribute",
                &view.all[at + 1],
                "`#[cfg_attr]` within another one has no use in a lab",
            );
        }
        if view.is(at, ",") {
            inspect_inner(view, at + 1..inner.end)?;
        }
        let opens = ["(", "[", "{"].iter().any(|open| view.is(at, open));
        at = if opens { behind_group(view.all, at) } else { at + 1 };
    }
    Ok(())
}

/// serde takes paths out of texts: `#[serde(default = "std::process::abort")]`.
fn inspect_serde(inner: &[Token<'_>]) -> Check {
    for token in inner {
        // What stands for another letter, or for a text from elsewhere, hides what serde will read.
        if token.is("$") || token.kind == Kind::Text && token.text.contains('\\') {
            return found(
                "attribute",
                token,
                "`#[serde]`: the texts in it must stand there as they are meant",
            );
        }
        if token.kind == Kind::Text {
            inspect_text(token.text.trim_matches(['"', 'r', '#', 'b']))
                .map_err(|finding| Finding { line: token.line, ..finding })?;
        }
    }
    Ok(())
}

/// A text by itself.
pub(super) fn inspect_text(text: &str) -> Check {
    let files = [tokens(text)];
    let places: [Vec<Place>; 1] = [Macros::of(&files).places(&files[0])];
    View::of(&files[0], &places[0], &Whole::of(&files, &places)).inspect()
}
