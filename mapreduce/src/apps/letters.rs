// handout: bodies kept
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

/// Bytes that are looked at together: one bit of a `u64` for each.
const BLOCK: usize = u64::BITS as usize;

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

/// A word costs two turns of the inner loop, however long it is: a loop over its bytes would end at a place
/// that no processor can predict.
fn words_of(text: &str, visit: &mut impl FnMut(&str)) {
    // Where the current word began, if the last byte belongs to one.
    let mut word = None;
    for at in (0..text.len()).step_by(BLOCK) {
        let letters = letters_of(text, at);
        // The bytes that differ from the byte before them: where words begin, and behind their ends.
        let mut borders = letters ^ (letters << 1 | u64::from(word.is_some()));
        while borders != 0 {
            let border = at + borders.trailing_zeros() as usize;
            borders &= borders - 1;
            match word.take() {
                Some(start) => visit(&text[start..border]),
                None => word = Some(border),
            }
        }
    }
    if let Some(start) = word {
        visit(&text[start..]);
    }
}

/// Which bytes of the block at `at` belong to a letter. Those behind the text's end do not.
#[inline]
fn letters_of(text: &str, at: usize) -> u64 {
    let rest = &text.as_bytes()[at..];
    let (mut letters, mut wide) = match rest.first_chunk::<BLOCK>() {
        Some(block) => classes(block),
        None => {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            classes(&block)
        }
    };
    // Most text is ASCII. A character of several bytes is looked at as a whole.
    while wide != 0 {
        let byte = wide.trailing_zeros();
        wide &= wide - 1;
        letters |= u64::from(is_part_of_letter(text, at + byte as usize)) << byte;
    }
    letters
}

/// Which bytes are ASCII letters, and which are no ASCII.
#[inline]
fn classes(block: &[u8; BLOCK]) -> (u64, u64) {
    let (mut letters, mut wide) = (0, 0);
    let (eights, _) = block.as_chunks::<8>();
    for (number, eight) in eights.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        letters |= top_bits(ascii_letters(eight)) << (8 * number);
        wide |= top_bits(eight) << (8 * number);
    }
    (letters, wide)
}

/// Sets the top bit of each byte that is an ASCII letter, for eight bytes in one number.
#[inline]
fn ascii_letters(eight: u64) -> u64 {
    let each = |byte: u8| u64::from_ne_bytes([byte; 8]);
    // Lower case, below 0x80: no sum reaches the next byte.
    let lower = eight & each(0x7f) | each(0x20);
    let from_a = lower + each(0x80 - b'a');
    let after_z = lower + each(0x7f - b'z');
    from_a & !after_z & !eight
}

/// The top bits of eight bytes, those of the first byte lowest.
#[inline]
fn top_bits(eight: u64) -> u64 {
    // The product brings each of them to its place in the highest byte.
    (eight & 0x8080_8080_8080_8080).wrapping_mul(0x0002_0408_1020_4081) >> 56
}

/// Whether the character of several bytes to which this byte belongs is a letter.
#[cold]
fn is_part_of_letter(text: &str, at: usize) -> bool {
    text[text.floor_char_boundary(at)..].chars().next().is_some_and(is_letter)
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
    fn words_are_those_of_one_character_at_a_time() {
        // Characters of one to four bytes, letters and others, at each place of a block and over its borders.
        let alphabet =
            ["a", "Z", "z", "A", "@", "[", "`", "{", " ", "0", "\0", "é", "×", "東", "—", "𝒳", "😀"];
        let mut random = 1_u64;
        for length in 0..300 {
            let mut text = String::new();
            for _ in 0..length {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (kind, number) = ((random >> 33) as usize % 4, (random >> 40) as usize);
                text.push_str(if kind == 0 {
                    alphabet[number % alphabet.len()]
                } else {
                    alphabet[number % 4]
                });
            }
            let expected: Vec<&str> = text.split(|c| !is_letter(c)).filter(|word| !word.is_empty()).collect();
            assert_eq!(words(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn every_byte_of_ascii_is_classed_as_unicode_does() {
        for byte in 0..0x80_u8 {
            let letter = char::from(byte).general_category_group() == GeneralCategoryGroup::Letter;
            assert_eq!(classes(&[byte; BLOCK]), (if letter { u64::MAX } else { 0 }, 0), "{byte}");
        }
        assert_eq!(classes(&[0xc3; BLOCK]), (0, u64::MAX));
    }
}
