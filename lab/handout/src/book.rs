//! The labs' texts, `docs/`: an mdBook whose code stands in the sources, whose links lead somewhere, and
//! whose commands work.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab_terminal::{Failure, Outcome, count};

use crate::plan::{files_below, text_of};

/// Where the chapters are.
pub(crate) const CHAPTERS: &str = "docs/src";

/// How a chapter asks for a piece of a source: path and anchor follow.
const INCLUDE: &str = "{{#include ";

/// The chapter with the pieces of sources in it.
pub(crate) fn expand(root: &Path, text: &str) -> Result<String, Failure> {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        match line.trim().strip_prefix(INCLUDE).and_then(|rest| rest.strip_suffix("}}")) {
            Some(place) => out.push_str(&piece(root, place)?),
            None => out.push_str(line),
        }
    }
    Ok(out)
}

/// The lines between an anchor's two comments, other anchors' comments left out.
fn piece(root: &Path, place: &str) -> Result<String, Failure> {
    let (path, anchor) =
        place.split_once(':').ok_or_else(|| Failure::new(format!("{place}: an anchor is missing")))?;
    let path = normal(&Path::new(CHAPTERS).join(path));
    let text = text_of(root, &path)?;
    let is = |line: &str, word: &str| line.trim() == format!("// {word}: {anchor}");
    let inner = text.split_inclusive('\n').skip_while(|line| !is(line, "ANCHOR")).skip(1);
    let inner: Vec<&str> = inner.take_while(|line| !is(line, "ANCHOR_END")).collect();
    if inner.is_empty() || !text.lines().any(|line| is(line, "ANCHOR_END")) {
        return Err(Failure::new(format!("{} has no anchor `{anchor}`", path.display())));
    }
    Ok(inner.into_iter().filter(|line| !line.trim().starts_with("// ANCHOR")).collect())
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path {
        if part == ".." { _ = out.pop() } else { out.push(part) }
    }
    out
}

/// Checks the book, and runs every command in it.
pub(crate) fn run(root: &Path) -> Result<Outcome, Failure> {
    let mut chapters = files_below(root, Path::new(CHAPTERS))?;
    // Beside the chapters stand their pictures.
    chapters.retain(|path| path.extension().is_some_and(|end| end == "md"));
    let mut complaints = unlisted(root, &chapters)?;
    let mut commands = Vec::new();
    for path in &chapters {
        let text = expand(root, &text_of(root, path)?)?;
        for target in broken_links(&text, path, root) {
            complaints.push(format!("{} links to {target}, which is not there", path.display()));
        }
        commands.extend(commands_in(&text).into_iter().map(|command| (path.clone(), command)));
    }
    let mut done = BTreeSet::new();
    for (path, command) in &commands {
        if done.insert(command) && !works(root, command)? {
            complaints.push(format!("{}: `{command}` failed", path.display()));
        }
    }
    complaints.iter().for_each(|complaint| println!("{complaint}"));
    println!("{}, {} run", count(chapters.len() - 1, "chapter"), count(done.len(), "command"));
    Ok(if complaints.is_empty() { Outcome::Passed } else { Outcome::Failed })
}

/// Chapters that the table of contents lacks.
fn unlisted(root: &Path, chapters: &BTreeSet<PathBuf>) -> Result<Vec<String>, Failure> {
    let summary = text_of(root, &Path::new(CHAPTERS).join("SUMMARY.md"))?;
    let names = chapters.iter().filter_map(|path| path.file_name()).map(|name| name.display().to_string());
    let missing = names.filter(|name| name != "SUMMARY.md" && !summary.contains(&format!("({name})")));
    Ok(missing.map(|name| format!("SUMMARY.md does not list {name}")).collect())
}

/// Targets of relative links that are no files.
pub(crate) fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets
        .filter(|target| !target.contains("://"))
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty())
}

fn broken_links<'a>(text: &'a str, path: &Path, root: &Path) -> Vec<&'a str> {
    let folder = path.parent().unwrap_or(Path::new(""));
    links(text).filter(|target| !root.join(normal(&folder.join(target))).exists()).collect()
}

/// The lines of the blocks of shell commands.
fn commands_in(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        match (line, inside) {
            ("```sh", false) => inside = true,
            ("```", true) => inside = false,
            (command, true) => commands.push(command.split(" #").next().unwrap_or(command).trim().to_owned()),
            _ => {}
        }
    }
    commands
}

/// Runs a command of the book, in the workspace. A folder that it makes must not be there.
fn works(root: &Path, command: &str) -> Result<bool, Failure> {
    println!("$ {command}");
    let mut words = command.split_whitespace();
    let made = words.clone().skip_while(|word| *word != "--out").nth(1);
    if let Some(made) = made.filter(|made| made.starts_with("target/")) {
        // It is there if the book was checked before.
        let _ = std::fs::remove_dir_all(root.join(made));
    }
    let program = words.next().unwrap_or_default();
    let output = Command::new(program)
        .args(words)
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::new(format!("cannot run {program}: {error}")))?;
    if !output.status.success() {
        eprint!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_in_shell_blocks() {
        let text = "```sh\ncargo lab # where\n```\n```rust\nlet a;\n```\n   ```sh\n   cargo b --c\n   ```\n";
        assert_eq!(commands_in(text), ["cargo lab", "cargo b --c"]);
    }

    #[test]
    fn links_are_relative_ones() {
        let text = "[a](b.md#c), [d](https://e) and [f](#g)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["b.md"]);
    }

    #[test]
    fn paths_become_short() {
        assert_eq!(normal(Path::new("docs/src/../../labapi/src/lib.rs")), Path::new("labapi/src/lib.rs"));
    }
}
