//! When to look at a server again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use labapi::Persister;
use labrt::node::Node;
use labrt::quiet::Mutex;
use labrt::runtime::{self, spawn_detached};
use labrt::time::Instant;

/// How soon a server is looked at after a change, and the least time between two looks. Looking every 10 ms
/// whether or not anything had happened made the shortest tests take twice as long.
const SOON: Duration = Duration::from_millis(10);

/// The time between two looks at a server that writes all the time, but whose term and role stay: it appends
/// entries.
const BUSY: Duration = Duration::from_millis(100);

/// The longest time between two looks.
const IDLE: Duration = Duration::from_millis(500);

/// Looks at a server, and says whether anything was new.
pub(crate) type Look = dyn Fn() -> bool + Send + Sync;

/// Has one life of a server looked at when there may be something to see: the disk has been written to. A
/// term that changes is written down (Figure 2), and a server that stands for election votes for itself.
/// After a change come more looks in growing intervals, since an election is won without a write.
///
/// Each look is a short thread on the server's node. One that stayed would have to be unwound at each crash,
/// which cost as much as all the looks.
pub(crate) struct News {
    disk: Persister,
    node: Node,
    /// How often the disk had been written to at the last look.
    seen: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// The look owns the server. Who keeps the server alive keeps its look alive as well.
    look: Option<Weak<Look>>,
    /// Whether a thread looks, or is about to.
    is_looking: bool,
    /// How long to leave the server alone if nothing is written, and how long at least.
    pause: Duration,
    least: Duration,
    /// A write before this moment is noticed with the first message after it.
    not_before: Instant,
    /// When to look if nothing is written.
    due: Instant,
    /// When the alarm rings that was set last.
    alarm: Option<Instant>,
}

impl News {
    /// News of a server that runs on `node`. Nothing looks at it yet.
    pub(crate) fn new(disk: &Persister, node: &Node) -> Arc<News> {
        let now = runtime::now();
        let state = State {
            look: None,
            is_looking: true,
            pause: SOON,
            least: SOON,
            not_before: now,
            due: now,
            alarm: None,
        };
        let seen = AtomicU64::new(disk.writes());
        Arc::new(News { disk: disk.clone(), node: node.clone(), seen, state: Mutex::new(state) })
    }

    /// Has `look` called now, soon after each write, and at least every 500 ms, for as long as it exists.
    pub(super) fn begin(self: &Arc<Self>, look: Weak<Look>) {
        self.state.lock().look = Some(look);
        self.start_look(false);
    }

    /// The server has handled or sent a message, or was called by the test: the moments in which the disk is
    /// compared.
    pub(crate) fn compare(self: &Arc<Self>) {
        if self.disk.writes() == self.seen.load(Ordering::Relaxed) {
            return;
        }
        let is_time = {
            let state = &mut *self.state.lock();
            let is_time = !state.is_looking && runtime::now() >= state.not_before;
            state.is_looking |= is_time;
            is_time
        };
        if is_time {
            self.start_look(true);
        }
    }

    /// `after_write`: whether a write is the reason.
    fn start_look(self: &Arc<Self>, after_write: bool) {
        let news = Arc::clone(self);
        spawn_detached(&self.node, "the tester's look at get_state", move || news.look(after_write));
    }

    fn look(self: &Arc<Self>, after_write: bool) {
        self.seen.store(self.disk.writes(), Ordering::Relaxed);
        let look = self.state.lock().look.as_ref().and_then(Weak::upgrade);
        let Some(look) = look else { return };
        let is_new = look();
        let alarm = self.state.lock().plan(is_new, after_write, runtime::now());
        if let Some(at) = alarm {
            self.set_alarm(at);
        }
    }

    fn set_alarm(self: &Arc<Self>, at: Instant) {
        let news = Arc::downgrade(self);
        runtime::at(at, move || {
            if let Some(news) = news.upgrade() {
                news.ring(at);
            }
        });
    }

    /// The alarm that was set for `at` rings.
    fn ring(self: &Arc<Self>, at: Instant) {
        let (is_time, again) = {
            let state = &mut *self.state.lock();
            if state.alarm != Some(at) {
                return;
            }
            // Looks after writes have put off what the alarm was set for.
            let is_early = state.due > at;
            state.alarm = (is_early && !state.is_looking).then_some(state.due);
            let is_time = !is_early && !state.is_looking;
            state.is_looking |= is_time;
            (is_time, state.alarm)
        };
        if let Some(at) = again {
            self.set_alarm(at);
        }
        if is_time {
            self.start_look(false);
        }
    }
}

impl State {
    /// A look has ended: when to look again. The moment for which an alarm must be set, if there is one.
    fn plan(&mut self, is_new: bool, after_write: bool, now: Instant) -> Option<Instant> {
        self.least = if after_write { (2 * self.least).min(BUSY) } else { SOON };
        if is_new {
            (self.pause, self.least) = (SOON, SOON);
        } else {
            self.pause = (8 * self.pause).min(IDLE);
        }
        self.is_looking = false;
        self.not_before = now + self.least;
        self.due = now + self.pause;
        if self.alarm.is_some_and(|alarm| alarm <= self.due) {
            return None;
        }
        self.alarm = Some(self.due);
        self.alarm
    }
}
