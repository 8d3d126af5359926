//! `--prove`: what must hold of every handout.
//!
//! The handouts are laid one after the other into one folder, where only files that differ are written, and
//! built into one target folder. So cargo builds the framework once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use lab_terminal::{Failure, Outcome, count, duration};
use serde_json::json;

use crate::cli::Arguments;
use crate::labs::LABS;
use crate::make::Record;
use crate::marks::Level;
use crate::plan::{Choice, Plan, Role, files_below, plan, solved, solved_before};
use crate::{book, names, unnamed};

/// A line with fewer letters and digits than this says nothing: `let term = self.term();`.
const TELLING: usize = 24;

/// Proves the handouts of these labs, or of all, at one level or both. `--out` is where they are laid.
/// Without builds only what is in them is looked at.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<Outcome, Failure> {
    let folder = arguments.out.clone().unwrap_or_else(|| root.join("target/handouts"));
    let all: Vec<String> = LABS.iter().map(|lab| lab.name.to_owned()).collect();
    let labs = if arguments.lab.is_empty() { &all } else { &arguments.lab };
    let levels = arguments.level.map_or(vec![Level::Classic, Level::Guided], |level| vec![level]);
    let mut failed = 0;
    for lab in labs {
        for &level in &levels {
            let choice = Choice::new(std::slice::from_ref(lab), &[], level)?;
            let workshop = Workshop { root, folder: &folder, choice };
            let begun = Instant::now();
            let result = workshop.prove(!arguments.no_build);
            let took = duration(begun.elapsed());
            let proof = result?;
            failed += usize::from(proof.is_err());
            let level = level.name();
            match proof {
                _ if arguments.json => {
                    let (facts, fault) = (proof.as_ref().ok(), proof.as_ref().err());
                    println!("{}", json!({"lab": lab, "level": level, "facts": facts, "fault": fault}));
                }
                Ok(facts) => println!("{lab}, {level}: {facts} ({took})"),
                Err(fault) => println!("{lab}, {level}: FAILED: {fault} ({took})"),
            }
        }
    }
    Ok(if failed == 0 { Outcome::Passed } else { Outcome::Failed })
}

/// What was found out, or what does not hold.
type Proof = Result<String, String>;

struct Workshop<'a> {
    root: &'a Path,
    folder: &'a Path,
    choice: Choice,
}

