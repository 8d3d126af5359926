//! The page in a real browser.

use std::path::PathBuf;

use linearize::generate::{Spoil, Workload, spoil};
use linearize::{KvBuilder, KvHistory, KvOp, Limits, Progress, Verdict, check_by_search};
use serde_json::{Value, json};

use crate::devtools::Browser;
use crate::hostile::hostile;
use crate::rounds::queue;
use crate::samples::faults;

/// Where to leave pages and screenshots for people to look at, if anywhere.
pub(crate) fn keep(browser: &mut Browser, name: &str, page: &str) {
    let Some(directory) = std::env::var_os("LINEARIZE_PICTURES").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(format!("{name}.html")), page).unwrap();
    browser.screenshot(&directory.join(format!("{name}.png.base64")));
}

pub(crate) fn page_of(history: &KvHistory) -> String {
    linearize_page::page(
        &history.model(),
        history.history(),
        &history.check(&Limits::default()),
        &faults(history),
    )
}

pub(crate) fn good() -> KvHistory {
    Workload::lab(4, 8, 2_000).generate()
}

pub(crate) fn witness(history: &KvHistory) -> Vec<usize> {
    match history.check(&Limits::default()) {
        Verdict::NotLinearizable(explanation) => explanation.operations,
        other => panic!("{other:?}"),
    }
}

/// How many pixels of the timeline have the colour of this style variable.
pub(crate) fn pixels(browser: &mut Browser, variable: &str) -> u64 {
    let script = format!(
        "(() => {{ const canvas = document.getElementById('lanes'), probe = document.createElement('canvas'); \
         [probe.width, probe.height] = [canvas.width, canvas.height]; \
         const one = probe.getContext('2d', {{ willReadFrequently: true }}); \
         one.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--{variable}').trim(); \
         one.fillRect(0, 0, 1, 1); const [r, g, b] = one.getImageData(0, 0, 1, 1).data; \
         one.drawImage(canvas, 0, 0); \
         const all = one.getImageData(0, 0, canvas.width, canvas.height).data; let count = 0; \
         for (let i = 0; i < all.length; i += 4) count += all[i] === r && all[i + 1] === g && all[i + 2] === b; \
         return count; }})()"
    );
    browser.evaluate(&script).as_u64().unwrap()
}

/// A value of the link that names the view, once the page has written it.
pub(crate) fn linked(browser: &mut Browser, name: &str) -> Option<String> {
    let link = browser.evaluate("new Promise((done) => setTimeout(() => done(location.hash), 400))");
    let link = link.as_str().unwrap().trim_start_matches('#').to_owned();
    link.split('&').find_map(|part| part.strip_prefix(&format!("{name}=")).map(str::to_owned))
}

pub(crate) fn window(browser: &mut Browser) -> (f64, f64) {
    let times = linked(browser, "t").unwrap();
    let (from, to) = times.split_once('-').unwrap();
    (from.parse().unwrap(), to.parse().unwrap())
}

/// Clicks on the button of the panel or of the tools that says this.
pub(crate) fn click(browser: &mut Browser, text: &str) {
    let script = format!(
        "[...document.querySelectorAll('button, a')].find((one) => one.textContent.includes({text:?})).click()"
    );
    browser.evaluate(&script);
    browser.frame();
}

