//! A history as one HTML page that explains its verdict.
//!
//! [`page`] makes a file that needs nothing else: no network, no server, no other file. It opens at the
//! error, says in words what is wrong, and lets the reader move about: time to scale, a set of lanes for each
//! partition, faults under the clients, an order step by step, and what every other step would have led to.
//!
//! # How to read
//!
//! `findings` decides what there is to show of each partition: an order, or the place where every order gets
//! stuck. `encode` writes everything as JSON, in `blocks` that can be read one by one, with texts by
//! `strings`. `opening` says which blocks the first screen needs. `frame` makes what is readable without
//! scripts: the verdict and a table of the operations that it names. The rest is `page/*.js`, in the order
//! of `SCRIPTS`: `data.js` reads the data, `lanes.js` filters and lays out, `draw.js` draws what is in view.
//!
//! # Why values can do no harm
//!
//! A value reaches the page in two ways. In the frame it is escaped. In the data it is compressed and in
//! base64, and the scripts hand it to a canvas or to `textContent` alone, which know no markup. Should both
//! fail, the page's content security policy allows no script and no style but those whose hashes it names,
//! and no connection to anything.

#![forbid(unsafe_code)]

mod blocks;
mod encode;
mod escape;
mod findings;
mod frame;
mod opening;
mod steps;
mod strings;

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use encode::Encoded;
pub use escape::{base64, html};
use linearize::{Fault, History, Model, Verdict};

/// The scripts, in the order in which they are joined.
const SCRIPTS: [&str; 12] = [
    include_str!("page/data.js"),
    include_str!("page/texts.js"),
    include_str!("page/state.js"),
    include_str!("page/lanes.js"),
    include_str!("page/surface.js"),
    include_str!("page/draw.js"),
    include_str!("page/overview.js"),
    include_str!("page/panel.js"),
    include_str!("page/stepper.js"),
    include_str!("page/controls.js"),
    include_str!("page/export.js"),
    include_str!("page/main.js"),
];

const STYLE: &str = include_str!("page/page.css");

/// SHA-256 of the script and of the style sheet, in base64. A test says what they are after a change.
const SCRIPT_HASH: &str = "xAy32bwEZOKgaLQtZmBHkNr1reODkNyGMLAaidp94do=";
const STYLE_HASH: &str = "i3Y1WmrUlCwXxjKDtLUO+ICkAspz5g9OUa+OBV1YB3M=";

/// The page for a verdict on a history, with what was done to servers and network meanwhile (`faults`, which
/// may be empty).
///
/// Partitions of which the verdict says nothing (a check ends at the first error) are decided here with a
/// bounded effort, so that the page can show all errors. An undecided one is drawn as undecided.
///
/// # Panics
///
/// If `verdict` is not about `history`: if it names operations that are not there.
pub fn page<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    verdict: &Verdict,
    faults: &[Fault],
) -> String {
    page_of("", model, history, verdict, faults)
}

/// As [`page`], with the name of what the history was read from, which becomes a part of the title.
///
/// # Panics
///
/// As [`page`].
pub fn page_of<M: Model>(
    name: &str,
    model: &M,
    history: &History<M::Op, M::Result>,
    verdict: &Verdict,
    faults: &[Fault],
) -> String {
    let parts = findings::parts(model, history, verdict);
    let (data, rest) = packed(&encode::encode(model, history, verdict, &parts, faults));
    let script = script();
    frame::fill(|marker| match marker {
        "policy" => policy(),
        "style" => STYLE.to_owned(),
        "title" => escape::html(&frame::title(name, history, verdict)),
        "verdict" => frame::verdict(model, history, verdict),
        "witness" => frame::witness(model, history, verdict, origin(history, faults)),
        "data" => data.clone(),
        "rest" => rest.clone(),
        "script" => script.clone(),
        _ => unreachable!("page.html has a marker that nothing fills"),
    })
}

/// The moment from which the page counts: that of the clock, unless it began long before the history.
fn origin<O, R>(history: &History<O, R>, faults: &[Fault]) -> u64 {
    /// About eleven days: a clock of a test counts from its beginning, a wall clock from 1970.
    const LONG: u64 = 1_000_000_000_000_000;
    let first = history.operations().first().map_or(0, |operation| operation.call);
    let first = faults.iter().map(|fault| fault.from).fold(first, u64::min);
    if first < LONG { 0 } else { first }
}

/// All scripts as one.
fn script() -> String {
    format!("\"use strict\";(() => {{\n{}\n}})();\n", SCRIPTS.join("\n"))
}

/// One script and one style sheet, by their hashes; a picture may be made of the canvas; nothing else.
fn policy() -> String {
    format!(
        "default-src 'none'; script-src 'sha256-{SCRIPT_HASH}'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; \
         form-action 'none'"
    )
}

/// The blocks for the first screen, which stand before the scripts, and the rest, which a browser still reads
/// while they run.
fn packed(encoded: &Encoded) -> (String, String) {
    let (mut data, mut rest) = (String::new(), String::new());
    for (number, (block, &first)) in encoded.blocks.iter().zip(&encoded.first).enumerate() {
        let text = if first { &mut data } else { &mut rest };
        // Writing into a String cannot fail.
        let _ = write!(text, "{number}:{} ", base64(&compressed(block)));
    }
    (data, rest)
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    /// The usual 6 makes a page that is two hundredths smaller in nearly twice the time.
    const LEVEL: u32 = 3;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    // A Vec takes everything that is written to it.
    written.expect("writing to memory does not fail")
}
