//! Texts that nobody trusts, for a terminal.

/// The text in one line, without characters that steer a terminal or turn the direction of what follows: each
/// becomes its escape, `\u{1b}`. No more than `longest` letters; what is cut is counted.
pub fn clean(text: &str, longest: usize) -> String {
    let mut out = String::with_capacity(text.len().min(4 * longest));
    let mut letters = text.chars();
    for letter in letters.by_ref().take(longest) {
        match letter {
            '\n' | '\t' | '\r' => out.push(' '),
            _ if steers(letter) => out.extend(letter.escape_unicode()),
            _ => out.push(letter),
        }
    }
    let rest = letters.count();
    if rest > 0 {
        let letters = if rest == 1 { "letter" } else { "letters" };
        out += &format!("… ({rest} {letters} more)");
    }
    out
}

/// Whether a letter is none that a reader sees: controls, and marks that change the direction of the text.
fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_sees_no_order() {
        assert_eq!(clean("a\u{1b}[2Jb\u{7}\u{202e}c\nd", 99), "a\\u{1b}[2Jb\\u{7}\\u{202e}c d");
        assert_eq!(clean("<b>ünïcode</b>", 99), "<b>ünïcode</b>");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(clean("äöüß", 3), "äöü… (1 letter more)");
        assert!(clean(&"x".repeat(1 << 20), 100).len() < 140);
    }
}
