//! How often each test ran and failed, and what its runs took.

use std::collections::BTreeMap;
use std::time::Duration;

use console::style;
use lab_terminal::{count, table};
use serde_json::json;

use super::campaign::{Campaign, Record};
use crate::catalogue::Test;
use crate::failures::{Failed, Failures};
use crate::protocol::Report;
use crate::reference::{FEW, Reference};
use crate::statistics::Moments;
use crate::style::say;

/// How many tests that cost more than the reference are named.
const COSTS: usize = 4;

/// More than so many times the reference's RPCs a run are told.
const MORE: f64 = 1.5;

/// One test's.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) failed: u64,
    pub(super) inconclusive: u64,
    pub(super) total: u64,
    remarks: BTreeMap<String, u64>,
    /// What its runs that passed came to, and how often.
    exercised: BTreeMap<String, u64>,
    virtual_s: Moments,
    real_ms: Moments,
    rpcs: Moments,
    bytes: Moments,
}

impl Tally {
    /// Whether the test passes: with every seed that says anything. None if none does.
    pub(super) fn passed(&self) -> Option<bool> {
        (self.failed > 0 || self.total > self.inconclusive).then_some(self.failed == 0)
    }

    /// How long a run lasts on its own clock, on the average.
    pub(super) fn lasted(&self) -> Duration {
        Duration::try_from_secs_f64(self.virtual_s.mean().unwrap_or_default()).unwrap_or_default()
    }
}

/// All tests'.
pub(super) struct Tallies {
    by_test: BTreeMap<String, Tally>,
    runs: u64,
    first_seed: u64,
    /// How many tests are done with each seed.
    done: Vec<usize>,
    /// Whether any test did not pass with it.
    broken: Vec<bool>,
    failures: Failures,
}

/// How many rounds (one run of every test, with one seed) are finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounds {
    pub(super) ok: usize,
    pub(super) failed: usize,
}

impl Tallies {
    /// What earlier processes have counted.
    pub(super) fn new(tests: &[Test], campaign: &Campaign) -> Tallies {
        let runs = campaign.runs();
        let rounds = usize::try_from(runs).unwrap_or(usize::MAX);
        let mut tallies = Tallies {
            by_test: tests.iter().map(|test| (test.name.clone(), Tally::default())).collect(),
            runs,
            first_seed: campaign.first_seed(),
            done: vec![0; rounds],
            broken: vec![false; rounds],
            failures: Failures::default(),
        };
        campaign.done().iter().for_each(|record| tallies.merge(record));
        tallies
    }

    fn merge(&mut self, record: &Record) {
        let broken = |seed| record.failed.contains(&seed) || record.inconclusive.contains(&seed);
        record.seeds().for_each(|seed| self.mark(seed, broken(seed)));
        record.failures.iter().for_each(|failed| self.failures.add(failed));
        let tally = self.by_test.entry(record.test.clone()).or_default();
        tally.total += record.seeds().end - record.seeds().start;
        tally.failed += record.failed.len() as u64;
        tally.inconclusive += record.inconclusive.len() as u64;
        for (remark, runs) in &record.remarks {
            *tally.remarks.entry(remark.clone()).or_default() += runs;
        }
        for (situation, times) in &record.exercised {
            *tally.exercised.entry(situation.clone()).or_default() += times;
        }
        tally.virtual_s.merge(&record.virtual_s);
        tally.real_ms.merge(&record.real_ms);
        tally.rpcs.merge(&record.rpcs);
        tally.bytes.merge(&record.bytes);
    }

    /// Counts one run.
    pub(super) fn add(&mut self, test: &str, report: &Report, failed: Option<Failed>) {
        let mut record = Record::begin(test, report.seed);
        record.add(report, failed);
        self.merge(&record);
    }

    fn mark(&mut self, seed: u64, failed: bool) {
        let Ok(round) = usize::try_from(seed - self.first_seed) else { return };
        self.done[round] += 1;
        self.broken[round] |= failed;
    }

    /// The tally of one test.
    pub(super) fn of(&self, test: &str) -> Tally {
        self.by_test.get(test).cloned().unwrap_or_default()
    }

    /// How many runs failed.
    pub(super) fn failed(&self) -> u64 {
        self.by_test.values().map(|tally| tally.failed).sum()
    }

    /// How many runs said nothing about the solution.
    pub(super) fn inconclusive(&self) -> u64 {
        self.by_test.values().map(|tally| tally.inconclusive).sum()
    }

    /// How many runs there were.
    pub(super) fn total(&self) -> u64 {
        self.by_test.values().map(|tally| tally.total).sum()
    }

    /// Whether every test has run with every seed.
    pub(super) fn is_complete(&self) -> bool {
        self.by_test.values().all(|tally| tally.total == self.runs)
    }

    /// How many rounds are finished.
    pub(super) fn rounds(&self) -> Rounds {
        let all = self.by_test.len();
        let finished = self.done.iter().zip(&self.broken).filter(|(done, _)| **done == all);
        let (failed, ok): (Vec<_>, Vec<_>) = finished.partition(|(_, broken)| **broken);
        Rounds { ok: ok.len(), failed: failed.len() }
    }

    /// What failed, by signature.
    pub(super) fn failures(&self) -> &Failures {
        &self.failures
    }

