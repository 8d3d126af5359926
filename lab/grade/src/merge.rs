//! From shards to results: any subset of them will do, and what is missing is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use lab_terminal::{Failure, count};
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Role, Row, Shard, VERSION};
use crate::settings::Test;
use crate::shard::carried;
use crate::verdict::{Class, Failing, Sum, hundredths, most, overall};

/// A submission's result. `results.json` holds all of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Graded {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) file: String,
    pub(crate) class: Class,
    /// For the student, in one sentence or two.
    pub(crate) sentence: String,
    /// Why it was refused or does not build, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
    /// Hundredths of a point.
    pub(crate) hundredths: u64,
    /// Hundredths that could be had: of the tests that can be trusted.
    pub(crate) most_hundredths: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    pub(crate) tests: Vec<GradedTest>,
}

impl Graded {
    /// Tests that say that a submission is wrong whose points say that it is correct: they earn none.
    fn missed(&self) -> Vec<&GradedTest> {
        let is_missed = |test: &&GradedTest| {
            self.class == Class::Correct && ![Class::Correct, Class::TesterError].contains(&test.class)
        };
        self.tests.iter().filter(is_missed).collect()
    }

    /// The class, for a table.
    pub(crate) fn verdict(&self) -> String {
        match self.missed().len() {
            0 => self.class.words().to_owned(),
            missed => format!("{}, but for {} without points", self.class.words(), count(missed, "test")),
        }
    }
}

/// One test of a submission.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GradedTest {
    pub(crate) name: String,
    pub(crate) part: String,
    pub(crate) title: String,
    pub(crate) class: Class,
    pub(crate) hundredths: u64,
    pub(crate) most_hundredths: u64,
    pub(crate) runs: u64,
    pub(crate) passed: u64,
    /// Wilson's, of 95 %, for the probability of a pass.
    pub(crate) interval: (f64, f64),
    pub(crate) digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cut: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unequal: Option<(u64, String)>,
    pub(crate) failures: Vec<Failing>,
}

/// What is said of the batch as a whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) version: u32,
    pub(crate) lab: String,
    /// Of the workspace that everything was built in.
    pub(crate) workshop: String,
    pub(crate) runs: u64,
    /// How many of the runs also draw delays, scheduler, clocks and pauses: those whose seeds end in 9.
    pub(crate) swarm: u64,
    /// Why these results must not be used as they are: the reference fails, the canary passes, …
    pub(crate) faults: Vec<String>,
    /// Shards that have not been carried out.
    pub(crate) missing: Vec<usize>,
    /// Tests in which the reference fails; they count for nobody.
    pub(crate) excluded: BTreeSet<String>,
}

/// Merges what there is in `out`. `visit` gets each student's result, one after the other.
pub(crate) fn merge(
    plan: &Plan,
    out: &Path,
    visit: &mut dyn FnMut(&Graded) -> Result<(), Failure>,
) -> Result<Summary, Failure> {
    let mut shards: BTreeMap<&str, Vec<Shard>> = BTreeMap::new();
    for shard in plan.shards() {
        let row = plan.rows.iter().find(|row| row.name == shard.submission);
        shards.entry(row.map_or("", |row| &row.name)).or_default().push(shard);
    }
    let merger = Merger { plan, out, shards };
    let mut summary = Summary {
        version: VERSION,
        lab: plan.lab.clone(),
        workshop: plan.workshop.clone(),
        runs: plan.runs,
        swarm: plan.swarm_runs(),
        ..Summary::default()
    };
    let (own, students): (Vec<&Row>, Vec<&Row>) = plan.rows.iter().partition(|row| row.role != Role::Student);
    let mut own_results = Vec::new();
    for row in own {
        let (graded, missing) = merger.row(row, &BTreeSet::new());
        summary.missing.extend(missing.iter().copied());
        if missing.is_empty() {
            check_own(&graded, &mut summary);
        } else {
            summary.faults.push(format!("{} has not been run to its end", row.name));
        }
        own_results.push(graded);
    }
    let path = out.join("results.json");
    let partial = out.join(format!(".results.json.{}", std::process::id()));
    let cannot = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    // A row at a time, so that a thousand submissions take no more memory than one.
    let mut file = BufWriter::new(File::create(&partial).map_err(cannot)?);
    file.write_all(b"{\"rows\": [\n").map_err(cannot)?;
    let mut line = |graded: &Graded, is_first: bool| {
        let text = serde_json::to_string(graded).map_err(std::io::Error::from)?;
        let short = if is_first { "" } else { ",\n" };
        file.write_all(short.as_bytes()).and_then(|()| file.write_all(text.as_bytes()))
    };
    for (number, graded) in own_results.iter().enumerate() {
        line(graded, number == 0).map_err(cannot)?;
    }
    for row in students {
        let (graded, missing) = merger.row(row, &summary.excluded);
        summary.missing.extend(missing);
        line(&graded, false).map_err(cannot)?;
        visit(&graded)?;
    }
    let text = serde_json::to_string(&summary).map_err(std::io::Error::from).map_err(cannot)?;
    file.write_all(format!("\n], \"batch\": {text}}}\n").as_bytes()).map_err(cannot)?;
    file.into_inner().map_err(|error| cannot(error.into_error()))?;
    std::fs::rename(&partial, &path).map_err(cannot)?;
    Ok(summary)
}

