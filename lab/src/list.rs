//! `cargo lab list`: what there is.

use std::collections::BTreeSet;
use std::process::Command;

use console::style;
use lab_terminal::count;

use crate::build::{BuildOptions, DEFAULT_PROFILE, build};
use crate::catalogue::{Catalogue, Test};
use crate::cli::{Arguments, ListOptions};
use crate::needed;
use crate::select::select;
use crate::statics;
use crate::style::{say, say_or_json};
use crate::{Failure, Outcome};

/// Prints the chosen labs, parts and tests; with `--check`, also proves that they are all there.
pub(crate) fn run(arguments: &Arguments, options: &ListOptions) -> Result<Outcome, Failure> {
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    let tests = select(&catalogue, &options.selection.patterns)?;
    if options.form.json {
        for Test { name, title, lab, part, points, heading, is_demonstration, path, .. } in &tests {
            let line = serde_json::json!({"lab": lab, "part": part, "name": name, "title": title, "points": points,
                "ungraded": heading, "demonstration": is_demonstration, "path": path});
            println!("{line}");
        }
    }
    for lab in catalogue.labs.iter().filter(|_| !options.form.json) {
        let in_lab: Vec<&Test> = tests.iter().filter(|test| test.lab == lab.name).collect();
        if in_lab.is_empty() {
            continue;
        }
        say(&format!("{}  {} ({})", style(&lab.name).bold(), lab.title, sum(&in_lab)));
        for part in &lab.parts {
            let in_part: Vec<&Test> = in_lab.iter().copied().filter(|test| test.part == part.name).collect();
            print_part(&part.name, &part.title, &in_part);
        }
    }
    if options.check { check(&catalogue, &tests, options.form.json) } else { Ok(Outcome::Passed) }
}

fn print_part(name: &str, title: &str, tests: &[&Test]) {
    if tests.is_empty() {
        return;
    }
    say(&format!("  {}  {title} ({})", style(name).bold(), sum(tests)));
    let width = tests.iter().map(|test| test.name.len()).max().unwrap_or(0);
    let mut heading = None;
    for test in tests {
        if test.heading.is_some() && test.heading != heading {
            say(&format!("    {}", style(test.heading.as_deref().unwrap_or_default()).dim()));
        }
        heading.clone_from(&test.heading);
        say(&format!("    {:width$}  {:2}  {}", test.name, test.points, test.title));
    }
}

/// "5 tests, 30 points".
fn sum(tests: &[&Test]) -> String {
    let points: u32 = tests.iter().map(|test| test.points).sum();
    format!("{}, {points} points", count(tests.len(), "test"))
}

/// Compares the binaries' own lists with `labs.toml`, both ways within the modules that it names; and looks
/// for state in a `static`; and asks whether each test is needed, or marked as a demonstration.
fn check(catalogue: &Catalogue, chosen: &[Test], is_json: bool) -> Result<Outcome, Failure> {
    let binaries = build(&catalogue.root, chosen, &BuildOptions::new(DEFAULT_PROFILE))?;
    let mut outcome = Outcome::Passed;
    let mut complain = |word: &str, what: &str| {
        let words = format!("{} {what}", style(format!("{word}:")).red());
        say_or_json(is_json, &words, &serde_json::json!({"complaint": word, "what": what}));
        outcome = Outcome::Failed;
    };
    for found in statics::in_sources_of(&catalogue.root, chosen) {
        complain("static", &found.to_string());
    }
    for complaint in needed::complaints(catalogue)? {
        complain("needed", &complaint);
    }
    for ((package, binary), path) in &binaries {
        let cannot = |error| Failure::new(format!("cannot run {}: {error}", path.display()));
        let output = Command::new(path).args(["--list", "--format", "terse"]).output().map_err(cannot)?;
        let listing = String::from_utf8_lossy(&output.stdout);
        let tests = catalogue.tests();
        let here = tests.iter().filter(|test| test.package == *package && test.binary == *binary);
        let named: BTreeSet<&str> = here.map(|test| test.path.as_str()).collect();
        let modules: BTreeSet<&str> = named.iter().filter_map(|path| path.split("::").next()).collect();
        let there: BTreeSet<&str> = listing
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .filter(|path| path.split("::").next().is_some_and(|module| modules.contains(module)))
            .collect();
        for missing in named.difference(&there) {
            complain("missing", &format!("{missing} is in labs.toml and not in {binary}"));
        }
        for unknown in there.difference(&named) {
            complain("unlisted", &format!("{unknown} is in {binary} and not in labs.toml"));
        }
    }
    Ok(outcome)
}
