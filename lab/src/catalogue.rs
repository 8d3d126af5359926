//! `labs.toml`: which labs, parts and tests there are, what they are worth and what they may cost.
//!
//! This file is all that the command line knows of the labs; it depends on no lab crate.

use std::fs;
use std::path::{Path, PathBuf};

use labreport::grading::percent;
use serde::Deserialize;

use crate::Failure;

/// What `labs.toml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    /// Limits of every test that names none of its own.
    limits: Limits,
    #[serde(rename = "lab")]
    pub(crate) labs: Vec<Lab>,
    /// What the race detector reports and is none, in ThreadSanitizer's own form; a path from the folder of
    /// `labs.toml`.
    race_suppressions: Option<PathBuf>,
    /// What `cargo lab bench` measures.
    #[serde(default, rename = "bench")]
    pub(crate) benches: Vec<Bench>,
    /// How submissions are graded.
    #[serde(default)]
    grading: Grading,
    /// The folder of `labs.toml`, where the workspace begins.
    #[serde(skip)]
    pub(crate) root: PathBuf,
}

/// What matters here of how submissions are graded; `cargo lab grade` reads the rest.
#[derive(Debug, Default, Deserialize)]
struct Grading {
    /// The share of the runs, in percent, that a test without points gets.
    runs_without_points: Option<u32>,
}

/// How much a run of one seed may take. A limit that is not given is the one of the level above.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    virtual_s: Option<u64>,
    real_s: Option<u64>,
    threads_s: Option<u64>,
    memory_mb: Option<u64>,
    /// The grader's alone: a bound for all runs of a test.
    #[serde(rename = "processor_s")]
    _processor_s: Option<u64>,
}

/// Limits with nothing left open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Seconds of virtual time.
    pub(crate) virtual_s: u64,
    /// Seconds of real time in the simulation.
    pub(crate) real_s: u64,
    /// Seconds of real time on real threads, where virtual and real time are one.
    pub(crate) threads_s: u64,
    /// Mebibytes of memory of the test's process.
    pub(crate) memory_mb: u64,
}

/// One lab: a crate with one test binary.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lab {
    pub(crate) name: String,
    pub(crate) title: String,
    /// A name for several labs together, and the folder that holds their packages. None: the package stands
    /// in the workspace's root.
    pub(crate) group: Option<String>,
    /// The cargo package that holds the tests.
    pub(crate) package: String,
    /// The package's test target.
    pub(crate) binary: String,
    /// The files with the rules of the solution, from the workspace's root: `cargo lab mutants` changes them.
    #[serde(default)]
    pub(crate) rules: Vec<String>,
    /// Other labs that stand on these rules, so that their tests notice mistakes in them too.
    #[serde(default)]
    pub(crate) tested_by: Vec<String>,
    #[serde(rename = "part")]
    pub(crate) parts: Vec<Part>,
}

impl Lab {
    /// Whether the test may notice a mistake in this lab's rules. What is beyond the course counts, such as
    /// disks that lose what is not synced.
    pub(crate) fn is_tested_by(&self, test: &Test) -> bool {
        test.package == self.package || self.tested_by.contains(&test.lab)
    }

    /// The first file of the crate that holds the rules.
    pub(crate) fn library(&self) -> String {
        let first = self.rules.first().map_or("", String::as_str);
        first.rsplit_once('/').map_or_else(|| "lib.rs".to_owned(), |(folder, _)| format!("{folder}/lib.rs"))
    }
}

/// One part of a lab, such as 2A.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) title: String,
    /// The module of the test binary that holds the part's tests, unless a test says otherwise.
    module: String,
    #[serde(rename = "tests")]
    entries: Vec<TestEntry>,
    /// Tests that earn no points.
    #[serde(default)]
    ungraded: Vec<Ungraded>,
}

/// Tests of a part that are worth no points, below a heading that says why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ungraded {
    heading: String,
    #[serde(rename = "tests")]
    entries: Vec<TestEntry>,
}

/// One line of a part's `tests`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestEntry {
    name: String,
    title: String,
    /// The module of the test binary that holds this test, if not the part's.
    module: Option<String>,
    #[serde(default)]
    points: u32,
    /// No wrong solution needs it (see `needed.rs`): it shows something.
    #[serde(default)]
    demonstration: bool,
    /// Its share of a grading's runs, in percent.
    runs: Option<u32>,
    #[serde(default)]
    limits: Limits,
}

