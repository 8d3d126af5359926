//! Turns: when the running task loses its own, and what counts as keeping others from theirs.

use std::panic::Location;

use rand::Rng;

use super::Sim;
use super::policy::{self, Access, Slot};
use super::task::{self, Phase};
use crate::outcome::FailureKind;

/// Equal steps in a row that count as spinning.
const SPINS: u32 = 50;

/// Readings of the clock at one instant, in one turn, that count as waiting for it.
const CLOCK_READINGS: u64 = 1_000_000;

/// How long a reading of the clock takes in a destructor of a killed task, where nothing else moves it.
const NANOS_A_READING: u64 = 1000;

/// How often a killed task may come to where it could lose its turn, until it counts as one that will never
/// end.
const TURNS_IN_VAIN: u32 = 1_000_000;

/// How often a task that a panic unwinds keeps its turn where it could lose it.
const TURNS_IN_DESTRUCTORS: u32 = 1000;

/// How many points to switch at, for each of [`crate::Limits::spin_steps`], may be work at one instant.
const WORK: u64 = 50;

/// What becomes of the running task at a point to switch at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It goes on.
    Kept,
    /// It has been put back among the ready ones, or waits, and must suspend itself now.
    Lost,
    /// It was killed long ago and does not end.
    Dead,
}

impl Sim {
    /// A free yield point of the running task: whether its stride is over, so that it has to
    /// [give way](Sim::give_way).
    #[inline]
    pub(crate) fn yield_point(&mut self, place: &'static Location<'static>, access: Access) -> bool {
        let Some(task) = self.tasks.get_mut(self.current as usize) else { return false };
        task.place = Some(place);
        task.access = access;
        self.stride -= 1;
        self.stride == 0
    }

    /// The running task keeps its turn at free yield points, until [`Sim::give_turn_back`] with what this
    /// returns.
    pub(crate) fn keep_turn(&mut self) -> u32 {
        std::mem::replace(&mut self.stride, u32::MAX)
    }

    /// As it was before [`Sim::keep_turn`].
    pub(crate) fn give_turn_back(&mut self, stride: u32) {
        self.stride = stride;
    }

    /// The stride is over: picks among the other ready tasks and this one.
    pub(crate) fn give_way(&mut self) -> Turn {
        self.stride = self.draw_stride();
        self.points_at_this_instant += u64::from(self.stride);
        // A task that is being unwound gives way only if it has to wait.
        let unwinds = std::thread::panicking() && self.current_unwinds();
        let task = &mut self.tasks[self.current as usize];
        if task.killed {
            task.turns_in_vain += 1;
            return if task.turns_in_vain > TURNS_IN_VAIN { Turn::Dead } else { Turn::Kept };
        }
        if self.stopping || unwinds && !self.spins_in_destructor() {
            return Turn::Kept;
        }
        self.forget_caught_panic();
        if self.disturbances.jitter > 0 && policy::below(4, &mut self.schedule_rng) == 0 {
            self.compute_for_a_while();
            return Turn::Lost;
        }
        self.notice_spinning();
        self.make_ready(self.current);
        if self.tasks[self.current as usize].phase != Phase::Ready || self.pulse.must_stop() {
            return Turn::Lost;
        }
        let choice = self.pick();
        let slot = self.ready[choice];
        if slot != self.current {
            self.next = Some(slot);
            return Turn::Lost;
        }
        // The task keeps its turn, which needs no switch.
        self.ready.swap_remove(choice);
        self.begin_turn(slot);
        if self.stopping {
            self.make_ready(slot);
            return Turn::Lost;
        }
        Turn::Kept
    }

    /// Whether the running task, which a panic unwinds, seems to wait in a destructor for others.
    fn spins_in_destructor(&mut self) -> bool {
        let task = &mut self.tasks[self.current as usize];
        task.turns_in_vain += 1;
        task.turns_in_vain > TURNS_IN_DESTRUCTORS
    }