    /// What runs remarked: that they never came to what their test is about, or what the checkers do not see.
    pub(super) fn print_remarks(&self, tests: &[Test]) {
        let mut unwatched: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for test in tests {
            let Some(tally) = self.by_test.get(&test.name) else { continue };
            for (remark, runs) in &tally.remarks {
                if remark.starts_with("not watched") {
                    unwatched.entry(remark).or_default().push(&test.name);
                } else {
                    say(&format!("{}: {remark} (in {runs} of {} runs)", test.name, tally.total));
                }
            }
        }
        for (remark, tests) in unwatched {
            say(&format!("{remark} (in {})", count(tests.len(), "test")));
        }
    }

    /// What the passes of each part are worth: what its runs came to. A part whose runs never came to
    /// something that they could have come to says so.
    pub(super) fn print_exercised(&self, tests: &[Test]) {
        let mut parts: Vec<(&str, BTreeMap<&str, u64>)> = Vec::new();
        for test in tests {
            let Some(tally) = self.by_test.get(&test.name) else { continue };
            let place = parts.iter().position(|(part, _)| *part == test.part).unwrap_or_else(|| {
                parts.push((&test.part, BTreeMap::new()));
                parts.len() - 1
            });
            for (situation, times) in &tally.exercised {
                *parts[place].1.entry(situation).or_default() += times;
            }
        }
        for (part, exercised) in parts.into_iter().filter(|(_, exercised)| !exercised.is_empty()) {
            let met = exercised.iter().map(|(situation, times)| format!("{situation} {times}"));
            say(&format!("{part} exercised: {}", met.collect::<Vec<_>>().join(", ")));
            let never: Vec<&str> =
                exercised.iter().filter(|(_, times)| **times == 0).map(|(situation, _)| *situation).collect();
            if !never.is_empty() {
                say(&format!("{part}: a pass says nothing about {}, which never happened", never.join(", ")));
            }
        }
    }

    /// Which tests need many more RPCs a run than the reference ever does, the most wasteful first. Another
    /// solution that is as good may need a few more.
    pub(super) fn print_costs(&self, tests: &[Test], reference: &Reference) {
        let cost =
            |test: &Test| Some((self.of(&test.name).rpcs.mean()?, reference.rpcs(test)?, test.name.clone()));
        let known: Vec<(f64, u64, String)> = tests.iter().filter_map(cost).collect();
        let mut beyond: Vec<&(f64, u64, String)> =
            known.iter().filter(|(rpcs, most, _)| *rpcs > (FEW as f64).max(MORE * *most as f64)).collect();
        let times = |(rpcs, most, _): &(f64, u64, String)| rpcs / (*most).max(1) as f64;
        beyond.sort_by(|one, other| times(other).total_cmp(&times(one)));
        for (rpcs, most, name) in beyond.iter().take(COSTS) {
            let bytes = self.of(name).bytes.mean().unwrap_or_default();
            say(&format!(
                "{name}: {rpcs:.0} RPCs and {bytes:.0} bytes a run; the reference needs {most} RPCs at most"
            ));
        }
        if beyond.len() > COSTS {
            let more = count(beyond.len() - COSTS, "more test");
            say(&format!("and {more} with many more RPCs a run than the reference's most"));
        } else if beyond.is_empty() && !known.is_empty() {
            say(&format!(
                "RPCs: no test needs more than {MORE} times as many a run as the reference at most"
            ));
        }
    }

    /// The table for programs: a line for each test.
    pub(super) fn print_json(&self, tests: &[Test]) {
        for test in tests {
            let Tally { failed, inconclusive, total, remarks, exercised, virtual_s, real_ms, rpcs, bytes } =
                self.of(&test.name);
            println!(
                "{}",
                json!({"test": test.name, "failed": failed, "inconclusive": inconclusive, "total": total,
                    "virtual_s": virtual_s, "real_ms": real_ms, "rpcs": rpcs,
                    "bytes": bytes, "remarks": remarks, "exercised": exercised})
            );
        }
    }

    /// The last table: test, failed, total, mean and deviation of virtual and of real time; and how many runs
    /// were inconclusive, if any was.
    pub(super) fn table(&self, tests: &[Test]) -> String {
        let starved = self.inconclusive() > 0;
        let mut head = vec!["test", "failed", "total", "virtual time", "real time"];
        head.extend(starved.then_some("inconclusive"));
        let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
        for test in tests {
            let tally = self.of(&test.name);
            let failed = tally.failed.to_string();
            let failed = if tally.failed > 0 { style(failed).red().bold().to_string() } else { failed };
            let times = [tally.virtual_s.show("s"), tally.real_ms.show("ms")];
            let mut row = [vec![test.name.clone(), failed, tally.total.to_string()], times.to_vec()].concat();
            row.extend(starved.then(|| tally.inconclusive.to_string()));
            rows.push(row);
        }
        table(&rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_passes_that_passes_with_every_seed() {
        let of =
            |total, failed, inconclusive| Tally { total, failed, inconclusive, ..Tally::default() }.passed();
        assert_eq!(of(10, 0, 0), Some(true));
        assert_eq!(of(10, 0, 9), Some(true), "one says something");
        assert_eq!(of(10, 1, 9), Some(false));
        assert_eq!((of(10, 0, 10), of(0, 0, 0)), (None, None));
    }
}
