//! Arguments and replies in words, for traces. [`crate::service!`] knows their types, and a type need not
//! have `Debug` to be sent: one that has not is named instead.
//!
//! The compiler chooses where the macro is used: a method call on `&&Shown` finds the trait of `&Shown`
//! ([`Words`]) before that of `Shown` ([`Name`]).

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How many letters of a value are shown; a snapshot has megabytes.
const LONGEST: usize = 400;

/// A list of more numbers than this is cut behind its first ones: the bytes of a command would hide what
/// stands behind them.
const NUMBERS: usize = 12;

/// How many numbers of such a list are shown.
const FIRST: usize = 4;

/// How many numbers are counted; a snapshot has a million.
const COUNTED: usize = 4096;

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
        let mut cut = Cut::default();
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
#[derive(Default)]
struct Cut {
    text: String,
    letters: usize,
    list: List,
}

/// Where a text is, as to lists of numbers.
#[derive(Default)]
enum List {
    /// In none.
    #[default]
    Outside,
    /// In one that has had so many commas, and so many bytes and letters of the text were there before the
    /// comma behind the first numbers.
    Short { commas: usize, kept: (usize, usize) },
    /// In one whose numbers are only counted.
    Long { commas: usize },
}

impl Cut {
    fn push(&mut self, letter: char) -> std::fmt::Result {
        if self.letters == LONGEST {
            self.text.push('…');
            return Err(std::fmt::Error);
        }
        self.letters += 1;
        // One line.
        self.text.push(if letter.is_control() { ' ' } else { letter });
        Ok(())
    }

    /// A letter, as a list of numbers has it or not.
    fn take(&mut self, letter: char) -> std::fmt::Result {
        let is_of_numbers = matches!(letter, '0'..='9' | ',' | ' ' | '-' | '.');
        match &mut self.list {
            List::Short { commas, kept } if is_of_numbers => {
                *commas += usize::from(letter == ',');
                if letter == ',' && *commas == FIRST {
                    *kept = (self.text.len(), self.letters);
                }
                if *commas == NUMBERS {
                    self.text.truncate(kept.0);
                    self.letters = kept.1;
                    self.list = List::Long { commas: NUMBERS };
                    return Ok(());
                }
            }
            List::Long { commas } if is_of_numbers => {
                *commas += usize::from(letter == ',');
                if *commas == COUNTED {
                    self.text.push_str(", …");
                    return Err(std::fmt::Error);
                }
                return Ok(());
            }
            List::Long { commas } => {
                let end = format!(", … {} in all", *commas + 1);
                self.list = List::Outside;
                end.chars().try_for_each(|letter| self.push(letter))?;
            }
            List::Outside if letter == '[' => self.list = List::Short { commas: 0, kept: (0, 0) },
            List::Short { .. } if letter != '[' => self.list = List::Outside,
            List::Short { .. } | List::Outside => {}
        }
        self.push(letter)
    }
}

impl std::fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'[';
        if matches!(self.list, List::Outside)
            && self.letters + text.len() <= LONGEST
            && text.bytes().all(is_plain)
        {
            self.letters += text.len();
            self.text.push_str(text);
            return Ok(());
        }
        text.chars().try_for_each(|letter| self.take(letter))
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
        let words = (&&Shown(&"ä".repeat(1 << 20))).words();
        assert_eq!(words.chars().count(), LONGEST + 1);
        assert!(words.ends_with('…'));
        let words = (&&Shown(&vec!["x"; 1 << 20])).words();
        assert_eq!(words.chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_long_list_of_numbers_hides_nothing_behind_it() {
        let words = |numbers: usize| (&&Shown(&(vec![200_u8; numbers], "x"))).words();
        assert_eq!(words(3), "([200, 200, 200], \"x\")");
        assert_eq!(words(12).matches("200").count(), 12);
        assert_eq!(words(13), "([200, 200, 200, 200, … 13 in all], \"x\")");
        assert_eq!(words(1000), "([200, 200, 200, 200, … 1000 in all], \"x\")");
        assert_eq!(words(1 << 20), "([200, 200, 200, 200, …", "nobody waits for a megabyte");
        let nested = (&&Shown(&vec![vec![-1.5_f64; 20]; 2])).words();
        let list = "[-1.5, -1.5, -1.5, -1.5, … 20 in all]";
        assert_eq!(nested, format!("[{list}, {list}]"));
        let words = (&&Shown(&[Some(1); 30])).words();
        assert_eq!(words.matches("Some(1)").count(), 30, "what is no number is shown");
    }
}
