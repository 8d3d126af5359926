//! The commands `coordinator` and `run`: the same coordinator, without and with workers
//! of its own.
//!
//! Both wait by looking at the coordinator from time to time. That costs next to nothing,
//! and one loop can show progress, look after the workers and hear signals.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::directory::JobStore;
use crate::wire::{Address, Connections, Listener};
use labrt::thread;
use mapreduce::events::Event;
use mapreduce::rpc::CoordinatorRpc;
use mapreduce::state::{Phase, State};
use mapreduce::store::{StoreError, StoreErrorKind};
use mapreduce::{Coordinator, Observer, Summary};

use crate::catalogue::Catalogue;

use super::arguments;
use super::children::Children;
use super::job::{self, Prepared};
use super::progress::Bars;
use super::{Done, Problem, on_real_threads};

/// How often it looks whether the job is over and the workers are alive.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How long a coordinator stays so that workers can hear that the job is over. Who does
/// not ask within that time will find nobody there, and know it, too.
const FAREWELL: Duration = Duration::from_secs(1);

/// The command `coordinator`.
pub(crate) fn coordinate(arguments: arguments::Coordinator, catalogue: Arc<Catalogue>) -> Done {
    let interrupted = catch_signals()?;
    on_real_threads(move || {
        let served = Served::start(&arguments.job, &arguments.listen, &catalogue)?;
        println!("listening at {}", served.address);
        let done = served.watch(&interrupted, |_| Ok(()));
        let deadline = Instant::now() + FAREWELL;
        // Workers hang up when they have heard; strangers may not.
        while done.is_ok() && served.connections.count() > 0 && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        served.end(done)
    })
}

/// The command `run`.
pub(crate) fn run(arguments: arguments::Run, catalogue: Arc<Catalogue>) -> Done {
    let interrupted = catch_signals()?;
    on_real_threads(move || {
        // Children are dropped, and thereby killed, on every way out of here.
        let mut children = Children::new(&arguments)?;
        let served = Served::start(&arguments.job, &children.address(), &catalogue)?;
        let started = (0..arguments.workers).try_for_each(|_| children.start());
        let done = started.and_then(|()| served.watch(&interrupted, |done| children.replace_dead(done)));
        // After a failure of this process's own they have not been told to go.
        if done.is_ok() {
            children.wait();
        }
        drop(children);
        served.end(done)
    })
}

/// A flag that SIGINT and SIGTERM set, so that temporary files do not stay behind.
fn catch_signals() -> Result<Arc<AtomicBool>, Problem> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).map_err(Problem::failed)?;
    Ok(interrupted)
}

/// A coordinator that can be reached.
struct Served {
    address: Address,
    coordinator: Arc<Coordinator>,
    /// Workers, and whoever else has found the socket.
    connections: Connections,
    store: Arc<JobStore>,
    /// What became of the output, once that is decided.
    published: Arc<OnceLock<Result<(), StoreError>>>,
}

impl Served {
    /// Starts the coordinator of a new job, and lets workers come.
    fn start(
        arguments: &arguments::Job,
        address: &Address,
        catalogue: &Catalogue,
    ) -> Result<Served, Problem> {
        // Before the job's directory is made, which somebody would have to remove.
        let listener = Listener::bind(address);
        let listener = listener.map_err(|error| Problem::Failed(format!("{address}: {error}")))?;
        let Prepared { job, inputs, rules, store } = job::prepare(arguments, catalogue)?;
        let published = Arc::new(OnceLock::new());
        let publisher =
            Publisher { store: store.clone(), reduces: job.reduces, published: published.clone() };
        let coordinator = Coordinator::new(job, inputs, rules);
        coordinator.watch(Box::new(publisher));
        let address = listener.address().clone();
        let connections = listener.serve(vec![coordinator.clone().into_service()]);
        Ok(Served { address, coordinator, connections, store, published })
    }

    /// Waits until the job is over, shows how far it is, and lets `look_after` have a
    /// look from time to time, which is told how many tasks are done.
    fn watch(
        &self,
        interrupted: &AtomicBool,
        mut look_after: impl FnMut(usize) -> Result<(), Problem>,
    ) -> Result<Summary, Problem> {
        let mut status = self.coordinator.status();
        let bars = Bars::new(&status);
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

    /// Clears up, and says how it went. From here on no output appears that was not there
    /// before.
    fn end(&self, done: Result<Summary, Problem>) -> Done {
        // Whoever comes first decides: the publisher, or this line.
        let nothing = || Err(StoreError::new(StoreErrorKind::Other, "mr-out", "the job has no output"));
        let published = self.published.get_or_init(nothing).clone();
        job::clear_up(&self.store);
        let failure = match done {
            Ok(Summary { failure, maps, .. }) => {
                if maps.skipped_records > 0 {
                    eprintln!("mrjob: {} bad records were skipped", maps.skipped_records);
                }
                failure.map(|reason| Problem::Failed(format!("the job has failed: {reason}")))
            }
            // Whatever it was, it came too late to do harm.
            Err(_) if published.is_ok() => None,
            Err(problem) => Some(problem),
        };
        failure.map_or(published.map_err(Problem::failed), Err)
    }
}

/// Moves the output to its place as soon as the job is finished: under the coordinator's
/// lock, so that nobody can learn of the one without finding the other.
struct Publisher {
    store: Arc<JobStore>,
    reduces: usize,
    published: Arc<OnceLock<Result<(), StoreError>>>,
}

impl Observer for Publisher {
    fn observe(&mut self, _state: &State, events: &[Event]) {
        for event in events {
            match event {
                Event::Entered(Phase::Finished) => {
                    self.published.get_or_init(|| self.store.publish(self.reduces));
                }
                Event::Skipped { map, file, offset, reason } => {
                    eprintln!("mrjob: map {map} skips the record at byte {offset} of {file}: {reason}");
                }
                _ => {}
            }
        }
    }
}