impl Workshop<'_> {
    /// All proofs of one handout, in the order of their cost.
    fn prove(&self, builds: bool) -> Result<Proof, Failure> {
        let (mut plan, again) = (plan(self.root, &self.choice)?, plan(self.root, &self.choice)?);
        let mut facts = Vec::new();
        for proof in [
            same(&plan, &again),
            keeps_secrets(&plan),
            hides_the_inside(&plan),
            links(&plan),
            names::are_there(&plan),
            has_its_tests(&plan),
        ] {
            match proof {
                Ok(fact) => facts.push(fact),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        if self.choice.level == Level::Classic {
            match unnamed::none_but_known(&plan) {
                Ok(fact) => facts.push(fact),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        match self.takes_earlier_labs()? {
            Ok(fact) => facts.extend(fact),
            Err(fault) => return Ok(Err(fault)),
        }
        if builds {
            be_patient(&mut plan);
        }
        let (labs, parts): (Vec<String>, Vec<String>) = parts(&plan)?.into_iter().unzip();
        // Those of the lab itself stand behind those of the labs below it.
        let is_own =
            |lab: &String| self.choice.labs.last().is_some_and(|own| own.catalogue.contains(&&**lab));
        let first = labs.iter().position(is_own).unwrap_or(parts.len());
        lay(&plan, &self.choice, &self.workspace(builds))?;
        match is_formatted(&self.workspace(builds))? {
            Ok(fact) => facts.push(fact),
            Err(fault) => return Ok(Err(fault)),
        }
        let laid = if builds { self.works(&parts, first)? } else { has_its_crates(&self.workspace(false))? };
        Ok(laid.map(|fact| {
            facts.push(fact);
            facts.join("; ")
        }))
    }

    /// What has to be built for. `first` is the place of the lab's first part.
    fn works(&self, parts: &[String], first: usize) -> Result<Proof, Failure> {
        let mut facts = Vec::new();
        match self.fails_as_not_implemented(parts)? {
            Ok(fact) => facts.push(fact),
            fault => return Ok(fault),
        }
        // The classic handout has no functions that a part could name.
        if self.choice.level == Level::Guided {
            for next in first + 1..parts.len() {
                match self.passes_before(&parts[..next], &parts[next..])? {
                    Ok(fact) => facts.push(fact),
                    fault => return Ok(fault),
                }
            }
        }
        match self.passes_with_the_reference()? {
            Ok(fact) => facts.push(fact),
            fault => return Ok(fault),
        }
        // The manifests of both levels are the same.
        if self.choice.level == Level::Classic {
            match self.suits_an_editor()? {
                Ok(fact) => facts.push(fact),
                fault => return Ok(fault),
            }
        }
        Ok(Ok(facts.join("; ")))
    }

    /// Where the handout is laid. What is built has a folder of its own, so that it need not be built again.
    fn workspace(&self, builds: bool) -> PathBuf {
        self.folder.join(if builds { "workspace" } else { "unbuilt" })
    }

    /// With all labs put in on which this one stands, cargo can read all manifests, and no mark is left. None
    /// if it stands on none.
    fn takes_earlier_labs(&self) -> Result<Result<Option<String>, String>, Failure> {
        let Some(own) = self.choice.labs.last() else { return Ok(Ok(None)) };
        let earlier = own.needs.iter().filter(|name| **name != "raft").map(|name| (*name).to_owned());
        let earlier: Vec<String> = earlier.collect();
        if earlier.is_empty() {
            return Ok(Ok(None));
        }
        let choice = Choice::new(&[own.name.to_owned()], &earlier, self.choice.level)?;
        let plan = plan(self.root, &choice)?;
        if let Some(place) = plan.files.iter().find_map(|(path, file)| mark_in(path, &file.content)) {
            return Ok(Err(format!("with {}: {place}", earlier.join(", "))));
        }
        let workspace = self.folder.join("given");
        lay(&plan, &choice, &workspace)?;
        let read = has_its_crates(&workspace)?;
        Ok(read.map(|_| Some(format!("takes {}", earlier.join(" and ")))))
    }

    /// Builds without a warning, and every test fails in one line, which names its own part or one before.
    fn fails_as_not_implemented(&self, parts: &[String]) -> Result<Proof, Failure> {
        let output = self.lab_test(&[])?;
        let (words, lines) = (text(&output.stderr), text(&output.stdout));
        if let Some(warning) =
            words.lines().find(|line| line.starts_with("warning") || line.starts_with("error"))
        {
            return Ok(Err(format!("building it: {warning}\n{words}")));
        }
        let results: Vec<&str> = lines.lines().filter(|line| line.starts_with("Test (")).collect();
        if let Some(other) = results.iter().find(|line| !line.contains("... not implemented (")) {
            return Ok(Err(format!("not as `not implemented`: {other}")));
        }
        if let Some(early) = results.iter().find(|line| !waits_for_its_part(line, parts)) {
            return Ok(Err(format!("waits for a later part: {early}")));
        }
        let last = lines.lines().last().unwrap_or_default();
        let begins = last.contains(", 0 of ") && last.contains(" points; begin with ");
        if results.is_empty() || !begins || output.status.code() != Some(1) {
            return Ok(Err(format!("the last line is: {last}")));
        }
        Ok(Ok(format!("{} not implemented", count(results.len(), "test"))))
    }

    /// With the reference's sources in place everything passes.
    fn passes_with_the_reference(&self) -> Result<Proof, Failure> {
        let proof = self.passes_with(&solved(self.root, &self.choice)?, &[])?;
        Ok(proof
            .map(|last| format!("with the reference {last}"))
            .map_err(|fault| format!("with the reference {fault}")))
    }

    /// What the marks give to later parts no test of the earlier ones needs.
    fn passes_before(&self, earlier: &[String], later: &[String]) -> Result<Proof, Failure> {
        let proof = self.passes_with(&solved_before(self.root, &self.choice, later)?, earlier)?;
        let when = format!("before {} is begun", later[0]);
        Ok(proof
            .map(|_| format!("{} passes {when}", earlier.last().map_or("", String::as_str)))
            .map_err(|fault| format!("{when}, {fault}")))
    }

    /// With these sources in place these tests pass; the last line tells how many. Without names: all tests.
    fn passes_with(&self, solved: &Plan, tests: &[String]) -> Result<Proof, Failure> {
        for (path, file) in solved.files.iter().filter(|(_, file)| file.role == Role::Yours) {
            write_if_other(&self.workspace(true).join(path), &file.content)?;
        }
        let output = self.lab_test(tests)?;
        let (words, lines) = (text(&output.stderr), text(&output.stdout));
        if !output.status.success() {
            return Ok(Err(format!("tests fail:\n{words}\n{lines}")));
        }
        let last = lines.lines().last().unwrap_or_default();
        Ok(Ok(last.split(" in ").next().unwrap_or(last).to_owned()))
    }

    /// An editor checks all targets of all crates, the framework's own tests too. It finds no errors.
    fn suits_an_editor(&self) -> Result<Proof, Failure> {
        let output = self.cargo(&["check", "--locked", "--workspace", "--all-targets", "--quiet"], &[])?;
        Ok(match output.status.success() {
            true => Ok("all targets check".to_owned()),
            false => Err(format!("checking all targets:\n{}", text(&output.stderr))),
        })
    }

    fn lab_test(&self, tests: &[String]) -> Result<Output, Failure> {
        self.cargo(&["run", "--locked", "--package", "lab", "--", "test"], tests)
    }

    /// Cargo in the laid handout, without optimisation, because a build takes longer than the tests.
    fn cargo(&self, words: &[&str], tests: &[String]) -> Result<Output, Failure> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(words).args(tests);
        command.env("CARGO_TARGET_DIR", self.folder.join("target"));
        command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
        // What this program was started with must not steer the handout's.
        command.env_remove("LAB_LABS").env_remove("LAB_PROFILE").env("RUST_BACKTRACE", "0");
        command.env("NO_COLOR", "1").env("CARGO_TERM_COLOR", "never");
        command.current_dir(self.workspace(true)).stdin(Stdio::null());
        command.output().map_err(|error| Failure::new(format!("cannot run cargo: {error}")))
    }
}

/// `cargo fmt` changes nothing: otherwise files that a student never touched would differ from everybody
/// else's.
fn is_formatted(workspace: &Path) -> Result<Proof, Failure> {
    let output = in_workspace(workspace, &["fmt", "--all", "--check"])?;
    let (lines, words) = (text(&output.stdout), text(&output.stderr));
    Ok(match lines.lines().find_map(|line| line.strip_prefix("Diff in ")) {
        Some(place) => Err(format!("`cargo fmt` changes {}", place.trim_end_matches(':'))),
        None if output.status.success() => Ok("formatted".to_owned()),
        None if words.contains("not installed") || words.contains("no such command") => {
            Ok("rustfmt is not there".to_owned())
        }
        None => Err(words.trim().to_owned()),
    })
}

/// Cargo can read all manifests: no crate names one that the handout lacks.
fn has_its_crates(workspace: &Path) -> Result<Proof, Failure> {
    let output = in_workspace(workspace, &["metadata", "--no-deps", "--offline", "--format-version", "1"])?;
    let words = text(&output.stderr);
    Ok(if output.status.success() { Ok("manifests".to_owned()) } else { Err(words.trim().to_owned()) })
}

/// What cargo says to this in a handout.
fn in_workspace(workspace: &Path, arguments: &[&str]) -> Result<Output, Failure> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo.args(arguments).current_dir(workspace).stdin(Stdio::null()).output();
    output.map_err(|error| Failure::new(format!("cannot run cargo: {error}")))
}

/// Where a mark is left in a file of code, if one is.
fn mark_in(path: &Path, content: &[u8]) -> Option<String> {
    let is_code = path.extension().is_some_and(|end| end == "rs" || end == "toml");
    let content = String::from_utf8_lossy(content);
    let is_mark = |line: &str| ["// handout:", "# handout:"].iter().any(|mark| line.trim().starts_with(mark));
    let line = content.lines().position(is_mark).filter(|_| is_code)?;
    Some(format!("a mark is left in {}:{}", path.display(), line + 1))
}

/// No line of what was dropped is in the handout, unless the reference has the same line in what is kept.
fn keeps_secrets(plan: &Plan) -> Proof {
    let framework = plan.files.iter().filter(|(path, file)| {
        file.role == Role::Framework && path.extension().is_some_and(|end| end == "rs")
    });
    let framework: String =
        framework.map(|(_, file)| String::from_utf8_lossy(&file.content)).collect::<Vec<_>>().concat();
    let kept = plan.kept.iter().map(String::as_str).chain(framework.lines());
    let kept: BTreeSet<String> = kept.filter_map(telling).collect();
    let secret: BTreeSet<String> = plan.dropped.iter().filter_map(|line| telling(line)).collect();
    let secret: BTreeSet<String> = secret.difference(&kept).cloned().collect();
    for (path, file) in &plan.files {
        let text = String::from_utf8_lossy(&file.content);
        if let Some((number, line)) = text
            .lines()
            .enumerate()
            .find(|(_, line)| telling(line).is_some_and(|line| secret.contains(&line)))
        {
            return Err(format!("{}:{} tells the solution: {}", path.display(), number + 1, line.trim()));
        }
    }
    Ok(format!("none of {} dropped lines is in it", secret.len()))
}

/// At the level classic nothing is left that is the solution's own affair.
fn hides_the_inside(plan: &Plan) -> Proof {
    if plan.private.is_empty() {
        return Ok("nothing private".to_owned());
    }
    let all = plan.private.join("\n  ");
    Err(format!("private, and neither left out nor behind `bodies kept`:\n  {all}"))
}

/// Both plans have the same files with the same bytes.
fn same(plan: &Plan, again: &Plan) -> Proof {
    let other = plan
        .files
        .iter()
        .find(|(path, file)| again.files.get(*path).is_none_or(|again| again.content != file.content));
    match other {
        Some((path, _)) => Err(format!("made twice, {} differs", path.display())),
        None if plan.files.len() != again.files.len() => Err("made twice, it has other files".to_owned()),
        None => Ok(count(plan.files.len(), "file")),
    }
}

/// No link of a document leads to a file that is not there.
fn links(plan: &Plan) -> Proof {
    let mut number = 0;
    for (path, file) in plan.files.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "md"))
    {
        let text = String::from_utf8_lossy(&file.content);
        for target in book::links(&text) {
            number += 1;
            let full = path.parent().unwrap_or(Path::new("")).join(target);
            if !plan.files.contains_key(&full) && !plan.files.keys().any(|file| file.starts_with(&full)) {
                return Err(format!("{} links to {target}, which is not there", path.display()));
            }
        }
    }
    Ok(count(number, "link"))
}

