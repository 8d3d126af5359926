//! What `labs.toml` says of a lab: its tests, what they are worth and may cost, and how it is graded.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lab_terminal::Failure;
use labreport::grading::percent;
use serde::{Deserialize, Serialize};

/// A test of the lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) part: String,
    /// 0 for a test that is run and reported, and earns nothing.
    pub(crate) points: u32,
    /// The crate of its binary, with underscores.
    pub(crate) krate: String,
    /// Its full name in that binary.
    pub(crate) path: String,
    pub(crate) limits: Limits,
    /// Its share of the runs ([`labreport::grading::runs_of`]).
    #[serde(default = "all", skip_serializing_if = "is_all")]
    pub(crate) percent: u32,
}

fn all() -> u32 {
    100
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_all(percent: &u32) -> bool {
    *percent == all()
}

/// How much a run of one seed may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) virtual_s: u64,
    pub(crate) real_s: u64,
    pub(crate) memory_mb: u64,
    /// Processor time, on average of a test's runs.
    pub(crate) processor_s: u64,
}

/// From how many passes a test's points come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    /// All points if every run passes, otherwise none.
    AllOrNothing,
    /// As many points as runs pass.
    #[default]
    Proportional,
    /// The rule of a course that runs each lab 400 times: nothing for the first half of the runs, half a
    /// percent for each further one; with `bonus`, as much again for the last twentieth, growing with its
    /// square.
    ReliabilityWeighted,
}

/// `[grading]`: the instructor's choices.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Grading {
    pub(crate) policy: Policy,
    pub(crate) bonus: bool,
    /// The share of the runs that a test without points gets, in percent; all of them, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runs_without_points: Option<u32>,
    pub(crate) show: Show,
    /// Of each lab, the wrong solution that must fail in every batch, a patch below the workspace.
    pub(crate) canary: BTreeMap<String, String>,
}

/// What a student sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Show {
    /// The seed of the first failure, and so the command that replays it.
    pub(crate) seeds: bool,
    /// The story of the first failure.
    pub(crate) stories: bool,
    /// Names of tests of which a student sees nothing but the points: `figure_8_2c`.
    pub(crate) hidden: Vec<String>,
}

impl Default for Show {
    fn default() -> Show {
        Show { seeds: true, stories: true, hidden: Vec::new() }
    }
}

/// The part of the file that says how to grade.
#[derive(Deserialize)]
struct GradingFile {
    #[serde(default)]
    grading: Grading,
}

/// The part of the file that lists tests.
#[derive(Deserialize)]
struct Catalogue {
    limits: SomeLimits,
    lab: Vec<Lab>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct SomeLimits {
    virtual_s: Option<u64>,
    real_s: Option<u64>,
    memory_mb: Option<u64>,
    processor_s: Option<u64>,
}

#[derive(Deserialize)]
struct Lab {
    binary: String,
    part: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    module: String,
    tests: Vec<Entry>,
    #[serde(default)]
    ungraded: Vec<Ungraded>,
}

#[derive(Deserialize)]
struct Ungraded {
    tests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    title: String,
    module: Option<String>,
    #[serde(default)]
    points: u32,
    /// Its share of the runs, in percent.
    runs: Option<u32>,
    #[serde(default)]
    limits: SomeLimits,
}

/// How a lab is graded, by the `labs.toml` in this folder.
pub(crate) fn grading(root: &Path) -> Result<Grading, Failure> {
    read::<GradingFile>(&root.join("labs.toml")).map(|file| file.grading)
}

/// The tests that a handout's `labs.toml` lists, those without points too, in its order.
pub(crate) fn tests(handout: &Path, grading: &Grading) -> Result<Vec<Test>, Failure> {
    let path = handout.join("labs.toml");
    let catalogue: Catalogue = read(&path)?;
    let mut tests = Vec::new();
    for lab in &catalogue.lab {
        let krate = lab.binary.replace('-', "_");
        for part in &lab.part {
            let ungraded = part.ungraded.iter().flat_map(|ungraded| &ungraded.tests);
            for entry in part.tests.iter().chain(ungraded) {
                let module = entry.module.as_ref().unwrap_or(&part.module);
                let percent = percent(entry.runs, entry.points, grading.runs_without_points);
                let percent = percent
                    .map_err(|why| Failure::new(format!("{}: {}: {why}", path.display(), entry.name)))?;
                tests.push(Test {
                    name: entry.name.clone(),
                    title: entry.title.clone(),
                    part: part.name.clone(),
                    points: entry.points,
                    krate: krate.clone(),
                    path: format!("{module}::{}", entry.name),
                    limits: catalogue.limits.with(entry.limits),
                    percent,
                });
            }
        }
    }
    Ok(tests)
}

impl SomeLimits {
    fn with(self, nearer: SomeLimits) -> Limits {
        Limits {
            virtual_s: nearer.virtual_s.or(self.virtual_s).unwrap_or(120),
            real_s: nearer.real_s.or(self.real_s).unwrap_or(30),
            memory_mb: nearer.memory_mb.or(self.memory_mb).unwrap_or(512),
            processor_s: nearer.processor_s.or(self.processor_s).unwrap_or(2),
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Failure> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| toml::from_str(&text).map_err(|error| error.to_string()));
    parsed.map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}
