//! The macros that a submission defines. The check of sources looks at tokens where they stand, and a macro
//! can put them elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::tokens::{Token, behind_group};

/// What a token stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Code,
    /// What a macro of the submission is, or is called with. It comes out as it went in, or not at all.
    Macro,
    /// The arguments of a macro that takes them apart: neighbours in here may be none later.
    TakenApart,
}

/// The macros that all files of a submission define.
#[derive(Debug, Default)]
pub(super) struct Macros {
    /// By name; whether it takes apart what it is called with.
    known: BTreeMap<String, bool>,
}

/// How many macros are looked into. No lab has as many; of one that has, all are trusted as little.
const MOST: usize = 64;

impl Macros {
    pub(super) fn of(files: &[Vec<Token<'_>>]) -> Macros {
        let mut macros = Macros::default();
        let definitions: Vec<_> = files
            .iter()
            .flat_map(|all| (0..all.len()).filter_map(move |at| Some((all, definition(all, at)?))))
            .collect();
        let are_many = definitions.len() > MOST;
        for (all, (name, body)) in &definitions {
            *macros.known.entry((*name).to_owned()).or_default() |= are_many || takes_apart(all, body);
        }
        for all in files {
            macros.known.extend(all.windows(3).filter_map(renamed).map(|name| (name.to_owned(), true)));
        }
        if !are_many {
            let calls = |(all, (name, body)): &(&Vec<Token<'_>>, (&str, Range<usize>))| {
                let called = body.clone().filter(|at| macros.call(all, *at).is_some());
                ((*name).to_owned(), called.map(|at| all[at].text.to_owned()).collect())
            };
            let calls: Vec<(String, BTreeSet<String>)> = definitions.iter().map(calls).collect();
            while macros.pass_on(&calls) {}
        }
        macros
    }

    /// Marks macros that call one which takes its arguments apart. Whether any was found.
    fn pass_on(&mut self, calls: &[(String, BTreeSet<String>)]) -> bool {
        let is_apart = |name: &String| self.known.get(name) == Some(&true);
        let found = calls.iter().filter(|(name, called)| !is_apart(name) && called.iter().any(is_apart));
        let found: Vec<(String, bool)> = found.map(|(name, _)| (name.clone(), true)).collect();
        let is_new = !found.is_empty();
        self.known.extend(found);
        is_new
    }

    /// The arguments of the macro that is called at this index, if it is one of these, and whether it takes
    /// them apart.
    fn call(&self, all: &[Token<'_>], at: usize) -> Option<(Range<usize>, bool)> {
        let apart = *self.known.get(all[at].text).filter(|_| all[at].is_name())?;
        let is = |at: usize, texts: &[&str]| all.get(at).is_some_and(|t| texts.iter().any(|text| t.is(text)));
        (is(at + 1, &["!"]) && is(at + 2, &["(", "[", "{"]))
            .then(|| (at + 3..behind_group(all, at + 2).saturating_sub(1), apart))
    }

    /// Where each token stands.
    pub(super) fn places(&self, all: &[Token<'_>]) -> Vec<Place> {
        // How many more definitions and calls, and calls that take apart, there are around a token than there
        // are around the one before it.
        let mut changes = vec![(0_isize, 0_isize); all.len() + 1];
        let mut note = |range: Range<usize>, apart: isize| {
            if range.is_empty() || range.end > all.len() {
                return;
            }
            let (begin, end) = (range.start, range.end);
            changes[begin] = (changes[begin].0 + 1, changes[begin].1 + apart);
            changes[end] = (changes[end].0 - 1, changes[end].1 - apart);
        };
        for at in 0..all.len() {
            if let Some((_, body)) = definition(all, at) {
                note(body, 0);
            }
            if let Some((arguments, apart)) = self.call(all, at) {
                note(arguments, isize::from(apart));
            }
        }
        let mut around = (0, 0);
        let places = changes.iter().take(all.len()).map(|change| {
            around = (around.0 + change.0, around.1 + change.1);
            match around {
                (_, 1..) => Place::TakenApart,
                (1.., _) => Place::Macro,
                _ => Place::Code,
            }
        });
        places.collect()
    }
}

/// The new name in `use own as vec`: what is called `vec!` from here on is unknown.
fn renamed<'a>(words: &[Token<'a>]) -> Option<&'a str> {
    let [word, name, behind] = words else { return None };
    (word.is("as") && [";", ",", "}"].iter().any(|end| behind.is(end))).then_some(name.text)
}

