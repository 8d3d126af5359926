//! `cargo lab trace`: the events of a run, for other programs.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};

use labtrace::{write_json, write_perfetto, write_shiviz};

use super::cli::TraceOptions;
use crate::cli::Arguments;
use crate::{Failure, Outcome};

/// Runs the seed and writes its events.
pub(crate) fn run(arguments: &Arguments, options: &TraceOptions) -> Result<Outcome, Failure> {
    let notation = options.notation;
    let is_compact = !(notation.json || notation.shiviz || notation.perfetto);
    if is_compact && options.output.is_none() {
        let advice = "--output FILE keeps the compact trace; --json, --shiviz and --perfetto write text";
        return Err(Failure::new(format!("where to? {advice}")));
    }
    if is_compact && options.source.file.is_some() {
        return Err(Failure::new(
            "the file is a trace already; --json, --shiviz or --perfetto turn it into text",
        ));
    }
    let keep = options.output.as_deref().filter(|_| is_compact);
    let Some(traced) = options.source.open(arguments, &options.run, keep)? else {
        return Ok(Outcome::Interrupted);
    };
    traced.check_written()?;
    let trace = &traced.trace;
    let write = |out: &mut dyn Write| match () {
        () if notation.json => write_json(trace, out),
        () if notation.shiviz => write_shiviz(trace, out),
        () if notation.perfetto => write_perfetto(trace, out),
        () => Ok(()),
    };
    let written = match &options.output {
        Some(_) if is_compact => Ok(()),
        Some(path) => File::create(path).and_then(|file| write(&mut BufWriter::new(file))),
        None => write(&mut BufWriter::new(io::stdout().lock())),
    };
    match (written, &options.output) {
        (Ok(()), Some(path)) => {
            let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
            let each = bytes as f64 / trace.events.len().max(1) as f64;
            let (path, events) = (path.display(), trace.events.len());
            eprintln!("{path}: {events} events, {bytes} bytes ({each:.1} an event)");
        }
        (Ok(()), None) => {}
        (Err(error), None) if error.kind() == io::ErrorKind::BrokenPipe => lab_terminal::end_unread(),
        (Err(error), _) => return Err(Failure::new(format!("the trace cannot be written: {error}"))),
    }
    if notation.shiviz && io::stderr().is_terminal() {
        eprintln!("ShiViz: the parser's expression is the first line of the file");
    }
    Ok(Outcome::Passed)
}
