//! Statics: values that all servers and all seeds share.

use std::collections::BTreeSet;

use super::lists::CONSTANT;
use super::macros::Place;
use super::tokens::{Kind, Token};

/// Names that mean something else in a submission than they do elsewhere.
#[derive(Debug, Default)]
pub(super) struct Rebound<'a>(BTreeSet<&'a str>);

impl<'a> Rebound<'a> {
    /// Of files, and where each of their tokens stands.
    pub(super) fn of(files: &[Vec<Token<'a>>], places: &[Vec<Place>]) -> Rebound<'a> {
        const DECLARE: [&str; 7] = ["struct", "enum", "union", "type", "trait", "mod", "as"];
        let mut names = BTreeSet::new();
        for (all, places) in files.iter().zip(places) {
            let mut in_use = false;
            for (at, token) in all.iter().enumerate() {
                in_use = token.is("use") || in_use && !token.is(";");
                let declares = at > 0 && DECLARE.iter().any(|word| all[at - 1].is(word));
                // A number is often cast by `as`.
                let is_cast = declares && all[at - 1].is("as") && !in_use;
                // What a macro has or gets it may declare.
                if token.is_name() && (declares && !is_cast || places[at] != Place::Code) {
                    names.insert(token.text);
                }
            }
        }
        Rebound(names)
    }
}

/// Whether `static` at this index declares a value that nobody can change: its type must be a constant's.
pub(super) fn is_constant(all: &[Token<'_>], at: usize, places: &[Place], rebound: &Rebound<'_>) -> bool {
    let behind = all.get(at + 1..).unwrap_or_default();
    let is_item = behind.get(1).is_some_and(|token| token.is(":"));
    let mut type_of = behind.iter().skip(2).take_while(|token| !token.is("="));
    let is_plain = |token: &Token<'_>| match token.kind {
        Kind::Name => CONSTANT.contains(&token.text) && !rebound.0.contains(token.text),
        // A macro, or its parameter, may stand for any type.
        _ => !token.is("!") && !token.is("$"),
    };
    // A macro may declare something else with the same words.
    places[at] == Place::Code && is_item && type_of.all(is_plain)
}