/// The parameters that stand for attributes and nothing else: they are declared by `#[$name:meta]` only, so
/// that the macro's caller wrote them as attributes, where they are inspected.
pub(super) fn attributes<'a>(all: &[Token<'a>]) -> BTreeSet<&'a str> {
    let is = |at: usize, text: &str| all.get(at).is_some_and(|token| token.is(text));
    let as_attribute =
        |at: usize| at >= 2 && is(at - 1, "[") && is(at - 2, "#") && is(at + 3, "meta") && is(at + 4, "]");
    let declared = (0..all.len()).filter(|&at| is(at, "$") && is(at + 2, ":") && !is(at + 3, ":"));
    let (good, bad): (BTreeSet<_>, BTreeSet<_>) =
        declared.map(|at| (all[at + 1].text, as_attribute(at))).partition(|(_, good)| *good);
    let bad: BTreeSet<&str> = bad.into_iter().map(|(name, _)| name).collect();
    good.into_iter().map(|(name, _)| name).filter(|name| !bad.contains(name)).collect()
}

/// The name and the body of the macro whose definition begins at this index.
fn definition<'a>(all: &[Token<'a>], at: usize) -> Option<(&'a str, Range<usize>)> {
    let [word, sign, name] = all.get(at..at + 3)? else { return None };
    (word.is("macro_rules") && sign.is("!") && name.is_name())
        .then(|| (name.text, at + 3..behind_group(all, at + 3)))
}

/// Whether a macro can part what stands together, or join what does not. One that takes whole expressions or
/// types cannot, nor one that passes a row of tokens on as it came: `$($word:tt)*` as `$($word)*`.
fn takes_apart(all: &[Token<'_>], body: &Range<usize>) -> bool {
    let is = |at: usize, text: &str| all.get(at).is_some_and(|token| token.is(text));
    let of_any_number = |at: usize| is(at, "*") || is(at, "+");
    // The `$` of each parameter, and whether it stands where it is declared.
    let parameters = body.clone().filter(|at| is(*at, "$") && all.get(at + 1).is_some_and(Token::is_name));
    let parameters: Vec<(usize, bool)> =
        parameters.map(|at| (at, is(at + 2, ":") && !is(at + 3, ":"))).collect();
    let kind = |at: usize| all.get(at + 3).map_or("", |token| token.text);
    let single: BTreeSet<&str> = parameters
        .iter()
        .filter(|(at, declared)| *declared && matches!(kind(*at), "tt" | "ident"))
        .map(|(at, _)| all[at + 1].text)
        .collect();
    let rows = rows(all, body);
    parameters.iter().filter(|(at, _)| single.contains(all[at + 1].text)).any(|(at, declared)| {
        let behind = if *declared { at + 4 } else { at + 2 };
        let is_row = rows.contains(at) && is(behind, ")") && of_any_number(behind + 1);
        !is_row || *declared && kind(*at) != "tt"
    })
}

/// The places of parameters that begin a repetition which is in no other one: two rows could become one.
fn rows(all: &[Token<'_>], body: &Range<usize>) -> BTreeSet<usize> {
    let (mut rows, mut end) = (BTreeSet::new(), 0);
    for at in body.clone() {
        let repeats = all[at].is("$") && all.get(at + 1).is_some_and(|token| token.is("("));
        if repeats && at >= end {
            end = behind_group(all, at + 1);
            rows.insert(at + 2);
        }
    }
    rows
}
