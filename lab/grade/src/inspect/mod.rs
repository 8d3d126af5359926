//! The check of sources: what lab code must not name.
//!
//! The student's code runs in the tester's process, and `-F unsafe_code` leaves it what safe Rust and its
//! dependencies offer. This check takes away what of that reaches out of the simulation: files, processes,
//! the environment, the network, real clocks and threads, and values that all servers and seeds would share.
//! It looks at the compiler's tokens, so comments and texts are none, and a renamed import is seen where it
//! is renamed. The sandbox refuses the same once more when the code runs.

mod attributes;
mod lists;
mod macros;
mod statics;
mod tokens;
mod unbuilt;

use std::collections::BTreeSet;

use crate::take::{Refusal, Sources};

use self::attributes::inspect_attribute;
use self::lists::{ALLOWED, INSTEAD, NOWHERE, Part, TRACING};
use self::macros::{Macros, Place, attributes};
use self::statics::{Rebound, is_constant};
use self::tokens::{Token, behind_group, tokens};

/// The sources that are built, without what is not looked at: unit tests, and files that are no module.
///
/// # Errors
/// The first thing in them that a lab must not have. A file that means what it meant when it was handed out
/// may have whatever it has.
pub(crate) fn inspect(sources: &Sources, handed_out: &Sources) -> Result<Sources, Refusal> {
    let built = unbuilt::built(sources, handed_out);
    inspect_all(&built, handed_out, false)?;
    Ok(built)
}

/// The same of students' tests. All of them is built, and they may name what the framework has for tests.
pub(crate) fn inspect_tests(tests: &Sources) -> Result<(), Refusal> {
    inspect_all(tests, &Sources::new(), true)
}

fn inspect_all(built: &Sources, handed_out: &Sources, are_tests: bool) -> Result<(), Refusal> {
    let files: Vec<Vec<Token<'_>>> = built.values().map(|text| tokens(text)).collect();
    let macros = Macros::of(&files);
    let places: Vec<Vec<Place>> = files.iter().map(|all| macros.places(all)).collect();
    let whole = Whole { are_tests, ..Whole::of(&files, &places) };
    for (((path, text), all), places) in built.iter().zip(&files).zip(&places) {
        if handed_out.get(path).is_some_and(|before| same_but_for_layout(before, text)) {
            continue;
        }
        View::of(all, places, &whole).inspect().map_err(|Finding { fault, line, what }| {
            Refusal::new(fault, format!("{path}:{line}: {what}."))
        })?;
    }
    Ok(())
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

/// What is known of all files together.
#[derive(Default)]
struct Whole<'a> {
    rebound: Rebound<'a>,
    /// A module of the submission's own is called `core`.
    has_core: bool,
    /// `use tracing::*`: its modules may stand anywhere without its name.
    globs_tracing: bool,
    /// These are a student's tests, and no solution.
    are_tests: bool,
}

impl<'a> Whole<'a> {
    fn of(files: &[Vec<Token<'a>>], places: &[Vec<Place>]) -> Whole<'a> {
        let has = |words: &[&str]| {
            let here = |some: &[Token<'_>]| some.iter().zip(words).all(|(token, word)| token.is(word));
            files.iter().any(|all| all.windows(words.len()).any(here))
        };
        Whole {
            rebound: Rebound::of(files, places),
            has_core: has(&["mod", "core"]),
            globs_tracing: has(&["tracing", ":", ":", "*"]) || has(&["tracing", ":", ":", "{", "*"]),
            are_tests: false,
        }
    }
}

/// A file, and where each of its tokens stands.
struct View<'a> {
    all: &'a [Token<'a>],
    places: &'a [Place],
    whole: &'a Whole<'a>,
    /// Parameters of macros that stand for attributes.
    attributes: BTreeSet<&'a str>,
}

impl<'a> View<'a> {
    fn of(all: &'a [Token<'a>], places: &'a [Place], whole: &'a Whole<'a>) -> View<'a> {
        View { all, places, whole, attributes: attributes(all) }
    }

    fn inspect(&self) -> Check {
        (0..self.all.len()).try_for_each(|at| self.inspect_token(at))
    }

    /// Whether this text stands at this index.
    fn is(&self, at: usize, text: &str) -> bool {
        self.all.get(at).is_some_and(|token| token.is(text))
    }

    /// Whether the `!` of a macro's call stands at this index, and not that of `!=`.
    fn is_call(&self, at: usize) -> bool {
        self.is(at, "!") && !self.is(at + 1, "=")
    }

    /// Whether `::` stands at this index.
    fn is_path(&self, at: usize) -> bool {
        self.is(at, ":") && self.is(at + 1, ":")
    }

    /// Whether `name::` stands before the index.
    fn follows(&self, at: usize, name: &str) -> bool {
        at >= 3 && self.is_path(at - 2) && self.is(at - 3, name)
    }

