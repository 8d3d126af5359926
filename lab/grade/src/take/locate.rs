//! Finds the lab's crates in what was handed in, at whatever depth they lie.

use lab_terminal::count;
use serde::Deserialize;

use super::gather::{Gather, Special};
use super::{Refusal, Sources, Taken, name_of};

/// Bytes of the longest name and the longest path of a source: well below what systems take.
const LONGEST_NAME: usize = 200;
const LONGEST_PATH: usize = 1000;

/// The sources of these packages. They may lie in the workspace's folders (`raft/src`), below any one folder,
/// as archives often have it; if the lab has one package, its folder alone will do (`src`).
pub(super) fn locate(gather: &Gather, packages: &[String]) -> Result<Taken, Refusal> {
    if gather.files.is_empty() && gather.special.is_empty() && gather.too_long.is_empty() {
        let sentence = if gather.entries == 0 {
            "It is empty.".to_owned()
        } else {
            let files = count(gather.entries as usize, "file");
            let inner = gather.archives.first().map_or(String::new(), |path| {
                format!(" `{path}` in it is an archive: hand in what is in that.")
            });
            format!("It has {files}, and no Rust source is among them.{inner}")
        };
        return Err(Refusal::new("empty", sentence));
    }
    let roots = roots(gather, packages)?;
    let mut taken = Taken { sources: Sources::new(), notes: Vec::new() };
    for (package, root) in packages.iter().zip(&roots) {
        take_package(gather, package, root, &mut taken)?;
    }
    Ok(taken)
}

/// The tests of this package, `raft/tests/raft/main.rs` and what lies beside it.
pub(super) fn locate_tests(gather: &Gather, package: &str) -> Result<Taken, Refusal> {
    let krate = name_of(package).replace('-', "_");
    let main = format!("{package}/tests/{krate}/main.rs");
    let Some(above) = shallowest(gather, &main)? else {
        return Err(Refusal::new("missing_file", format!("`{main}` is missing.")));
    };
    let mut taken = Taken { sources: Sources::new(), notes: Vec::new() };
    take_folder(gather, &format!("{above}{package}/tests/"), &format!("{package}/tests/"), &mut taken)?;
    Ok(taken)
}

/// The folder of each package in the submission, with a slash behind it unless it is the top.
fn roots(gather: &Gather, packages: &[String]) -> Result<Vec<String>, Refusal> {
    let Some(first) = packages.first() else { return Ok(Vec::new()) };
    let main = format!("{first}/src/lib.rs");
    if let Some(above) = shallowest(gather, &main)? {
        return Ok(packages.iter().map(|package| format!("{above}{package}/")).collect());
    }
    if let Some(path) = gather.too_long.iter().find(|path| path.ends_with(&main)) {
        return Err(Refusal::new("source_too_long", format!("`{path}` is longer than 1 MiB.")));
    }
    // A link in the place of a folder or a file: a clearer word than that something is missing.
    if let Some((path, special)) = gather.special.iter().find(|(path, _)| {
        [first.as_str(), "src", "lib.rs"].contains(&path.rsplit('/').next().unwrap_or_default())
    }) {
        return Err(no_file(path, *special));
    }
    // `lectures/warmup` may come as `warmup`.
    if let Some(above) = shallowest(gather, &format!("{}/src/lib.rs", name_of(first)))? {
        return Ok(packages.iter().map(|package| format!("{above}{}/", name_of(package))).collect());
    }
    if let [package] = packages
        && let Some(root) = shallowest(gather, "src/lib.rs")?
    {
        check_name(gather, &root, name_of(package))?;
        return Ok(vec![root]);
    }
    Err(Refusal::new("missing_file", format!("`{main}` is missing.")))
}

/// What stands before `tail` in the path that ends with it and has the fewest folders.
fn shallowest(gather: &Gather, tail: &str) -> Result<Option<String>, Refusal> {
    let mut found: Vec<&str> = gather
        .files
        .keys()
        .filter_map(|path| path.strip_suffix(tail))
        .filter(|above| above.is_empty() || above.ends_with('/'))
        .collect();
    found.sort_by_key(|above| (above.matches('/').count(), *above));
    match found.as_slice() {
        [first, second, ..] if first.matches('/').count() == second.matches('/').count() => {
            let sentence = format!("It is not clear which to grade: `{first}{tail}` or `{second}{tail}`.");
            Err(Refusal::new("ambiguous", sentence))
        }
        [first, ..] => Ok(Some((*first).to_owned())),
        [] => Ok(None),
    }
}

/// A crate that is handed in alone must be the right one.
fn check_name(gather: &Gather, root: &str, package: &str) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Manifest {
        package: Name,
    }
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    let manifest = gather.files.get(&format!("{root}Cargo.toml")).map(Vec::as_slice).unwrap_or_default();
    let text = String::from_utf8_lossy(manifest);
    match toml::from_str::<Manifest>(&text) {
        Ok(manifest) if manifest.package.name != package => {
            let sentence = format!("Its crate is called `{}`, not `{package}`.", manifest.package.name);
            Err(Refusal::new("wrong_crate_name", sentence))
        }
        // Without a manifest the sources speak for themselves.
        _ => Ok(()),
    }
}

