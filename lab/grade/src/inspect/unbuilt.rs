//! What of a submission is not built: the bodies of unit tests, and files that are no module of their crate.
//!
//! Students may write there what they like, so none of it is looked at. That is safe because it is taken out
//! of the sources: should a macro bring it back, there is nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::take::Sources;

use super::same_but_for_layout;
use super::tokens::{Token, behind_group, tokens};

/// The sources that are built. Files that are as they were handed out keep their unit tests.
pub(super) fn built(sources: &Sources, handed_out: &Sources) -> Sources {
    let is_given = |path: &String, text: &str| {
        handed_out.get(path).is_some_and(|before| same_but_for_layout(before, text))
    };
    let emptied = sources.iter().map(|(path, text)| {
        let text = if is_given(path, text) { text.clone() } else { without_unit_tests(text) };
        (path.clone(), text)
    });
    modules(emptied.collect())
}

/// How many more attributes unit tests may have.
const MOST_ATTRIBUTES: usize = 16;

/// A crate that has more files than this is built as it is.
const MOST_FILES: usize = 1000;

/// `#[cfg(test)] mod name`, perhaps with other attributes and a visibility between them.
struct UnitTests {
    /// The index of its name.
    name: usize,
}

impl UnitTests {
    /// Those that begin at this index.
    fn at(all: &[Token<'_>], at: usize) -> Option<UnitTests> {
        const BEGIN: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
        let is = |at: usize, text: &str| all.get(at).is_some_and(|token| token.is(text));
        if !BEGIN.iter().enumerate().all(|(offset, text)| is(at + offset, text)) {
            return None;
        }
        let mut next = at + BEGIN.len();
        for _ in 0..MOST_ATTRIBUTES {
            if is(next, "#") && is(next + 1, "[") {
                next = behind_group(all, next + 1);
            }
        }
        if is(next, "pub") {
            next = if is(next + 1, "(") { behind_group(all, next + 1) } else { next + 1 };
        }
        is(next, "mod").then_some(UnitTests { name: next + 1 })
    }
}

/// The text with blanks in the bodies of its unit tests: everything else stays on its line.
fn without_unit_tests(text: &str) -> String {
    let all = tokens(text);
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < all.len() {
        let Some(UnitTests { name }) = UnitTests::at(&all, at) else {
            at += 1;
            continue;
        };
        at = name + 1;
        let (open, end) = (name + 1, behind_group(&all, name + 1));
        if all.get(open).is_some_and(|token| token.is("{")) && all[end - 1].is("}") {
            let body = all[open].begin + 1..all[end - 1].begin;
            bytes[body].iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = b' ');
            at = end;
        }
    }
    // Whole tokens have become blanks, and so whole letters.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The files that modules of their crate may be in.
fn modules(mut sources: Sources) -> Sources {
    if sources.len() > MOST_FILES {
        return sources;
    }
    let named: BTreeMap<String, BTreeSet<String>> =
        sources.iter().map(|(path, text)| (path.clone(), named_modules(text))).collect();
    let mut names: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    loop {
        let is_reached = |path: &str| {
            let (package, modules) = modules_of(path);
            modules.iter().all(|module| names.contains(&(package, module)) || names.contains(&(package, ANY)))
        };
        let more: Vec<&String> =
            named.keys().filter(|path| !reached.contains(path.as_str()) && is_reached(path)).collect();
        if more.is_empty() {
            break;
        }
        for path in more {
            reached.insert(path);
            names.extend(named[path].iter().map(|name| (modules_of(path).0, name.as_str())));
        }
    }
    sources.retain(|path, _| reached.contains(path.as_str()));
    sources
}

/// Stands for whatever name a macro gives to a module.
const ANY: &str = "$";

/// The modules that a text declares, but for those of unit tests.
fn named_modules(text: &str) -> BTreeSet<String> {
    let all = tokens(text);
    let tests: BTreeSet<usize> =
        (0..all.len()).filter_map(|at| UnitTests::at(&all, at)).map(|tests| tests.name).collect();
    let names =
        all.windows(2).enumerate().filter(|(at, pair)| pair[0].is("mod") && !tests.contains(&(at + 1)));
    names.map(|(_, pair)| pair[1].text.to_owned()).collect()
}

/// The package of a file, and the modules in which it lies: of `raft/src/a/b.rs` these are `a` and `b`.
fn modules_of(path: &str) -> (&str, Vec<&str>) {
    let (package, file) = path.split_once("/src/").unwrap_or(("", path));
    let mut modules: Vec<&str> = file.strip_suffix(".rs").unwrap_or(file).split('/').collect();
    if matches!(modules.as_slice(), ["lib"] | [_, .., "mod"]) {
        modules.pop();
    }
    (package, modules)
}
