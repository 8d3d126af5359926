//! What a reader must find on the page, point by point; `browser` has the rest.

use linearize::generate::{Spoil, Workload, spoil};
use linearize::models::register::{Register, RegisterOp, RegisterResult};
use linearize::{History, KvBuilder, Limits, Operation, Verdict, check, text};
use serde_json::{Value, json};

use crate::browser::{click, good, keep, linked, page_of, pixels, saved, window, witness};
use crate::devtools::Browser;
use crate::samples::{faults, long_texts, many_keys};

fn number(browser: &mut Browser, expression: &str) -> f64 {
    browser.evaluate(expression).as_f64().unwrap()
}

/// Sets a filter, as if a reader had.
fn filter(browser: &mut Browser, id: &str, value: &str) {
    browser.evaluate(&format!(
        "(() => {{ const input = document.getElementById({id:?}); \
         input.value = input.options ? [...input.options].find((one) => one.text === {value:?}).value : {value:?}; \
         for (const kind of ['input', 'change']) input.dispatchEvent(new Event(kind)); }})()"
    ));
    browser.frame();
}

#[test]
fn the_banner_says_what_the_terminal_says() {
    let Some(mut browser) = Browser::start() else { return };
    let history = spoil(&good(), Spoil::Stale);
    let Verdict::NotLinearizable(explanation) = history.check(&Limits::default()) else {
        panic!("it is bad")
    };
    browser.open(&page_of(&history), "");
    let banner = browser.text_of("sentence");
    assert_eq!(banner, explanation.sentence);
    let verdict = Verdict::NotLinearizable(explanation.clone());
    let terminal = text::render(&history.model(), history.history(), &verdict, &faults(&history), 1_000);
    assert!(terminal.contains(&banner), "{terminal}");
    for (place, &index) in explanation.operations.iter().enumerate() {
        let anchor = format!("document.querySelector('#sentence a[data-op=\"{index}\"]')");
        browser.press("0");
        browser.evaluate(&format!("{anchor}.click()"));
        browser.frame();
        assert_eq!(linked(&mut browser, "op"), Some(index.to_string()), "link {place}");
        let ((from, to), operation) = (window(&mut browser), &history.history()[index]);
        let middle = (operation.call + operation.end) as f64 / 2.0;
        assert!(((from + to) / 2.0 - middle).abs() < (to - from) * 0.05, "#{index} is not in the middle");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Everything of the lanes but the lowest part, where the page says that it still reads.
const PICTURE: &str = "(() => { const canvas = document.getElementById('lanes'), copy = document.createElement('canvas'); \
    copy.width = canvas.width; copy.height = 300; copy.getContext('2d').drawImage(canvas, 0, 0); \
    const overview = document.getElementById('overview'); return [copy.toDataURL(), overview.toDataURL()]; })()";

/// What is drawn first, of a history of which most is not read yet, is what is drawn when all of it is.
#[test]
fn the_first_drawing_is_the_last() {
    let Some(mut browser) = Browser::start() else { return };
    let watch = format!(
        "new MutationObserver((_, watcher) => {{ if (!document.getElementById('bench')?.dataset.ready) return; \
         watcher.disconnect(); window.first = {PICTURE}; \
         window.early = document.getElementById('bench').dataset.complete === undefined; }})\
         .observe(document, {{ subtree: true, childList: true, attributes: true }})"
    );
    browser.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": watch }));
    let crashes = Workload { crashes: 20, ..Workload::lab(1, 8, 60_000) }.generate();
    let few = Workload::lab(10, 10, 100_000).generate();
    let many = Workload::lab(100, 4, 100_000).generate();
    for (name, history) in
        [("stale", spoil(&crashes, Spoil::Stale)), ("crashes", crashes), ("few", few), ("many", many)]
    {
        let page = page_of(&history);
        let (first, rest) = page.split_once("id=\"rest\">").unwrap();
        assert!(rest.len() > first.len(), "{name}: most is needed at first");
        browser.open(&page, "");
        browser.frame();
        assert_eq!(browser.evaluate("window.early"), json!(true), "{name}: it was drawn late");
        let last = browser.evaluate(PICTURE);
        let first = browser.evaluate("window.first");
        assert_eq!(first[1], last[1], "{name}: the overview has changed");
        assert!(first[0] == last[0], "{name}: the lanes have changed");
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn what_is_not_read_yet_is_waited_for() {
    let Some(mut browser) = Browser::start() else { return };
    let history = spoil(&Workload::lab(10, 10, 60_000).generate(), Spoil::Stale);
    let last = history.history().len() - 100;
    let page = page_of(&history);
    browser.open(&page, &format!("#op={last}&axis=rank"));
    let detail = browser.text_of("detail");
    assert!(detail.contains(&format!("#{last} ")), "{detail}");
    assert_eq!(linked(&mut browser, "axis").as_deref(), Some("rank"));
    assert_eq!(linked(&mut browser, "op"), Some(last.to_string()));
    // And what a reader asks for meanwhile.
    let ask = format!(
        "new MutationObserver((_, watcher) => {{ if (!document.getElementById('bench')?.dataset.ready) return; \
         watcher.disconnect(); window.early = document.getElementById('bench').dataset.complete === undefined; \
         location.hash = '#op={last}'; }}).observe(document, {{ subtree: true, childList: true, attributes: true }})"
    );
    browser.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": ask }));
    browser.open(&page, "");
    browser.frame();
    assert_eq!(browser.evaluate("window.early"), json!(true));
    let detail = browser.text_of("detail");
    assert!(detail.contains(&format!("#{last} ")), "{detail}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_failing_key_among_many_is_alone_in_view() {
    let Some(mut browser) = Browser::start() else { return };
    let history = many_keys();
    let page = page_of(&history);
    browser.open(&page, "");
    keep(&mut browser, "many", &page);
    let named = witness(&history);
    let key = &history.keys()[history.history()[named[0]].op.key().0 as usize];
    assert_eq!(linked(&mut browser, "key").as_ref(), Some(key));
    let option =
        "(() => { const keys = document.getElementById('key'); return keys.selectedOptions[0].text; })()";
    assert_eq!(browser.evaluate(option), json!(format!("✗ {key}")));
    filter(&mut browser, "key", "all 300");
    browser.press("0");
    keep(&mut browser, "many-all", &page);
    // Ten parts of the overview are alike: the clients were busy all the time.
    let busy = "(() => { const from = document.getElementById('overview'), copy = document.createElement('canvas'); \
        [copy.width, copy.height] = [from.width, from.height]; const one = copy.getContext('2d', { willReadFrequently: true }); \
        one.drawImage(from, 0, 0); const y = from.height - 14; let parts = 0; \
        for (let part = 0; part < 10; part++) { const width = Math.floor(from.width / 12); \
        const all = one.getImageData(part * width + 5, y, width, 1).data; let dark = 0; \
        for (let i = 0; i < all.length; i += 4) dark += all[i] < 220; parts += dark > width / 2; } return parts; })()";
    assert_eq!(browser.evaluate(busy), json!(10));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn every_filter_filters() {
    let Some(mut browser) = Browser::start() else { return };
    let history = good();
    browser.open(&page_of(&history), "#key=k1");
    browser.press("0");
    let counts = |browser: &mut Browser| [0, 1, 2].map(|kind| pixels(browser, &format!("kind-{kind}")));
    let all = counts(&mut browser);
    assert!(all.iter().all(|&count| count > 200), "{all:?}");
    filter(&mut browser, "name", "Get");
    let gets = counts(&mut browser);
    assert!(gets[0] > 200 && gets[1] == 0 && gets[2] == 0, "{gets:?}");
    filter(&mut browser, "name", "all");
    filter(&mut browser, "client", "3");
    let one = counts(&mut browser);
    assert!(one[0] > 0 && one[0] * 4 < all[0], "{one:?} of {all:?}");
    filter(&mut browser, "client", "all");
    for (end, moment) in [("from", "120 ms"), ("to", "40 ms")] {
        filter(&mut browser, end, moment);
        let some = counts(&mut browser);
        assert!(some[0] > 0 && some[0] * 2 < all[0], "{end} {moment}: {some:?} of {all:?}");
        filter(&mut browser, end, "");
    }
    assert_eq!(counts(&mut browser), all, "the filters leave something behind");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_overview_and_the_search_lead_somewhere() {
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&page_of(&spoil(&good(), Spoil::Stale)), "");
    let marks = "(() => { const from = document.getElementById('overview'), all = from.getContext('2d')\
        .getImageData(0, 0, from.width, 40).data; let count = 0; \
        for (let i = 0; i < all.length; i += 4) count += all[i] === 0xc4 && all[i + 1] === 0x4b && all[i + 2] === 0; \
        return count; })()";
    browser.press("0");
    assert!(number(&mut browser, marks) > 90.0, "no marks of the error");
    browser.press("+");
    browser.press("+");
    let before = window(&mut browser);
    let y = number(&mut browser, "document.getElementById('overview').getBoundingClientRect().top + 20");
    browser.mouse("mousePressed", 350.0, y, json!({}));
    browser.mouse("mouseReleased", 350.0, y, json!({ "buttons": 0 }));
    let after = window(&mut browser);
    assert!(
        after.0 < before.0 && (after.1 - after.0 - before.1 + before.0).abs() < 3.0,
        "{before:?} {after:?}"
    );
    browser.press("/");
    assert_eq!(browser.evaluate("document.activeElement.id"), json!("search"));
    filter(&mut browser, "search", "#321");
    browser.press("Enter");
    assert_eq!(linked(&mut browser, "op").as_deref(), Some("321"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn long_texts_are_never_shown_whole() {
    let Some(mut browser) = Browser::start() else { return };
    let page = page_of(&long_texts());
    browser.open(&page, "");
    keep(&mut browser, "long", &page);
    let marked = |kind: &str| {
        format!("[...document.querySelectorAll('#steps .{kind}')].map((one) => one.textContent)")
    };
    assert_eq!(browser.evaluate(&marked("minus")), json!(["lorem"]));
    assert_eq!(browser.evaluate(&marked("plus")), json!(["lorum"]));
    browser.evaluate("document.querySelector('#sentence a').click()");
    click(&mut browser, "to where it sticks");
    let longest = "Math.max(...[...document.querySelectorAll('.chip')].map((one) => one.textContent.length))";
    assert_eq!(browser.evaluate(longest), json!(199), "the long word is not cut, or not there");
    let shown = browser.evaluate("document.body.innerText.length").as_u64().unwrap();
    assert!(shown < 12_000, "{shown} characters are shown");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// The put takes effect after the get that was called later, so it cannot have done so at its own call.
#[test]
fn moments_are_in_order() {
    let Some(mut browser) = Browser::start() else { return };
    let mut builder = KvBuilder::new();
    builder.put(1, "x", "1", 0, Some(100_000));
    builder.get(2, "x", 50_000, Some(("", 60_000)));
    builder.get(2, "x", 70_000, Some(("1", 80_000)));
    browser.open(&page_of(&builder.finish().unwrap()), "");
    let svg = saved(&mut browser, "svg");
    let moments = browser.evaluate(&format!(
        "[...new DOMParser().parseFromString({}, 'image/svg+xml').querySelectorAll('rect[width=\"2\"][height=\"19\"]')]\
         .map((one) => Math.round(one.getAttribute('x')))",
        svg["text"]
    ));
    let moments: Vec<i64> = moments.as_array().unwrap().iter().map(|x| x.as_i64().unwrap()).collect();
    // In the order of the lanes: the put at the call of the first get, and both gets at their own.
    assert!(matches!(moments[..], [put, early, late] if put == early && early < late), "{moments:?}");
}

#[test]
fn plays_and_stops() {
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&page_of(&good()), "#key=k0");
    browser.press(" ");
    let third = "new Promise((done) => { const look = () => \
        parseInt(document.querySelector('#steps .player .key').textContent) >= 3 ? done(true) : setTimeout(look, 50); \
        look(); })";
    assert_eq!(browser.evaluate(third), json!(true));
    assert_eq!(browser.text_of("play"), "pause");
    browser.press(" ");
    assert_eq!(browser.text_of("play"), "play");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn follows_the_readers_theme_and_says_all_in_words() {
    let Some(mut browser) = Browser::start() else { return };
    let history = spoil(&good(), Spoil::Stale);
    for theme in ["dark", "light"] {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        browser.call("Emulation.setEmulatedMedia", features);
        browser.open(&page_of(&history), "");
        assert_eq!(browser.evaluate("document.documentElement.dataset.theme"), json!(theme));
        let darkness = "getComputedStyle(document.body).backgroundColor";
        let paper = if theme == "dark" { "rgb(20, 23, 27)" } else { "rgb(255, 255, 255)" };
        assert_eq!(browser.evaluate(darkness), json!(paper));
    }
    let words = browser.evaluate(
        "(() => { const table = document.querySelector('#witness table'); \
         return { label: table.getAttribute('aria-label'), heads: table.querySelectorAll('th[scope=col]').length, \
         canvases: document.querySelectorAll('canvas[role=img][aria-label]').length, \
         nameless: [...document.querySelectorAll('button, input, select')].filter((one) => \
         !one.textContent.trim() && !one.getAttribute('aria-label') && !one.labels?.length).length }; })()",
    );
    assert_eq!(words["label"], "Operations that cannot be ordered");
    assert_eq!([&words["heads"], &words["canvases"], &words["nameless"]], [&json!(6), &json!(2), &json!(0)]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// A narrow window has everything, one below the other.
#[test]
fn fits_a_narrow_window() {
    let Some(mut browser) = Browser::start() else { return };
    let metrics = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": false });
    browser.call("Emulation.setDeviceMetricsOverride", metrics);
    let page = page_of(&spoil(&good(), Spoil::Stale));
    browser.open(&page, "");
    keep(&mut browser, "narrow", &page);
    let sizes: Value = browser.evaluate(
        "({ page: document.documentElement.scrollWidth, lanes: document.getElementById('lanes').clientHeight, \
         tools: document.getElementById('key').offsetParent !== null, \
         tops: ['sentence', 'detail', 'witness', 'more', 'stage', 'steps'].map((id) => \
         document.getElementById(id).getBoundingClientRect().top) })",
    );
    let tops: Vec<f64> = sizes["tops"].as_array().unwrap().iter().map(|top| top.as_f64().unwrap()).collect();
    assert!(
        tops.is_sorted() && sizes["tools"] == false,
        "the reason comes first, tools when asked for: {sizes}"
    );
    click(&mut browser, "filters and tools");
    assert_eq!(browser.evaluate("document.getElementById('key').offsetParent !== null"), json!(true));
    assert!(sizes["page"].as_u64().unwrap() <= 390, "it is wider than the window: {sizes}");
    assert!(sizes["lanes"].as_u64().unwrap() > 300, "{sizes}");
    assert!(pixels(&mut browser, "bad") > 100, "the witness is not drawn");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Of tens of lanes those that matter are in view at first.
#[test]
fn of_many_lanes_those_beside_the_witness_are_shown() {
    let Some(mut browser) = Browser::start() else { return };
    for (clients, only) in [(8, false), (64, true)] {
        let history = spoil(&Workload::lab(1, clients, 3_000).generate(), Spoil::Stale);
        browser.open(&page_of(&history), "");
        let checked = browser.evaluate("document.getElementById('overlap').checked");
        assert_eq!(checked, json!(only), "{clients} clients");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_registers_page_speaks_of_values() {
    let Some(mut browser) = Browser::start() else { return };
    let swap = RegisterOp::CompareAndSwap { from: 1599, to: 4 };
    let operations = vec![
        Operation::new(0, RegisterOp::Write(1599), RegisterResult::Written, 1_234_567, 2_000_000),
        Operation::new(1, swap, RegisterResult::Swapped(true), 3_000_000, 4_000_000),
        Operation::new(2, RegisterOp::Read, RegisterResult::Value(Some(1599)), 5_000_001, 6_000_000),
    ];
    let (register, history) = (Register::new(), History::new(operations).unwrap());
    let verdict = check(&register, &history, &Limits::default());
    let page = linearize_page::page_of("history.edn", &register, &history, &verdict, &[]);
    assert!(page.contains("<title>history.edn: Not linearizable: stale read</title>"));
    browser.open(&page, "");
    let why = browser.text_of("detail");
    for clause in ["the register held 1599, then 4", "the register held 1599"] {
        assert!(why.contains(clause), "{why}");
    }
    let all = browser.evaluate("document.body.innerText");
    let all = all.as_str().unwrap();
    assert!(!all.contains("Some") && !all.contains("1 events"), "{all}");
    browser.open(&page, "#op=0");
    let detail = browser.text_of("detail");
    assert!(detail.contains("1.234567 ms"), "{detail}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
