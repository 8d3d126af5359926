//! Parking: how a task waits, and how others wake it.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rand::Rng as _;

use super::policy::{self, Access, Slot};
use super::task::{On, Phase, Task, Wait, abandon, suspend, unwind_killed, unwinding};
use super::turns::Turn;
use super::{NO_TASK, Sim, with};
use crate::config::Config;
use crate::outcome::FailureKind;

/// Virtual time that a panicking task may wait in its destructors until the panic is reported in spite of
/// them.
const PATIENCE: u64 = 5_000_000_000;

/// The longest virtual time after which a wait ends without a notification: a heartbeat's interval or so.
const LATEST_SPURIOUS_WAKE: u64 = 100_000_000;

/// Why a parked task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    Notified,
    TimedOut,
}

/// What befalls the threads of a run beside the choice among them.
#[derive(Default)]
pub(crate) struct Disturbances {
    /// See [`Config::jitter`]; in nanoseconds.
    pub(super) jitter: u64,
    /// See [`Config::spurious_wakes`].
    spurious_wakes: u32,
    /// How many waits have ended so.
    pub(crate) spurious: u64,
}

/// Whether any run of the process was to have waits that end without a notification. Others pay no more for
/// them than this.
static ANY_SPURIOUS_WAKES: AtomicBool = AtomicBool::new(false);

/// Whether a wait may end without a notification, as far as all runs of the process are concerned.
#[inline]
pub(crate) fn any_spurious_wakes() -> bool {
    ANY_SPURIOUS_WAKES.load(Ordering::Relaxed)
}

impl Disturbances {
    pub(super) fn of(config: &Config) -> Disturbances {
        if config.spurious_wakes > 0 {
            ANY_SPURIOUS_WAKES.store(true, Ordering::Relaxed);
        }
        let jitter = u64::try_from(config.jitter.as_nanos()).unwrap_or(u64::MAX);
        Disturbances { jitter, spurious_wakes: config.spurious_wakes, spurious: 0 }
    }
}

/// A task in one particular parking. Waking it later, when it waits for something else, does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiter {
    slot: Slot,
    /// Unique among all parkings of all runs of the process.
    token: u64,
}

impl Sim {
    pub(super) fn begin_park(
        &mut self,
        wait: Wait,
        deadline: Option<u64>,
        place: &'static Location<'static>,
    ) -> Waiter {
        assert!(self.current != NO_TASK, "a blocking call of the simulation was made outside of its tasks");
        let slot = self.current;
        self.tokens += 1;
        let token = self.tokens;
        let task = &mut self.tasks[slot as usize];
        task.phase = Phase::Parked;
        task.token = token;
        task.timed_out = false;
        task.wait = wait;
        if let On::Event(then) = wait.on {
            task.access = then;
        }
        task.place = Some(place);
        task.has_deadline = deadline.is_some();
        if task.unwinds {
            self.forget_caught_panic();
        }
        // A wait of no time is only a look.
        self.looks_at_this_instant += u64::from(deadline.is_some_and(|deadline| deadline <= self.now));
        let waiter = Waiter { slot, token };
        let patience = self.patience();
        if let Some(deadline) = deadline.into_iter().chain(patience).min() {
            self.timers.wake_at(deadline.max(self.now), waiter);
        }
        if self.trace {
            self.emit_at("block", wait.what, place, || format!("waits for {} at {place}", wait.what));
        }
        if wait.on.is_certain() {
            self.report_circle(slot);
            self.report_foreign_lock(slot);
        }
        waiter
    }

    /// Until when the running task may wait in a destructor while a panic unwinds it; None for other tasks.
    fn patience(&mut self) -> Option<u64> {
        let panicked = std::thread::panicking() && !self.current_is_killed() && self.current_unwinds();
        panicked.then(|| {
            let task = &mut self.tasks[self.current as usize];
            if task.patience_ends == 0 {
                task.patience_ends = self.now.saturating_add(PATIENCE);
            }
            task.patience_ends
        })
    }

