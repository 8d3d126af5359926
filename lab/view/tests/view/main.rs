//! The page of a run: what is in it, and what it does in a real browser.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

mod browser;
#[path = "../../../../linearize/page/tests/page/devtools.rs"]
#[allow(dead_code, reason = "the checker's tests use all of it")]
mod devtools;
mod figures;
mod samples;

use lab_view::{Passing, page};
use samples::{hostile, large, run};

#[test]
fn a_page_needs_nothing_else() {
    let page = page(&run(true), Some(Passing { trace: &run(false), words: "another seed decides" })).unwrap();
    for foreign in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(
        page.contains("LeaderCompleteness") || page.contains("only counts"),
        "the sentence is readable without scripts"
    );
}

#[test]
fn what_a_run_says_is_no_markup() {
    let page = page(&hostile(), None).unwrap();
    assert_eq!(page.matches("<script").count(), 3, "data, passing run, script");
    assert!(!page.contains("<img") && page.contains("&lt;img"), "the verdict's text is escaped");
    assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
}

/// A mark that is drawn anew for each page cannot be guessed by a text in it.
#[test]
fn the_policy_allows_this_pages_script_only() {
    let nonce = |page: &str| page.split("script-src 'nonce-").nth(1).unwrap()[..32].to_owned();
    let (one, other) = (page(&run(true), None).unwrap(), page(&run(true), None).unwrap());
    assert_ne!(nonce(&one), nonce(&other));
    assert!(one.contains(&format!("<script nonce=\"{}\">", nonce(&one))));
}

#[test]
fn a_hundred_thousand_events_are_five_megabytes_at_most() {
    let trace = large(100_000);
    let size = page(&trace, None).unwrap().len();
    assert!(size <= 5 << 20, "{size} bytes");
}
