//! Words: maximal runs of Unicode letters.
//!
//! The course's Go code splits with `unicode.IsLetter`, which asks for the general category
//! as this does. Rust's `char::is_alphabetic` is a little wider: Roman numerals and the
//! vowel signs of many scripts are alphabetic and no letters.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Whether the character is a letter: of a general category that begins with L. Digits,
/// marks and the underscore are not letters.
pub fn is_letter(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphabetic();
    }
    character.general_category_group() == GeneralCategoryGroup::Letter
}

/// What a byte can be the beginning of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Other,
    Letter,
    /// Part of a character of several bytes, which must be looked at as a whole.
    Wide,
}

/// The class of each byte. Most text is ASCII, where a look into this table is all that a
/// character costs.
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte >= 0x80 {
            classes[byte] = Class::Wide;
        } else if (byte as u8).is_ascii_alphabetic() {
            classes[byte] = Class::Letter;
        }
        byte += 1;
    }
    classes
};

/// Calls `visit` for each word of `text`. Bytes that are no UTF-8 are no letters: they
/// end a word, like any punctuation.
pub fn for_each_word(text: &[u8], mut visit: impl FnMut(&str)) {
    match std::str::from_utf8(text) {
        // Several bytes at a time are looked at, where looking for the valid pieces takes
        // one after the other.
        Ok(text) => words_of(text, &mut visit),
        Err(_) => text.utf8_chunks().for_each(|chunk| words_of(chunk.valid(), &mut visit)),
    }
}

fn words_of(text: &str, visit: &mut impl FnMut(&str)) {
    let mut at = 0;
    loop {
        // Past what is no letter, and then past what is.
        at = run_end(text, at, false);
        if at == text.len() {
            return;
        }
        let start = at;
        at = run_end(text, at, true);
        visit(&text[start..at]);
    }
}

/// The end of the run that continues at `at`: of letters, or of other characters.
#[inline]
fn run_end(text: &str, mut at: usize, letters: bool) -> usize {
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        match CLASSES[byte as usize] {
            Class::Wide => match wide(text, at) {
                (letter, length) if letter == letters => at += length,
                _ => return at,
            },
            class if (class == Class::Letter) == letters => at += 1,
            _ => return at,
        }
    }
    at
}

/// Whether the character at `at` is a letter, and its length.
#[cold]
fn wide(text: &str, at: usize) -> (bool, usize) {
    text[at..].chars().next().map_or((false, 1), |character| (is_letter(character), character.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[u8]) -> Vec<String> {
        let mut words = Vec::new();
        for_each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_maximal_runs_of_letters() {
        assert_eq!(words(b"Don't stop_me2now"), ["Don", "t", "stop", "me", "now"]);
        assert_eq!(words("naïve Ärger, Ωmega 東京 x²".as_bytes()), ["naïve", "Ärger", "Ωmega", "東京", "x"]);
        assert_eq!(words("Ⅷ e\u{301}a".as_bytes()), ["e", "a"], "numerals and marks are no letters");
        assert_eq!(words(b""), Vec::<String>::new());
    }

    #[test]
    fn bytes_that_are_no_text_end_a_word() {
        assert_eq!(words(b"ab\xffcd \xc3"), ["ab", "cd"]);
        assert_eq!(words(b"\xc3\xa4\xc3"), ["ä"], "a character that was cut off is no letter");
    }

    #[test]
    fn the_classes_of_ascii_agree_with_unicode() {
        for byte in 0..0x80_u8 {
            let letter = char::from(byte).general_category_group() == GeneralCategoryGroup::Letter;
            assert_eq!(CLASSES[byte as usize] == Class::Letter, letter, "{byte}");
        }
    }
}
