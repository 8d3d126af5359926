//! From what a user typed to tests: the name of a lab, a part or a test, or a piece of a test's name.

use crate::Failure;
use crate::catalogue::{Catalogue, Test};

/// How many names are offered for a misspelt one.
const SUGGESTIONS: usize = 3;

/// Below this similarity (0 to 1) a name is no help.
const SIMILAR: f64 = 0.5;

/// The tests that `patterns` name, each once, in the order of `labs.toml`; all tests if there are no patterns.
///
/// A pattern is the name of a lab (`raft`), of a part (`2A`) or of a test (`backup_2b`, or as the course spells it,
/// `TestBackup2B`); if it is none of these, a piece of a test's name (`figure_8`).
pub(crate) fn select(catalogue: &Catalogue, patterns: &[String]) -> Result<Vec<Test>, Failure> {
    let tests = catalogue.tests();
    let mut chosen = vec![patterns.is_empty(); tests.len()];
    for pattern in patterns.iter().filter(|pattern| !pattern.is_empty()) {
        let matching = matching(&tests, pattern);
        if matching.is_empty() {
            return Err(unknown(catalogue, &tests, pattern));
        }
        matching.into_iter().for_each(|index| chosen[index] = true);
    }
    if patterns.iter().any(String::is_empty) {
        chosen.fill(true);
    }
    Ok(tests.into_iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(test, _)| test).collect())
}

/// The one test that `name` names.
pub(crate) fn select_one(catalogue: &Catalogue, name: &str) -> Result<Test, Failure> {
    let tests = catalogue.tests();
    match matching(&tests, name)[..] {
        [] => Err(unknown(catalogue, &tests, name)),
        [index] => Ok(tests[index].clone()),
        [..] => Err(Failure::new(format!("{name} names more than one test; give the whole name"))),
    }
}

/// The indices of the tests that `pattern` names.
fn matching(tests: &[Test], pattern: &str) -> Vec<usize> {
    let wanted = plain(pattern);
    let group = |test: &Test| plain(&test.lab) == wanted || plain(&test.part) == wanted;
    let exact = |test: &Test| plain(&test.name) == wanted || test.path == pattern;
    let piece = |test: &Test| plain(&test.name).contains(&wanted);
    let rules: [&dyn Fn(&Test) -> bool; 3] = [&group, &exact, &piece];
    rules
        .iter()
        .map(|rule| (0..tests.len()).filter(|&index| rule(&tests[index])).collect::<Vec<_>>())
        .find(|indices| !indices.is_empty())
        .unwrap_or_default()
}

/// A name without what its spelling varies in, so that `TestFigure8Unreliable2C` is `figure_8_unreliable_2c`.
fn plain(name: &str) -> String {
    let letters: String = name.chars().filter(|letter| *letter != '_' && *letter != '-').collect();
    let letters = letters.strip_prefix("Test").unwrap_or(&letters);
    letters.to_lowercase()
}

/// What to say about a name that nobody has.
fn unknown(catalogue: &Catalogue, tests: &[Test], name: &str) -> Failure {
    let labs = catalogue.labs.iter().map(|lab| lab.name.clone());
    let parts = catalogue.labs.iter().flat_map(|lab| lab.parts.iter().map(|part| part.name.clone()));
    let names: Vec<String> = labs.chain(parts).chain(tests.iter().map(|test| test.name.clone())).collect();
    let mut message = format!("there is no lab, part or test called {name}");
    let nearest = nearest(name, &names);
    if !nearest.is_empty() {
        message += &format!("; the nearest: {}", nearest.join(", "));
    }
    message += "\n`cargo lab list` shows all names";
    Failure::new(message)
}

/// The names most like `name`, best first.
pub(crate) fn nearest<'a>(name: &str, names: &'a [String]) -> Vec<&'a str> {
    let wanted = plain(name);
    let mut scored: Vec<(f64, &str)> = names
        .iter()
        .map(|other| (strsim::normalized_damerau_levenshtein(&wanted, &plain(other)), other.as_str()))
        .filter(|(score, _)| *score >= SIMILAR)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    scored.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn spellings_of_the_course_are_the_same_name() {
        assert_eq!(plain("TestFigure8Unreliable2C"), plain("figure_8_unreliable_2c"));
        assert_eq!(plain("TestSnapshotInstallUnCrash2D"), plain("snapshot_install_un_crash_2d"));
    }

    #[test]
    fn the_nearest_names_come_first() {
        let names = names(&["raft", "2A", "2B", "initial_election_2a", "re_election_2a", "figure_8_2c"]);
        assert_eq!(nearest("intial_election_2a", &names)[0], "initial_election_2a");
        assert_eq!(nearest("2E", &names), ["2A", "2B"]);
        assert!(nearest("zookeeper", &names).is_empty());
    }
}