    /// The parked task runs again: whether it was killed meanwhile, and whether its time was over. If its
    /// patience was over instead, the run ends with the panic that unwinds it.
    fn end_park(&mut self, waiter: Waiter, deadline: Option<u64>) -> (bool, bool) {
        let task = &self.tasks[waiter.slot as usize];
        let (killed, timed_out) = (task.killed, task.timed_out);
        if timed_out && !killed && deadline.is_none_or(|deadline| deadline > self.now) {
            self.fail_unwinding(waiter.slot);
        }
        (killed, timed_out)
    }

    /// When a wait for a notification that begins now ends without one; None if it does not.
    pub(crate) fn draw_spurious_wake(&mut self, deadline: Option<u64>) -> Option<u64> {
        let one_in = self.disturbances.spurious_wakes as usize;
        if one_in == 0 || policy::below(one_in, &mut self.schedule_rng) > 0 {
            return None;
        }
        let wakes = self.now.saturating_add(1 + self.schedule_rng.next_u64() % LATEST_SPURIOUS_WAKE);
        deadline.is_none_or(|deadline| wakes < deadline).then_some(wakes)
    }

    /// The wait has ended so.
    pub(crate) fn wakes_spuriously(&mut self, place: &'static Location<'static>) {
        self.disturbances.spurious += 1;
        if self.trace {
            self.emit_at("wake", "spurious", place, || format!("wakes without a notification at {place}"));
        }
    }

    /// One of several possibilities, by the seed.
    fn choose(&mut self, count: usize) -> usize {
        self.policy.choose(count, &mut self.schedule_rng)
    }

    /// Makes the waiter ready, if it still waits.
    pub(crate) fn wake(&mut self, waiter: Waiter, timed_out: bool) -> bool {
        if !is_parked(&self.tasks, waiter) {
            return false;
        }
        self.tasks[waiter.slot as usize].timed_out = timed_out;
        self.make_ready(waiter.slot);
        if self.trace {
            self.emit_of("wake", if timed_out { "timeout" } else { "" }, waiter.slot);
        }
        true
    }

    /// Whether the running task is being unwound, so that it must not block.
    pub(crate) fn current_is_killed(&self) -> bool {
        self.tasks.get(self.current as usize).is_some_and(|task| task.killed)
    }
}

/// Whether the waiter still waits.
pub(super) fn is_parked(tasks: &[Task], waiter: Waiter) -> bool {
    tasks
        .get(waiter.slot as usize)
        .is_some_and(|task| task.phase == Phase::Parked && task.token == waiter.token)
}

/// Waiting calls that a killed task may make in destructors, or after it has caught the kill, until it counts
/// as one that will never end.
const CALLS_IN_VAIN: u32 = 10_000;

/// Whether a blocking call of the running task may wait. A killed task unwinds here; the destructors that run
/// meanwhile get the answer "timed out" at once, as on real threads, and for them their time has passed. A
/// task that panicked may wait in its destructors.
#[inline]
pub(crate) fn may_block(deadline: Option<u64>, place: &'static Location<'static>) -> bool {
    !with(|sim| sim.current_is_killed()) || end_or_refuse(deadline, place)
}

/// The killed task unwinds, or goes on without waiting if it does so already.
#[cold]
fn end_or_refuse(deadline: Option<u64>, place: &'static Location<'static>) -> bool {
    let unwinds = unwinding();
    if let Some(complaint) = with(|sim| sim.count_call_in_vain(place, unwinds)) {
        abandon(FailureKind::Stuck, complaint, place);
    }
    if let Some(deadline) = deadline {
        with(|sim| sim.let_time_pass(deadline));
    }
    if !unwinds {
        unwind_killed();
    }
    false
}

impl Sim {
    /// The running task would have waited until `deadline`: so late it is for it now.
    fn let_time_pass(&mut self, deadline: u64) {
        let task = &mut self.tasks[self.current as usize];
        task.ahead = task.ahead.max(deadline.saturating_sub(self.now));
    }

