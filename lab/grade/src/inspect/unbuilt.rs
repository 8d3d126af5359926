//! What of a submission is not built: what stands below `#[cfg(test)]`, and files that are no module of their
//! crate.
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

/// How many words may stand before the body of such an item, each group counted as one.
const LONGEST_HEAD: usize = 500;

/// A crate that has more files than this is built as it is.
const MOST_FILES: usize = 1000;

/// `#[cfg(test)] mod name`, or another item, perhaps with other attributes and a visibility between them.
struct UnitTests {
    /// The index of its first word.
    word: usize,
}

/// How items begin whose bodies are emptied; and imports.
const ITEMS: [&str; 9] = ["mod", "fn", "const", "async", "impl", "struct", "enum", "trait", "use"];

/// What an import becomes. It is left out of what is built, and must be one for that.
const IMPORT: &[u8] = b"use a;";

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
        ITEMS.iter().any(|word| is(next, word)).then_some(UnitTests { word: next })
    }

    /// The name of the module, if it is one.
    fn module(&self, all: &[Token<'_>]) -> Option<usize> {
        all[self.word].is("mod").then_some(self.word + 1)
    }

    /// The index of what ends the item: its semicolon, or the brace that opens its body.
    fn end(&self, all: &[Token<'_>]) -> Option<usize> {
        let is_import = all[self.word].is("use");
        let mut at = self.word;
        for _ in 0..LONGEST_HEAD {
            match all.get(at)?.text {
                ";" => return Some(at),
                "{" if !is_import => return Some(at),
                ")" | "]" | "}" => return None,
                _ => at = behind_group(all, at),
            }
        }
        None
    }
}

/// The text with blanks in the bodies of what only unit tests have: everything else stays on its line.
fn without_unit_tests(text: &str) -> String {
    let all = tokens(text);
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < all.len() {
        let Some(tests) = UnitTests::at(&all, at) else {
            at += 1;
            continue;
        };
        at = tests.word + 1;
        let Some(end) = tests.end(&all) else { continue };
        let behind = behind_group(&all, end);
        if all[tests.word].is("use") {
            let import = all[tests.word].begin..all[end].begin + 1;
            blank(&mut bytes[import.clone()]);
            bytes[import].iter_mut().zip(IMPORT).for_each(|(byte, letter)| *byte = *letter);
            at = behind;
        } else if all[end].is("{") && all[behind - 1].is("}") {
            blank(&mut bytes[all[end].begin + 1..all[behind - 1].begin]);
            at = behind;
        }
    }
    // Whole tokens have become blanks, and so whole letters.
    String::from_utf8(bytes).unwrap_or_default()
}

fn blank(text: &mut [u8]) {
    text.iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = b' ');
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
        (0..all.len()).filter_map(|at| UnitTests::at(&all, at)?.module(&all)).collect();
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
