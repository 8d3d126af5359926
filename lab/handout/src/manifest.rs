//! Manifests and the lock file of a handout.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use lab_terminal::Failure;
use serde::Deserialize;

use crate::plan::{Choice, Plan, Role, text_of};

/// Lints of the compiler that are this repository's style. Students would see them at each build, and miss
/// other warnings among them.
const HOUSE_STYLE: [&str; 2] = ["missing_docs", "unreachable_pub"];

/// A manifest without some of its sections, and the comments above them.
pub(crate) fn without_sections(text: &str, sections: &[&str]) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut is_kept = true;
    for line in text.lines() {
        if line.starts_with('[') {
            let was_kept = is_kept;
            is_kept = !sections.contains(&line.trim());
            if !is_kept && was_kept {
                drop_comment(&mut out);
            }
        }
        if is_kept {
            out.push(line);
        }
    }
    finish(out)
}

/// A manifest without the development dependencies that the sources do not name: those of tests and benches
/// that stayed behind. Unit tests are still there, and an editor that checks all targets compiles them.
pub(crate) fn with_named_alone(text: &str, sources: &str) -> String {
    const SECTION: &str = "[dev-dependencies]";
    let (mut out, mut is_dev): (Vec<&str>, bool) = (Vec::new(), false);
    for line in text.lines() {
        if line.starts_with('[') {
            is_dev = line.trim() == SECTION;
        }
        let name = line.split([' ', '=', '.']).next().unwrap_or_default().replace('-', "_");
        let is_kept = !is_dev || !is_entry(line) || sources.contains(&format!("{name}::"));
        match is_kept {
            true => out.push(line),
            false => drop_comment(&mut out),
        }
    }
    let text = finish(out);
    let is_empty = text.split_once(SECTION).is_some_and(|(_, rest)| {
        rest.lines().find(|line| !line.is_empty()).is_none_or(|line| line.starts_with('['))
    });
    if is_empty { without_sections(&text, &[SECTION]) } else { text }
}

/// Removes the comment at the end, which belongs to what is left out next.
fn drop_comment(out: &mut Vec<&str>) {
    while out.last().is_some_and(|line| line.starts_with('#')) {
        out.pop();
    }
}

