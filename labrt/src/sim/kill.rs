//! Kills: the threads of a node, or of a whole run, are unwound one after the other.

use std::panic::Location;

use super::park::park_until_one_ends;
use super::policy::Slot;
use super::task::{On, Phase, Task, TaskCoroutine, resume, unwind_killed, unwinding};
use super::{NO_TASK, Sim, with};
use crate::outcome::FailureKind;

/// Unwinds all tasks of the node (of all nodes, if None) but the running one; they release their locks on the
/// way.
///
/// A destructor may want a lock that another task holds. Then its task waits: the holder is unwound next, if
/// it belongs to the node as well; otherwise the killer waits until the holder has given up the lock.
pub(crate) fn kill_tasks(node: Option<u32>, place: &'static Location<'static>) {
    let caller = with(|sim| sim.current);
    let unwinds = std::thread::panicking() && with(Sim::suspend_unwinding);
    let mut from = 0;
    while let Some((slot, coroutine)) = with(|sim| sim.next_victim(node, from)) {
        from = slot + 1;
        resume(slot, coroutine);
    }
    while let Some((slot, coroutine)) = with(|sim| sim.next_to_finish(node)) {
        resume(slot, coroutine);
    }
    with(|sim| sim.make_current_again(caller));
    if unwinds {
        with(Sim::resume_unwinding);
    }
    match node {
        None => with(Sim::abandon_stragglers),
        Some(node) => end_of_kill(node, caller, place),
    }
}

/// The killer dies with its node, or waits until all others have died.
fn end_of_kill(node: u32, caller: Slot, place: &'static Location<'static>) {
    if caller == NO_TASK {
        return;
    }
    let must_end = with(|sim| {
        let stopping = sim.stopping;
        let task = &mut sim.tasks[caller as usize];
        task.killed |= task.node == node || stopping;
        task.killed
    });
    if must_end {
        if !unwinding() {
            unwind_killed();
        }
        return;
    }
    while let Some(straggler) = with(|sim| sim.straggler(Some(node))) {
        with(|sim| sim.note_killer_in_the_way(straggler, caller));
        park_until_one_ends(place);
    }
}

impl Sim {
    fn make_current_again(&mut self, caller: Slot) {
        self.current = caller;
        self.steps += 1;
        self.publish(caller);
    }

    /// At the end of a run no task is left that could give up a lock.
    fn abandon_stragglers(&mut self) {
        while let Some(slot) = self.straggler(None) {
            self.current = slot;
            let message = format!(
                "destructors wait for locks that nobody gives up any more: the run has ended\n{}",
                self.waiting_report()
            );
            self.fail_late(FailureKind::Deadlock, message, None);
            let task = &mut self.tasks[slot as usize];
            task.phase = Phase::Abandoned;
            std::mem::forget(task.coroutine.take());
            self.current = NO_TASK;
        }
    }

    /// The killer waits for the straggler, and the straggler's destructor for a lock of the killer.
    fn note_killer_in_the_way(&mut self, straggler: Slot, killer: Slot) {
        if self.leads_to(straggler, killer) {
            let message = format!(
                "{} kills a node while it holds a lock that a destructor of that node's threads needs\n{}",
                self.title(&self.tasks[killer as usize]),
                self.waiting_report()
            );
            self.fail_late(FailureKind::Deadlock, message, None);
        }
    }
}

impl Sim {
    /// The next task of the node (of any node, if None) that is to be unwound, taken out of the table and
    /// made current.
    fn next_victim(&mut self, node: Option<u32>, from: Slot) -> Option<(Slot, TaskCoroutine)> {
        for slot in from..self.tasks.len() as Slot {
            let task = &mut self.tasks[slot as usize];
            if task.is_gone() || node.is_some_and(|node| node != task.node) {
                continue;
            }
            task.killed = true;
            // The task that runs, and those whose kills of other nodes led here, have no coroutine to take.
            // They are unwound when it is their turn again.
            if task.coroutine.is_none() {
                continue;
            }
            if task.unwinds {
                // It waits in a destructor. A lock it will get; for anything else it waits no longer.
                if task.phase == Phase::Parked && !matches!(task.wait.on, On::Lock(_)) {
                    task.timed_out = true;
                    self.make_ready(slot);
                } else if task.phase == Phase::Held {
                    self.make_ready(slot);
                }
                continue;
            }
            return self.take_over(slot);
        }
        None
    }

    /// The next task of the node that was killed, waited in a destructor and can go on.
    fn next_to_finish(&mut self, node: Option<u32>) -> Option<(Slot, TaskCoroutine)> {
        let can_finish = |slot: &Slot| {
            let task = &self.tasks[*slot as usize];
            task.killed && node.is_none_or(|node| node == task.node)
        };
        let slot = self.ready.iter().copied().find(can_finish)?;
        self.take_over(slot)
    }

    /// Takes a task out of the table to resume it outside of its turn.
    fn take_over(&mut self, slot: Slot) -> Option<(Slot, TaskCoroutine)> {
        let task = &mut self.tasks[slot as usize];
        let coroutine = task.coroutine.take()?;
        if task.phase == Phase::Ready {
            self.ready.retain(|&other| other != slot);
        }
        self.tasks[slot as usize].phase = Phase::Running;
        self.current = slot;
        // The watchdog has to name this task, not the killer, should it not come back.
        self.steps += 1;
        self.publish(slot);
        Some((slot, coroutine))
    }

    /// A task of the node (of any, if None) that was killed and waits in a destructor for a lock.
    fn straggler(&self, node: Option<u32>) -> Option<Slot> {
        let waits = |task: &Task| {
            let of_node = node.is_none_or(|node| node == task.node);
            of_node && task.killed && matches!(task.phase, Phase::Parked | Phase::Ready)
        };
        self.tasks.iter().position(waits).map(|slot| slot as Slot)
    }
}
