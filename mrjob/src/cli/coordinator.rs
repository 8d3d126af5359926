//! The commands `coordinator` and `run`. Both start a coordinator; `run` also starts workers.
//!
//! Both poll the coordinator's status. That costs almost nothing, and the same loop shows progress, replaces
//! dead workers and checks for signals.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use labrt::thread;
use mapreduce::events::Event;
use mapreduce::rpc::CoordinatorRpc;
use mapreduce::state::{Phase, State};
use mapreduce::store::{StoreError, StoreErrorKind};
use mapreduce::{Coordinator, Observer, Summary};

use super::arguments;
use super::children::Children;
use super::job::{self, Prepared};
use super::progress::{self, Bars};
use super::{Done, INTERRUPTED, Problem, complain, on_real_threads};
use crate::catalogue::Catalogue;
use crate::directory::JobStore;
use crate::remote::{Files, FilesRpc};
use crate::report::{self, Recorder};
use crate::wire::{Address, Connections, Listener, Token};

/// How often the loop polls the coordinator and the workers.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How long a coordinator waits after the job, so that workers can hear that it is over. A worker that asks
/// later finds no coordinator, and ends as well.
const STAY: Duration = Duration::from_secs(1);

/// The command `coordinator`.
pub(crate) fn coordinate(arguments: arguments::Coordinator, catalogue: Arc<Catalogue>) -> Done {
    let interrupted = catch_signals()?;
    on_real_threads(move || {
        let (token, print) = token(&arguments)?;
        let served = Served::start(&arguments.job, &arguments.listen, token.clone(), &catalogue)?;
        say(&format!("listening at {}\n", served.address));
        if print {
            say(&format!("token {}\n", token.as_text()));
        }
        let done = served.watch(&interrupted, |_| Ok(()));
        let deadline = Instant::now() + STAY;
        // Workers hang up once they hear of the end; other clients may not.
        while done.is_ok() && served.connections.count() > 0 && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        served.end(done)
    })
}

/// Writes to standard output. The job goes on if standard output is closed.
fn say(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// The token of a coordinator, and whether to print it. A token that was given or is written to a file is not
/// printed.
fn token(arguments: &arguments::Coordinator) -> Result<(Token, bool), Problem> {
    let given = arguments.token.as_deref().map(Token::from_text).filter(|token| !token.is_none());
    let is_tcp = matches!(arguments.listen, Address::Tcp(_));
    let token = match (&given, &arguments.token_file) {
        (Some(given), _) => given.clone(),
        (None, Some(_)) => Token::draw(),
        (None, None) if is_tcp => Token::draw(),
        (None, None) => Token::none(),
    };
    if let Some(path) = &arguments.token_file {
        job::check_is_no_data("--token-file", path, &arguments.job.program)?;
        token.write(path).map_err(|error| Problem::Failed(format!("{}: {error}", path.display())))?;
    }
    let print = given.is_none() && arguments.token_file.is_none() && !token.is_none();
    Ok((token, print))
}

/// The command `run`.
pub(crate) fn run(arguments: arguments::Run, catalogue: Arc<Catalogue>) -> Done {
    let interrupted = catch_signals()?;
    on_real_threads(move || {
        // Every return drops the children, which kills them.
        let mut children = Children::new(&arguments)?;
        let served = Served::start(&arguments.job, &children.address(), Token::none(), &catalogue)?;
        let started = (0..arguments.workers).try_for_each(|_| children.start());
        let done = started.and_then(|()| served.watch(&interrupted, |done| children.replace_dead(done)));
        // After a failure the workers were not told to end, so waiting for them is useless.
        if done.is_ok() {
            children.wait();
        }
        drop(children);
        served.end(done)
    })
}

/// A second signal this soon after the first one is the same request: timeout(1) signals its child, and then
/// the whole group.
const SAME_WISH: Duration = Duration::from_millis(500);

/// A flag that SIGINT and SIGTERM set, so that the command can remove its temporary files. A second signal
/// ends the process at once.
fn catch_signals() -> Result<Arc<AtomicBool>, Problem> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    let mut first = None;
    let handler = move || {
        if first.get_or_insert_with(Instant::now).elapsed() > SAME_WISH {
            std::process::exit(INTERRUPTED);
        }
        flag.store(true, Ordering::Relaxed);
    };
    ctrlc::set_handler(handler).map_err(Problem::failed)?;
    Ok(interrupted)
}

/// A running coordinator that clients can reach.
struct Served {
    address: Address,
    coordinator: Arc<Coordinator>,
    /// Connections of workers, and of any other client.
    connections: Connections,
    store: Arc<JobStore>,
    /// Whether the output was published, once that is decided.
    published: Arc<OnceLock<Result<(), StoreError>>>,
    /// Records events for `--report`.
    recorder: Option<Recorder>,
    arguments: arguments::Job,
    begun: Instant,
}

