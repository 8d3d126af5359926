//! The page in headless Chromium, on a desk and on a telephone.

use lab_view::{Passing, page};
use serde_json::{Value, json};

use crate::devtools::Browser;
use crate::samples::{hostile, large, run};

fn window(browser: &mut Browser, width: u32, height: u32) {
    let mobile = width < 600;
    let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
    browser.call("Emulation.setDeviceMetricsOverride", size);
}

fn both() -> String {
    page(&run(true), Some(Passing { trace: &run(false), words: "another seed decides" })).unwrap()
}

/// Waits until the texts have followed the picture.
fn settle(browser: &mut Browser) {
    browser.evaluate("new Promise((done) => setTimeout(done, 200))");
}

fn ask(browser: &mut Browser, script: &str) -> Value {
    settle(browser);
    browser.evaluate(script)
}

fn hash(browser: &mut Browser) -> String {
    ask(browser, "location.hash").as_str().unwrap().to_owned()
}

/// Where to leave screenshots for people to look at, if anywhere.
fn keep(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("LAB_VIEW_PICTURES") {
        let folder = std::path::PathBuf::from(folder);
        std::fs::create_dir_all(&folder).unwrap();
        browser.screenshot(&folder.join(format!("{name}.png.base64")));
    }
}

#[test]
fn it_opens_at_the_violation_and_says_it_in_words() {
    let Some(mut browser) = Browser::start() else { return };
    for width in [1280, 390] {
        window(&mut browser, width, 800);
        browser.open(&both(), "");
        let headline = browser.text_of("headline");
        assert_eq!(headline, "figure_8_2c, seed 317: LeaderCompleteness", "{width}");
        let sentence = browser.text_of("sentence");
        assert!(sentence.contains("is in the logs of the leaders of all later terms"), "{sentence}");
        assert!(sentence.contains("At 0.200000 s: server 1 only counts"), "{sentence}");
        let broken = ask(
            &mut browser,
            "[...document.querySelectorAll('#strip .broken')].map((one) => one.textContent)",
        );
        assert_eq!(broken, json!(["✗ LeaderCompleteness"]));
        let other = browser.text_of("other");
        assert!(other.contains("the same up to 0.100000 s"), "{other}");
        let wide = ask(&mut browser, "document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(wide, json!(true), "the page is wider than {width}");
        keep(&mut browser, &format!("violation-{width}"));
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn it_steps_and_shows_every_server_at_the_cursor() {
    let Some(mut browser) = Browser::start() else { return };
    for width in [1280, 390] {
        window(&mut browser, width, 800);
        browser.open(&both(), "");
        let row = |browser: &mut Browser, server: &str| {
            let script = format!(
                "[...document.querySelectorAll('#servers tbody tr')].find((row) => row.textContent.startsWith({server:?})).textContent"
            );
            ask(browser, &script).as_str().unwrap().to_owned()
        };
        // The verdict is the last event; before it stands the state that broke the rule.
        browser.press("ArrowLeft");
        assert_eq!(row(&mut browser, "server-1"), "server-1leader3113");
        let changed = ask(&mut browser, "document.querySelectorAll('#servers .changed').length");
        assert!(changed.as_u64() >= Some(3), "role, term and log have changed: {changed}");
        for _ in 0..3 {
            browser.press("ArrowLeft");
        }
        assert_eq!(row(&mut browser, "server-1"), "server-1follower101");
        let colours = "new Set([...document.querySelectorAll('#servers .box')].map((box) => getComputedStyle(box).backgroundColor)).size";
        assert!(ask(&mut browser, colours).as_u64() >= Some(1));
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn it_filters_searches_and_keeps_the_view_in_the_link() {
    let Some(mut browser) = Browser::start() else { return };
    for width in [1280, 390] {
        window(&mut browser, width, 800);
        browser.open(&both(), "");
        browser.press("0");
        let set = |id: &str, value: &str| {
            format!(
                "(() => {{ const one = document.getElementById({id:?}); one.value = {value:?}; one.dispatchEvent(new Event('input')); }})()"
            )
        };
        let listed = "document.querySelectorAll('#logs li').length";
        let all = ask(&mut browser, listed).as_u64().unwrap();
        browser.evaluate(&set("search", "grants its vote"));
        assert_eq!(ask(&mut browser, listed), json!(1));
        browser.evaluate(&set("search", "#1"));
        assert_eq!(ask(&mut browser, listed), json!(4), "the legs of RPC #1");
        browser.evaluate(&set("search", ""));
        browser.evaluate(&set("kind", "state"));
        assert!(ask(&mut browser, listed).as_u64().unwrap() < all);
        let link = hash(&mut browser);
        assert!(link.contains("kind=state"), "{link}");
        browser.open(&both(), &link);
        assert_eq!(hash(&mut browser), link, "the link holds the view");
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn it_follows_a_message_and_its_causes() {
    let Some(mut browser) = Browser::start() else { return };
    for width in [1280, 390] {
        window(&mut browser, width, 800);
        browser.open(&both(), "");
        browser.press("0");
        browser.evaluate("[...document.querySelectorAll('#logs .jump')].find((one) => one.textContent.includes('→ server-1')).click()");
        let legs =
            "[...document.querySelectorAll('#legs li')].map((one) => one.textContent.slice(9)).join('; ')";
        let told = ask(&mut browser, legs);
        let expected = "leaves: AppendArgs { term: 3, prev_log_index: 1 }; arrives; reply leaves: AppendReply { success: true }; reply arrives";
        assert_eq!(told, json!(expected));
        let now = "document.querySelector('#legs .now').textContent.slice(9)";
        browser.press("m");
        assert_eq!(ask(&mut browser, now), json!("arrives"));
        let causes = "[...document.querySelectorAll('#causes li')].map((one) => one.textContent).join('; ')";
        let told = ask(&mut browser, causes);
        assert!(told.as_str().unwrap().contains("append_entries #1 → server-1"), "{told}");
        browser.press("c");
        let link = hash(&mut browser);
        assert!(link.contains("cone=1"), "{link}");
        keep(&mut browser, &format!("causes-{width}"));
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn it_is_light_and_dark() {
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&both(), "");
    let ground = "getComputedStyle(document.body).backgroundColor";
    let one = browser.evaluate(ground);
    browser.press("d");
    assert_ne!(browser.evaluate(ground), one);
    keep(&mut browser, "dark");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn nothing_that_a_run_says_is_executed() {
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&page(&hostile(), None).unwrap(), "");
    browser.press("0");
    settle(&mut browser);
    assert_eq!(browser.evaluate("document.images.length"), json!(0));
    assert!(browser.text_of("logs").contains("<img src=x"), "it is shown as text");
    assert!(browser.text_of("logs").contains("\\u{1b}"), "what cannot be seen is shown by its code");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_damaged_page_says_so() {
    let Some(mut browser) = Browser::start() else { return };
    let page = page(&run(true), None).unwrap();
    let (head, rest) = page.split_once("id=\"data\">").unwrap();
    let bad = format!("{head}id=\"data\">{}{}", "QUJD", &rest[60..]);
    browser.open(&bad, "");
    assert!(browser.text_of("sentence").contains("could not be read"));
}

/// A run of 100,000 events can be moved about: how fast, `figures` says.
#[test]
fn a_large_run_is_drawn() {
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&page(&large(100_000), None).unwrap(), "");
    browser.press("0");
    let link = hash(&mut browser);
    browser.press("+");
    assert_ne!(hash(&mut browser), link);
    keep(&mut browser, "large");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// A promise that is not on the disk is told and marked, although writes to the disk are quiet.
#[test]
fn a_hollow_promise_is_marked() {
    let Some(mut browser) = Browser::start() else { return };
    let mut trace = run(true);
    let t = trace.events.last().map_or(0, |event| event.t);
    let words = "NOT ON THE DISK: it gave its vote in term 3 to server 1";
    trace.events.push(labtrace::Event::new(t, "server-2", "promise", "hollow", words));
    window(&mut browser, 1280, 800);
    browser.open(&page(&trace, None).unwrap(), "");
    let row = "[...document.querySelectorAll('#logs button')].at(-1).textContent";
    let said = ask(&mut browser, row);
    assert!(said.as_str().is_some_and(|said| said.contains(words)), "{said}");
    let red = "(() => {
        const c = document.querySelector('canvas');
        const m = getComputedStyle(document.documentElement).getPropertyValue('--bad').trim();
        const probe = document.createElement('canvas').getContext('2d');
        probe.fillStyle = m;
        probe.fillRect(0, 0, 1, 1);
        const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
        const all = c.getContext('2d').getImageData(100, 0, c.width - 100, c.height).data;
        let count = 0;
        for (let i = 0; i < all.length; i += 4)
            if (all[i] === r && all[i + 1] === g && all[i + 2] === b) count++;
        return count; })()";
    let with = ask(&mut browser, red).as_u64().unwrap();
    browser.open(&page(&run(true), None).unwrap(), "");
    let without = ask(&mut browser, red).as_u64().unwrap();
    assert!(with > without + 20, "beside the verdict's line there is a mark: {with} and {without} points");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
