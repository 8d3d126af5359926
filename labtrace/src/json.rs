//! A trace as JSON Lines, to and fro.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::read::Unreadable;
use crate::{Event, Header, Trace, VERSION, Value};

/// The first line.
#[derive(Serialize, Deserialize)]
struct First {
    labtrace: u64,
    #[serde(flatten)]
    header: Header,
}

/// An event. Whatever is missing is empty, and what is unknown is passed over.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Line {
    t: u64,
    node: String,
    task: String,
    thread: u64,
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    target: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, Value>,
    text: String,
}

/// Writes a trace as JSON Lines.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_json(trace: &Trace, mut out: impl Write) -> io::Result<()> {
    let first = First { labtrace: u64::from(VERSION), header: trace.header.clone() };
    serde_json::to_writer(&mut out, &first)?;
    out.write_all(b"\n")?;
    for event in &trace.events {
        let line = Line {
            t: event.t,
            node: event.node.to_string(),
            task: event.task.to_string(),
            thread: event.thread,
            kind: event.kind.to_string(),
            target: event.target.to_string(),
            fields: event.fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
            text: event.text.clone(),
        };
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Reads JSON Lines. A first line that is no header is an event; lines that are none are counted and passed
/// over.
pub(crate) fn read_lines(input: impl BufRead) -> Result<Trace, Unreadable> {
    let mut trace = Trace::default();
    let mut odd = 0;
    for (number, line) in input.split(b'\n').enumerate() {
        let line = line.map_err(Unreadable::File)?;
        if line.is_empty() {
            continue;
        }
        if number == 0
            && let Ok(first) = serde_json::from_slice::<First>(&line)
        {
            if first.labtrace != u64::from(VERSION) {
                return Err(Unreadable::Version(first.labtrace.to_string()));
            }
            trace.header = first.header;
            continue;
        }
        match serde_json::from_slice::<Line>(&line) {
            Ok(line) => trace.events.push(event(line)),
            Err(_) => odd += 1,
        }
    }
    trace.damage = match odd {
        0 => None,
        1 => Some("1 line of the trace is no event, and was passed over".to_owned()),
        _ => Some(format!("{odd} lines of the trace are no events, and were passed over")),
    };
    Ok(trace)
}

fn event(line: Line) -> Event {
    let Line { t, node, task, thread, kind, target, fields, text } = line;
    let fields = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
    Event {
        t,
        node: node.into(),
        task: task.into(),
        thread,
        kind: kind.into(),
        target: target.into(),
        fields,
        text,
    }
}
