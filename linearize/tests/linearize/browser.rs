//! The page in a real browser.

use std::path::PathBuf;

use linearize::{KvHistory, Limits, picture};
use serde_json::{Value, json};

use crate::devtools::Browser;
use crate::samples::{Flaw, Size, faults, service};

/// Where to leave pages and screenshots for people to look at, if anywhere.
fn keep(browser: &mut Browser, name: &str, page: &str) {
    let Some(directory) = std::env::var_os("LINEARIZE_PICTURES").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(format!("{name}.html")), page).unwrap();
    browser.screenshot(&directory.join(format!("{name}.png.base64")));
}

fn page_of(history: &KvHistory, limits: &Limits) -> String {
    picture::page(&history.model(), history.history(), &history.check(limits), &faults(history))
}

const MEDIUM: Size = Size { operations: 2_000, clients: 8, keys: 4 };

#[test]
fn opens_at_the_error() {
    let Some(mut browser) = Browser::start() else { return };
    let page = page_of(&service(MEDIUM, Flaw::Stale, 1), &Limits::default());
    browser.open(&page, "");
    keep(&mut browser, "bad", &page);
    browser.press("d");
    keep(&mut browser, "bad-dark", &page);
    browser.press("d");
    browser.press("t");
    keep(&mut browser, "bad-rank", &page);
    browser.press("t");
    browser.press(".");
    browser.evaluate("[...document.querySelectorAll('#steps button')].find((b) => /sticks/.test(b.textContent))?.click()");
    browser.frame();
    keep(&mut browser, "bad-stuck", &page);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn opens_a_good_one() {
    let Some(mut browser) = Browser::start() else { return };
    let page = page_of(&service(MEDIUM, Flaw::None, 1), &Limits::default());
    browser.open(&page, "");
    keep(&mut browser, "good", &page);
    browser.press("0");
    keep(&mut browser, "good-all", &page);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn is_fast() {
    let Some(mut browser) = Browser::start() else { return };
    let size = Size { operations: 100_000, clients: 10, keys: 10 };
    let started = std::time::Instant::now();
    let history = service(size, Flaw::Stale, 1);
    println!("made in {:?}", started.elapsed());
    let started = std::time::Instant::now();
    let verdict = history.check(&Limits::default());
    println!("checked in {:?}", started.elapsed());
    let started = std::time::Instant::now();
    let page = picture::page(&history.model(), history.history(), &verdict, &faults(&history));
    println!("page of {} bytes in {:?}", page.len(), started.elapsed());
    browser.open(&page, "?bench");
    let ready: Value = browser.evaluate("document.getElementById('bench').dataset.ready");
    let parts = browser.evaluate("JSON.stringify(performance.getEntriesByType('navigation')[0])");
    println!("ready after {ready} ms {parts}");
    let bench = browser.evaluate(
        "new Promise((done) => { const look = () => { const text = document.getElementById('bench').textContent; \
         text ? done(text) : setTimeout(look, 100); }; look(); })",
    );
    println!("{bench}");
    keep(&mut browser, "large", &page);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let _ = json!(1);
}
