//! `--tests`: the zoo turned round. A submission is a set of tests, and is graded by how many wrong solutions
//! it kills, minus how many correct ones it fails.
//!
//! A solution is killed if the tests do not pass over it: one fails, dies, or takes a limit. Here a
//! submission may end as it likes, since a test that fails everywhere also fails the reference, and then its
//! kills say nothing ([`score`]).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lab_terminal::{Failure, Outcome, count, table};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::parallel::in_parallel_told;
use crate::plan::{self, VERSION};
use crate::recipe::Recipe;
use crate::sandbox::{Bounds, Mount, Sandbox};
use crate::take::{Refusal, Sources, name_of, take_tests};
use crate::watch::{Allowance, Cause, Pulse, run};
use crate::workshop::Workshop;
use crate::{canary, scratch, store};

/// How long a set of tests may run over one solution.
const LONGEST: Duration = Duration::from_secs(180);

/// The name of the solution that no tests may fail.
const REFERENCE: &str = "(reference)";

/// A solution that tests are tried on.
#[derive(Debug)]
struct Solution {
    /// `R13-half-is-a-majority`, `(reference)`.
    name: String,
    is_wrong: bool,
    sources: Sources,
}

/// A submission's result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Killer {
    pub(crate) name: String,
    pub(crate) file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<Refusal>,
    /// Wrong solutions that it kills.
    pub(crate) killed: Vec<String>,
    /// Wrong solutions that survive it.
    pub(crate) survived: Vec<String>,
    /// Correct solutions that it fails.
    pub(crate) failed: Vec<String>,
    /// What the kills are worth ([`score`]).
    pub(crate) score: usize,
}

/// All of them.
#[derive(Debug, Serialize)]
struct Results<'a> {
    version: u32,
    lab: &'a str,
    wrong: Vec<&'a str>,
    correct: Vec<&'a str>,
    rows: Vec<Killer>,
}

/// What is graded, and where.
pub(crate) struct Trial<'a> {
    pub(crate) root: &'a Path,
    pub(crate) lab: &'a str,
    pub(crate) workshop: &'a Workshop,
    pub(crate) sandbox: Sandbox,
    pub(crate) out: &'a Path,
    pub(crate) jobs: usize,
    pub(crate) runs: u64,
    pub(crate) first_seed: u64,
    /// Only wrong solutions whose names begin so; all if there are none.
    pub(crate) only: &'a [String],
    /// Whether to print JSON instead of words.
    pub(crate) json: bool,
}

