//! The handle that a test's code gets: scenes, expectations, warnings.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use labrt::node::{self, NodeId};
use labrt::quiet::{Mutex, MutexGuard};
use labrt::time::{Duration, Instant};
use labrt::{Fields, runtime, thread, trace};

use crate::choices::Choices;
use crate::failure::{Broken, Invariant};
use crate::faults::Faults;
use crate::final_check::{FinalCheck, Finding, has_waited};
use crate::knobs::Knobs;
use crate::stall::{self, Progress};
use crate::story::{Story, What};

/// How often [`Test::wait_for`] looks.
const LOOK: Duration = Duration::from_millis(5);

/// A running test. Clones are the same test.
#[derive(Clone)]
pub struct Test {
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    knobs: Knobs,
    choices: OnceLock<Choices>,
    ignores_observers: bool,
    story: Mutex<Story>,
    /// The first thing that went wrong.
    broken: Mutex<Option<Broken>>,
    warnings: Mutex<Vec<String>>,
    /// What the checkers cannot see.
    unwatched: Mutex<Vec<String>>,
    /// What to do after the test's own code has ended well.
    endings: Mutex<Vec<Ending>>,
    /// What to look into after the run.
    final_checks: Mutex<Vec<FinalCheck>>,
    faults: Mutex<Faults>,
    /// What can tell what servers knew.
    knowledge: Mutex<Vec<Knowledge>>,
    /// What is known of the groups' progress.
    progress: Mutex<Vec<Progress>>,
    /// What the run came to, and how often.
    met: Mutex<BTreeMap<&'static str, u64>>,
    /// The threads' lines when the test gave up waiting for progress.
    threads: Mutex<Option<Vec<String>>>,
}

type Knowledge = Box<dyn Fn() -> Vec<String> + Send>;

type Ending = Box<dyn FnOnce(&Test) -> Figures + Send>;

/// What the course prints about a test that has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Number of servers.
    pub peers: usize,
    /// Calls made, also those that could not be delivered.
    pub rpcs: u64,
    /// Bytes of requests, and of the replies that arrived.
    pub bytes: u64,
    /// Commands agreed on, or operations of clerks.
    pub commands: u64,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Figures) {
        self.peers += other.peers;
        self.rpcs += other.rpcs;
        self.bytes += other.bytes;
        self.commands += other.commands;
    }
}

impl Test {
    pub(crate) fn new(name: &'static str, knobs: Knobs, ignores_observers: bool) -> Test {
        Test {
            inner: Arc::new(Inner {
                name,
                knobs,
                choices: OnceLock::new(),
                ignores_observers,
                story: Mutex::default(),
                broken: Mutex::default(),
                warnings: Mutex::default(),
                unwatched: Mutex::default(),
                endings: Mutex::default(),
                final_checks: Mutex::default(),
                faults: Mutex::default(),
                knowledge: Mutex::default(),
                progress: Mutex::default(),
                met: Mutex::default(),
                threads: Mutex::default(),
            }),
        }
    }

    /// The same with choices of its own; to be called before the test runs.
    pub(crate) fn choosing(self, choices: Choices) -> Test {
        // A second call would change nothing, and there is none.
        let _ = self.inner.choices.set(choices);
        self
    }

    /// What the run does otherwise than its seed says.
    pub fn choices(&self) -> &Choices {
        self.inner.choices.get_or_init(Choices::default)
    }