impl Served {
    /// Starts the coordinator of a job and accepts workers.
    fn start(
        arguments: &arguments::Job,
        address: &Address,
        token: Token,
        catalogue: &Catalogue,
    ) -> Result<Served, Problem> {
        let begun = Instant::now();
        check_report(arguments)?;
        // Bound first: after a failure here there is no job directory to remove.
        let listener = Listener::bind(address);
        let listener = listener.map_err(|error| Problem::Failed(format!("{address}: {error}")))?;
        let Prepared { state, plan, store, log, resumed, publishing } = job::prepare(arguments, catalogue)?;
        let title =
            format!("{}: {} maps, {} reduces", plan.job.application, plan.splits.len(), plan.job.reduces);
        let recorder = arguments.report.as_ref().map(|_| Recorder::new(title, resumed));
        let published = Arc::new(OnceLock::new());
        let publisher = Publisher {
            store: store.clone(),
            reduces: plan.job.reduces,
            begun: publishing,
            published: published.clone(),
        };
        // The log observes first: it must say that publishing has begun before the publisher moves any
        // output.
        let mut watchers = Watchers(vec![Box::new(log), Box::new(publisher)]);
        watchers.0.extend(recorder.clone().map(|recorder| Box::new(recorder) as Box<dyn Observer>));
        let coordinator = Coordinator::of(state, Some(Box::new(watchers)));
        let address = listener.address().clone();
        let pieces = plan.splits.into_iter().flat_map(|split| split.pieces);
        let inputs: BTreeSet<String> = pieces.map(|piece| piece.file).collect();
        let files = Files::new(store.clone(), inputs);
        let services = vec![coordinator.clone().into_service(), files.into_service()];
        let connections = listener.serve(services, token);
        let arguments = arguments.clone();
        Ok(Served { address, coordinator, connections, store, published, recorder, arguments, begun })
    }

    /// Waits until the job is over and shows its progress. Calls `look_after` in each round, with the number
    /// of tasks that are done.
    fn watch(
        &self,
        interrupted: &AtomicBool,
        mut look_after: impl FnMut(usize) -> Result<(), Problem>,
    ) -> Result<Summary, Problem> {
        let mut status = self.coordinator.status();
        let mut bars = Bars::new(&status, self.arguments.quiet);
        while matches!(status.phase, Phase::Map | Phase::Reduce) {
            if interrupted.load(Ordering::Relaxed) {
                return Err(Problem::Failed("interrupted".to_owned()));
            }
            look_after(status.maps.0 + status.reduces.0)?;
            bars.show(&status);
            thread::sleep(LOOK_EVERY);
            status = self.coordinator.status();
        }
        bars.show(&status);
        bars.end();
        Ok(self.coordinator.wait())
    }

    /// Removes the job's directory, writes the report and returns the result. No output is published after
    /// this.
    fn end(&self, done: Result<Summary, Problem>) -> Done {
        // If the publisher has not decided yet, this line decides that nothing is published.
        let nothing = || Err(StoreError::new(StoreErrorKind::Other, "mr-out", "the job has no output"));
        let published = self.published.get_or_init(nothing).clone();
        self.store.remove_directory();
        let reported = self.write_report();
        let failure = match done {
            Ok(Summary { failure: Some(reason), .. }) => {
                Some(Problem::Failed(format!("the job failed: {reason}")))
            }
            Ok(summary) => {
                self.say(&summary);
                None
            }
            // The output was already published when the problem came up.
            Err(_) if published.is_ok() => None,
            Err(problem) => Some(problem),
        };
        failure.map_or(published.map_err(Problem::failed), Err).and(reported)
    }

    /// Prints the job's counters.
    fn say(&self, summary: &Summary) {
        if summary.maps.skipped_records > 0 {
            eprintln!("mrjob: {} bad records were skipped", summary.maps.skipped_records);
        }
        if !self.arguments.quiet {
            say(&progress::summary(summary, self.begun.elapsed()));
        }
    }

    fn write_report(&self) -> Done {
        let (Some(recorder), Some(path)) = (&self.recorder, &self.arguments.report) else { return Ok(()) };
        recorder.write(path).map_err(|error| Problem::Failed(format!("{}: {error}", path.display())))
    }
}

/// Checks the report's path before the job starts: an hour of work must not end without its report.
fn check_report(arguments: &arguments::Job) -> Done {
    let Some(path) = &arguments.report else { return Ok(()) };
    job::check_is_no_data("--report", path, &arguments.program)?;
    report::check_place(path).map_err(|error| Problem::Usage(format!("--report {}: {error}", path.display())))
}

/// Passes events on to several observers.
struct Watchers(Vec<Box<dyn Observer>>);

impl Observer for Watchers {
    fn observe(&mut self, state: &State, events: &[Event]) {
        self.0.iter_mut().for_each(|watcher| watcher.observe(state, events));
    }
}

/// Moves the output to its place as soon as the job is finished. It runs under the coordinator's lock, so the
/// output is in place before any client can learn that the job is finished.
struct Publisher {
    store: Arc<JobStore>,
    reduces: usize,
    /// An earlier coordinator was killed while it moved the output.
    begun: bool,
    published: Arc<OnceLock<Result<(), StoreError>>>,
}

impl Observer for Publisher {
    fn observe(&mut self, _state: &State, events: &[Event]) {
        for event in events {
            match event {
                Event::Entered(Phase::Finished) => {
                    self.published.get_or_init(|| self.store.publish(self.reduces, self.begun));
                }
                Event::Skipped { map, file, offset, reason } => {
                    complain(&format!("map {map} skips the record at byte {offset} of {file}: {reason}"));
                }
                _ => {}
            }
        }
    }
}
