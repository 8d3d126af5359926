//! Putting untrusted text into HTML.

use std::fmt::Write;

use linearize::words;

/// `text` as the content of an element or of a quoted attribute.
///
/// Characters that cannot be seen, or that turn the direction of what follows, are shown as `\u{…}`, so that
/// what the reader sees is what was there.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ if words::steers(character) => {
                // Writing into a String cannot fail.
                let _ = write!(out, "{}", character.escape_default());
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_means_anything_to_a_browser() {
        assert_eq!(
            html("</script><img src=x onerror='a'>"),
            "&lt;/script&gt;&lt;img src=x onerror=&#39;a&#39;&gt;"
        );
        assert_eq!(html("a\u{2028}b\u{1b}[2J\u{202e}c\0"), "a\\u{2028}b\\u{1b}[2J\\u{202e}c\\u{0}");
        assert_eq!(html("plain – ünïcode 👍"), "plain – ünïcode 👍");
    }
}
