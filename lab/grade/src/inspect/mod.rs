//! The check of sources: what lab code must not name.
//!
//! The student's code runs in the tester's process, and `-F unsafe_code` leaves it what safe Rust and its
//! dependencies offer. This check takes away what of that reaches out of the simulation: files, processes,
//! the environment, the network, real clocks and threads, and values that all servers and seeds would share.
//! It looks at the compiler's tokens, so comments and texts are none, and a renamed import is seen where it
//! is renamed. The sandbox refuses the same once more when the code runs.

mod lists;
mod tokens;

use crate::take::{Refusal, Sources};

use self::lists::{ALLOWED, ATTRIBUTES, CONSTANT, INSTEAD, NOWHERE, Part};
use self::tokens::{Kind, Token, behind_group, tokens};

/// The first thing in these sources that a lab must not have. A file that means what it meant when it was
/// handed out may have whatever it has.
pub(crate) fn inspect(sources: &Sources, handed_out: &Sources) -> Result<(), Refusal> {
    let written = sources.iter().filter(|(path, text)| {
        let before = handed_out.get(*path);
        before.is_none_or(|before| !same_but_for_layout(before, text))
    });
    written.into_iter().try_for_each(|(path, text)| {
        inspect_text(text)
            .map_err(|Finding { fault, line, what }| Refusal::new(fault, format!("{path}:{line}: {what}.")))
    })
}

/// Whether two sources differ in comments, blanks and line ends at most: an editor, `cargo fmt` and git on
/// Windows change those.
fn same_but_for_layout(one: &str, other: &str) -> bool {
    // The compiler, too, takes the line ends of Windows for plain ones, also inside texts.
    let [one, other] = [one, other].map(|text| text.replace("\r\n", "\n"));
    let words = |text| tokens(text).into_iter().map(|token| (token.kind, token.text));
    words(&one).eq(words(&other))
}

/// Something that must not be.
struct Finding {
    fault: &'static str,
    line: usize,
    what: String,
}

type Check = Result<(), Finding>;

fn found(fault: &'static str, token: &Token<'_>, what: impl Into<String>) -> Check {
    Err(Finding { fault, line: token.line, what: what.into() })
}

fn inspect_text(text: &str) -> Check {
    let all = tokens(text);
    let mut at = 0;
    while at < all.len() {
        let next = behind_unit_tests(&all, at);
        if next > at {
            at = next;
            continue;
        }
        inspect_token(&all, at)?;
        at += 1;
    }
    Ok(())
}

