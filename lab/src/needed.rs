//! `bugs/needed.toml`: which test is needed for which wrong solutions.
//!
//! A test is needed for a wrong solution if it catches it in 95 % of gradings, and no cheaper test of the lab
//! does: one with which the reference needs fewer RPCs. A test that is needed for none shows something, and
//! `labs.toml` marks it as a demonstration. `cargo lab zoo LAB --needed` writes the table of a lab anew, and
//! `cargo lab list --check` compares it with the marks and with the patches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::catalogue::Catalogue;

/// What stands above the tables.
const HEAD: &str = "\
# Of each test the wrong solutions that it catches in at least 95 % of gradings, and no cheaper test of its
# lab does.
# Written by `cargo lab zoo LAB --needed`; `cargo lab list --check` compares it with the marks in labs.toml.
";

/// Of each lab and test, the names of wrong solutions.
pub(crate) type Table = BTreeMap<String, BTreeMap<String, Vec<String>>>;

fn path(root: &Path) -> PathBuf {
    root.join("bugs/needed.toml")
}

/// The table of the workspace at `root`; an empty one if it has none.
fn load(root: &Path) -> Result<Table, Failure> {
    let path = path(root);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Table::new()),
        Err(error) => Err(Failure::new(format!("{}: {error}", path.display()))),
        Ok(text) => {
            toml::from_str(&text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
        }
    }
}

/// Replaces a lab's table.
pub(crate) fn write(root: &Path, lab: &str, needed: BTreeMap<String, Vec<String>>) -> Result<(), Failure> {
    let mut table = load(root)?;
    table.insert(lab.to_owned(), needed);
    let path = path(root);
    fs::write(&path, text(&table)).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn text(table: &Table) -> String {
    let mut text = HEAD.to_owned();
    for (lab, tests) in table {
        text += &format!("\n[{lab}]\n");
        for (test, bugs) in tests {
            text += &format!("{test} = {bugs:?}\n");
        }
    }
    text
}

/// What does not agree between the table, the marks in `labs.toml`, and the wrong solutions that there are. A
/// lab without a table has not been measured, and nothing is said of it.
pub(crate) fn complaints(catalogue: &Catalogue) -> Result<Vec<String>, Failure> {
    let table = load(&catalogue.root)?;
    let tests = catalogue.tests();
    let mut complaints = Vec::new();
    for (lab, needed) in &table {
        for test in tests.iter().filter(|test| test.lab == *lab) {
            match (needed.get(&test.name), test.is_demonstration) {
                (Some(bugs), true) => complaints.push(format!(
                    "{} is marked as a demonstration, and is needed for {}",
                    test.name,
                    bugs.join(", ")
                )),
                (None, false) => complaints.push(format!(
                    "{} is needed for no wrong solution: plant one, or mark the test as a demonstration",
                    test.name
                )),
                _ => {}
            }
        }
        let known: BTreeSet<&str> =
            tests.iter().filter(|test| test.lab == *lab).map(|test| test.name.as_str()).collect();
        let unknown = needed.keys().filter(|test| !known.contains(test.as_str()));
        complaints.extend(unknown.map(|test| format!("{lab} has no test {test}")));
        let bugs = needed.values().flatten();
        let gone = bugs.filter(|bug| !is_there(&catalogue.root, lab, bug));
        complaints.extend(gone.map(|bug| format!("{lab} has no wrong solution {bug}")));
    }
    Ok(complaints)
}

/// Whether the workspace has a wrong solution of this name: `R33`, or `R33/threads` on a base.
fn is_there(root: &Path, lab: &str, bug: &str) -> bool {
    let (id, folder) = match bug.split_once('/') {
        Some((id, base)) => (id, root.join("bugs/bases").join(base).join("bugs").join(lab)),
        None => (bug, root.join("bugs").join(lab)),
    };
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let begin = [format!("{id}-"), format!("{id}.")];
    names.map(|entry| entry.file_name()).any(|name| {
        let name = name.to_string_lossy().into_owned();
        begin.iter().any(|begin| name.starts_with(begin))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABS: &str = "[limits]\n[[lab]]\nname = 'raft'\ntitle = 'r'\npackage = 'raft'\nbinary = 'raft'\n\
        [[lab.part]]\nname = '2A'\ntitle = 'a'\nmodule = 'a'\ntests = [{ name = 'one', title = '1' }, \
        { name = 'two', title = '2', demonstration = true }, { name = 'three', title = '3' }]\n";

    /// `one` is needed, `two` is marked and needed, `three` is neither; and what is named is not all there.
    #[test]
    fn what_does_not_agree_is_told() {
        let root = std::env::temp_dir().join(format!("lab-needed-{}", std::process::id()));
        fs::create_dir_all(root.join("bugs/raft")).expect("the folder for temporary files can be written");
        fs::write(root.join("bugs/raft/R1-x.patch"), "").expect("the folder can be written");
        let mut catalogue: Catalogue = toml::from_str(LABS).expect("it is a catalogue");
        catalogue.root = root.clone();
        assert_eq!(complaints(&catalogue).ok(), Some(Vec::new()), "nothing has been measured");
        let needed = [("one", "R1"), ("two", "R1"), ("four", "R10")];
        let needed = needed.map(|(test, bug)| (test.to_owned(), vec![bug.to_owned()]));
        assert!(write(&root, "raft", needed.into()).is_ok());
        let told = complaints(&catalogue).unwrap_or_default();
        fs::remove_dir_all(&root).expect("it is there");
        let expected = [
            "two is marked as a demonstration, and is needed for R1",
            "three is needed for no wrong solution: plant one, or mark the test as a demonstration",
            "raft has no test four",
            "raft has no wrong solution R10",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_written_is_read() {
        let bugs = vec!["R33".to_owned(), "R33/threads".to_owned()];
        let table: Table = [("raft".to_owned(), [("one_2a".to_owned(), bugs)].into())].into();
        assert_eq!(toml::from_str::<Table>(&text(&table)).ok(), Some(table));
    }
}
