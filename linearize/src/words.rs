//! Putting values, which are never trusted, into sentences.

/// How many characters of a value a sentence shows.
const SHOWN: usize = 60;

/// `text` in quotes, with everything escaped that could steer a terminal, and cut in the middle if it is
/// long.
///
/// Markup is not touched: the page escapes it.
pub fn quoted(text: &str) -> String {
    shortened(text, "\"", &['"', '\\'])
}

/// As [`quoted`], without quotes.
pub fn unquoted(text: &str) -> String {
    shortened(text, "", &[])
}

fn shortened(text: &str, quote: &str, special: &[char]) -> String {
    let count = text.chars().count();
    if count <= SHOWN {
        return format!("{quote}{}{quote}", escaped(text.chars(), special));
    }
    let head = escaped(text.chars().take(SHOWN / 2), special);
    let tail = escaped(text.chars().skip(count - SHOWN / 3), special);
    format!("{quote}{head}…{tail}{quote} ({count} characters)")
}

/// Control characters, and those that change the direction of text, become `\u{…}`.
fn escaped(characters: impl Iterator<Item = char>, special: &[char]) -> String {
    let mut out = String::new();
    for character in characters {
        if steers(character) || special.contains(&character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Whether a character is a control character, or invisible, or changes the direction of text.
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A number and what it counts, for example `1 state` or `2 states`.
pub fn count<N: std::fmt::Display + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    let ending = if number == N::from(1) { "" } else { "s" };
    format!("{number} {thing}{ending}")
}

/// A span of nanoseconds with a fitting unit, for example `3.1 ms`.
pub fn span(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.1} µs", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}
