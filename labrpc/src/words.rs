//! Arguments and replies in words, for traces. [`crate::service!`] knows their types, and a type need not
//! have `Debug` to be sent: one that has not is named instead.
//!
//! The compiler chooses where the macro is used: a method call on `&&Shown` finds the trait of `&Shown`
//! ([`Words`]) before that of `Shown` ([`Name`]).

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How many letters of a value are shown; a snapshot has megabytes.
const LONGEST: usize = 400;

/// A value to be shown.
#[derive(Debug)]
pub struct Shown<'a, T>(pub &'a T);

/// Shows a value by its `Debug`.
pub trait Words {
    /// The value in one line.
    fn words(&self) -> String;
}

impl<T: Debug> Words for &Shown<'_, T> {
    fn words(&self) -> String {
        let mut cut = Cut { text: String::new(), letters: 0 };
        let shown = catch_unwind(AssertUnwindSafe(|| {
            // It fails when there is enough, which spares the rest of a long value.
            let _ = std::fmt::write(&mut cut, format_args!("{:?}", self.0));
        }));
        if let Err(payload) = shown {
            // A crash of the server unwinds whatever its threads do.
            if labrt::node::current().is_killed() {
                resume_unwind(payload);
            }
            cut.text.push_str("… (its Debug panics)");
        }
        cut.text
    }
}

/// Shows the type of a value that has no `Debug`.
pub trait Name {
    /// The type's name.
    fn words(&self) -> String;
}

impl<T> Name for Shown<'_, T> {
    fn words(&self) -> String {
        let name = std::any::type_name::<T>();
        format!("{} (derive Debug to see it)", name.rsplit("::").next().unwrap_or(name))
    }
}

/// Takes a text up to a length.
struct Cut {
    text: String,
    letters: usize,
}

impl std::fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for letter in text.chars() {
            if self.letters == LONGEST {
                self.text.push('…');
                return Err(std::fmt::Error);
            }
            self.letters += 1;
            // One line.
            self.text.push(if letter.is_control() { ' ' } else { letter });
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::needless_borrow, reason = "the borrows choose between the two traits, as in the macro")]
mod tests {
    use super::*;

    struct Secret;

    #[test]
    fn a_value_is_shown_by_debug_if_it_has_it() {
        assert_eq!((&&Shown(&(1, "x"))).words(), "(1, \"x\")");
        assert_eq!((&&Shown(&Secret)).words(), "Secret (derive Debug to see it)");
    }

    /// A run that is watched must go as it went unwatched.
    #[test]
    fn a_debug_that_panics_fails_nothing() {
        struct Bad;
        impl Debug for Bad {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("half\u{1b}")?;
                panic!("no")
            }
        }
        let outcome = labrt::run(labrt::Config::simulated(1), || (&&Shown(&Bad)).words());
        assert_eq!(outcome.result.ok().as_deref(), Some("half … (its Debug panics)"));
    }

    #[test]
    fn a_long_value_is_cut() {
        let words = (&&Shown(&vec![7_u8; 1 << 20])).words();
        assert_eq!(words.chars().count(), LONGEST + 1);
        assert!(words.ends_with('…'));
    }
}