fn take_package(gather: &Gather, package: &str, root: &str, taken: &mut Taken) -> Result<(), Refusal> {
    take_folder(gather, &format!("{root}src/"), &format!("{package}/src/"), taken)?;
    let main = format!("{package}/src/lib.rs");
    if !taken.sources.contains_key(&main) {
        return Err(Refusal::new("missing_file", format!("`{main}` is missing.")));
    }
    note_the_rest(gather, package, root, taken);
    Ok(())
}

/// Takes the sources below the folder `sources` of the submission, as if they lay below `place`.
fn take_folder(gather: &Gather, sources: &str, place: &str, taken: &mut Taken) -> Result<(), Refusal> {
    let on_the_way = |path: &str| path.starts_with(sources) || sources.starts_with(&format!("{path}/"));
    if let Some((path, special)) = gather.special.iter().find(|(path, _)| on_the_way(path)) {
        return Err(no_file(path, *special));
    }
    if let Some(path) = gather.too_long.iter().find(|path| path.starts_with(sources)) {
        return Err(Refusal::new("source_too_long", format!("`{path}` is longer than 1 MiB.")));
    }
    if let Some(path) = gather.strange.iter().find(|path| path.contains(sources)) {
        return Err(Refusal::new("strange_name", format!("The name `{path}` is not UTF-8.")));
    }
    let below = [&gather.files, &gather.modules].into_iter().flat_map(|files| {
        let from_there = files.range(sources.to_owned()..);
        from_there.map_while(|(path, content)| Some((path, path.strip_prefix(sources)?, content)))
    });
    for (path, name, content) in below.filter(|(_, name, _)| has_extension(name)) {
        let text = text(path, content)?;
        taken.sources.insert(format!("{place}{name}"), text);
    }
    taken.sources.keys().try_for_each(|path| check_path(path, &taken.sources))
}

/// A source as text.
fn text(path: &str, content: &[u8]) -> Result<String, Refusal> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        let sentence = format!("`{path}` is UTF-16, as some editors write it; the compiler wants UTF-8.");
        return Err(Refusal::new("not_text", sentence));
    }
    if content.starts_with(b"version https://git-lfs.github.com/spec/") {
        let sentence = format!("`{path}` is a pointer of Git LFS; hand in the file itself.");
        return Err(Refusal::new("lfs_pointer", sentence));
    }
    String::from_utf8(content.to_vec())
        .map_err(|_| Refusal::new("not_text", format!("`{path}` is not UTF-8.")))
}

/// Refuses a path at which no file can be written, or which looks like something else where it is shown.
fn check_path(path: &str, sources: &Sources) -> Result<(), Refusal> {
    if path.contains(char::is_control) {
        let shown = path.escape_debug();
        return Err(Refusal::new("strange_name", format!("The name `{shown}` has a control character.")));
    }
    if path.len() > LONGEST_PATH || path.split('/').any(|name| name.len() > LONGEST_NAME) {
        let begin: String = path.chars().take(60).collect();
        return Err(Refusal::new(
            "name_too_long",
            format!("The name that begins with `{begin}` is too long."),
        ));
    }
    let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
    match folders.find(|folder| sources.contains_key(*folder)) {
        Some(folder) => {
            Err(Refusal::new("file_and_folder", format!("`{folder}` is a file and a folder at once.")))
        }
        None => Ok(()),
    }
}

fn has_extension(name: &str) -> bool {
    name.ends_with(".rs")
}

fn no_file(path: &str, special: Special) -> Refusal {
    match special {
        Special::Link => Refusal::new("link", format!("`{path}` is a link; hand in the file itself.")),
        Special::Device => Refusal::new("device", format!("`{path}` is neither a file nor a folder.")),
    }
}