/// The index behind `#[cfg(test)] mod name { … }`, if that begins here: it is not built for the labs' tests.
fn behind_unit_tests(all: &[Token<'_>], at: usize) -> usize {
    const BEGIN: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let matches = BEGIN
        .iter()
        .enumerate()
        .all(|(offset, text)| all.get(at + offset).is_some_and(|token| token.is(text)));
    let open = at + BEGIN.len() + 1;
    if matches && all.get(open).is_some_and(|token| token.is("{")) { behind_group(all, open) } else { at }
}

fn inspect_token(all: &[Token<'_>], at: usize) -> Check {
    let token = &all[at];
    let is = |offset: usize, text: &str| all.get(at + offset).is_some_and(|token| token.is(text));
    if token.is("#") && (is(1, "[") || is(1, "!") && is(2, "[")) {
        return inspect_attribute(all, at + if is(1, "[") { 1 } else { 2 });
    }
    if token.is("$") && is(2, "!") || token.is("$") && is(2, ":") && is(3, "path") {
        return found("macro", token, "the name of a macro must not be a parameter of another one");
    }
    if !token.is_name() {
        return Ok(());
    }
    if let Some((name, fault, why)) = NOWHERE.iter().find(|(name, ..)| token.text == *name) {
        return found(fault, token, format!("`{name}`: {why}"));
    }
    match token.text {
        "env" if is(1, "!") => {
            found("environment", token, "`env!`: lab code must not look at its environment")
        }
        "thread_local" if is(1, "!") && !follows(all, at, "labrt") => {
            found("shared", token, "`thread_local!`: all servers would share it; use labrt::thread_local!")
        }
        "static" => inspect_static(all, at),
        "std" | "core" => inspect_std(all, at),
        name if name.starts_with("__") => {
            found("private", token, format!("`{name}`: names with two underscores are private to libraries"))
        }
        _ => Ok(()),
    }
}

/// Whether `name::` stands before the token.
fn follows(all: &[Token<'_>], at: usize, name: &str) -> bool {
    at >= 3 && all[at - 1].is(":") && all[at - 2].is(":") && all[at - 3].is(name)
}

/// `open` is the bracket of an attribute.
fn inspect_attribute(all: &[Token<'_>], open: usize) -> Check {
    let inner = &all[open + 1..behind_group(all, open).saturating_sub(1).max(open + 1)];
    let Some(name) = inner.first() else { return Ok(()) };
    match name.text {
        "path" => return found("path", name, "`#[path]`: a module must be in the file that its name says"),
        "no_mangle" | "link_section" | "export_name" | "link" | "used" => {
            return found(
                "link",
                name,
                format!("`#[{}]`: lab code must not tell the linker anything", name.text),
            );
        }
        "cfg_attr" => return found("attribute", name, "`#[cfg_attr]` has no use in a lab"),
        other if !ATTRIBUTES.contains(&other) => {
            return found("attribute", name, format!("the attribute `{other}` has no use in a lab"));
        }
        _ => {}
    }
    // serde takes paths out of texts: `#[serde(default = "std::process::abort")]`.
    for text in inner.iter().filter(|token| token.kind == Kind::Text && name.is("serde")) {
        inspect_text(text.text.trim_matches(['"', 'r', '#', 'b']))
            .map_err(|finding| Finding { line: text.line, ..finding })?;
    }
    Ok(())
}

/// `static NAME: TYPE = …`: its type must be a constant's.
fn inspect_static(all: &[Token<'_>], at: usize) -> Check {
    let behind = all.get(at + 1..).unwrap_or_default();
    let type_of: Vec<&Token<'_>> =
        behind.iter().skip_while(|token| !token.is(":")).take_while(|token| !token.is("=")).collect();
    let is_constant = |token: &&&Token<'_>| !token.is_name() || CONSTANT.contains(&token.text);
    let is_item = behind.get(1).is_some_and(|token| token.is(":"));
    if is_item && type_of.iter().all(|token| is_constant(&token)) {
        return Ok(());
    }
    found(
        "shared",
        &all[at],
        "`static`: all servers and all seeds would share it, though servers share nothing but messages; \
         use a field of the server, or `const`",
    )
}

/// A use of std or core: what follows must be allowed.
fn inspect_std(all: &[Token<'_>], at: usize) -> Check {
    let root = all[at].text;
    // `self.core`: a field.
    if at > 0 && all[at - 1].is(".") && !(at > 1 && all[at - 2].is(".")) {
        return Ok(());
    }
    let is_path =
        |at: usize| all.get(at).is_some_and(|t| t.is(":")) && all.get(at + 1).is_some_and(|t| t.is(":"));
    if !is_path(at + 1) {
        let what = format!(
            "`{root}` itself: name the items that are used, each with its path, and nothing else by this name"
        );
        return found("std", &all[at], what);
    }
    each_branch(all, at + 3, &mut |all, at| inspect_module(all, at, root))
}

/// Calls `visit` with the index of each name that a path goes on with: one, or those of a group.
fn each_branch(all: &[Token<'_>], at: usize, visit: &mut dyn FnMut(&[Token<'_>], usize) -> Check) -> Check {
    if !all.get(at).is_some_and(|token| token.is("{")) {
        return visit(all, at);
    }
    let end = behind_group(all, at).saturating_sub(1);
    let mut at = at + 1;
    while at < end {
        visit(all, at)?;
        // On to the comma of this group.
        while at < end && !all[at].is(",") {
            at = if all[at].is("{") { behind_group(all, at) } else { at + 1 };
        }
        at += 1;
    }
    Ok(())
}

/// The module of std at this index, and what of it is used.
fn inspect_module(all: &[Token<'_>], at: usize, root: &str) -> Check {
    let Some(token) = all.get(at) else { return Ok(()) };
    let module = token.text;
    let refused = |of: &str| {
        let (fault, why) = INSTEAD
            .iter()
            .find(|(name, ..)| *name == module)
            .map_or(("std", "it has no use in a lab"), |(_, fault, why)| (*fault, *why));
        found(fault, token, format!("`{root}::{module}{of}`: {why}"))
    };
    let is = |offset: usize, text: &str| all.get(at + offset).is_some_and(|token| token.is(text));
    match ALLOWED.iter().find(|(name, _)| *name == module) {
        None => refused(""),
        Some((_, Part::All)) => Ok(()),
        // `std::panic!`.
        Some((_, Part::Only(_))) if is(1, "!") => Ok(()),
        Some((_, Part::Only(names))) => {
            if !(is(1, ":") && is(2, ":")) {
                return refused("");
            }
            each_branch(all, at + 3, &mut |all, at| match all.get(at) {
                Some(token) if names.contains(&token.text) => Ok(()),
                Some(token) => refused(&format!("::{}", token.text)),
                None => refused(""),
            })
        }
    }
}

#[cfg(test)]
mod tests;