    /// Lets the policy choose among the ready tasks; the position.
    pub(super) fn pick(&mut self) -> usize {
        let choice = self.policy.pick(&self.ready, &self.tasks, self.current, &mut self.schedule_rng);
        if self.record {
            self.schedule.picks.push(choice as u32);
            self.remember_decision(self.ready[choice]);
        }
        choice
    }

    /// The task, which is no longer among the ready ones, has the next turn.
    #[inline]
    pub(super) fn begin_turn(&mut self, slot: Slot) {
        let task = &mut self.tasks[slot as usize];
        task.phase = Phase::Running;
        let serial = task.serial;
        self.current = slot;
        self.steps += 1;
        self.steps_at_this_instant += 1;
        self.note(self.now ^ (serial << 40));
        self.publish(slot);
        if self.steps_at_this_instant > self.limits.spin_steps {
            self.report_if_spinning();
        }
    }

    /// Tells the watchdog which task runs, and that something happens at all.
    #[inline]
    pub(super) fn publish(&self, slot: Slot) {
        self.pulse.running(slot, self.steps + self.calls, self.now);
    }

    pub(super) fn forget_steps_of_this_instant(&mut self) {
        self.steps_at_this_instant = 0;
        self.looks_at_this_instant = 0;
        self.points_at_this_instant = 0;
    }

    /// Many steps at one instant. They may be work: a million messages take no virtual time. Looking again
    /// and again is none, and neither is what has no end.
    #[cold]
    fn report_if_spinning(&mut self) {
        let limit = self.limits.spin_steps;
        let points = self.points_at_this_instant.saturating_add(self.steps_at_this_instant);
        if self.looks_at_this_instant > limit || points > limit.saturating_mul(WORK) {
            self.report_spin();
        }
    }

    /// Parks the running task for a while that is drawn, as if it computed.
    fn compute_for_a_while(&mut self) {
        let place = self.tasks[self.current as usize].place.unwrap_or(Location::caller());
        let until = self.now.saturating_add(1 + self.schedule_rng.next_u64() % self.disturbances.jitter);
        self.begin_park(task::Wait::event("the end of its computation"), Some(until), place);
    }

    /// A task that makes the same step at the same line again and again seems to wait for others by looking.
    /// Which object it looks at does not count: that is told by an address, and where one object was freed
    /// the allocator may put the next one, or may not.
    fn notice_spinning(&mut self) {
        let task = &mut self.tasks[self.current as usize];
        let step = (task.place, task.access.kind());
        task.repeats = if task.last_step == step { task.repeats + 1 } else { 0 };
        task.last_step = step;
        if task.repeats >= SPINS {
            task.repeats = 0;
            self.looks_at_this_instant += if task.access.is_look() { u64::from(SPINS) } else { 0 };
            self.policy.yielded(self.current);
        }
    }

    /// The running task reads the clock. In the simulation waiting for time to pass by looking at the clock
    /// never ends.
    #[inline]
    pub(crate) fn note_clock_reading(&mut self) -> bool {
        self.clock_readings += 1;
        self.clock_readings > CLOCK_READINGS && self.report_clock()
    }

    #[cold]
    fn report_clock(&mut self) -> bool {
        self.clock_readings = 0;
        let Some(task) = self.tasks.get_mut(self.current as usize) else { return false };
        if task.killed {
            // It cannot wait, and it need not: see `Task::ahead`.
            task.ahead = task.ahead.saturating_add(NANOS_A_READING * CLOCK_READINGS);
            return false;
        }
        let task = &self.tasks[self.current as usize];
        let message = format!(
            "{} has read the clock {CLOCK_READINGS} times without waiting: the clock of the simulation moves only when all \
             threads wait. Sleep, or wait with a time-out",
            self.title(task)
        );
        self.fail(FailureKind::Spin, message, None);
        self.make_ready(self.current);
        true
    }
}