/// Files of the student that look as if they counted.
fn note_the_rest(gather: &Gather, package: &str, root: &str, taken: &mut Taken) {
    if gather.files.contains_key(&format!("{root}build.rs")) {
        taken.notes.push(format!("{package}/build.rs is not used: a lab is built without one."));
    }
    if gather.files.keys().any(|path| path.starts_with(&format!("{root}.cargo/"))) {
        taken.notes.push(format!("{package}/.cargo is not used."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(files: &[(&str, &str)]) -> Gather {
        let mut gather = Gather::default();
        for (path, text) in files {
            gather.count().expect("few files");
            gather.file(path.as_bytes(), text.as_bytes()).expect("harmless paths");
        }
        gather
    }

    fn fault(files: &[(&str, &str)], packages: &[&str]) -> String {
        let packages: Vec<String> = packages.iter().map(|name| (*name).to_owned()).collect();
        locate(&gather(files), &packages).map_or_else(|refusal| refusal.fault, |_| "none".to_owned())
    }

    #[test]
    fn a_crate_is_found_at_any_depth_and_alone() {
        for main in [
            "raft/src/lib.rs",
            "alice-lab/raft/src/lib.rs",
            "a/b/raft/src/lib.rs",
            "src/lib.rs",
            "x/src/lib.rs",
        ] {
            let taken = locate(&gather(&[(main, "x"), ("notes.txt", "")]), &["raft".to_owned()]);
            let names: Vec<String> =
                taken.map(|taken| taken.sources.into_keys().collect()).unwrap_or_default();
            assert_eq!(names, ["raft/src/lib.rs"], "{main}");
        }
    }

    /// A package may lie in a folder of the workspace.
    #[test]
    fn a_lab_of_a_lecture_is_found_with_and_without_its_folder() {
        let manifest = ("Cargo.toml", "[package]\nname = \"warmup\"");
        for main in
            ["lectures/warmup/src/lib.rs", "a/lectures/warmup/src/lib.rs", "warmup/src/lib.rs", "src/lib.rs"]
        {
            let taken = locate(&gather(&[(main, "x"), manifest]), &["lectures/warmup".to_owned()]);
            let names: Vec<String> =
                taken.map(|taken| taken.sources.into_keys().collect()).unwrap_or_default();
            assert_eq!(names, ["lectures/warmup/src/lib.rs"], "{main}");
        }
        let two = ["lectures/zookeeper".to_owned(), "lectures/zookeeper-recipes".to_owned()];
        let files = [("a/zookeeper/src/lib.rs", "x"), ("a/zookeeper-recipes/src/lib.rs", "y")];
        assert_eq!(locate(&gather(&files), &two).map(|taken| taken.sources.len()).ok(), Some(2));
        let two = ["rsm".to_owned(), "lectures/zookeeper".to_owned()];
        let files = [("a/rsm/src/lib.rs", "x"), ("a/lectures/zookeeper/src/lib.rs", "y")];
        let taken = locate(&gather(&files), &two).expect("both are there");
        assert_eq!(
            taken.sources.keys().collect::<Vec<_>>(),
            ["lectures/zookeeper/src/lib.rs", "rsm/src/lib.rs"]
        );
    }

    #[test]
    fn only_the_sources_of_the_crate_count() {
        let files = [
            ("raft/src/lib.rs", "a"),
            ("raft/src/deep/log.rs", "b"),
            ("raft/src/data.txt", "c"),
            ("raft/tests/raft/main.rs", "d"),
            ("raft/build.rs", "e"),
            ("tester/src/lib.rs", "f"),
        ];
        let taken = locate(&gather(&files), &["raft".to_owned()]).expect("it is complete");
        assert_eq!(taken.sources.keys().collect::<Vec<_>>(), ["raft/src/deep/log.rs", "raft/src/lib.rs"]);
        assert_eq!(taken.notes, ["raft/build.rs is not used: a lab is built without one."]);
    }

    /// A module may be called as a folder is in which others' sources lie, or a compiler's results.
    #[test]
    fn what_is_called_target_or_vendor_counts_below_src_only() {
        let files = [
            ("lab/raft/src/lib.rs", "a"),
            ("lab/raft/src/target/mod.rs", "b"),
            ("lab/raft/src/log/vendor/far.rs", "c"),
            ("lab/target/package/raft/src/lib.rs", "d"),
            ("lab/vendor/raft/src/lib.rs", "e"),
            ("lab/raft/target/out.rs", "f"),
        ];
        let taken = locate(&gather(&files), &["raft".to_owned()]).expect("it is complete");
        let names: Vec<&String> = taken.sources.keys().collect();
        assert_eq!(names, ["raft/src/lib.rs", "raft/src/log/vendor/far.rs", "raft/src/target/mod.rs"]);
        // A workspace that lies in a folder `src`.
        let files = [("src/lab/raft/src/lib.rs", "a"), ("src/lab/target/package/raft/src/lib.rs", "b")];
        let taken = locate(&gather(&files), &["raft".to_owned()]).expect("it is complete");
        assert_eq!(taken.sources.values().collect::<Vec<_>>(), ["a"]);
    }

    /// A name with a zero can be in an archive, and nowhere else: the whole batch would fail to write it.
    #[test]
    fn a_name_that_cannot_be_written_is_refused() {
        for name in ["a\0b", "a\nb", "\u{1b}[31m", "\u{85}"] {
            let path = format!("raft/src/{name}.rs");
            assert_eq!(fault(&[("raft/src/lib.rs", ""), (&path, "")], &["raft"]), "strange_name", "{name:?}");
        }
    }

    #[test]
    fn what_is_missing_or_unclear_is_said() {
        assert_eq!(fault(&[], &["raft"]), "empty");
        assert_eq!(fault(&[("notes.txt", "")], &["raft"]), "empty");
        assert_eq!(fault(&[("raft/src/log.rs", "")], &["raft"]), "missing_file");
        assert_eq!(fault(&[("rsm/src/lib.rs", "")], &["rsm", "kvraft"]), "missing_file");
        assert_eq!(fault(&[("a/raft/src/lib.rs", ""), ("b/raft/src/lib.rs", "")], &["raft"]), "ambiguous");
        let other = [("src/lib.rs", ""), ("Cargo.toml", "[package]\nname = \"paxos\"")];
        assert_eq!(fault(&other, &["raft"]), "wrong_crate_name");
        assert_eq!(fault(&other, &["lectures/warmup"]), "wrong_crate_name");
    }
}