/// What the reference, the skeleton and the canary must come to.
fn check_own(graded: &Graded, summary: &mut Summary) {
    let mut fault = |text: String| summary.faults.push(text);
    match graded.role {
        Role::Reference if graded.fault.is_some() => {
            fault(format!("the reference does not build: {}", graded.sentence));
        }
        Role::Reference => {
            for test in graded.tests.iter().filter(|test| test.class != Class::Correct) {
                let why = test.failures.first().map_or_else(
                    || {
                        test.unequal
                            .as_ref()
                            .map_or(String::new(), |(seed, what)| format!(", seed {seed}: {what}"))
                    },
                    |failing| format!(", seed {}: {}", failing.first_seed, failing.message),
                );
                summary
                    .faults
                    .push(format!("the reference fails in {}{why}; the test counts for nobody", test.name));
                summary.excluded.insert(test.name.clone());
            }
        }
        Role::Skeleton if graded.class != Class::NotImplemented => {
            fault(format!("the skeleton is {}, and should be not implemented", graded.class.words()));
        }
        Role::Canary if graded.class == Class::Correct || graded.tests.is_empty() => {
            fault(
                "the canary, a wrong solution, passes or does not run: verdicts cannot be trusted".to_owned(),
            );
        }
        _ => {}
    }
}

struct Merger<'a> {
    plan: &'a Plan,
    out: &'a Path,
    /// By submission.
    shards: BTreeMap<&'a str, Vec<Shard>>,
}

impl Merger<'_> {
    /// The result of a row, and its shards that are missing.
    fn row(&self, row: &Row, excluded: &BTreeSet<String>) -> (Graded, Vec<usize>) {
        let mut graded = Graded {
            name: row.name.clone(),
            role: row.role,
            file: row.file.clone(),
            class: Class::Refused,
            sentence: String::new(),
            fault: None,
            hundredths: 0,
            most_hundredths: self.most(excluded),
            notes: row.notes.clone(),
            tests: Vec::new(),
        };
        if let Some(refusal) = &row.refusal {
            graded.fault = Some(refusal.fault.clone());
            graded.sentence.clone_from(&refusal.sentence);
            return (graded, Vec::new());
        }
        let (mut sums, mut missing): (BTreeMap<String, Sum>, _) = (BTreeMap::new(), Vec::new());
        for shard in self.shards.get(row.name.as_str()).into_iter().flatten() {
            let Some(carried) = self.plan.key(shard).ok().and_then(|key| carried(self.out, &key)) else {
                missing.push(shard.shard);
                continue;
            };
            if let Some(refusal) = carried.refusal {
                graded.class = Class::DoesNotBuild;
                graded.fault = Some(refusal.fault);
                graded.sentence = refusal.sentence;
                continue;
            }
            for (test, sum) in carried.sums {
                sums.entry(test).or_default().add(sum);
            }
        }
        if !missing.is_empty() {
            graded.class = Class::TesterError;
            graded.sentence = format!("Not graded yet: {} of its shards are missing.", missing.len());
        } else if graded.fault.is_none() {
            self.judge(&mut graded, &sums, excluded);
        }
        (graded, missing)
    }

    fn most(&self, excluded: &BTreeSet<String>) -> u64 {
        let counted = self.plan.tests.iter().filter(|test| !excluded.contains(&test.name));
        counted.map(|test| most(test.points)).sum()
    }

    fn judge(&self, graded: &mut Graded, sums: &BTreeMap<String, Sum>, excluded: &BTreeSet<String>) {
        let counted: Vec<Test> =
            self.plan.tests.iter().filter(|test| !excluded.contains(&test.name)).cloned().collect();
        graded.class = overall(&counted, sums);
        for test in &self.plan.tests {
            let Some(sum) = sums.get(&test.name) else { continue };
            let is_counted = !excluded.contains(&test.name);
            let points = if is_counted { test.points } else { 0 };
            let graded_test = GradedTest {
                name: test.name.clone(),
                part: test.part.clone(),
                title: test.title.clone(),
                class: if is_counted { sum.class() } else { Class::TesterError },
                hundredths: hundredths(&self.plan.grading, points, sum.passed, sum.runs),
                most_hundredths: most(points),
                runs: sum.runs,
                passed: sum.passed,
                interval: sum.interval(),
                digest: sum.digest.clone(),
                cut: sum.cut.clone(),
                unequal: sum.unequal.clone(),
                failures: sum.failures.clone(),
            };
            graded.hundredths += graded_test.hundredths;
            graded.tests.push(graded_test);
        }
        graded.sentence = sentence(graded);
    }
}

/// What the student reads first.
fn sentence(graded: &Graded) -> String {
    let first = graded.tests.iter().find(|test| test.most_hundredths > 0 && test.class == graded.class);
    let Some(test) = first.filter(|_| graded.class != Class::Correct) else {
        return match graded.missed().as_slice() {
            [] => "All runs of all tests pass.".to_owned(),
            [test] => format!("{}. It has no points; all that earns points passes.", why(test)),
            [test, others @ ..] => format!(
                "{}. It and {} have no points; all that earns points passes.",
                why(test),
                count(others.len(), "other test")
            ),
        };
    };
    if graded.class == Class::NotImplemented {
        let message = test.failures.first().map_or("", |failing| &failing.message);
        let what = message.split("not yet implemented: ").nth(1).unwrap_or_default();
        return format!("Not implemented yet: {}", what.split(" (thread").next().unwrap_or_default());
    }
    why(test)
}

/// How many runs of a test do not pass, and why the first of them does not.
fn why(test: &GradedTest) -> String {
    let failed = test.runs - test.passed;
    let why = match (&test.unequal, test.failures.first(), &test.cut) {
        (Some((_, what)), ..) => what.clone(),
        (None, Some(failing), _) => failing.message.lines().next().unwrap_or_default().to_owned(),
        (None, None, Some(cut)) => cut.clone(),
        (None, None, None) => String::new(),
    };
    format!("{}: {failed} of {} runs do not pass: {why}", test.name, test.runs)
}
