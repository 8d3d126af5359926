//! Events as lines of the log. The legs of an RPC are told with what they carry: the arguments stand where
//! the request leaves, the reply where it leaves, and both name the other server.

use std::collections::{BTreeMap, BTreeSet};

use labtrace::{Event, Trace, calls, clean};
use serde_json::{Value, json};

/// No line shows more letters; `--json` shows all.
const LONGEST: usize = 600;

/// What is under way for so many nanoseconds comes late: then what it carries is told again where it arrives.
const LATE: u64 = 100_000_000;

/// An event and how it is told.
pub(super) struct Line<'a> {
    pub(super) event: &'a Event,
    /// The call that it belongs to.
    pub(super) call: Option<u64>,
    /// Names of the servers that it concerns, besides its own.
    pub(super) other: &'a str,
    pub(super) text: String,
    /// What makes it the same as another one, if that is not the text: numbers of calls differ always.
    pub(super) shape: String,
    /// It is told by another line.
    pub(super) is_merged: bool,
}

impl Line<'_> {
    /// The event as one value.
    pub(super) fn json(&self) -> Value {
        let Event { t, node, task, thread, kind, target, text, .. } = self.event;
        let fields: serde_json::Map<String, Value> = self.event.fields.iter().map(field).collect();
        json!({"t": t, "node": &**node, "task": &**task, "thread": thread, "kind": &**kind, "target": &**target,
            "fields": fields, "text": text})
    }
}

fn field((name, value): &(std::sync::Arc<str>, labtrace::Value)) -> (String, Value) {
    let value = match value {
        labtrace::Value::Number(number) => json!(number),
        labtrace::Value::Text(text) => json!(text),
    };
    (name.to_string(), value)
}

/// All events of a trace as lines.
pub(super) fn lines(trace: &Trace) -> Vec<Line<'_>> {
    let events = &trace.events;
    let mut lines: Vec<Line<'_>> = events.iter().map(plain).collect();
    let calls = calls(events);
    let shown = |place: Option<usize>| place.map_or_else(String::new, |place| events[place].text.clone());
    let mut arrows: BTreeMap<usize, (u64, String, String)> = BTreeMap::new();
    let mut merged: BTreeSet<usize> = BTreeSet::new();
    for (&number, call) in &calls {
        let (from, to) = (call.from.as_str(), call.to.as_str());
        merged.extend(call.args.iter().chain(&call.results).copied());
        if let Some(place) = call.sent {
            let lost = if call.request_lost { "LOST " } else { "" };
            arrows.insert(place, (number, format!("→ {to}"), format!("{lost}{}", shown(call.args))));
        }
        for (copy, &place) in call.arrived.iter().enumerate() {
            let again = if copy > 0 { "arrives again" } else { "arrives" };
            let late = late(events, call.sent, place, call.args);
            arrows.insert(place, (number, format!("← {from}"), format!("{again}{late}")));
        }
        for (copy, &place) in call.replied.iter().enumerate() {
            let lost = if events[place].number("lost").is_some() { "LOST " } else { "" };
            let result = shown(call.results.get(copy).copied());
            arrows.insert(place, (number, format!("↩ {from}"), format!("{lost}{result}")));
        }
        match call.ended {
            Some((place, true)) => {
                // Of several replies the first one counts.
                let late = late(events, call.replied.first().copied(), place, call.results.first().copied());
                arrows.insert(place, (number, format!("↪ {to}"), format!("reply{late}")))
            }
            Some((place, false)) => arrows.insert(place, (number, format!("✗ {to}"), "no reply".to_owned())),
            None => None,
        };
        for &place in call.args.iter().chain(&call.results) {
            lines[place].call = Some(number);
        }
    }
    for (place, (number, arrow, words)) in arrows {
        let line = &mut lines[place];
        let call = &calls[&number];
        line.call = Some(number);
        line.other =
            if *line.event.node == *call.from { &events[call.sent.unwrap_or(place)] } else { line.event }
                .field("to");
        line.shape = clean(&format!("{arrow} {words}"), LONGEST);
        line.text = clean(&format!("{arrow} #{number} {words}"), LONGEST);
    }
    for place in merged {
        lines[place].is_merged = true;
    }
    lines
}

/// What is said of something that left at one place and arrives at another, if it comes late.
fn late(events: &[Event], left: Option<usize>, arrives: usize, carries: Option<usize>) -> String {
    let Some(left) = left.map(|left| events[left].t) else { return String::new() };
    if events[arrives].t.saturating_sub(left) < LATE {
        return String::new();
    }
    let carries = carries.map_or("", |place| &events[place].text);
    format!(", late, of {:.6}: {carries}", left as f64 / 1e9)
}

fn plain(event: &Event) -> Line<'_> {
    let text = clean(&event.text, LONGEST);
    Line {
        event,
        call: event.number("call"),
        other: event.field("to"),
        shape: text.clone(),
        text,
        is_merged: false,
    }
}