/// A row of `cargo lab bench`: a test's seeds per second, the wall time of a whole lab, the experiments of a
/// lab's paper, or a crate that measures beside others' programs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, untagged)]
pub(crate) enum Bench {
    /// How many seeds a second one job makes of a test.
    Rate { test: String, at_least: f64 },
    /// How long one run of all tests of a lab takes, built; and the memory of its largest process.
    Suite {
        suite: String,
        /// By what it is run: `lab` (release) or `cargo test` (the checked test profile).
        by: SuiteRunner,
        /// Only the tests that earn points; by `cargo lab test` alone.
        #[serde(default)]
        graded: bool,
        wall_s: f64,
        rss_mb: Option<u64>,
    },
    /// Experiments that a lab plays in virtual time and compares with its paper's figures.
    Experiments {
        /// The lab. Its package has a bench target `experiments`, which prints its own tables and says by its
        /// status whether every criterion holds.
        experiments: String,
    },
    /// A crate outside of the workspace, which prints its own tables and says by its status whether its
    /// bounds are reached. It runs only if it is asked for by name, since it brings packages of its own.
    Peers {
        /// Its name.
        peers: String,
        /// Its manifest, from the workspace's root.
        manifest: PathBuf,
    },
}

/// How `cargo lab bench` runs a whole lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum SuiteRunner {
    /// `cargo lab test LAB`.
    #[serde(rename = "cargo lab test")]
    Lab,
    /// `cargo test -p PACKAGE --test BINARY`.
    #[serde(rename = "cargo test")]
    Cargo,
}

/// A test with all that is needed to run it.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) name: String,
    /// As the course prints it: "initial election".
    pub(crate) title: String,
    /// As libtest knows it: `part_2a::initial_election_2a`.
    pub(crate) path: String,
    pub(crate) lab: String,
    pub(crate) group: Option<String>,
    pub(crate) part: String,
    pub(crate) package: String,
    pub(crate) binary: String,
    pub(crate) points: u32,
    /// Why it has no points, if `labs.toml` gives a reason.
    pub(crate) heading: Option<String>,
    /// Whether it is marked as one that no wrong solution needs.
    pub(crate) is_demonstration: bool,
    /// Its share of a grading's runs, in percent.
    pub(crate) percent: u32,
    pub(crate) bounds: Bounds,
}

/// Where `labs.toml` is: as given, or in this folder or the nearest one above it.
fn find(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
        return Ok(path.to_path_buf());
    }
    let here =
        std::env::current_dir().map_err(|error| Failure::new(format!("no current folder: {error}")))?;
    here.ancestors().map(|folder| folder.join("labs.toml")).find(|path| path.is_file()).ok_or_else(|| {
        Failure::new("there is no labs.toml in this folder or above it; give one with --labs FILE")
    })
}

impl Part {
    /// Its tests, those without points too.
    fn all(&self) -> impl Iterator<Item = &TestEntry> {
        self.entries.iter().chain(self.ungraded.iter().flat_map(|ungraded| &ungraded.entries))
    }
}

