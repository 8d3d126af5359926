//! The crate stands on floors: no module imports one of a floor above, nor of its own.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules by floor, the lowest first. The core ends with `check`; above it are the methods for keys, the
/// models, and what reads and shows histories.
const FLOORS: &[&[&str]] = &[
    &["words"],
    &["limits", "fault", "shown", "history"],
    &["verdict"],
    &["model"],
    &["replay", "search"],
    &["explain"],
    &["check"],
    &["keys"],
    &["models", "recorder"],
    &["generate", "text"],
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

fn sources(directory: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

/// The modules that the code of a file names, without its tests and comments.
fn named(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths = lines.flat_map(|line| line.split("crate::").skip(1));
    let word = |path: &str| path.chars().take_while(|next| next.is_alphanumeric() || *next == '_').collect();
    paths.map(word).collect()
}

#[test]
fn no_module_imports_upwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    let mut seen = 0;
    for path in all {
        let below = path.strip_prefix(&root).unwrap();
        let module = below.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let own = floor(module).unwrap_or_else(|| panic!("{module} has no floor"));
        for other in named(&fs::read_to_string(&path).unwrap()) {
            // Names that the crate exports at its top say nothing of a module.
            let Some(other_floor) = floor(&other) else { continue };
            seen += 1;
            assert!(other == module || other_floor < own, "{}: imports {other}", path.display());
        }
    }
    assert!(seen > 100, "only {seen} imports were found");
}
