//! Circles of threads that wait for one another, through locks, joins and channels.

use super::Sim;
use super::policy::Slot;
use super::stack;
use super::task::{On, Phase, Task};
use crate::outcome::FailureKind;

impl Sim {
    /// The tasks without which this one cannot go on. For a channel these are the tasks that have used its
    /// other end, or have it on their stacks.
    fn awaited(&self, task: &Task) -> Vec<Slot> {
        match task.wait.on {
            On::Lock(lock) => self.tasks_that(|other| other.held.iter().any(|&(held, _)| held == lock)),
            On::Task(serial) => self.tasks_that(|other| other.serial == serial),
            On::Message(channel) => self.users(task, channel, Side::Send),
            On::Room(channel) => self.users(task, channel, Side::Receive),
            On::Event(_) => Vec::new(),
        }
    }

    fn tasks_that(&self, chosen: impl Fn(&Task) -> bool) -> Vec<Slot> {
        let living = |&slot: &usize| self.tasks[slot].phase != Phase::Free && chosen(&self.tasks[slot]);
        (0..self.tasks.len()).filter(living).map(|slot| slot as Slot).collect()
    }

    fn users(&self, waiting: &Task, channel: usize, side: Side) -> Vec<Slot> {
        let used = self.tasks_that(|other| other.channels.contains(&(channel | side as usize)));
        if !used.is_empty() {
            return used;
        }
        // A handle of the channel is a pointer to its reference counts, which stand in front of it.
        let handle = channel.wrapping_sub(2 * size_of::<usize>());
        self.tasks_that(|other| {
            other.serial != waiting.serial
                && other.phase == Phase::Parked
                && stack::holds(other.stack, handle)
        })
    }

    /// A circle of waiting tasks that `start` is part of, beginning with its lowest slot.
    fn circle_from(&self, start: Slot, certain_only: bool) -> Option<Vec<Slot>> {
        let mut paths = vec![vec![start]];
        let mut seen = Vec::new();
        while let Some(path) = paths.pop() {
            let task = &self.tasks[*path.last()? as usize];
            if !self.is_stuck(task) || certain_only && !task.wait.on.is_certain() {
                continue;
            }
            for next in self.awaited(task) {
                if next == start {
                    return Some(from_lowest(path));
                }
                if !seen.contains(&next) {
                    seen.push(next);
                    paths.push(path.iter().copied().chain([next]).collect());
                }
            }
        }
        None
    }

    /// Whether only the one that it waits for can make the task go on. A task that is about to be unwound
    /// goes on anyway.
    fn is_stuck(&self, task: &Task) -> bool {
        let dying = task.killed || self.stopping || self.nodes[task.node as usize].is_killed();
        task.phase == Phase::Parked && !task.has_deadline && (task.unwinds || !dying)
    }

    /// Any circle of waiting tasks.
    fn any_circle(&self) -> Option<Vec<Slot>> {
        (0..self.tasks.len() as Slot).find_map(|slot| self.circle_from(slot, false))
    }

    /// The circle in words: its members, then a line for each.
    fn tell_circle(&self, circle: &[Slot]) -> String {
        let names: Vec<String> = circle.iter().map(|&slot| self.title(&self.tasks[slot as usize])).collect();
        let mut text = format!("  the cycle: {} -> {}", names.join(" -> "), names[0]);
        for &slot in circle {
            text += &format!("\n    {}", self.describe(&self.tasks[slot as usize]));
        }
        text
    }

    /// The circle in which tasks wait for one another, if there is one, in words.
    pub(super) fn cycle(&self) -> Option<String> {
        self.any_circle().map(|circle| self.tell_circle(&circle))
    }

    /// The task has just been parked: ends the run if it waits in a circle of locks and joins, since nothing
    /// can end that.
    pub(super) fn report_circle(&mut self, slot: Slot) {
        let Some(circle) = self.circle_from(slot, true) else { return };
        let task = &self.tasks[slot as usize];
        let (title, place) = (self.title(task), task.place.map_or_else(String::new, ToString::to_string));
        let message = match (circle.len(), task.wait.on) {
            (1, On::Lock(lock)) => {
                let taken = task.held.iter().find(|&&(held, _)| held == lock);
                let taken = taken.map_or_else(String::new, |(_, place)| format!(", taken at {place}"));
                format!("{title} waits at {place} for a lock that it holds itself{taken}")
            }
            (1, _) => format!("{title} waits at {place} for its own end"),
            _ => format!("threads wait for one another in a circle\n{}", self.tell_circle(&circle)),
        };
        let others = self.others_report(&circle);
        let others = if others.is_empty() { others } else { format!("\nthe other threads:\n{others}") };
        self.fail(FailureKind::Deadlock, message + &others, Some(place));
    }

    /// A task waits for a lock that none holds, so that none can wake it.
    pub(super) fn report_foreign_lock(&mut self, slot: Slot) {
        let task = &self.tasks[slot as usize];
        let On::Lock(lock) = task.wait.on else { return };
        if task.unwinds || self.tasks.iter().any(|other| other.held.iter().any(|&(held, _)| held == lock)) {
            return;
        }
        let place = task.place.map_or_else(String::new, ToString::to_string);
        let message = format!(
            "{} waits at {place} for a lock that no thread of this run holds: another run, or code outside of the run, \
             uses it (a `static`?), or its guard was forgotten",
            self.title(task)
        );
        self.fail(FailureKind::Deadlock, message, Some(place));
    }
}

/// An end of a channel, as a bit beside the channel's address.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Send = 1,
    Receive = 2,
}

impl Task {
    /// The task has used an end of this channel.
    #[inline]
    pub(crate) fn note_channel(&mut self, channel: usize, side: Side) {
        let end = channel | side as usize;
        if self.channels[0] != end {
            if let Some(position) = self.channels.iter().position(|&other| other == end) {
                self.channels.swap(0, position);
            } else {
                self.channels.rotate_right(1);
                self.channels[0] = end;
            }
        }
    }
}

fn from_lowest(mut circle: Vec<Slot>) -> Vec<Slot> {
    let lowest = circle.iter().enumerate().min_by_key(|&(_, slot)| slot).map_or(0, |(position, _)| position);
    circle.rotate_left(lowest);
    circle
}
