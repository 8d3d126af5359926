//! Names that a user typed: spellings, and the nearest ones to a misspelt name.

/// How many names are offered for a misspelt one.
const SUGGESTIONS: usize = 3;

/// Below this similarity (0 to 1) a name is no help.
const SIMILAR: f64 = 0.5;

/// A name without what its spelling varies in, so that `TestFigure8Unreliable2C` is `figure_8_unreliable_2c`.
pub fn plain(name: &str) -> String {
    let letters: String = name.chars().filter(|letter| *letter != '_' && *letter != '-').collect();
    let letters = letters.strip_prefix("Test").unwrap_or(&letters);
    letters.to_lowercase()
}

/// The names most like `name`, best first.
pub fn nearest<'a>(name: &str, names: &'a [String]) -> Vec<&'a str> {
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