impl Trial<'_> {
    /// Grades these submissions.
    pub(crate) fn grade(&self, submissions: &[PathBuf]) -> Result<Outcome, Failure> {
        let solutions = self.solutions()?;
        let built = self.build_solutions(&solutions)?;
        let mut rows = Vec::new();
        for path in submissions {
            let row = self.row(path, &solutions, &built)?;
            eprintln!("{}: {}", row.name, words(&row));
            rows.push(row);
        }
        rows.sort_by(|left, right| left.name.cmp(&right.name));
        let names = |is_wrong: bool| {
            solutions
                .iter()
                .filter(move |one| one.is_wrong == is_wrong)
                .map(|one| one.name.as_str())
                .collect()
        };
        let results =
            Results { version: VERSION, lab: self.lab, wrong: names(true), correct: names(false), rows };
        store::put_json(&self.out.join("tests.json"), &results)?;
        let page = crate::report::kills_page(self.lab, &results.wrong, &results.correct, &results.rows);
        store::put(&self.out.join("tests.html"), page.as_bytes())?;
        self.print(&results.rows);
        Ok(Outcome::Passed)
    }

    /// The table, or a line of JSON for each submission; and where the page is.
    fn print(&self, rows: &[Killer]) {
        let page = self.out.join("tests.html");
        if self.json {
            for row in rows {
                println!("{}", json!({"submission": row.name, "score": row.score, "verdict": words(row)}));
            }
            println!("{}", json!({"summary": {"page": page}}));
            return;
        }
        let head = ["submission", "score", "verdict"].map(str::to_owned).to_vec();
        let lines = rows.iter().map(|row| vec![row.name.clone(), row.score.to_string(), words(row)]);
        print!("{}", table(&std::iter::once(head).chain(lines).collect::<Vec<_>>()));
        println!("{}", page.display());
    }

    /// The reference, the zoo's wrong solutions of the lab's packages, and its unusual correct ones.
    fn solutions(&self) -> Result<Vec<Solution>, Failure> {
        let reference = &self.workshop.reference;
        let mut solutions =
            vec![Solution { name: REFERENCE.to_owned(), is_wrong: false, sources: reference.clone() }];
        for (path, is_wrong) in self.patches() {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let is_asked =
                self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()));
            if is_asked || !is_wrong {
                let sources = canary::sources(reference, &path)?;
                solutions.push(Solution { name, is_wrong, sources });
            }
        }
        if solutions.iter().any(|solution| solution.is_wrong) {
            Ok(solutions)
        } else {
            Err(Failure::new("the zoo has no wrong solution of that name for this lab"))
        }
    }

    /// The zoo's patches for the lab's packages, in order, and whether they make a solution wrong.
    fn patches(&self) -> Vec<(PathBuf, bool)> {
        let packages = self.workshop.packages.iter();
        let folders = packages.map(|package| name_of(package)).flat_map(|package| {
            [(format!("bugs/{package}"), true), (format!("bugs/correct/{package}"), false)]
        });
        let files = folders.flat_map(|(folder, is_wrong)| {
            // A folder that is not there has no patches.
            let entries = fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
            entries.map(move |entry| (entry.path(), is_wrong))
        });
        let mut patches: Vec<(PathBuf, bool)> =
            files.filter(|(path, _)| path.extension().is_some_and(|end| end == "patch")).collect();
        patches.sort();
        patches
    }

    /// The libraries of each solution, below `out`.
    fn build_solutions(&self, solutions: &[Solution]) -> Result<Vec<PathBuf>, Failure> {
        let failed = Mutex::new(None);
        in_parallel_told("built", solutions, self.jobs, |solution| {
            if let Err(failure) = self.build_solution(solution) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None => Ok(solutions.iter().map(|solution| self.folder_of(solution)).collect()),
        }
    }

    fn folder_of(&self, solution: &Solution) -> PathBuf {
        self.out.join("solutions").join(&solution.name)
    }

    fn build_solution(&self, solution: &Solution) -> Result<(), Failure> {
        let libraries = Recipe { calls: self.workshop.recipe.libraries(), ..self.workshop.recipe.clone() };
        let folder = self.folder_of(solution);
        fs::create_dir_all(&folder)
            .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
        match libraries.build(self.sandbox, &solution.sources, &folder)? {
            Ok(_) => Ok(()),
            Err(refusal) => {
                Err(Failure::new(format!("{} does not build: {}", solution.name, refusal.sentence)))
            }
        }
    }

    fn row(&self, path: &Path, solutions: &[Solution], built: &[PathBuf]) -> Result<Killer, Failure> {
        let (name, file) = plan::names(path);
        let mut row = Killer {
            name,
            file,
            refusal: None,
            killed: Vec::new(),
            survived: Vec::new(),
            failed: Vec::new(),
            score: 0,
        };
        // The last one that has tests.
        let workspace = &self.workshop.recipe.workspace;
        let mut packages = self.workshop.packages.iter().rev();
        let package = packages
            .find(|package| workspace.join(package).join("tests").is_dir())
            .map_or("", String::as_str);
        let tests = take_tests(path, package).and_then(|taken| {
            crate::inspect::inspect_tests(&taken.sources)?;
            Ok(taken.sources)
        });
        let tests = match tests {
            Ok(tests) => tests,
            Err(refusal) => return Ok(Killer { refusal: Some(refusal), ..row }),
        };
        let results = Mutex::new(BTreeMap::new());
        let pairs: Vec<(&Solution, &PathBuf)> = solutions.iter().zip(built).collect();
        in_parallel_told(&row.name, &pairs, self.jobs, |(solution, libraries)| {
            let passed = scratch::folder(&solution.name).and_then(|folder| {
                let passed = self.passes(&tests, libraries, &folder);
                let _ = fs::remove_dir_all(&folder);
                passed
            });
            results.lock().unwrap_or_else(PoisonError::into_inner).insert(solution.name.clone(), passed);
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        for solution in solutions {
            match results.remove(&solution.name) {
                Some(Ok(Ok(passed))) => match (passed, solution.is_wrong) {
                    (false, true) => row.killed.push(solution.name.clone()),
                    (true, true) => row.survived.push(solution.name.clone()),
                    (false, false) => row.failed.push(solution.name.clone()),
                    (true, false) => {}
                },
                // They do not even build: the compiler's words, for one solution.
                Some(Ok(Err(refusal))) => return Ok(Killer { refusal: Some(refusal), ..row }),
                Some(Err(failure)) => return Err(failure),
                None => {}
            }
        }
        row.score = score(&row.killed, &row.failed);
        Ok(row)
    }

    /// Whether the tests pass over these libraries.
    fn passes(
        &self,
        tests: &Sources,
        libraries: &Path,
        folder: &Path,
    ) -> Result<Result<bool, Refusal>, Failure> {
        let binary = match self.workshop.recipe.build_tests(self.sandbox, tests, libraries, folder)? {
            Ok(binary) => binary,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let bounds = Bounds { cpu_s: LONGEST.as_secs(), address_mb: 16 * 1024, file_mb: 16, is_test: true };
        let seeds = format!("{}..{}", self.first_seed, self.first_seed + self.runs);
        let variables =
            [("LAB_SEEDS", seeds.as_str()), ("RUST_BACKTRACE", "0"), ("LAB_PICTURES", "/tmp/pictures")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut command =
            self.sandbox.command(&bounds, &variables, &[Mount::here(&binary)], Path::new("/tmp"));
        command.arg(&binary).args(["--test-threads", "1"]);
        let allowance = Allowance { silence: LONGEST, memory_mb: 1024, output: 64 * 1024 * 1024 };
        let (end, ()) = run(&mut command, allowance, &Pulse::default(), || ())
            .map_err(|error| Failure::new(format!("cannot run {}: {error}", binary.display())))?;
        Ok(Ok(end.cause == Cause::Exit(0)))
    }
}

/// What the kills are worth: each failed correct solution takes one away. Tests that always fail kill every
/// wrong solution, which are many more than the correct ones; so those that fail the reference are worth
/// nothing.
fn score(killed: &[String], failed: &[String]) -> usize {
    if failed.iter().any(|name| name == REFERENCE) { 0 } else { killed.len().saturating_sub(failed.len()) }
}

/// What a row says in a few words.
pub(crate) fn words(row: &Killer) -> String {
    if let Some(refusal) = &row.refusal {
        return format!("{}: {}", refusal.fault, refusal.sentence.lines().next().unwrap_or_default());
    }
    let wrong = row.killed.len() + row.survived.len();
    let mut words = format!("kills {} of {}", row.killed.len(), count(wrong, "wrong solution"));
    if !row.failed.is_empty() {
        words += &format!(", and fails {}", count(row.failed.len(), "correct one"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_solution_that_fails_costs_a_kill_and_the_reference_all() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let score_of = |killed: &[&str], failed: &[&str]| score(&names(killed), &names(failed));
        let wrong = ["R1", "R2", "R3", "R4"];
        assert_eq!(score_of(&wrong, &[]), 4);
        assert_eq!(score_of(&wrong, &["raft-batches"]), 3);
        assert_eq!(score_of(&wrong[..1], &["raft-batches", "raft-slow-heartbeats"]), 0);
        assert_eq!(score_of(&wrong, &[REFERENCE]), 0);
    }
}
