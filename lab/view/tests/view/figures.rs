//! How large the page of a long run is, when its first picture stands, and how fast it is moved about. The
//! size is asserted; times depend on the machine, so they are printed:
//!
//! ```sh
//! cargo test -p lab-view -- figures --nocapture
//! LAB_VIEW_PAGE=figure_8_2c-7.html cargo test -p lab-view -- figures --nocapture   # of a page of yours
//! ```

use lab_view::page;
use serde_json::json;

use crate::devtools::Browser;
use crate::samples::large;

/// Bytes that a page of 100,000 events may have.
const LARGEST: usize = 5_000_000;

/// Moves the window over the whole run, a step a frame. Gives for each frame how long after the one before it
/// came and how long its drawing took, in milliseconds.
const PAN: &str = "new Promise((done) => {
    const overview = document.getElementById('overview'), bench = document.getElementById('bench');
    const box = overview.getBoundingClientRect(), frames = [];
    let last = performance.now(), number = 0;
    const step = () => {
        const now = performance.now();
        if (number > 1) frames.push([now - last, Number(bench.dataset.last)]);
        last = now;
        if (number++ > 120) return done(frames);
        const at = { clientX: box.left + box.width * number / 122, clientY: box.top + 5, bubbles: true };
        overview.dispatchEvent(new PointerEvent('pointerdown', at));
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
})";

fn median(mut numbers: Vec<f64>) -> (f64, f64) {
    numbers.sort_by(f64::total_cmp);
    (numbers[numbers.len() / 2], numbers[numbers.len() * 95 / 100])
}

#[test]
fn figures_of_a_page_of_100_000_events() {
    let of_user =
        std::env::var_os("LAB_VIEW_PAGE").map(|path| std::fs::read_to_string(path).expect("a page"));
    let page = of_user.unwrap_or_else(|| {
        let page = page(&large(100_000), None).expect("the trace is whole");
        assert!(page.len() <= LARGEST, "{} bytes", page.len());
        page
    });
    println!("page: {:.2} MB", page.len() as f64 / 1e6);
    let Some(mut browser) = Browser::start() else { return };
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        json!({ "width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": false }),
    );
    browser.call("Performance.enable", json!({ "timeDomain": "threadTicks" }));
    browser.open(&page, "");
    let first = browser.evaluate(
        "[performance.getEntriesByName('first-contentful-paint')[0]?.startTime, Number(document.getElementById('bench').dataset.first)]",
    );
    println!("first paint: {:.0} ms, first picture: {:.0} ms", number(&first[0]), number(&first[1]));
    // With the window of a violation, and from so far away that everything is in it.
    for (window, keys) in [("near", &["v", "-", "-"][..]), ("everything", &["0", "+"])] {
        keys.iter().for_each(|key| browser.press(key));
        let before = processor_time(&mut browser);
        let frames = browser.evaluate(PAN);
        let processor_time = processor_time(&mut browser) - before;
        let frames: Vec<(f64, f64)> = frames
            .as_array()
            .expect("a list of frames")
            .iter()
            .map(|frame| (number(&frame[0]), number(&frame[1])))
            .collect();
        let (between, late) = median(frames.iter().map(|frame| frame.0).collect());
        let (drawing, slow) = median(frames.iter().map(|frame| frame.1).collect());
        let own = 1000.0 * processor_time / frames.len() as f64;
        println!(
            "{window}: a frame every {between:.1} ms (95 %: {late:.1}), drawn in {drawing:.1} ms (95 %: {slow:.1}); {own:.1} ms of the processor's time a frame"
        );
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// How many seconds the page's main thread has had a processor.
fn processor_time(browser: &mut Browser) -> f64 {
    let metrics = browser.call("Performance.getMetrics", json!({}));
    let metrics = metrics["metrics"].as_array().expect("a list of figures");
    let found = metrics.iter().find(|metric| metric["name"] == "TaskDuration");
    number(&found.expect("the browser counts it")["value"])
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
