//! From what a user typed to tests: the name of a lab, a part or a test, or a piece of a test's name.

use lab_terminal::{Failure, nearest, plain};

use crate::catalogue::{Catalogue, Test};

/// How many candidates an ambiguous name lists.
const LISTED: usize = 12;

/// The tests that `patterns` name, each once, in the order of `labs.toml`; all tests if there are no
/// patterns.
///
/// A pattern is the name of a lab (`raft`), of a group of labs (`lectures`), of a part (`2A`) or of a test
/// (`backup_2b`, or as the course spells it, `TestBackup2B`); if it is none of these, a number names all
/// parts of it (`2`: 2A to 2D), and anything else is a piece of a test's name (`figure_8`). Commas, bars and
/// blanks separate several.
pub(crate) fn select(catalogue: &Catalogue, patterns: &[String]) -> Result<Vec<Test>, Failure> {
    let tests = catalogue.tests();
    let mut chosen = vec![patterns.is_empty(); tests.len()];
    for pattern in patterns
        .iter()
        .filter(|pattern| !pattern.is_empty())
        .flat_map(|pattern| pattern.split([',', '|', ' ']))
    {
        if plain(pattern).is_empty() {
            return Err(empty(pattern));
        }
        let matching = matching(&tests, pattern);
        if matching.is_empty() {
            return Err(unknown(catalogue, &tests, pattern));
        }
        matching.into_iter().for_each(|index| chosen[index] = true);
    }
    if patterns.iter().any(String::is_empty) {
        chosen.fill(true);
    }
    let chosen: Vec<Test> =
        tests.into_iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(test, _)| test).collect();
    // Nothing that is run must ever look like a pass.
    if chosen.is_empty() { Err(Failure::new("labs.toml names no test")) } else { Ok(chosen) }
}

/// The one test that `name` names.
pub(crate) fn select_one(catalogue: &Catalogue, name: &str) -> Result<Test, Failure> {
    let tests = catalogue.tests();
    if plain(name).is_empty() {
        return Err(empty(name));
    }
    match matching(&tests, name)[..] {
        [] => Err(unknown(catalogue, &tests, name)),
        [index] => Ok(tests[index].clone()),
        ref several => {
            let names = several.iter().take(LISTED).map(|&index| tests[index].name.as_str());
            let mut list = names.collect::<Vec<_>>().join(", ");
            if several.len() > LISTED {
                list += &format!(" and {} more", several.len() - LISTED);
            }
            Err(Failure::new(format!("{name} names {} tests; which one?\n  {list}", several.len())))
        }
    }
}

/// The failure of a name without a letter.
fn empty(name: &str) -> Failure {
    Failure::new(if name.is_empty() {
        "a name between commas, bars or blanks is empty; `cargo lab list` shows all names".to_owned()
    } else {
        format!("{name:?} names no test; `cargo lab list` shows all names")
    })
}

/// The indices of the tests that `pattern` names.
fn matching(tests: &[Test], pattern: &str) -> Vec<usize> {
    let wanted = plain(pattern);
    let group = |test: &Test| {
        let names = [Some(&test.lab), test.group.as_ref(), Some(&test.part)];
        names.into_iter().flatten().any(|name| plain(name) == wanted)
    };
    let exact = |test: &Test| plain(&test.name) == wanted || test.path == pattern;
    let piece = |test: &Test| plain(&test.name).contains(&wanted);
    // `2` is lab 2, and no piece of unreliable_2_4b.
    let is_number = wanted.chars().all(|letter| letter.is_ascii_digit());
    let parts = |test: &Test| {
        let part = plain(&test.part);
        is_number && part.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()) == wanted
    };
    let piece = |test: &Test| !is_number && piece(test);
    let rules: [&dyn Fn(&Test) -> bool; 4] = [&group, &exact, &parts, &piece];
    rules
        .iter()
        .map(|rule| (0..tests.len()).filter(|&index| rule(&tests[index])).collect::<Vec<_>>())
        .find(|indices| !indices.is_empty())
        .unwrap_or_default()
}

/// The message for a name that matches nothing.
fn unknown(catalogue: &Catalogue, tests: &[Test], name: &str) -> Failure {
    let labs = catalogue.labs.iter().map(|lab| lab.name.clone());
    let parts = catalogue.labs.iter().flat_map(|lab| lab.parts.iter().map(|part| part.name.clone()));
    let groups = catalogue.labs.iter().filter_map(|lab| lab.group.clone());
    let tests = tests.iter().map(|test| test.name.clone());
    let names: Vec<String> = labs.chain(groups).chain(parts).chain(tests).collect();
    let mut message = format!("there is no lab, part or test called {name}");
    let nearest = nearest(name, &names);
    if !nearest.is_empty() {
        message += &format!("; the nearest: {}", nearest.join(", "));
    }
    message += "\n`cargo lab list` shows all names";
    Failure::new(message)
}
