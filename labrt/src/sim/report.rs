//! Reports that name the guilty lines: deadlock, spinning, limits.

use std::fmt::Write;

use super::Sim;
use super::policy::Slot;
use super::task::{On, Phase, Task};
use crate::outcome::FailureKind;

/// Tasks that a report lists before it says how many more there are.
const LISTED: usize = 20;

/// Stands for the names of the threads while equal lines are looked for.
const TITLE: &str = "\u{0}";

/// The threads of one line: a name, or how many of which nodes.
fn who(members: &[(String, &str)]) -> String {
    let [_, _, ..] = members else {
        return members.first().map_or(String::new(), |(title, _)| title.clone());
    };
    let mut nodes: Vec<(&str, usize)> = Vec::new();
    for (_, node) in members {
        match nodes.iter_mut().find(|(known, _)| known == node) {
            Some((_, number)) => *number += 1,
            None => nodes.push((node, 1)),
        }
    }
    let number = |(node, number): &(&str, usize)| {
        if *number == 1 { format!("`{node}`") } else { format!("`{node}` ({number})") }
    };
    let nodes = nodes.iter().take(9).map(number).collect::<Vec<_>>().join(", ");
    let mut names: Vec<(&str, usize)> = Vec::new();
    for (title, _) in members {
        let name = title.split(" of ").next().unwrap_or_default();
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, number)) => *number += 1,
            None => names.push((name, 1)),
        }
    }
    // The most frequent name, of several the first.
    let most = names.iter().rev().max_by_key(|(_, number)| *number).map_or("", |&(name, _)| name);
    format!("{} threads such as {most} of {nodes}: each", members.len())
}

impl Sim {
    pub(super) fn title(&self, task: &Task) -> String {
        format!("`{}` of `{}`", task.name, self.nodes[task.node as usize].name())
    }

    /// The task that holds the lock that `task` waits for.
    fn holder(&self, task: &Task) -> Option<Slot> {
        let On::Lock(wanted) = task.wait.on else { return None };
        let holds =
            |other: &Task| other.phase != Phase::Free && other.held.iter().any(|&(lock, _)| lock == wanted);
        let waits = task.phase == Phase::Parked;
        self.tasks.iter().position(|other| waits && holds(other)).map(|slot| slot as Slot)
    }

    pub(super) fn describe(&self, task: &Task) -> String {
        let place = task.place.map_or_else(String::new, |place| format!(" at {place}"));
        let mut line = match task.phase {
            Phase::Parked if task.unwinds => {
                format!("a destructor of {} waits for {}{place}", self.title(task), task.wait.what)
            }
            Phase::Parked => format!("{} waits for {}{place}", self.title(task), task.wait.what),
            Phase::Abandoned => format!("{} was given up{place}", self.title(task)),
            Phase::Held => format!("{} stands still{place}: its node is paused", self.title(task)),
            _ => format!("{} could run on{place}", self.title(task)),
        };
        match (self.holder(task), task.wait.on) {
            (Some(holder), On::Lock(wanted)) => {
                let holder = &self.tasks[holder as usize];
                let taken = holder.held.iter().find(|&&(lock, _)| lock == wanted);
                let taken = taken.map_or_else(String::new, |(_, place)| format!(" since {place}"));
                let _ = write!(line, ", held by {}{taken}", self.title(holder));
            }
            (_, On::Task(serial)) if task.phase == Phase::Parked => {
                let awaited = self.tasks.iter().find(|other| other.serial == serial && !other.is_gone());
                let _ = awaited.map_or(Ok(()), |other| write!(line, ", of {}", self.title(other)));
            }
            _ => {}
        }
        line
    }

    /// The circle of waiting tasks, if there is one, then one line for each task: what it waits for, and
    /// where.
    pub(crate) fn waiting_report(&self) -> String {
        let cycle = self.cycle().map_or_else(String::new, |cycle| cycle + "\n");
        cycle + &self.others_report(&[])
    }