    /// The test's name, as on the command line.
    pub fn name(&self) -> &'static str {
        self.inner.name
    }

    /// Whether the run is a simulation with the usual knobs: no slow machine and no strange clock can excuse
    /// anything.
    pub fn is_ordinary(&self) -> bool {
        labrt::world() == labrt::World::Simulated && self.inner.knobs.is_default()
    }

    /// What the seed has drawn, if it draws more than random numbers (`LAB_SWARM`).
    pub(crate) fn knobs(&self) -> &Knobs {
        &self.inner.knobs
    }

    /// Whether servers are tested as if they had no observer (`LAB_UNWATCHED`).
    pub fn ignores_observers(&self) -> bool {
        self.inner.ignores_observers
    }

    /// Says what the test is about to do: a heading in its story.
    pub fn scene(&self, text: impl Into<Cow<'static, str>>) {
        self.tell(None, What::Scene(text.into()));
    }

    /// Notes a verb of the test, or its result, in the story.
    pub fn note(&self, text: impl Into<Cow<'static, str>>) {
        self.tell(None, What::Verb(text.into()));
    }

    /// Notes in the story that something happened to server `server`.
    pub fn note_server(&self, server: usize, text: impl Into<Cow<'static, str>>) {
        self.tell(Some(server), What::Server(text.into()));
    }

    pub(crate) fn tell(&self, server: Option<usize>, what: What) {
        trace::emit_fields("verb", self.inner.name, || match server {
            Some(server) => {
                (vec![("server", (server as u64).into())], format!("server {server}: {}", what.words()))
            }
            None => (Fields::new(), what.words().into_owned()),
        });
        self.inner.story.lock().tell(runtime::now().as_nanos(), server, what);
    }

    /// Adds a warning to the test's result. A test with warnings passes.
    pub fn warn(&self, text: impl Into<String>) {
        self.inner.warnings.lock().push(text.into());
    }

    /// Says that the checkers cannot see something of this solution, and what would show it to them.
    pub fn unwatched(&self, what: &str) {
        let mut unwatched = self.inner.unwatched.lock();
        if !unwatched.iter().any(|known| known == what) {
            unwatched.push(what.to_owned());
        }
    }

    /// Notes whether the test reached the situation that it is about. If it did not, it has shown nothing,
    /// and its result says so.
    pub fn exercised(&self, happened: bool, situation: &str) {
        if !happened {
            self.warn(format!("not exercised: {situation}"));
        }
    }

    /// Notes that the run came to a situation so many times. With 0 it says that it could have: then a pass
    /// says nothing about that situation.
    pub fn met(&self, situation: &'static str, times: u64) {
        *self.inner.met.lock().entry(situation).or_default() += times;
    }

    /// What the run came to, by name.
    pub(crate) fn take_met(&self) -> BTreeMap<String, u64> {
        self.inner.progress.lock().iter().for_each(|group| group.tell_met(self));
        let met = std::mem::take(&mut *self.inner.met.lock());
        met.into_iter().map(|(situation, times)| (situation.to_owned(), times)).collect()
    }

    /// Fails the test because an expectation was not met.
    ///
    /// # Panics
    /// Always: the calling thread is unwound, and the run ends.
    #[track_caller]
    pub fn fail(&self, message: impl Into<String>) -> ! {
        self.break_off(Broken::expectation(message))
    }

    /// Fails the test because something did not happen. The report says where progress was due, and who waits
    /// for whom.
    ///
    /// # Panics
    /// Always, as [`Test::fail`].
    #[track_caller]
    pub fn fail_waiting(&self, message: impl Into<String>) -> ! {
        *self.inner.threads.lock() = Some(stall::threads());
        self.break_off(Broken::expectation(message))
    }

    /// Whether [`Test::fail_waiting`] has ended the run.
    pub(crate) fn has_waited_in_vain(&self) -> bool {
        self.inner.threads.lock().is_some()
    }

    /// Fails the test unless `condition` holds; `message` says what was seen instead.
    ///
    /// # Panics
    /// If the condition does not hold.
    #[track_caller]
    pub fn expect(&self, condition: bool, message: impl FnOnce() -> String) {
        if !condition {
            self.fail(message());
        }
    }

    /// Fails the test unless `condition` holds: something that was waited for has happened in time. Otherwise
    /// as [`Test::fail_waiting`].
    ///
    /// # Panics
    /// If the condition does not hold.
    #[track_caller]
    pub fn expect_in_time(&self, condition: bool, message: impl FnOnce() -> String) {
        if !condition {
            self.fail_waiting(message());
        }
    }

    /// Looks every 5 ms until `find` finds something, and returns that. `what` says, in a report, what was
    /// waited for.
    ///
    /// # Panics
    /// If nothing was found within `limit`, as [`Test::fail_waiting`].
    #[track_caller]
    pub fn wait_for<T>(&self, limit: Duration, what: &str, find: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = find() {
                return found;
            }
            if Instant::now() >= deadline {
                self.fail_waiting(format!("after {} ms still not: {what}", limit.as_millis()));
            }
            thread::sleep(LOOK);
        }
    }

    /// Fails the test.
    #[track_caller]
    pub(crate) fn break_off(&self, broken: Broken) -> ! {
        let message = broken.to_string();
        self.inner.broken.lock().get_or_insert(broken);
        panic!("{message}")
    }

    /// A crashed server writes to its disk, or changes its state. Whoever lets go of the last reference to it
    /// runs its destructors: the test's thread, or the runtime's, which has a message to it. So nothing that
    /// a server does on the test's node is done by a thread that has outlived it.
    pub(crate) fn dead_server_changes(&self, server: usize, what: &str) {
        if node::current().id() != NodeId(0) {
            self.dead_server_acts(server, what);
        }
    }

    /// A server that was crashed is not as dead as it should be.
    pub(crate) fn dead_server_acts(&self, server: usize, what: &str) {
        // The destructors of a thread that a crash unwinds may still act. Nothing sees that.
        if !labrt::thread::panicking() {
            self.break_off(Broken::invariant(
                Invariant::DeadServer,
                format!("an incarnation of server {server} that has crashed {what}"),
            ));
        }
    }

    /// Does something after the test's own code has ended well, such as last checks, and learns figures from
    /// it.
    pub fn at_end(&self, ending: impl FnOnce(&Test) -> Figures + Send + 'static) {
        self.inner.endings.lock().push(Box::new(ending));
    }

    pub(crate) fn finish(&self) -> Figures {
        let mut figures = Figures::default();
        let endings = std::mem::take(&mut *self.inner.endings.lock());
        for ending in endings {
            figures += ending(self);
        }
        figures
    }

    /// Has something looked into when the run is over, however it ends: outside of it, where it costs no
    /// virtual time.
    pub fn afterwards(&self, final_check: impl FnOnce(&Test) -> Option<Finding> + Send + 'static) {
        self.inner.final_checks.lock().push(Box::new(final_check));
    }

    /// Looks into everything that shall be looked into; after the run.
    pub(crate) fn run_final_checks(&self) -> Vec<Finding> {
        let final_checks = std::mem::take(&mut *self.inner.final_checks.lock());
        final_checks.into_iter().filter_map(|final_check| final_check(self)).collect()
    }

    /// Where verbs note the faults that they bring about. Nothing else may be asked of the test meanwhile.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.inner.faults.lock()
    }

    pub(crate) fn take_broken(&self) -> Option<Broken> {
        self.inner.broken.lock().take()
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.inner.warnings.lock())
    }

    pub(crate) fn take_unwatched(&self) -> Vec<String> {
        std::mem::take(&mut *self.inner.unwatched.lock())
    }

    /// The story so far, for lines of this width.
    pub(crate) fn story(&self, whole: bool, width: usize) -> String {
        self.inner.story.lock().render(whole, width)
    }

    /// The same of a run that is stuck, and may be stuck while it tells something; nothing then.
    pub(crate) fn story_if_free(&self, width: usize) -> String {
        self.inner.story.try_lock().map_or_else(String::new, |story| story.render(false, width))
    }

    /// What knows the servers' state can tell it in lines when the test has failed.
    pub(crate) fn can_tell(&self, knowledge: impl Fn() -> Vec<String> + Send + 'static) {
        self.inner.knowledge.lock().push(Box::new(knowledge));
    }

    /// What each server knew, a line each; nothing if there are many.
    pub(crate) fn knowledge(&self) -> Vec<String> {
        /// More servers than this fill more than a screen.
        const MOST: usize = 9;
        let lines: Vec<String> = self.inner.knowledge.lock().iter().flat_map(|tell| tell()).collect();
        if lines.len() > MOST { Vec::new() } else { lines }
    }

    /// A group's progress is known to this.
    pub(crate) fn can_explain(&self, progress: Progress) {
        self.inner.progress.lock().push(progress);
    }

    /// What was expected of a group when the test's time was over: answers to calls that wait in its servers,
    /// of which it has committed nothing for long. Of several groups, the one that has waited longest.
    pub(crate) fn owed_answers(&self, at: Duration) -> Option<String> {
        let progress = self.inner.progress.lock();
        let owed = progress.iter().filter_map(Progress::owes_answers);
        let (since, calls) = owed.min_by_key(|&(since, _)| since)?;
        has_waited(since, at).then(|| {
            let since = Duration::from_nanos(since).as_secs_f64();
            format!("{calls}, and nothing has been committed from {since:.3} s on")
        })
    }

    /// Why nothing happened until `at` (nanoseconds), if the test gave up waiting, or `is_limit`: a limit of
    /// time ended it.
    pub(crate) fn why_nothing_happened(&self, at: u64, is_limit: bool) -> Vec<String> {
        /// Groups that a report has room for, and those of which it has room for all that is known.
        const MOST: usize = 6;
        const WHOLE: usize = 2;
        let threads = self.inner.threads.lock().take();
        if threads.is_none() && !is_limit {
            return Vec::new();
        }
        let threads = threads.unwrap_or_default();
        let progress = self.inner.progress.lock();
        // Of several groups those come first with which something is wrong, then the one that has waited
        // longest.
        let mut groups: Vec<_> = progress.iter().collect();
        groups.sort_by_key(|group| (!group.is_suspect(), group.since()));
        let is_alone = groups.len() == 1;
        let tell = |(position, group): (usize, &Progress)| match is_alone || group.is_suspect() {
            true if position < WHOLE => group.lines(at),
            true => group.lines(at).into_iter().take(2).collect(),
            false => group.line().into_iter().collect(),
        };
        groups.into_iter().take(MOST).enumerate().flat_map(tell).chain(threads).collect()
    }

    /// Lets go of what may refer to the test in a circle.
    pub(crate) fn close(&self) {
        drop(std::mem::take(&mut *self.inner.endings.lock()));
        drop(std::mem::take(&mut *self.inner.final_checks.lock()));
        drop(std::mem::take(&mut *self.inner.knowledge.lock()));
    }
}
