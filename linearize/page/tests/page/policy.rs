//! A browser runs the page's script, and heeds its style sheet, only if the page names their hashes.

use sha2::{Digest, Sha256};

use crate::browser::{good, page_of};

/// What stands between two texts, of which the first is there once.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("the page has no {begin}"));
    rest.split_once(end).unwrap_or_else(|| panic!("the page has no {end} behind {begin}")).0
}

/// Base64 (RFC 4648) of a hash, 32 bytes.
fn base64(hash: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |place: usize| {
        let bit = |at: usize| usize::from(hash.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1));
        char::from(DIGITS[(0..6).fold(0, |sum, offset| 2 * sum + bit(6 * place + offset))])
    };
    (0..43).map(digit).chain(['=']).collect()
}

#[test]
fn the_page_names_the_hashes_of_its_script_and_style() {
    let page = page_of(&good());
    for (kind, begin, end) in [("script", "<script>", "</script>"), ("style", "<style>", "</style>")] {
        let named = between(&page, &format!("{kind}-src 'sha256-"), "'");
        let hash = Sha256::digest(between(&page, begin, end).as_bytes());
        assert_eq!(named, base64(&hash), "the hash of the {kind}");
    }
}
