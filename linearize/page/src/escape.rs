//! Putting untrusted text and bytes into HTML.

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

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648, §4): none of its characters means anything to HTML.
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) as usize & 63;
            out.push(if place <= chunk.len() { char::from(ALPHABET[sextet]) } else { '=' });
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

    #[test]
    fn base64_as_in_the_rfc() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }
}
