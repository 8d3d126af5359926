//! What the runs of a test, and the tests of a submission, come to.

use std::collections::BTreeMap;

use labreport::swarm::Swarm;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::run::{Runs, without_numbers};
use crate::settings::{Grading, Policy, Test};
use crate::workshop::hex;

/// What is said of a test, or of a submission. Later ones outweigh earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// Every run passed, and came out the same when it was repeated, as it is if points depend on it.
    Correct,
    /// A body is still `todo!`.
    NotImplemented,
    /// Some runs passed and some did not.
    Flaky,
    /// No run passed, and each failed by a limit of time or memory.
    Slow,
    /// A pass did not come out the same when it was repeated.
    Nondeterministic,
    /// No run passed.
    Wrong,
    /// The compiler refuses it, or takes too much for it.
    DoesNotBuild,
    /// It cannot be unpacked, or has something that lab code must not have.
    Refused,
    /// The grader's or the tests' fault, which costs no student anything.
    TesterError,
}

impl Class {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Class::Correct => "correct",
            Class::NotImplemented => "not implemented",
            Class::Flaky => "flaky",
            Class::Slow => "slow",
            Class::Nondeterministic => "nondeterministic",
            Class::Wrong => "wrong",
            Class::DoesNotBuild => "does not build",
            Class::Refused => "refused",
            Class::TesterError => "tester error",
        }
    }
}

/// Failures of one test that look alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failing {
    /// The kind or broken rule, and the message without its numbers.
    pub(crate) signature: String,
    pub(crate) kind: String,
    pub(crate) runs: u64,
    /// How many of these runs were a swarm's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) swarm: u64,
    pub(crate) first_seed: u64,
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) story: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The runs of a test, summed up. Sums of ranges of seeds add up to the sum of the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    /// How many runs were asked for; those that were not run, because it was hopeless, did not pass.
    pub(crate) runs: u64,
    pub(crate) passed: u64,
    /// Of the event hashes of all passed runs, in order.
    pub(crate) digest: String,
    pub(crate) failures: Vec<Failing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cut: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unequal: Option<(u64, String)>,
}

impl Sum {
    pub(crate) fn of(runs: &Runs, asked: u64) -> Sum {
        let mut sum =
            Sum { runs: asked, cut: runs.cut.clone(), unequal: runs.unequal.clone(), ..Sum::default() };
        let mut digest = Sha256::new();
        for run in &runs.runs {
            if run.passed {
                sum.passed += 1;
                digest.update(format!("{} {}\n", run.seed, run.hash));
                continue;
            }
            sum.add_failure(Failing {
                signature: signature(&run.kind, &run.message),
                kind: run.kind.clone(),
                runs: 1,
                swarm: u64::from(Swarm::Tenth.has(run.seed)),
                first_seed: run.seed,
                message: run.message.clone(),
                story: run.story.clone(),
            });
        }
        sum.digest = hex(&digest.finalize()[..8]);
        sum
    }

    /// Adds the sum of later seeds.
    pub(crate) fn add(&mut self, later: Sum) {
        if self.runs == 0 {
            *self = later;
            return;
        }
        self.runs += later.runs;
        self.passed += later.passed;
        self.digest = hex(&Sha256::digest(format!("{} {}", self.digest, later.digest))[..8]);
        self.cut = self.cut.take().or(later.cut);
        self.unequal = self.unequal.take().or(later.unequal);
        later.failures.into_iter().for_each(|failing| self.add_failure(failing));
    }

    fn add_failure(&mut self, failing: Failing) {
        match self.failures.iter_mut().find(|known| known.signature == failing.signature) {
            Some(known) => {
                known.runs += failing.runs;
                known.swarm += failing.swarm;
            }
            None => self.failures.push(failing),
        }
    }

    pub(crate) fn class(&self) -> Class {
        let all = |kinds: &[&str]| {
            !self.failures.is_empty()
                && self.failures.iter().all(|failing| kinds.contains(&failing.kind.as_str()))
        };
        if self.unequal.is_some() {
            Class::Nondeterministic
        } else if self.runs > 0 && self.passed == self.runs {
            Class::Correct
        } else if self.passed > 0 {
            Class::Flaky
        } else if !self.failures.is_empty()
            && self.failures.iter().all(|failing| failing.message.contains("not yet implemented: "))
        {
            Class::NotImplemented
        } else if all(&["virtual_time", "real_time", "spin", "blocked", "memory"])
            || self.failures.is_empty() && self.cut.is_some()
        {
            // Without a failure it was not run, because others of its part had taken all the time.
            Class::Slow
        } else {
            Class::Wrong
        }
    }

    /// The probability of a pass, and its interval of 95 %.
    pub(crate) fn interval(&self) -> (f64, f64) {
        wilson(self.passed, self.runs)
    }
}