    /// Counts one more waiting call of a killed task; says what is wrong with it if there were too many.
    fn count_call_in_vain(&mut self, place: &'static Location<'static>, unwinds: bool) -> Option<String> {
        let task = &mut self.tasks[self.current as usize];
        task.place = Some(place);
        task.calls_in_vain += 1;
        if task.calls_in_vain < CALLS_IN_VAIN {
            return None;
        }
        let title = self.title(&self.tasks[self.current as usize]);
        Some(if unwinds {
            format!(
                "a destructor of {title} waits in a loop at {place}, but its thread was killed and its other threads, too: \
                 waiting calls return at once there, and what it waits for will not come"
            )
        } else {
            format!(
                "{title} was killed and does not end: a catch_unwind around {place} catches the kill again and again. \
                 Let the payload pass on with resume_unwind"
            )
        })
    }
}

/// Parks the running task until a lock may be free. Destructors of a task that is being unwound wait as well:
/// the lock is what they need to clear up.
pub(crate) fn wait_for_lock(waiters: &WaitQueue, lock: u64, place: &'static Location<'static>) {
    if with(|sim| sim.current_is_killed()) && !unwinding() {
        unwind_killed();
    }
    waiters.park(Wait { what: "a lock", on: On::Lock(lock) }, None, place);
}

/// Parks the killer until one more task has ended.
pub(crate) fn park_until_one_ends(place: &'static Location<'static>) {
    with(|sim| {
        let waiter = sim.begin_park(Wait::event("the end of a killed node's threads"), None, place);
        sim.killers.push(waiter);
    });
    suspend_ready();
}

/// Tasks that wait for one primitive. Only the simulation uses it; on real threads it stays empty.
#[derive(Default)]
pub(crate) struct WaitQueue {
    /// Number of entries: waking needs no lock if it is 0.
    len: AtomicU32,
    waiters: parking_lot::Mutex<Vec<Waiter>>,
}

impl WaitQueue {
    pub(crate) const fn new() -> Self {
        WaitQueue { len: AtomicU32::new(0), waiters: parking_lot::Mutex::new(Vec::new()) }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
    }

    /// Name and place of one of the tasks that wait here, if it waits in a way that `is` tells.
    pub(crate) fn first(&self, is: impl Fn(&Wait) -> bool) -> Option<(String, &'static Location<'static>)> {
        let waiters = self.waiters.lock();
        with(|sim| {
            let waiter = waiters.iter().find(|&&waiter| is_parked(&sim.tasks, waiter))?;
            let task = &sim.tasks[waiter.slot as usize];
            if is(&task.wait) { Some((task.name.to_string(), task.place?)) } else { None }
        })
    }

    /// Parks the running task here until it is woken or `deadline` (virtual nanoseconds) has come. Unwinds if
    /// the task is killed meanwhile.
    #[inline(always)]
    pub(crate) fn park(&self, wait: Wait, deadline: Option<u64>, place: &'static Location<'static>) -> Wake {
        park_on(&[self], wait, deadline, place)
    }

