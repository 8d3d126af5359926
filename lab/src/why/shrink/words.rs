//! What is left of a run, in words.

use std::fmt::Write as _;

use labreport::overrides::Overrides;
use labtrace::Trace;

use crate::protocol::Report;

/// How many lines of the shrunk run's story are told.
const TOLD: usize = 24;

/// How many letters of each.
const LONGEST: usize = 200;

/// How long a run is: in events, in those that tell something, and in virtual time up to the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    all: usize,
    telling: usize,
    nanos: u64,
}

impl Length {
    /// How many events there are.
    pub(super) fn events(self) -> usize {
        self.all
    }

    pub(super) fn of(trace: &Trace, report: &Report) -> Length {
        // Each server's threads wake up to look at the clock, whatever happens, so that the number of these
        // tells how long a run lasts.
        let threads_own = ["spawn", "block", "wake", "lock"];
        let tells = |event: &&labtrace::Event| !threads_own.contains(&&*event.kind);
        let telling = trace.events.iter().filter(tells).count();
        Length { all: trace.events.len(), telling, nanos: report.virtual_ns }
    }
}

/// What is left of a run that was so long.
pub(super) fn remains(best: &Overrides, report: &Report, trace: &Trace, before: Length) -> String {
    let after = Length::of(trace, report);
    let share = |after: usize, before: usize| 100.0 * after as f64 / before.max(1) as f64;
    let mut text = format!(
        "{} with seed {}: {} of {} events are left ({:.1} %), and {} still breaks.\n",
        best.test,
        best.seed,
        after.all,
        before.all,
        share(after.all, before.all),
        best.rule
    );
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "Without threads that wait, wake up and take locks: {} of {} ({:.1} %). It fails at {:.2} s, not at {:.2} s.",
        after.telling,
        before.telling,
        share(after.telling, before.telling),
        after.nanos as f64 / 1e9,
        before.nanos as f64 / 1e9
    );
    let _ = writeln!(text, "{}", labtrace::clean(&report.reason(), 400));
    if best.calm {
        text += "Threads run in a fixed order.\n";
    }
    if best.blind {
        text += "The tester does not ask servers for their state.\n";
    }
    if let Some(micros) = best.steady {
        let _ = writeln!(text, "Each message takes {} ms, and none is lost by chance.", micros as f64 / 1e3);
    }
    if let Some(servers) = best.servers {
        let before = report.choices.get("server").copied().unwrap_or(servers);
        let _ = writeln!(text, "The cluster has {servers} of its {before} servers, and none knows of more.");
    }
    for server in &best.without {
        let _ = writeln!(text, "{server} never starts.");
    }
    for (verb, which) in &best.skip {
        let used = report.choices.get(verb).copied();
        let skipped: u64 = which.0.iter().map(|(first, last)| last - first + 1).sum();
        match used {
            Some(used) => {
                let _ = writeln!(text, "{verb}: {} of {used} are left.", used.saturating_sub(skipped));
            }
            None if skipped > 0 => text += "Most of the test's waits take no time.\n",
            None => {}
        }
    }
    let lost: u64 = best.lose.values().flat_map(|which| &which.0).map(|(first, last)| last - first + 1).sum();
    if lost > 0 {
        let are = if lost == 1 { "request is" } else { "requests are" };
        let _ = writeln!(text, "{lost} {are} lost that nothing depends on.");
    }
    let verbs: Vec<_> = trace.events.iter().filter(|event| *event.kind == *"verb").collect();
    if verbs.is_empty() {
        text += "The test does nothing to the servers that are left; the log shows what they do.\n";
        return text;
    }
    text += "What happens:\n";
    let skipped = verbs.len().saturating_sub(TOLD);
    if skipped > 0 {
        let _ = writeln!(text, "  ({skipped} lines before)");
    }
    for event in &verbs[skipped..] {
        let _ = writeln!(text, "  {:.6} {}", event.t as f64 / 1e9, labtrace::clean(&event.text, LONGEST));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads that look at the clock make a run long and tell nothing.
    #[test]
    fn what_threads_do_to_wait_is_counted_apart() {
        let event = |kind: &str| labtrace::Event::new(1, "server-0", kind, "", "x");
        let trace = |waits: usize, messages: usize| Trace {
            events: std::iter::repeat_n(event("wake"), waits)
                .chain(std::iter::repeat_n(event("message"), messages))
                .collect(),
            ..Trace::default()
        };
        let report = |nanos| Report { virtual_ns: nanos, ..Report::default() };
        let before = Length::of(&trace(900, 100), &report(2_000_000_000));
        let best = Overrides {
            test: "t_2c".to_owned(),
            seed: 7,
            rule: "OneVote".to_owned(),
            ..Overrides::default()
        };
        let text = remains(&best, &report(500_000_000), &trace(100, 4), before);
        assert!(
            text.starts_with("t_2c with seed 7: 104 of 1000 events are left (10.4 %), and OneVote"),
            "{text}"
        );
        assert!(text.contains("take locks: 4 of 100 (4.0 %). It fails at 0.50 s, not at 2.00 s."), "{text}");
        assert!(!text.contains("What happens") && text.contains("the log shows what they do"), "{text}");
    }
}