#[test]
fn opens_at_the_error() {
    let Some(mut browser) = Browser::start() else { return };
    let history = spoil(&good(), Spoil::Stale);
    let named = witness(&history);
    let page = page_of(&history);
    browser.open(&page, "");
    keep(&mut browser, "bad", &page);
    let (from, to) = window(&mut browser);
    for &index in &named {
        let operation = &history.history()[index];
        assert!(
            from <= operation.call as f64 && operation.end as f64 <= to,
            "#{index} is not in {from}..{to}"
        );
    }
    let last = history.history().operations().iter().map(|operation| operation.end).max().unwrap();
    assert!(to - from < 0.8 * last as f64, "the window is not zoomed");
    let key = &history.keys()[history.history()[named[0]].op.key().0 as usize];
    assert_eq!(linked(&mut browser, "key").as_ref(), Some(key));
    assert!(pixels(&mut browser, "bad") > 100, "the witness is not drawn");
    let detail = browser.text_of("detail");
    assert!(named.iter().all(|index| detail.contains(&format!("#{index}"))), "{detail}");
    assert_eq!(browser.evaluate("document.querySelectorAll('#witness tbody tr').length"), json!(named.len()));
    browser.press("d");
    keep(&mut browser, "bad-dark", &page);
    assert!(pixels(&mut browser, "bad") > 100, "the witness is not drawn in the dark");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn follows_keys_mouse_and_links() {
    let Some(mut browser) = Browser::start() else { return };
    let history = spoil(&good(), Spoil::Stale);
    let named = witness(&history);
    let page = page_of(&history);
    browser.open(&page, "");
    let start = window(&mut browser);
    browser.press("ArrowRight");
    let right = window(&mut browser);
    assert!(
        right.0 > start.0 && (right.1 - right.0 - (start.1 - start.0)).abs() < 3.0,
        "{start:?} {right:?}"
    );
    browser.press("+");
    let near = window(&mut browser);
    assert!(near.1 - near.0 < (right.1 - right.0) * 0.8, "{near:?}");
    browser.mouse("mousePressed", 500.0, 300.0, json!({}));
    browser.mouse("mouseMoved", 700.0, 300.0, json!({}));
    browser.mouse("mouseReleased", 700.0, 300.0, json!({}));
    let dragged = window(&mut browser);
    assert!(dragged.0 < near.0, "{dragged:?}");
    browser.mouse("mouseWheel", 500.0, 300.0, json!({ "deltaX": 0, "deltaY": 300, "buttons": 0 }));
    browser.frame();
    let wheeled = window(&mut browser);
    assert!(wheeled.1 - wheeled.0 > (dragged.1 - dragged.0) * 1.2, "{wheeled:?}");
    browser.press("n");
    let back = window(&mut browser);
    assert!((back.0 - start.0).abs() < 2.0 && (back.1 - start.1).abs() < 2.0, "{start:?} {back:?}");
    browser.press("t");
    keep(&mut browser, "bad-rank", &page);
    assert_eq!(linked(&mut browser, "axis").as_deref(), Some("rank"));
    browser.press("t");
    let again = window(&mut browser);
    assert!(again.0 <= back.0 + 1e6 && again.1 >= back.1 - 1e6, "{back:?} {again:?}");
    browser.evaluate("document.querySelector('#sentence a').click()");
    browser.frame();
    let selected = linked(&mut browser, "op").unwrap();
    assert!(named.contains(&selected.parse().unwrap()), "{selected}");
    browser.open(&page, "#key=k1&t=1000000-3000000&op=7");
    assert!(browser.text_of("detail").contains("#7 "), "{}", browser.text_of("detail"));
    assert_eq!(window(&mut browser), (1_000_000.0, 3_000_000.0));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn filters_and_faults() {
    let Some(mut browser) = Browser::start() else { return };
    let page = page_of(&spoil(&good(), Spoil::Stale));
    browser.open(&page, "");
    let before = pixels(&mut browser, "kind-2");
    browser.evaluate("document.getElementById('overlap').click()");
    browser.frame();
    let overlapping = pixels(&mut browser, "kind-2");
    assert!(overlapping < before / 2, "{overlapping} of {before} pixels of appends are left");
    browser.evaluate("document.getElementById('overlap').click()");
    browser.evaluate(
        "(() => { const search = document.getElementById('search'); search.value = 'nobody wrote this'; \
         search.dispatchEvent(new Event('input')); })()",
    );
    browser.frame();
    assert_eq!(pixels(&mut browser, "kind-2"), 0);
    browser.press("n");
    assert!(pixels(&mut browser, "kind-2") > 0, "n clears the filters");
    browser.press("0");
    let y =
        browser.evaluate("document.getElementById('lanes').getBoundingClientRect().bottom").as_f64().unwrap();
    let before = pixels(&mut browser, "paper");
    // In the lane of dropped messages, the lowest.
    for kind in ["mousePressed", "mouseReleased"] {
        browser.mouse(kind, 800.0, y - 8.0, json!({}));
    }
    browser.frame();
    let detail = browser.text_of("detail");
    assert!(
        detail.contains("one message in ten lost") && detail.contains("In flight, of what is shown: "),
        "{detail}"
    );
    keep(&mut browser, "bad-fault", &page);
    click(&mut browser, "drops");
    assert!(pixels(&mut browser, "paper") > before + 1000, "its shade is still there");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// What a button would save.
pub(crate) fn saved(browser: &mut Browser, button: &str) -> Value {
    browser.evaluate(&format!(
        "new Promise((done) => {{ const make = URL.createObjectURL; URL.createObjectURL = (blob) => {{ \
         URL.createObjectURL = make; blob.text().then((text) => done({{ type: blob.type, size: blob.size, text: \
         blob.type === 'image/png' ? '' : text }})); return make.call(URL, blob); }}; \
         HTMLAnchorElement.prototype.click = () => {{}}; document.getElementById('{button}').click(); }})"
    ))
}

#[test]
fn saves_the_window() {
    let Some(mut browser) = Browser::start() else { return };
    let (history, faults) = hostile();
    let history = spoil(&history, Spoil::Phantom);
    let verdict = history.check(&Limits::default());
    browser.open(&linearize_page::page(&history.model(), history.history(), &verdict, &faults), "");
    browser.press("0");
    let svg = saved(&mut browser, "svg");
    let text = svg["text"].as_str().unwrap();
    assert!(text.starts_with("<svg ") && text.contains("client 2"), "{svg}");
    let tags = browser.evaluate(&format!(
        "[...new Set([...new DOMParser().parseFromString({}, 'image/svg+xml').getElementsByTagName('*')]\
         .map((one) => one.tagName))].sort().join(' ')",
        svg["text"]
    ));
    let known = ["circle", "clipPath", "g", "polygon", "polyline", "rect", "svg", "text"];
    assert!(tags.as_str().unwrap().split(' ').all(|tag| known.contains(&tag)), "{tags}");
    let png = saved(&mut browser, "png");
    assert!(png["type"] == "image/png" && png["size"].as_u64().unwrap() > 5_000, "{png}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn steps_through_the_order() {
    let Some(mut browser) = Browser::start() else { return };
    let history = good();
    let page = page_of(&history);
    let Verdict::Linearizable(proof) = history.check(&Limits::default()) else { panic!("it is") };
    browser.open(&page, "#key=k0");
    keep(&mut browser, "good", &page);
    let order = &proof.orders.iter().find(|order| history.keys()[order.partition as usize] == "k0").unwrap();
    let mut state = String::new();
    for (step, &index) in order.operations.iter().enumerate().take(60) {
        match history.history()[index as usize].op {
            KvOp::Get { .. } => {}
            KvOp::Put { value, .. } => state = history.texts().get(value).to_owned(),
            KvOp::Append { value, .. } => state.push_str(history.texts().get(value)),
        }
        browser.press(".");
        let steps = browser.text_of("steps");
        assert!(steps.contains(&format!("#{index} ")), "step {step}: {steps}");
        // Of a long state the page shows the beginning and the end.
        if state.len() < 100 && !state.is_empty() {
            let shown = browser.evaluate(
                "[...document.querySelectorAll('#steps dd .chip')].map((chip) => chip.textContent).join('')",
            );
            assert_eq!(shown, json!(state), "after step {step}");
        }
    }
    browser.press(",");
    assert!(browser.text_of("steps").contains("59 / "));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn tells_where_every_order_gets_stuck() {
    let Some(mut browser) = Browser::start() else { return };
    let history = spoil(&good(), Spoil::Stale);
    let page = page_of(&history);
    browser.open(&page, "");
    click(&mut browser, "to where it sticks");
    keep(&mut browser, "bad-stuck", &page);
    let steps = browser.text_of("steps");
    let last = witness(&history).into_iter().max_by_key(|&index| history.history()[index].end).unwrap();
    assert!(
        steps.contains("Where every order gets stuck") && steps.contains(&format!("#{last} ")),
        "{steps}"
    );
    let marked = browser.evaluate(
        "['minus', 'plus'].map((kind) => document.querySelectorAll(`#steps .reasons li:first-child .${kind}`).length)",
    );
    assert_ne!(marked, json!([0, 0]), "no difference is marked");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Where porcupine's page shows no error at all.
#[test]
fn shows_an_error_in_the_very_first_operation() {
    let Some(mut browser) = Browser::start() else { return };
    let mut builder = KvBuilder::new();
    builder.get(3, "a", 100, Some(("nobody wrote this", 200)));
    let page = page_of(&builder.finish().unwrap());
    browser.open(&page, "");
    keep(&mut browser, "first", &page);
    assert!(pixels(&mut browser, "bad") > 100);
    assert!(browser.text_of("steps").contains("#0 client 3"), "{}", browser.text_of("steps"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn draws_an_undecided_one_as_undecided() {
    let Some(mut browser) = Browser::start() else { return };
    let (model, history) = queue(8, 5);
    // Not as a queue, which would be decided at once.
    let limits = Limits::default().with_states(20);
    let verdict = check_by_search(&model, &history, &limits, &Progress::default());
    assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    let page = linearize_page::page(&model, &history, &verdict, &[]);
    browser.open(&page, "");
    keep(&mut browser, "unknown", &page);
    let head = browser.evaluate("document.querySelector('h1').textContent");
    assert!(head.as_str().unwrap().contains("Unknown"), "{head}");
    assert_eq!(pixels(&mut browser, "bad"), 0, "an undecided history shows an error");
    assert!(pixels(&mut browser, "unknown-ground") > 10_000, "what is undecided is not marked");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn values_do_nothing() {
    let Some(mut browser) = Browser::start() else { return };
    let (history, faults) = hostile();
    for spoilt in [false, true] {
        let history = if spoilt { spoil(&history, Spoil::Phantom) } else { history.clone() };
        let verdict = history.check(&Limits::default());
        assert_eq!(verdict.is_linearizable(), !spoilt);
        let page = linearize_page::page(&history.model(), history.history(), &verdict, &faults);
        browser.open(&page, "");
        keep(&mut browser, if spoilt { "hostile-bad" } else { "hostile" }, &page);
        for index in (0..history.history().len()).step_by(7) {
            browser.evaluate(&format!("location.hash = '#op={index}'"));
            browser.press(".");
        }
        browser.press("0");
        browser.mouse("mouseMoved", 500.0, 250.0, json!({ "buttons": 0 }));
        browser.frame();
        let strange = "document.querySelectorAll('img, iframe, svg, object, embed, b, marquee').length";
        assert_eq!(browser.evaluate(strange), json!(0));
        assert_eq!(browser.evaluate("typeof window.hacked"), json!("undefined"));
        let text = browser.evaluate("document.body.innerText").as_str().unwrap().to_owned();
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{2028}', '\u{7}']), "{text:?}");
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
    // And the policy would stop what the escaping let through.
    browser.evaluate(
        "(() => { const script = document.createElement('script'); script.textContent = 'window.hacked = 1'; \
         document.body.append(script); const image = new Image(); image.src = 'https://example.org/x.png'; \
         document.body.append(image); })()",
    );
    browser.frame();
    assert_eq!(browser.evaluate("typeof window.hacked"), json!("undefined"));
    let complaints = browser.complaints();
    assert!(complaints.iter().any(|text| text.contains("Content Security Policy")), "{complaints:?}");
}

/// The budgets of the page. What a frame costs is printed; `cargo bench -p linearize-page` measures it.
#[test]
fn is_small() {
    let Some(mut browser) = Browser::start() else { return };
    let history = spoil(&Workload::lab(10, 10, 100_000).generate(), Spoil::Stale);
    let page = page_of(&history);
    assert!(page.len() <= 3 << 20, "{} bytes", page.len());
    browser.open(&page, "?bench");
    let ready = browser.evaluate("Number(document.getElementById('bench').dataset.ready)").as_f64().unwrap();
    let result = browser.evaluate(
        "new Promise((done) => { const look = () => { const text = document.getElementById('bench').textContent; \
         text ? done(text) : setTimeout(look, 100); }; look(); })",
    );
    keep(&mut browser, "large", &page);
    println!("page: {} bytes, drawn after {ready} ms, {}", page.len(), result.as_str().unwrap());
    let result: Value = serde_json::from_str(result.as_str().unwrap()).unwrap();
    assert!(result["nodes"].as_u64().unwrap() < 1_000, "{result}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