/// The interval of Wilson (1927) for a probability, at 95 %, rounded to four places.
pub(crate) fn wilson(passed: u64, runs: u64) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if runs == 0 {
        return (0.0, 1.0);
    }
    let (p, n) = (passed as f64 / runs as f64, runs as f64);
    let middle = p + Z * Z / (2.0 * n);
    let width = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let round = |value: f64| (value.clamp(0.0, 1.0) * 1e4).round() / 1e4;
    let scale = 1.0 + Z * Z / n;
    (round((middle - width) / scale), round((middle + width) / scale))
}

/// Failures that look alike: the kind, and the first line of the message with its numbers taken out.
fn signature(kind: &str, message: &str) -> String {
    let line: String = message.lines().next().unwrap_or_default().chars().take(160).collect();
    format!("{kind}: {}", without_numbers(&line))
}

/// Hundredths of a point for a test of which so many runs passed.
pub(crate) fn hundredths(grading: &Grading, points: u32, passed: u64, runs: u64) -> u64 {
    let full = u64::from(points) * 100;
    if runs == 0 {
        return 0;
    }
    match grading.policy {
        Policy::AllOrNothing => {
            if passed == runs {
                full
            } else {
                0
            }
        }
        Policy::Proportional => full * passed / runs,
        Policy::ReliabilityWeighted => {
            // As if there had been 400 runs.
            let passed = passed * 400 / runs;
            let required = passed.saturating_sub(200).div_ceil(2);
            let bonus = if grading.bonus { passed.saturating_sub(380).pow(2) } else { 0 };
            full * required / 100 + full * bonus / 400
        }
    }
}

/// The most that a test can earn, in hundredths.
pub(crate) fn most(points: u32) -> u64 {
    u64::from(points) * 100
}

/// What a submission's tests come to; of no test, that it is wrong.
pub(crate) fn overall(tests: &[Test], sums: &BTreeMap<String, Sum>) -> Class {
    let classes =
        tests.iter().filter(|test| test.points > 0).filter_map(|test| sums.get(&test.name)).map(Sum::class);
    classes.max().unwrap_or(Class::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Run;

    fn runs(passed: &[bool], kind: &str) -> Runs {
        let run = |(at, passed): (usize, &bool)| Run {
            seed: at as u64,
            passed: *passed,
            kind: if *passed { String::new() } else { kind.to_owned() },
            message: format!("server {at} of 5"),
            story: String::new(),
            hash: format!("{at}"),
        };
        Runs { runs: passed.iter().enumerate().map(run).collect(), ..Runs::default() }
    }

    fn class(passed: &[bool], kind: &str) -> Class {
        Sum::of(&runs(passed, kind), passed.len() as u64).class()
    }

    #[test]
    fn classes_follow_from_the_runs() {
        assert_eq!(class(&[true, true], ""), Class::Correct);
        assert_eq!(class(&[true, false], "panic"), Class::Flaky);
        assert_eq!(class(&[false, false], "expectation"), Class::Wrong);
        assert_eq!(class(&[false, false], "virtual_time"), Class::Slow);
        let unequal = Runs { unequal: Some((1, "x".to_owned())), ..runs(&[true], "") };
        assert_eq!(Sum::of(&unequal, 1).class(), Class::Nondeterministic);
        let cut = Runs { cut: Some("not run".to_owned()), ..Runs::default() };
        assert_eq!(Sum::of(&cut, 50).class(), Class::Slow);
        assert_eq!(Sum::of(&Runs::default(), 50).class(), Class::Wrong, "what was not run has not passed");
    }

    #[test]
    fn failures_that_differ_in_numbers_are_one() {
        let sum = Sum::of(&runs(&[false, true, false], "panic"), 3);
        assert_eq!(sum.failures.len(), 1);
        assert_eq!((sum.failures[0].runs, sum.failures[0].first_seed), (2, 0));
        assert_eq!(sum.failures[0].signature, "panic: server # of #");
    }

    #[test]
    fn wilsons_interval_is_the_tables() {
        assert_eq!(wilson(0, 0), (0.0, 1.0));
        assert_eq!(wilson(50, 50), (0.9287, 1.0));
        assert_eq!(wilson(8, 10), (0.4902, 0.9433));
    }

    #[test]
    fn policies_give_what_they_say() {
        let points = |policy, bonus, passed| {
            hundredths(&Grading { policy, bonus, ..Grading::default() }, 10, passed, 400)
        };
        for (passed, all, proportional, weighted, with_bonus) in [
            (400, 1000, 1000, 1000, 2000),
            (390, 0, 975, 950, 1200),
            (300, 0, 750, 500, 500),
            (201, 0, 502, 10, 10),
            (100, 0, 250, 0, 0),
        ] {
            assert_eq!(points(Policy::AllOrNothing, false, passed), all);
            assert_eq!(points(Policy::Proportional, false, passed), proportional);
            assert_eq!(points(Policy::ReliabilityWeighted, false, passed), weighted);
            assert_eq!(points(Policy::ReliabilityWeighted, true, passed), with_bonus);
        }
    }
}