/// Every module of tests that `labs.toml` names is there.
fn has_its_tests(plan: &Plan) -> Proof {
    let labs = catalogue(plan)?;
    let of = |table: &toml::Value, key: &str| table.get(key).and_then(toml::Value::as_array).cloned();
    let word = |table: &toml::Value, key: &str| {
        table.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    };
    let mut modules = BTreeSet::new();
    for lab in labs.get("lab").and_then(toml::Value::as_array).into_iter().flatten() {
        for part in of(lab, "part").into_iter().flatten() {
            let ungraded = of(&part, "ungraded").into_iter().flatten();
            let tests = of(&part, "tests").into_iter().flatten();
            let tests = tests.chain(ungraded.flat_map(|ungraded| of(&ungraded, "tests")).flatten());
            let named = tests.filter(|test| test.get("module").is_some());
            modules.extend(named.chain([part.clone()]).map(|owner| {
                let module = word(&owner, "module").replace("::", "/");
                format!("tests/{}/{module}", word(lab, "binary"))
            }));
        }
    }
    let is_there = |module: &String| {
        let files = [format!("{module}.rs"), format!("{module}/mod.rs")];
        plan.files.keys().any(|path| files.iter().any(|file| path.ends_with(file)))
    };
    match modules.iter().find(|module| !is_there(module)) {
        Some(module) => Err(format!("labs.toml names tests in {module}, which is not there")),
        None => Ok(count(modules.len(), "module")),
    }
}