/// The lines as a text, without two empty lines in a row.
fn finish(lines: Vec<&str>) -> String {
    let mut out = String::new();
    let mut lines = lines.into_iter().peekable();
    while let Some(line) = lines.next() {
        let is_twice = line.is_empty() && lines.peek().is_none_or(|next| next.is_empty());
        if !is_twice {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Adds the workspace's manifest and the lock file.
pub(crate) fn add_root(plan: &mut Plan, root: &Path, choice: &Choice) -> Result<(), Failure> {
    let lock = text_of(root, Path::new("Cargo.lock"))?;
    let lock: Lock = toml::from_str(&lock).map_err(|error| Failure::new(format!("Cargo.lock: {error}")))?;
    let packages = packages(plan, choice)?;
    let lock = lock.only(&packages);
    let present: BTreeSet<&str> = lock.package.iter().map(|package| package.name.as_str()).collect();
    let text = text_of(root, Path::new("Cargo.toml"))?;
    plan.put("Cargo.toml", root_manifest(&text, choice, &present), Role::Framework);
    plan.put("Cargo.lock", lock.to_string(), Role::Framework);
    Ok(())
}

/// The handout's own packages, each with the names of what it depends on.
fn packages(plan: &Plan, choice: &Choice) -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Manifest {
        package: Name,
        #[serde(default)]
        dependencies: BTreeMap<String, toml::Value>,
        #[serde(default)]
        dev_dependencies: BTreeMap<String, toml::Value>,
    }
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    let mut packages = BTreeMap::new();
    for folder in choice.crates() {
        let path = format!("{folder}/Cargo.toml");
        let text = plan.text(&path).unwrap_or_default();
        let manifest: Manifest =
            toml::from_str(text).map_err(|error| Failure::new(format!("{path}: {error}")))?;
        let names = manifest.dependencies.into_keys().chain(manifest.dev_dependencies.into_keys());
        packages.insert(manifest.package.name, names.collect());
    }
    Ok(packages)
}

/// The workspace's manifest without what is not there: members, versions, and profiles of packages.
fn root_manifest(text: &str, choice: &Choice, present: &BTreeSet<&str>) -> String {
    let crates = choice.crates();
    let labs: Vec<&str> = choice.labs.iter().flat_map(|lab| lab.packages).copied().collect();
    let mut out: Vec<&str> = Vec::new();
    let defaults = format!("default-members = {labs:?}");
    let mut section = "";
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let name = line.split([' ', '=', '.']).next().unwrap_or_default();
        let is_kept = match section {
            "[workspace]" if line.starts_with("exclude") => false,
            "[workspace]" => match line.trim().strip_prefix('"').and_then(|line| line.strip_suffix("\",")) {
                Some(member) => crates.contains(&member),
                None => true,
            },
            "[workspace.dependencies]" | "[profile.dev.package]" if is_entry(line) => present.contains(name),
            "[workspace.lints.rust]" => !HOUSE_STYLE.contains(&name),
            _ => true,
        };
        if is_kept && !line.contains("CONTRIBUTING.md") {
            out.push(line);
        } else if !is_kept && (is_entry(line) || line.starts_with("exclude")) {
            drop_comment(&mut out);
        }
        if section == "[workspace]" && line == "]" {
            // Lines of their own: what is dropped next takes the comment above it along, and nothing else.
            out.extend(["# What plain `cargo test` runs.", &defaults]);
        }
    }
    finish(out)
}

/// Whether the line gives a name a value.
fn is_entry(line: &str) -> bool {
    line.starts_with(|first: char| first.is_ascii_alphanumeric()) && line.contains(" = ")
}

/// `Cargo.lock`.
#[derive(Debug, Deserialize)]
struct Lock {
    version: u32,
    package: Vec<Package>,
}

/// A package in it.
#[derive(Clone, Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    /// Names; with a version behind it, if several versions are there.
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Lock {
    /// The lock file of a workspace with these packages only, as cargo would write it.
    fn only(self, own: &BTreeMap<String, BTreeSet<String>>) -> Lock {
        let all: Vec<Package> = self.package.into_iter().filter_map(|package| package.within(own)).collect();
        let is_meant = |dependency: &str, package: &Package| {
            let mut words = dependency.split(' ');
            words.next() == Some(&package.name)
                && words.next().is_none_or(|version| version == package.version)
        };
        let mut kept: Vec<bool> = all.iter().map(|package| package.source.is_none()).collect();
        let mut todo: Vec<usize> = (0..all.len()).filter(|&index| kept[index]).collect();
        while let Some(index) = todo.pop() {
            let is_reached = |package: &Package| {
                all[index].dependencies.iter().any(|dependency| is_meant(dependency, package))
            };
            let reached: Vec<usize> =
                (0..all.len()).filter(|&other| !kept[other] && is_reached(&all[other])).collect();
            reached.iter().for_each(|&other| kept[other] = true);
            todo.extend(reached);
        }
        let mut package: Vec<Package> =
            all.into_iter().zip(kept).filter_map(|(package, kept)| kept.then_some(package)).collect();
        shorten(&mut package);
        Lock { version: self.version, package }
    }
}

impl Package {
    /// One of our own has the dependencies of its manifest, or is not there. Others stay as they are.
    fn within(mut self, own: &BTreeMap<String, BTreeSet<String>>) -> Option<Package> {
        if self.source.is_none() {
            let names = own.get(&self.name)?;
            self.dependencies
                .retain(|dependency| dependency.split(' ').next().is_some_and(|name| names.contains(name)));
        }
        Some(self)
    }
}

/// Cargo names the version of a dependency only where several are there.
fn shorten(packages: &mut [Package]) {
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for package in packages.iter() {
        *versions.entry(package.name.clone()).or_default() += 1;
    }
    for dependency in packages.iter_mut().flat_map(|package| &mut package.dependencies) {
        if let Some((name, _)) =
            dependency.split_once(' ').filter(|(name, _)| versions.get(*name) == Some(&1))
        {
            *dependency = name.to_owned();
        }
    }
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        for Package { name, version, source, checksum, dependencies } in &self.package {
            write!(out, "\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n")?;
            for (key, value) in [("source", source), ("checksum", checksum)] {
                if let Some(value) = value {
                    writeln!(out, "{key} = \"{value}\"")?;
                }
            }
            if !dependencies.is_empty() {
                writeln!(out, "dependencies = [")?;
                dependencies.iter().try_for_each(|dependency| writeln!(out, " \"{dependency}\","))?;
                writeln!(out, "]")?;
            }
        }
        write!(
            f,
            "# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\nversion = {}\n{out}",
            self.version
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_go_with_their_comments() {
        let text = "[package]\na = 1\n\n# Why.\n[[bench]]\nb = 2\n\n[lints]\nc = 3\n";
        assert_eq!(without_sections(text, &["[[bench]]"]), "[package]\na = 1\n\n[lints]\nc = 3\n");
    }

    #[test]
    fn dependencies_of_unit_tests_stay() {
        let text = "[package]\na = 1\n\n[dev-dependencies]\n# Why.\nserde-json.workspace = true\n# Why not.\n\
                    sha2.workspace = true\n\n[lints]\nc = 3\n";
        let with =
            "[package]\na = 1\n\n[dev-dependencies]\n# Why.\nserde-json.workspace = true\n\n[lints]\nc = 3\n";
        assert_eq!(with_named_alone(text, "serde_json::to_string(one)"), with);
        assert_eq!(with_named_alone(text, "fn one() {}"), "[package]\na = 1\n\n[lints]\nc = 3\n");
    }

    #[test]
    fn the_root_has_what_students_need() {
        let text = "[workspace]\nmembers = [\n    \"raft\",\n    \"kvraft\",\n]\n# Why.\nexclude = [\"peers\"]\n\n\
                    [workspace.dependencies]\nserde = \"1\"\n# Why.\nother = \"2\"\n\n\
                    [workspace.lints.rust]\nunsafe_code = \"forbid\"\nmissing_docs = \"warn\"\n";
        let choice = Choice::new(&["raft".to_owned()], &[], crate::marks::Level::Classic).unwrap();
        let expected = "[workspace]\nmembers = [\n    \"raft\",\n]\n# What plain `cargo test` runs.\n\
                        default-members = [\"raft\"]\n\n[workspace.dependencies]\nserde = \"1\"\n\n\
                        [workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
        assert_eq!(root_manifest(text, &choice, &BTreeSet::from(["serde"])), expected);
    }

    #[test]
    fn the_lock_holds_what_is_reached() {
        let text = "version = 4\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\ndependencies = [\"a 1.0.0\", \"b\"]\n\
                    [[package]]\nname = \"gone\"\nversion = \"0.1.0\"\ndependencies = [\"b\"]\n\
                    [[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"s\"\n\
                    [[package]]\nname = \"a\"\nversion = \"2.0.0\"\nsource = \"s\"\n\
                    [[package]]\nname = \"b\"\nversion = \"1.0.0\"\nsource = \"s\"\n";
        let lock: Lock = toml::from_str(text).unwrap();
        let own = BTreeMap::from([("own".to_owned(), BTreeSet::from(["a".to_owned()]))]);
        let lock = lock.only(&own);
        let names: Vec<_> = lock.package.iter().map(|package| (&*package.name, &*package.version)).collect();
        assert_eq!(names, [("own", "0.1.0"), ("a", "1.0.0")]);
        assert_eq!(lock.package[0].dependencies, ["a"]);
    }
}
