//! `cargo lab check`: are recorded histories linearizable, and if not, which operations show it?
//!
//! The work is done by the crate `linearize`. Here is what stands around it: files (`source`), words and JSON
//! (`report`), pages (`pages`), and something to look at meanwhile (`progress`).

mod pages;
mod progress;
mod report;
mod source;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use linearize::{Fault, History, Limits, Model, Progress, check_watched};
use linearize_page::page_of;
use linearize_read::{Loaded, ModelName, Options, Recording};
use pages::Pages;
use progress::watched;
use report::{Finding, Tally};
use source::Source;

use crate::cli::CheckOptions;
use crate::style::{clean, error_word};
use crate::{Failure, Outcome, end_unread};

/// Checks every file, whatever became of those before it.
pub(crate) fn run(options: &CheckOptions) -> Result<Outcome, Failure> {
    let sources = Source::all(&options.files)?;
    let mut check = Check {
        reading: Options {
            model: options.model.as_deref().map(source::model).transpose()?,
            failed_cas: options.failed_cas,
            initial: options.initial.as_deref().map(source::value).transpose()?,
        },
        limits: Limits::default().with_states(options.max_states).with_memory(options.max_memory),
        pages: Pages::new(options.html.as_deref(), sources.len())?,
        json: options.json,
        tally: Tally::default(),
    };
    for source in &sources {
        check.file(source)?;
    }
    if sources.len() > 1 && !options.json {
        print(&format!("\n{}\n", check.tally))?;
    }
    Ok(check.tally.outcome())
}

/// What was asked for, and what was found so far.
struct Check {
    reading: Options,
    limits: Limits,
    pages: Pages,
    json: bool,
    tally: Tally,
}

/// A history that was read.
struct Subject<'a> {
    source: &'a Source,
    recorded: ModelName,
    /// Whether that was concluded from the names of functions.
    guessed: bool,
    faults: Vec<Fault>,
    /// How many operations failed, and so are left out.
    failed: usize,
    keys: usize,
    /// How long it took to read it.
    reading: Duration,
}

impl Check {
    fn file(&mut self, source: &Source) -> Result<(), Failure> {
        let begun = Instant::now();
        let recording = source.load(&self.reading);
        let reading = begun.elapsed();
        match recording {
            Err(refusal) => {
                self.refuse(&refusal.text)?;
                if self.json { print(&report::refusal(source, &refusal)) } else { Ok(()) }
            }
            Ok(Recording { loaded, model: recorded, guessed, faults, failed }) => {
                let keys = source::keys(&loaded);
                let subject = Subject { source, recorded, guessed, faults, failed, keys, reading };
                match &loaded {
                    Loaded::KeyValue(history) => self.decide(subject, &history.model(), history.history()),
                    Loaded::Keyed(model, history) => self.decide(subject, model, history),
                }
            }
        }
    }

    fn decide<M: Model>(
        &mut self,
        subject: Subject<'_>,
        model: &M,
        history: &History<M::Op, M::Result>,
    ) -> Result<(), Failure> {
        let name = clean(&subject.source.name());
        let progress = Progress::default();
        let begun = Instant::now();
        let verdict = watched(
            || format!("{name}: {}", report::how_far(&progress, self.limits.states)),
            || check_watched(model, history, &self.limits, &progress),
        );
        let checking = begun.elapsed();
        self.tally.add(&verdict, history.is_observed());
        let page = watched(
            || format!("{name}: drawing"),
            || {
                self.pages.write(subject.source, || {
                    page_of(&subject.source.name(), model, history, &verdict, &subject.faults)
                })
            },
        );
        let (page, failure) = match page {
            Ok(page) => (page, None),
            Err(failure) => (None, Some(failure)),
        };
        let finding = Finding { subject, model, history, verdict: &verdict, checking, page };
        print(&if self.json { finding.json() } else { finding.text() })?;
        failure.map_or(Ok(()), |failure| self.refuse(&failure.to_string()))
    }

    /// Says why something could not be done, and goes on.
    fn refuse(&mut self, why: &str) -> Result<(), Failure> {
        self.tally.refused += 1;
        let line = format!("{} {why}\n", error_word());
        io::stderr().write_all(line.as_bytes()).map_err(|_| Failure::new("cannot write to standard error"))
    }
}

/// Prints to standard output. Verdicts are piped into other programs, which may stop reading: that ends the
/// check.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => end_unread(),
        _ => Failure::new(format!("cannot write to standard output: {error}")),
    })
}