    /// One line for each task but these.
    pub(super) fn others_report(&self, told: &[Slot]) -> String {
        let others = (0..self.tasks.len()).filter(|&slot| !told.contains(&(slot as Slot)));
        let living: Vec<&Task> =
            others.map(|slot| &self.tasks[slot]).filter(|task| task.phase != Phase::Free).collect();
        // A hundred threads that wait in one place are one line, with their nodes.
        let mut groups: Vec<(String, Vec<(String, &str)>)> = Vec::new();
        for task in living {
            let (title, words) = (self.title(task), self.describe(task));
            let what = words.replacen(&title, TITLE, 1);
            let member = (title, self.nodes[task.node as usize].name());
            match groups.iter_mut().find(|(known, _)| *known == what) {
                Some((_, members)) => members.push(member),
                None => groups.push((what, vec![member])),
            }
        }
        let mut report = String::new();
        for (what, members) in groups.iter().take(LISTED) {
            let _ = writeln!(report, "  {}", what.replacen(TITLE, &who(members), 1));
        }
        if groups.len() > LISTED {
            let more: usize = groups[LISTED..].iter().map(|(_, members)| members.len()).sum();
            let _ = writeln!(report, "  and {more} more");
        }
        report.trim_end().to_owned()
    }

    pub(super) fn deadlock_report(&self) -> String {
        let report = format!("every thread waits and no timer is left\n{}", self.waiting_report());
        let main_receives = |task: &Task| task.serial == 0 && matches!(task.wait.on, On::Message(_));
        if self.cycle().is_some() || !self.tasks.iter().any(main_receives) {
            return report;
        }
        report + "\n  (`main` waits for a message as long as a sender exists; drop those that send no more)"
    }

    /// Whether the waiting of `from` ends at `to`: `to` holds the lock that `from` waits for, or that its
    /// holder waits for.
    pub(super) fn leads_to(&self, from: Slot, to: Slot) -> bool {
        let mut next = Some(from);
        for _ in 0..self.tasks.len() {
            next = next.and_then(|slot| self.holder(&self.tasks[slot as usize]));
            if next == Some(to) {
                return true;
            }
        }
        false
    }

    /// Ends the run with the panic that unwinds this task, since a destructor waits and does not let it come
    /// to its end.
    pub(super) fn fail_unwinding(&mut self, slot: Slot) {
        let caller = std::mem::replace(&mut self.current, slot);
        // It may run again by now, only to learn that it has waited for too long.
        let phase = std::mem::replace(&mut self.tasks[slot as usize].phase, Phase::Parked);
        let message = self.describe(&self.tasks[slot as usize]);
        self.fail(FailureKind::Panic, message, None);
        self.tasks[slot as usize].phase = phase;
        self.current = caller;
    }

    /// A task that a panic unwinds and that waits in a destructor.
    fn waiting_panic(&self) -> Option<Slot> {
        let waits = |task: &Task| task.phase == Phase::Parked && task.unwinds && !task.killed;
        self.tasks.iter().position(waits).map(|slot| slot as Slot)
    }

    /// No task can run any more.
    pub(super) fn report_deadlock(&mut self) {
        match self.waiting_panic() {
            Some(slot) => self.fail_unwinding(slot),
            None => {
                let report = self.deadlock_report();
                self.fail(FailureKind::Deadlock, report, None);
            }
        }
    }

    pub(super) fn report_spin(&mut self) {
        let place = self.tasks[self.current as usize].place;
        let why = if self.looks_at_this_instant > self.limits.spin_steps {
            "threads wait for one another by looking again and again"
        } else {
            "an endless loop, or threads that wait for one another by looking again and again"
        };
        let message = format!(
            "{} scheduling decisions at one instant of virtual time: {why}. Wait on a condition variable or a channel, \
             or sleep.\n{}",
            self.steps_at_this_instant,
            self.waiting_report()
        );
        self.fail(FailureKind::Spin, message, place.map(ToString::to_string));
    }

    pub(super) fn report_real_time(&mut self) {
        self.fail_by_a_stranger();
        let (kind, message) = self.pulse.stop_reason();
        let report = self.waiting_report();
        self.fail(kind, format!("{message}\n{report}"), None);
    }
}

/// The kinds of failure that the watchdog asks a run to end with.
pub(crate) fn kind_of(code: u8) -> FailureKind {
    if code == crate::watchdog::STOP_MEMORY { FailureKind::Memory } else { FailureKind::RealTime }
}