    fn inspect_token(&self, at: usize) -> Check {
        let token = &self.all[at];
        if token.is("#") && (self.is(at + 1, "[") || self.is(at + 1, "!") && self.is(at + 2, "[")) {
            return inspect_attribute(self, at + if self.is(at + 1, "[") { 1 } else { 2 });
        }
        if token.is("$") {
            return self.inspect_parameter(at);
        }
        if !token.is_name() {
            return Ok(());
        }
        if let Some((name, fault, why)) = NOWHERE.iter().find(|(name, ..)| token.text == *name)
            && !(token.is("include") && self.is_plain_name(at))
            && !(token.is("beside") && self.whole.are_tests)
        {
            return found(fault, token, format!("`{name}`: {why}"));
        }
        let is_apart = self.places[at] == Place::TakenApart;
        match token.text {
            "env" if self.is_call(at + 1) || is_apart => {
                found("environment", token, "`env!`: lab code must not look at its environment")
            }
            "thread_local" if is_apart || self.is_call(at + 1) && !self.follows(at, "labrt") => found(
                "shared",
                token,
                "`thread_local!`: all servers would share it; use labrt::thread_local!",
            ),
            "macro_rules" if is_apart || !self.all.get(at + 2).is_some_and(Token::is_name) => {
                found("macro", token, "the name of a macro must not be a parameter of another one")
            }
            "static" => self.inspect_static(at),
            "std" => self.inspect_std(at),
            "core" => self.inspect_core(at),
            "tracing" => self.inspect_tracing(at),
            name if self.whole.globs_tracing && TRACING.contains(&name) => self.refuse_tracing(at),
            name if name.starts_with("__") => found(
                "private",
                token,
                format!("`{name}`: names with two underscores are private to libraries"),
            ),
            _ => Ok(()),
        }
    }

    /// Whether a word that is also a macro of std names something of the lab here.
    fn is_plain_name(&self, at: usize) -> bool {
        let is_imported = at > 0 && self.is(at - 1, ":") || self.is(at + 1, "as");
        self.places[at] != Place::TakenApart && !self.is_call(at + 1) && !is_imported
    }

    /// `$` in a macro: what is called must not be a parameter.
    fn inspect_parameter(&self, at: usize) -> Check {
        let is_path = self.is(at + 2, ":") && self.is(at + 3, "path");
        // `$($word)* !(…)`
        let end = if self.is(at + 1, "(") { behind_group(self.all, at + 1) } else { at + 1 };
        let is_called = (end..end + 3).find(|at| self.is(*at, "!")).is_some_and(|sign| {
            let is_repeated = |at: usize| ["*", "+", "?"].iter().any(|sign| self.is(at, sign));
            end > at + 1
                && is_repeated(sign - 1)
                && ["(", "[", "{"].iter().any(|open| self.is(sign + 1, open))
        });
        if self.is_call(at + 2) || is_path || is_called {
            return found(
                "macro",
                &self.all[at],
                "the name of a macro must not be a parameter of another one",
            );
        }
        Ok(())
    }

    fn inspect_static(&self, at: usize) -> Check {
        if is_constant(self.all, at, self.places, &self.whole.rebound) {
            return Ok(());
        }
        found(
            "shared",
            &self.all[at],
            "`static`: all servers and all seeds would share it, though servers share nothing but messages; \
             use a field of the server, or `const`",
        )
    }

    /// A use of std: what follows must be allowed.
    fn inspect_std(&self, at: usize) -> Check {
        // `self.std`: a field.
        if at > 0 && self.is(at - 1, ".") && !(at > 1 && self.is(at - 2, ".")) {
            return Ok(());
        }
        if self.places[at] == Place::TakenApart {
            let what = "`std` in the arguments of a macro that takes them apart: import the item by `use`, and \
                        name it alone";
            return found("std", &self.all[at], what);
        }
        if !self.is_path(at + 1) {
            let what = "`std` itself: name the items that are used, each with its path, and nothing else by this name";
            return found("std", &self.all[at], what);
        }
        each_branch(self.all, at + 3, &mut |all, at| inspect_module(all, at, "std"))
    }

    /// core cannot reach out of the simulation, and its name is one that a module or a field may have.
    fn inspect_core(&self, at: usize) -> Check {
        let is_imported = self.is(at.wrapping_sub(1), "use") || self.follows(at, "use");
        if is_imported && self.is(at + 1, "as") {
            return found(
                "std",
                &self.all[at],
                "`core` itself: name the items that are used, each with its path",
            );
        }
        let is_own =
            self.whole.has_core || ["crate", "self", "super"].iter().any(|root| self.follows(at, root));
        if is_own || !self.is_path(at + 1) {
            return Ok(());
        }
        each_branch(self.all, at + 3, &mut |all, at| inspect_module(all, at, "core"))
    }

    /// The log's macros may be used, and not what takes their words: all servers have one and the same.
    fn inspect_tracing(&self, at: usize) -> Check {
        let is_alone = self.places[at] == Place::Macro && !self.is_path(at + 1);
        if self.places[at] == Place::TakenApart || is_alone || self.is(at + 1, "as") {
            return self.refuse_tracing(at);
        }
        if !self.is_path(at + 1) {
            return Ok(());
        }
        each_branch(self.all, at + 3, &mut |all, at| match all.get(at) {
            Some(token) if token.is("self") || TRACING.contains(&token.text) => self.refuse_tracing(at),
            _ => Ok(()),
        })
    }

    fn refuse_tracing(&self, at: usize) -> Check {
        let what = "tracing: lab code must not look at who takes the log's words, nor change it; name the macros \
                    that are used, each with its path";
        found("logging", &self.all[at], what)
    }
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
