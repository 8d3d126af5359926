//! The picture of a job, which `--report` writes.
//!
//! [`Recorder`] observes the coordinator and keeps each attempt with its times. `page.rs` turns that into one
//! self-contained page.

mod page;

pub(crate) use page::bytes;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mapreduce::Observer;
use mapreduce::events::{Cause, Event, Loss};
use mapreduce::rpc::{AttemptId, WorkerId};
use mapreduce::state::{Phase, State};
use mapreduce::tasks::Counters;

use crate::names;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It has not ended, as far as the coordinator knows.
    Running,
    Accepted,
    /// Another attempt of the task was faster.
    Superseded,
    TimedOut,
    Failed(String),
    TakenBack,
}

struct Bar {
    id: AttemptId,
    worker: WorkerId,
    host: String,
    backup: bool,
    start: Duration,
    end: Option<Duration>,
    outcome: Outcome,
    counters: Counters,
}

/// An event that is not about an attempt's start or end.
struct Incident {
    at: Duration,
    what: String,
}

/// All data of the page.
#[derive(Default)]
struct History {
    title: String,
    bars: Vec<Bar>,
    incidents: Vec<Incident>,
    /// When each phase began.
    phases: Vec<(Duration, &'static str)>,
    resumed: usize,
    counters: (Counters, Counters),
    end: Duration,
}

/// Records the events of a job.
#[derive(Clone)]
pub(crate) struct Recorder {
    begun: Instant,
    history: Arc<Mutex<History>>,
}

impl Recorder {
    /// A recorder for a job that begins now. An earlier coordinator did `resumed` of its tasks.
    pub(crate) fn new(title: String, resumed: usize) -> Recorder {
        let history = History { title, resumed, phases: vec![(Duration::ZERO, "map")], ..History::default() };
        Recorder { begun: Instant::now(), history: Arc::new(Mutex::new(history)) }
    }

    /// Writes the page, complete or not at all.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut history = self.history.lock().unwrap_or_else(|_| unreachable!("the recorder does not panic"));
        history.end = self.begun.elapsed();
        let temporary = temporary(path);
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(page::render(&history).as_bytes())?;
            fs::rename(&temporary, path)
        };
        write().inspect_err(|_| {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
        })
    }
}

/// Checks that a page can be written to this path.
pub(crate) fn check_place(path: &Path) -> io::Result<()> {
    names::check_place(path)?;
    let temporary = temporary(path);
    File::create(&temporary)?;
    fs::remove_file(temporary)
}

/// The name of a page until it is complete.
fn temporary(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".tmp-{}", std::process::id()));
    PathBuf::from(temporary)
}

impl Observer for Recorder {
    fn observe(&mut self, state: &State, events: &[Event]) {
        let mut history = self.history.lock().unwrap_or_else(|_| unreachable!("the recorder does not panic"));
        history.counters = state.counters();
        let now = self.begun.elapsed();
        for event in events {
            history.record(now, event);
        }
    }
}

impl History {
    fn record(&mut self, at: Duration, event: &Event) {
        match event {
            Event::HandedOut { id, worker, host, backup } => self.bars.push(Bar {
                id: *id,
                worker: *worker,
                host: host.clone(),
                backup: *backup,
                start: at,
                end: None,
                outcome: Outcome::Running,
                counters: Counters::default(),
            }),
            Event::Accepted { id, counters, .. } => {
                if let Some(bar) = self.bar(*id) {
                    (bar.end, bar.outcome, bar.counters) = (Some(at), Outcome::Accepted, *counters);
                }
            }
            Event::GivenUp { id, cause, .. } => {
                let outcome = match cause {
                    Cause::TimedOut => Outcome::TimedOut,
                    Cause::Failed(reason) => Outcome::Failed(reason.clone()),
                    Cause::Superseded => Outcome::Superseded,
                    Cause::TakenBack => Outcome::TakenBack,
                };
                if let Some(bar) = self.bar(*id) {
                    (bar.end, bar.outcome) = (Some(at), outcome);
                }
            }
            Event::Entered(phase) => self.phases.push((
                at,
                match phase {
                    Phase::Map => "map",
                    Phase::Reduce => "reduce",
                    Phase::Finished => "finished",
                    Phase::Failed(_) => "failed",
                },
            )),
            other => {
                if let Some(what) = incident(other) {
                    self.incidents.push(Incident { at, what });
                }
            }
        }
    }

    /// The attempt's bar. The search starts at the last bar, since attempts end soon after they begin.
    fn bar(&mut self, id: AttemptId) -> Option<&mut Bar> {
        self.bars.iter_mut().rev().find(|bar| bar.id == id)
    }
}

/// An incident in words; `None` for events that the page does not list.
fn incident(event: &Event) -> Option<String> {
    match event {
        Event::Lost { id, loss, again } => {
            let why = match loss {
                Loss::MachineDied => "its machine died",
                Loss::FetchFailed => "two fetches of it failed",
            };
            let then = if *again { "runs again" } else { "no reduce needs it" };
            Some(format!("the output of {id} was lost because {why}; {then}"))
        }
        Event::MachineDied { host } => Some(format!("{host} was silent for the time-out")),
        Event::MachineBack { host } => Some(format!("{host} is heard again")),
        Event::FetchFailed { map, reducer } => Some(format!("{reducer} could not fetch the output of {map}")),
        Event::Skipped { map, file, offset, reason } => {
            Some(format!("map {map} skips the record at byte {offset} of {file}: {reason}"))
        }
        Event::Late { id, .. } => Some(format!("the report of {id} came late")),
        _ => None,
    }
}
