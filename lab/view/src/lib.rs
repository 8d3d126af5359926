//! A traced run as one HTML page that needs nothing else: no network, no server, no other file.
//!
//! The page holds the trace as it is (`labtrace`), compressed and in base64. `page/data.js` reads it,
//! `model.js` finds out what the events mean (calls, states, faults, causes), `draw.js` draws what is in the
//! window, `panel.js` says it in words, `main.js` has the keys and the link.
//!
//! # Why texts can do no harm
//!
//! What the code under test says reaches the page in the compressed data, and the scripts hand it to a canvas
//! or to `textContent` alone, which know no markup. In the head of the page it is escaped. Should both fail,
//! the content security policy allows no script and no style but those with this page's own random mark, and
//! no connection to anything.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, RandomState};
use std::io;

use labtrace::{Event, Trace, Value, Writer, Written};
use linearize_page::{base64, html};

const PAGE: &str = include_str!("page/page.html");

/// The scripts, in the order in which they are joined.
const SCRIPTS: [&str; 5] = [
    include_str!("page/data.js"),
    include_str!("page/model.js"),
    include_str!("page/draw.js"),
    include_str!("page/panel.js"),
    include_str!("page/main.js"),
];

/// Kinds of events that only the runtime's own reader wants.
const RUNTIME: [&str; 4] = ["spawn", "block", "wake", "lock"];

/// Of a run with more events than this the page leaves out those of the runtime.
const MANY: usize = 100_000;

/// Longer texts are cut where the page says them before its scripts run.
const SENTENCE: usize = 600;

/// The nearest run that passes, and how it differs, in words: "another seed decides".
#[derive(Debug, Clone, Copy)]
pub struct Passing<'a> {
    /// Its events.
    pub trace: &'a Trace,
    /// How it differs.
    pub words: &'a str,
}

/// The page.
///
/// # Errors
/// None that writing to memory could meet.
pub fn page(trace: &Trace, passing: Option<Passing<'_>>) -> io::Result<String> {
    let mark = format!("{:016x}{:016x}", random(), random());
    let script = format!("\"use strict\";(() => {{\n{}\n}})();\n", SCRIPTS.join("\n"));
    let (data, other) = (packed(trace)?, passing.map(|passing| packed(passing.trace)).transpose()?);
    let verdict = trace.events.iter().rev().find(|event| *event.kind == *"verdict");
    Ok(fill(|marker| match marker {
        "policy" => format!(
            "default-src 'none'; script-src 'nonce-{mark}'; style-src 'nonce-{mark}'; base-uri 'none'; form-action 'none'"
        ),
        "style" => include_str!("page/page.css").to_owned(),
        "title" => html(&title(trace)),
        "class" => if verdict.is_some_and(|event| event.number("ok") == Some(0)) { "bad" } else { "good" }.to_owned(),
        "sentence" => html(&verdict.map_or_else(String::new, |event| labtrace::clean(&event.text, SENTENCE))),
        "data" => data.clone(),
        "passing" => other.clone().unwrap_or_default(),
        "words" => html(passing.map_or("", |passing| passing.words)),
        "script" => script.clone(),
        _ => unreachable!("page.html has a marker that nothing fills"),
    })
    .replace("<script>", &format!("<script nonce=\"{mark}\">"))
    .replace("<style>", &format!("<style nonce=\"{mark}\">")))
}

/// Never twice the same, so that nobody who writes a text can name it.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn title(trace: &Trace) -> String {
    format!("{}, seed {}", labtrace::clean(&trace.header.test, 100), trace.header.seed)
}

/// The page with each `{{marker}}` replaced. What is put in is not looked at again.
fn fill(mut content: impl FnMut(&str) -> String) -> String {
    let mut pieces = PAGE.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (marker, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        page.push_str(&content(marker));
        page.push_str(rest);
    }
    page
}

/// The trace in its own format, as text.
fn packed(trace: &Trace) -> io::Result<String> {
    let all = trace.events.len() <= MANY;
    let mut writer = Writer::new(Vec::new(), &trace.header)?;
    for event in trace.events.iter().filter(|event| all || !RUNTIME.contains(&&*event.kind)) {
        let Event { t, node, task, thread, kind, target, fields, text } = event;
        let fields = fields.iter().map(|(name, value)| match value {
            Value::Number(number) => (&**name, Written::Number(*number)),
            Value::Text(text) => (&**name, Written::Text(text)),
        });
        writer.event(*t, (node, task, *thread), (kind, target), fields, text)?;
    }
    Ok(base64(&writer.finish()?))
}
