//! The file of a traced run. It is written while the run goes on, so that a run that dies leaves what it did.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use labrt::quiet::Mutex;
use labrt::{Event, FieldValue, Sink};
use labtrace::{Header, Writer, Written};

use super::plan::Plan;
use super::report::Report;

/// Writes the events of a run, and its verdict behind them.
pub(super) struct Recorder {
    /// None when it is ended, or as soon as something could not be written.
    writer: Arc<Mutex<Open>>,
}

type Open = io::Result<Option<Writer<File>>>;

impl Recorder {
    /// Begins the file.
    pub(super) fn begin(path: &Path, plan: &Plan, seed: u64) -> io::Result<Recorder> {
        let header = Header { test: plan.test.to_owned(), seed, options: plan.options(seed) };
        let writer = Writer::new(File::create(path)?, &header)?;
        Ok(Recorder { writer: Arc::new(Mutex::new(Ok(Some(writer)))) })
    }

    /// What takes the run's events.
    pub(super) fn sink(&self) -> Sink {
        let writer = Arc::clone(&self.writer);
        Sink::new(move |event| {
            let mut writer = writer.lock();
            if let Ok(Some(open)) = &mut *writer
                && let Err(error) = write(open, event)
            {
                *writer = Err(error);
            }
        })
    }

    /// Ends the file with the verdict.
    pub(super) fn end(&self, report: &Report) -> io::Result<()> {
        let line = &report.line;
        let Some(mut writer) = std::mem::replace(&mut *self.writer.lock(), Ok(None))? else { return Ok(()) };
        let rule = line.invariant.clone().unwrap_or_default();
        let fields = [("ok", Written::Number(u64::from(line.ok))), ("rule", Written::Text(&rule))];
        let kind = line.kind.map_or("", labreport::Kind::name);
        let message = line.message.as_deref().unwrap_or("the test passed");
        let who = ("main", "tester", 0);
        writer.event(line.virtual_ns, who, ("verdict", kind), fields.into_iter(), message)?;
        writer.finish().map(drop)
    }
}

fn write(writer: &mut Writer<File>, event: &Event) -> io::Result<()> {
    let fields = event.fields.iter().map(|(name, value)| match value {
        FieldValue::Number(number) => (*name, Written::Number(*number)),
        FieldValue::Text(text) => (*name, Written::Text(text)),
    });
    let who = (&*event.node, &*event.task, event.thread);
    writer.event(event.t, who, (event.kind, event.target), fields, &event.text)
}