    fn push(&self, waiter: Waiter) {
        self.waiters.lock().push(waiter);
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self, waiter: Waiter) {
        let mut waiters = self.waiters.lock();
        if let Some(position) = waiters.iter().position(|&other| other == waiter) {
            waiters.swap_remove(position);
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Wakes one waiter, chosen by the seed; false if there is none.
    #[inline]
    pub(crate) fn wake_one(&self) -> bool {
        !self.is_empty() && self.wake_one_slow()
    }

    fn wake_one_slow(&self) -> bool {
        let mut waiters = self.waiters.lock();
        while !waiters.is_empty() {
            let len = waiters.len();
            let chosen = if len == 1 { 0 } else { with(|sim| sim.choose(len)) };
            let waiter = waiters.swap_remove(chosen);
            self.len.fetch_sub(1, Ordering::Relaxed);
            if with(|sim| sim.wake(waiter, false)) {
                return true;
            }
        }
        false
    }

    /// Wakes all tasks that wait here.
    #[inline]
    pub(crate) fn wake_all(&self) {
        if !self.is_empty() {
            let mut waiters = self.waiters.lock();
            self.len.store(0, Ordering::Relaxed);
            with(|sim| {
                for waiter in waiters.drain(..) {
                    sim.wake(waiter, false);
                }
            });
        }
    }
}

/// Parks the running task in several queues at once (a select), or in none (a sleep).
///
/// Always inlined, like its callers up to the blocking call of the lab: a kill unwinds from here, and the
/// unwinder's time goes by the number of frames.
#[inline(always)]
pub(crate) fn park_on(
    queues: &[&WaitQueue],
    wait: Wait,
    deadline: Option<u64>,
    place: &'static Location<'static>,
) -> Wake {
    match park_until_woken(queues, wait, deadline, place) {
        Some(wake) => wake,
        None => unwind_killed(),
    }
}

/// Why the task goes on; None if it was killed.
fn park_until_woken(
    queues: &[&WaitQueue],
    wait: Wait,
    deadline: Option<u64>,
    place: &'static Location<'static>,
) -> Option<Wake> {
    let waiter = with(|sim| sim.begin_park(wait, deadline, place));
    for queue in queues {
        queue.push(waiter);
    }
    suspend();
    let (killed, timed_out) = with(|sim| sim.end_park(waiter, deadline));
    // The waker has taken this task out of its own queue; entries elsewhere are still there.
    if killed || timed_out || queues.len() > 1 {
        for queue in queues {
            queue.remove(waiter);
        }
    }
    // A destructor that was waiting cannot unwind once more; its next waiting call returns at once.
    if killed && !unwinding() {
        return None;
    }
    Some(if timed_out { Wake::TimedOut } else { Wake::Notified })
}

/// Goes on after one of the others has had a chance to run.
pub(crate) fn yield_now(place: &'static Location<'static>) {
    if !may_block(None, place) {
        return;
    }
    with(|sim| {
        sim.forget_caught_panic();
        sim.looks_at_this_instant += 1;
        sim.tasks[sim.current as usize].place = Some(place);
        sim.tasks[sim.current as usize].access = Access::NONE;
        let current = sim.current;
        sim.policy.yielded(current);
        sim.make_ready(current);
    });
    suspend_ready();
}

/// A free yield point: the running task may be replaced here. `access` is what it does next.
#[inline]
pub(crate) fn yield_point(place: &'static Location<'static>, access: Access) {
    if with(|sim| sim.yield_point(place, access)) {
        end_stride(place);
    }
}

/// A lock for which nobody waits has been given up, which is a free yield point.
#[inline]
pub(crate) fn release_and_yield(lock: u64, place: &'static Location<'static>) {
    let is_over = with(|sim| {
        sim.lock_released(lock);
        sim.yield_point(place, Access::NONE)
    });
    if is_over {
        end_stride(place);
    }
}

/// A free yield point, and whether a wait may begin behind it: the task is not killed, and the deadline has
/// not come.
#[inline]
pub(crate) fn may_wait(access: Access, deadline: Option<u64>, place: &'static Location<'static>) -> bool {
    let (is_over, killed, now) =
        with(|sim| (sim.yield_point(place, access), sim.current_is_killed(), sim.now));
    if !is_over && !killed {
        return deadline.is_none_or(|deadline| now < deadline);
    }
    if is_over {
        end_stride(place);
    }
    may_block(deadline, place) && deadline.is_none_or(|deadline| with(|sim| sim.now) < deadline)
}

/// The running task has come to the end of its stride.
#[inline(never)]
fn end_stride(place: &'static Location<'static>) {
    match with(Sim::give_way) {
        Turn::Kept => {}
        Turn::Lost => suspend_ready(),
        Turn::Dead => {
            end_or_refuse(None, place);
        }
    }
}

/// Suspends a task that is already among the ready ones, and unwinds it if it was killed there.
pub(crate) fn suspend_ready() {
    suspend();
    if with(|sim| sim.current_is_killed()) && !unwinding() {
        unwind_killed();
    }
}