/// The labs, parts and tests of a handout.
fn catalogue(plan: &Plan) -> Result<toml::Table, String> {
    let text = plan.text("labs.toml").unwrap_or_default();
    toml::from_str(text).map_err(|error| format!("labs.toml: {error}"))
}

/// All parts, each with its lab's name in `labs.toml`, in the order in which they are done.
fn parts(plan: &Plan) -> Result<Vec<(String, String)>, Failure> {
    let labs = catalogue(plan).map_err(Failure::new)?;
    let of = |table: &toml::Value, key: &str| {
        table.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default()
    };
    let name = |table: &toml::Value| Some(table.get("name")?.as_str()?.to_owned());
    let labs = labs.get("lab").and_then(toml::Value::as_array).into_iter().flatten();
    let parts = labs.flat_map(|lab| of(lab, "part").into_iter().map(move |part| (name(lab), name(&part))));
    Ok(parts.filter_map(|(lab, part)| Some((lab?, part?))).collect())
}

/// Whether a line such as `Test (2A): … not implemented (2A, raft/src/server.rs:114:9)` names the test's own
/// part or an earlier one.
fn waits_for_its_part(line: &str, parts: &[String]) -> bool {
    let place = |name: &str| parts.iter().position(|part| part == name);
    let own =
        line.strip_prefix("Test (").and_then(|rest| rest.split_once(')')).and_then(|(own, _)| place(own));
    let missing = line.rsplit_once('(').and_then(|(_, rest)| rest.split([',', ')']).next()).and_then(place);
    matches!((own, missing), (Some(own), Some(missing)) if missing <= own)
}

