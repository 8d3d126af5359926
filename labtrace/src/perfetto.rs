//! A trace in the Trace Event Format, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value as Json, json};

use crate::{Event, Trace, Value, calls};

/// Writes an array of events: a process for each node, a thread for each thread, an instant for each event, a
/// slice for each call with arrows to its handler, and a slice for each fault.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_perfetto(trace: &Trace, mut out: impl Write) -> io::Result<()> {
    let mut writer = Array { out: &mut out, any: false };
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut threads = std::collections::BTreeSet::new();
    for event in &trace.events {
        let next = nodes.len() + 1;
        let pid = *nodes.entry(&event.node).or_insert(next);
        if pid == next {
            writer.put(
                &json!({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": &*event.node}}),
            )?;
        }
        if threads.insert((pid, event.thread)) {
            let args = json!({"name": &*event.task});
            let tid = event.thread;
            writer.put(&json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": args}))?;
        }
        writer.put(&instant(event, pid))?;
    }
    let pid = |node: &str| nodes.get(node).copied().unwrap_or(0);
    for (number, call) in calls(&trace.events) {
        let (Some(sent), end) = (call.sent, call.ended) else { continue };
        let (from, to) = (&trace.events[sent], end.map(|(place, _)| &trace.events[place]));
        let took = to.map_or(0, |to| to.t.saturating_sub(from.t));
        let args = json!({"call": number, "to": call.to});
        writer.put(
            &json!({"ph": "X", "name": call.method, "cat": "rpc", "pid": pid(&from.node), "tid": from.thread,
            "ts": micros(from.t), "dur": micros(took), "args": args}),
        )?;
        for (copy, &place) in call.arrived.iter().enumerate() {
            let (at, id) = (&trace.events[place], format!("{number}.{copy}"));
            writer.put(&flow("s", &id, from, pid(&from.node)))?;
            writer.put(&flow("f", &id, at, pid(&at.node)))?;
        }
    }
    writer.end()
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

fn flow(phase: &str, id: &str, event: &Event, pid: usize) -> Json {
    json!({"ph": phase, "bp": "e", "id": id, "name": "request", "cat": "rpc", "pid": pid, "tid": event.thread,
        "ts": micros(event.t)})
}

fn instant(event: &Event, pid: usize) -> Json {
    let mut args = serde_json::Map::new();
    args.insert("text".to_owned(), event.text.clone().into());
    for (name, value) in &event.fields {
        let value = match value {
            Value::Number(number) => (*number).into(),
            Value::Text(text) => text.clone().into(),
        };
        args.insert(name.to_string(), value);
    }
    let name = if event.target.is_empty() { &event.kind } else { &event.target };
    json!({"ph": "i", "s": "t", "name": &**name, "cat": &*event.kind, "pid": pid, "tid": event.thread,
        "ts": micros(event.t), "args": args})
}

/// A JSON array that is written element by element.
struct Array<'a, W: Write> {
    out: &'a mut W,
    any: bool,
}

impl<W: Write> Array<'_, W> {
    fn put(&mut self, element: &Json) -> io::Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"[" })?;
        self.any = true;
        serde_json::to_writer(&mut *self.out, element).map_err(Into::into)
    }

    fn end(self) -> io::Result<()> {
        self.out.write_all(if self.any { b"]\n" } else { b"[]\n" })?;
        self.out.flush()
    }
}
