//! The shared histories with known verdicts. They are not a part of this repository; where they are absent
//! (outside of its CI) the tests say so and pass. `LAB_SHARED` names their directory if it is not beside the
//! repository.

use std::path::{Path, PathBuf};

use linearize::{Limits, Verdict};
use linearize_read::{Loaded, read_file};

/// The directory, if it is there.
fn directory() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let directory = std::env::var_os("LAB_SHARED").map_or_else(beside, PathBuf::from).join("data/histories");
    if directory.is_dir() {
        return Some(directory);
    }
    println!("skipped: there is no {}", directory.display());
    None
}

#[test]
fn every_file_has_its_verdict() {
    let Some(directory) = directory() else { return };
    let verdicts = std::fs::read_to_string(directory.join("VERDICTS.tsv")).unwrap();
    let mut count = 0;
    for line in verdicts.lines().filter(|line| !line.starts_with('#')) {
        let (file, verdict) = line.split_once('\t').unwrap();
        let Loaded::KeyValue(history) = read_file(&directory.join(file)).unwrap() else {
            panic!("{file} is no register")
        };
        match history.check(&Limits::default()) {
            Verdict::Linearizable(witness) => {
                assert_eq!(verdict, "ok", "{file}");
                witness
                    .replay(&history.model(), history.history())
                    .unwrap_or_else(|error| panic!("{file}: {error:?}"));
            }
            Verdict::NotLinearizable(explanation) => {
                assert_eq!(verdict, "bad", "{file}");
                println!("{file}: {explanation}\n");
                let few = (1..=4).contains(&explanation.operations.len());
                assert!(few && explanation.minimal, "{file}: {explanation:?}");
            }
            Verdict::Unknown(undecided) => panic!("{file}: {undecided}"),
        }
        count += 1;
    }
    assert!(count > 20, "only {count} files");
}
