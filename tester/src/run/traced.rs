//! The file of a traced run.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use labrt::{Event, FieldValue};
use labtrace::{Header, Writer, Written};

use super::plan::Plan;
use super::report::Report;

/// Writes the events of a run, and its verdict behind them.
pub(super) fn write(path: &Path, plan: &Plan, events: &[Event], report: &Report) -> io::Result<()> {
    let line = &report.line;
    let header = Header { test: plan.test.to_owned(), seed: line.seed, options: plan.options(line.seed) };
    let mut writer = Writer::new(BufWriter::new(File::create(path)?), &header)?;
    for event in events {
        let fields = event.fields.iter().map(|(name, value)| match value {
            FieldValue::Number(number) => (*name, Written::Number(*number)),
            FieldValue::Text(text) => (*name, Written::Text(text)),
        });
        let who = (&*event.node, &*event.task, event.thread);
        writer.event(event.t, who, (event.kind, event.target), fields, &event.text)?;
    }
    let rule = line.invariant.clone().unwrap_or_default();
    let fields = [("ok", Written::Number(u64::from(line.ok))), ("rule", Written::Text(&rule))];
    let kind = line.kind.map_or("", labreport::Kind::name);
    let message = line.message.as_deref().unwrap_or("the test passed");
    writer.event(line.virtual_ns, ("main", "tester", 0), ("verdict", kind), fields.into_iter(), message)?;
    writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}