impl Catalogue {
    /// Reads `labs.toml`.
    pub(crate) fn load(given: Option<&Path>) -> Result<Catalogue, Failure> {
        let path = find(given)?;
        let path =
            path.canonicalize().map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        let mut catalogue: Catalogue =
            toml::from_str(&text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        catalogue.root = path.parent().unwrap_or(Path::new("/")).to_path_buf();
        match catalogue.contradiction() {
            Some(words) => Err(Failure::new(format!("{}: {words}", path.display()))),
            None => Ok(catalogue),
        }
    }

    /// All tests, in the order of `labs.toml`.
    pub(crate) fn tests(&self) -> Vec<Test> {
        let parts = self.labs.iter().flat_map(|lab| lab.parts.iter().map(move |part| (lab, part)));
        parts.flat_map(|(lab, part)| self.tests_of(lab, part)).collect()
    }

    /// The lab of that name, whatever its letters' case.
    pub(crate) fn lab(&self, name: &str) -> Option<&Lab> {
        self.labs.iter().find(|lab| lab.name.eq_ignore_ascii_case(name))
    }

    /// The file of suppressions for the race detector, if there is one.
    pub(crate) fn race_suppressions(&self) -> Option<PathBuf> {
        self.race_suppressions.as_ref().map(|path| self.root.join(path))
    }

    fn tests_of(&self, lab: &Lab, part: &Part) -> Vec<Test> {
        let graded = part.entries.iter().map(|entry| (None, entry));
        let ungraded = part
            .ungraded
            .iter()
            .flat_map(|group| group.entries.iter().map(move |entry| (Some(&group.heading), entry)));
        graded.chain(ungraded).map(|(heading, entry)| self.test(lab, part, heading, entry)).collect()
    }

    /// A test that earns points although its heading says that it has none, or a bench with options that
    /// nobody would look at.
    fn contradiction(&self) -> Option<String> {
        let test = self.tests().into_iter().find(|test| test.heading.is_some() && test.points > 0);
        let ignored = self.benches.iter().find_map(|bench| match bench {
            Bench::Suite { suite, by: SuiteRunner::Cargo, graded: true, .. } => Some((suite, "graded")),
            Bench::Suite { suite, by: SuiteRunner::Cargo, rss_mb: Some(_), .. } => Some((suite, "rss_mb")),
            _ => None,
        });
        let mut entries = self.labs.iter().flat_map(|lab| &lab.parts).flat_map(Part::all);
        let of_share =
            entries.find_map(|entry| Some(format!("{}: {}", entry.name, self.share(entry).err()?)));
        let of_test =
            test.map(|test| format!("{} has points and stands among the ungraded tests", test.name));
        let of_bench = ignored
            .map(|(suite, what)| format!("the bench of {suite} by `cargo test` cannot look at `{what}`"));
        of_test.or(of_bench).or(of_share)
    }

    /// The test's share of a grading's runs, in percent.
    fn share(&self, entry: &TestEntry) -> Result<u32, String> {
        percent(entry.runs, entry.points, self.grading.runs_without_points)
    }

    fn test(&self, lab: &Lab, part: &Part, heading: Option<&String>, entry: &TestEntry) -> Test {
        Test {
            name: entry.name.clone(),
            title: entry.title.clone(),
            path: format!("{}::{}", entry.module.as_ref().unwrap_or(&part.module), entry.name),
            lab: lab.name.clone(),
            group: lab.group.clone(),
            part: part.name.clone(),
            package: lab.package.clone(),
            binary: lab.binary.clone(),
            points: entry.points,
            heading: heading.cloned(),
            is_demonstration: entry.demonstration,
            // One that is none was refused.
            percent: self.share(entry).unwrap_or(100),
            bounds: self.bounds(entry.limits),
        }
    }

    /// The test's own limits, else those of the file, else those of the course (120 s a test).
    fn bounds(&self, own: Limits) -> Bounds {
        let all = self.limits;
        Bounds {
            virtual_s: own.virtual_s.or(all.virtual_s).unwrap_or(120),
            real_s: own.real_s.or(all.real_s).unwrap_or(60),
            threads_s: own.threads_s.or(all.threads_s).unwrap_or(240),
            memory_mb: own.memory_mb.or(all.memory_mb).unwrap_or(1024),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> Option<String> {
        toml::from_str::<Catalogue>(text).expect("it is TOML of the right form").contradiction()
    }

    #[test]
    fn what_nobody_would_look_at_is_refused() {
        let bench = |by: &str, more: &str| {
            format!("lab = []\n[limits]\n[[bench]]\nsuite = \"raft\"\nby = \"{by}\"\nwall_s = 1.0\n{more}\n")
        };
        for more in ["graded = true", "rss_mb = 100"] {
            assert_eq!(complaint(&bench("cargo lab test", more)), None);
            let words = complaint(&bench("cargo test", more)).expect("cargo test runs all, unwatched");
            assert!(words.contains("the bench of raft by `cargo test`"), "{words}");
            assert!(words.contains(more.split(' ').next().expect("a name")), "{words}");
        }
        assert_eq!(complaint(&bench("cargo test", "")), None);
    }
}
