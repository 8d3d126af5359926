//! Reports that name the guilty lines: deadlock, spinning, limits.

use super::Sim;
use super::policy::Slot;
use super::task::{Phase, Task};
use crate::outcome::FailureKind;
use std::fmt::Write;

/// Tasks that a report lists before it says how many more there are.
const LISTED: usize = 40;

impl Sim {
    fn title(&self, task: &Task) -> String {
        format!("`{}` of `{}`", task.name, self.nodes[task.node as usize].name())
    }

    /// The task that holds the lock that `task` waits for.
    fn holder(&self, task: &Task) -> Option<Slot> {
        let wanted = (task.phase == Phase::Parked && task.wait.key != 0).then_some(task.wait.key)?;
        let holds =
            |other: &Task| other.phase != Phase::Free && other.held.iter().any(|&(key, _)| key == wanted);
        self.tasks.iter().position(holds).map(|slot| slot as Slot)
    }

    fn describe(&self, task: &Task) -> String {
        let place = task.place.map_or_else(String::new, |place| format!(" at {place}"));
        let mut line = match task.phase {
            Phase::Parked => format!("{} waits for {}{place}", self.title(task), task.wait.what),
            Phase::Held => format!("{} stands still{place}: its node is paused", self.title(task)),
            _ => format!("{} could run on{place}", self.title(task)),
        };
        if let Some(holder) = self.holder(task) {
            let holder = &self.tasks[holder as usize];
            let taken = holder.held.iter().find(|&&(key, _)| key == task.wait.key);
            let taken = taken.map_or_else(String::new, |(_, place)| format!(" since {place}"));
            let _ = write!(line, ", held by {}{taken}", self.title(holder));
        }
        line
    }

    /// One line for each task: who waits for what, where.
    pub(crate) fn waiting_report(&self) -> String {
        let living: Vec<&Task> = self.tasks.iter().filter(|task| task.phase != Phase::Free).collect();
        let mut report = String::new();
        for task in living.iter().take(LISTED) {
            let _ = writeln!(report, "  {}", self.describe(task));
        }
        if living.len() > LISTED {
            let _ = writeln!(report, "  and {} more", living.len() - LISTED);
        }
        if let Some(cycle) = self.cycle() {
            let _ = writeln!(report, "  the cycle: {cycle}");
        }
        report.trim_end().to_owned()
    }

    pub(super) fn deadlock_report(&self) -> String {
        format!("every thread waits and no timer is left\n{}", self.waiting_report())
    }

    /// Tasks that wait for one another's locks in a circle.
    fn cycle(&self) -> Option<String> {
        for start in 0..self.tasks.len() as Slot {
            let mut chain = vec![start];
            while let Some(next) = self.holder(&self.tasks[*chain.last()? as usize]) {
                if next == start {
                    let names: Vec<String> =
                        chain.iter().map(|&slot| self.title(&self.tasks[slot as usize])).collect();
                    return Some(format!("{} -> {}", names.join(" -> "), names[0]));
                }
                if chain.contains(&next) {
                    break;
                }
                chain.push(next);
            }
        }
        None
    }

    pub(super) fn report_spin(&mut self) {
        let place = self.tasks[self.current as usize].place;
        let message = format!(
            "{} scheduling decisions at one instant of virtual time: threads wait for one another by looking again and \
             again. Wait on a condition variable or a channel, or sleep.\n{}",
            self.steps_at_this_instant,
            self.waiting_report()
        );
        self.fail(FailureKind::Spin, message, place.map(ToString::to_string));
    }

    pub(super) fn report_real_time(&mut self) {
        let (kind, message) = self.pulse.stop_reason();
        let report = self.waiting_report();
        self.fail(kind, format!("{message}\n{report}"), None);
    }
}

/// The kinds of failure that the watchdog asks a run to end with.
pub(crate) fn kind_of(code: u8) -> FailureKind {
    if code == crate::watchdog::STOP_MEMORY { FailureKind::Memory } else { FailureKind::RealTime }
}