/// A line without its spaces, if it says anything.
fn telling(line: &str) -> Option<String> {
    let plain: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
    // Names and signatures are no secret, and comments stay where they explain a name.
    let begins = ["use ", "//", "#", "fn ", "pub ", "pub(crate) ", "impl ", "struct ", "enum ", "mod "];
    let is_open = begins.iter().any(|begin| plain.starts_with(begin));
    let says = plain.chars().filter(|letter| letter.is_alphanumeric()).count() >= TELLING;
    (says && !is_open).then_some(plain)
}

/// Gives each run more real time than students' runs have: it is built without optimisation, perhaps beside
/// others, and how fast it is is not what is proved.
fn be_patient(plan: &mut Plan) {
    if let Some(file) = plan.files.get_mut(Path::new("labs.toml")) {
        let text = String::from_utf8_lossy(&file.content);
        let patient =
            text.lines().map(|line| if line.starts_with("real_s = ") { "real_s = 600" } else { line });
        file.content = (patient.collect::<Vec<_>>().join("\n") + "\n").into_bytes();
    }
}

/// Makes a folder hold this handout. Files that are right already keep their times, for cargo's sake.
fn lay(plan: &Plan, choice: &Choice, workspace: &Path) -> Result<(), Failure> {
    for path in files_below(workspace, Path::new(""))? {
        if !plan.files.contains_key(&path) {
            let path = workspace.join(path);
            fs::remove_file(&path).map_err(|error| cannot(&path, &error))?;
        }
    }
    for (path, file) in &plan.files {
        write_if_other(&workspace.join(path), &file.content)?;
    }
    Record::of(plan, choice).write(workspace)
}

fn write_if_other(path: &Path, content: &[u8]) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| fs::write(path, content)).map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_waits_for_no_later_part() {
        let parts = ["2A", "2B", "3A"].map(str::to_owned);
        let waits = |line| waits_for_its_part(line, &parts);
        assert!(waits("Test (2B): leader (of 3) backs up ... not implemented (2A)"));
        assert!(waits("Test (2B): leader backs up ... not implemented (2B)"));
        assert!(waits("Test (2B): leader backs up ... not implemented (2A, raft/src/server.rs:114:9)"));
        assert!(!waits("Test (2B): leader (of 3) backs up ... not implemented (3A)"));
        assert!(!waits("Test (2B): leader backs up ... not implemented (9)"), "no part");
    }
}
