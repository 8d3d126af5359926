//! What is left of a run, in words.

use std::fmt::Write as _;

use labreport::overrides::Overrides;
use labtrace::Trace;

use crate::protocol::Report;

/// How many lines of the shrunk run's story are told.
const TOLD: usize = 24;

/// What is left of a run that had `before` events and has `after`.
pub(super) fn remains(
    best: &Overrides,
    report: &Report,
    trace: &Trace,
    (before, after): (usize, usize),
) -> String {
    let share = 100.0 * after as f64 / before.max(1) as f64;
    let mut text = format!(
        "{} with seed {}: {after} of {before} events are left ({share:.1} %), and {} still breaks.\n",
        best.test, best.seed, best.rule
    );
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{}", labtrace::clean(&report.reason(), 400));
    if best.calm {
        text += "Threads run in a fixed order.\n";
    }
    if let Some(micros) = best.steady {
        let _ = writeln!(text, "Each message takes {} ms, and none is lost by chance.", micros as f64 / 1e3);
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
        let _ = writeln!(text, "{lost} requests are lost that nothing depends on.");
    }
    text += "What happens:\n";
    let verbs: Vec<_> = trace.events.iter().filter(|event| *event.kind == *"verb").collect();
    let skipped = verbs.len().saturating_sub(TOLD);
    if skipped > 0 {
        let _ = writeln!(text, "  ({skipped} lines before)");
    }
    for event in &verbs[skipped..] {
        let _ = writeln!(text, "  {:.6} {}", event.t as f64 / 1e9, labtrace::clean(&event.text, 90));
    }
    text
}
