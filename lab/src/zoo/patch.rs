//! Wrong solutions as files: a head that says what is wrong and which test must notice, then a unified diff.

use std::fs;
use std::path::{Path, PathBuf};

use diffy::patch_set::{FileOperation, ParseOptions, PatchSet};

use crate::Failure;

/// One `bugs/LAB/*.patch`.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    /// Its stable name, such as R33.
    pub(crate) id: String,
    /// The part of the lab that it breaks.
    pub(crate) part: String,
    /// What is wrong, in a few words.
    pub(crate) title: String,
    /// What must notice it: tests, or invariants. One of them is enough. Empty for the partial solutions of
    /// `--parts` and for correct ones.
    pub(crate) caught_by: Vec<String>,
    /// The labs whose tests a correct solution of `--correct` must pass.
    pub(crate) labs: Vec<String>,
    /// Tests, or parts, that ask for more than a correct solution of `--correct` does.
    pub(crate) except: Vec<String>,
    /// The folder in `bugs/bases` that it is applied to; None for the workspace itself.
    pub(crate) base: Option<String>,
    /// The whole file, for the diff in it.
    text: String,
    path: PathBuf,
}

/// All patches in these folders, in the order of the numbers in their names: R2 before R10 before R10b. Those
/// in a folder of `bugs/bases` say in their heads that they are made of that base.
pub(super) fn read_all(folders: &[PathBuf]) -> Result<Vec<Patch>, Failure> {
    let mut patches = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for path in entries(folder)? {
            if path.extension().is_some_and(|extension| extension == "patch") {
                patches.push(Patch::read(&path)?);
            }
        }
    }
    if patches.is_empty() {
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        return Err(Failure::new(format!("there is no solution in {}", folders.join(" or "))));
    }
    patches.sort_by_key(|patch| {
        let (letters, rest) = patch.id.split_at(patch.id.find(|c: char| c.is_ascii_digit()).unwrap_or(0));
        let digits = rest.trim_end_matches(|c: char| !c.is_ascii_digit());
        (letters.to_owned(), digits.parse::<u64>().unwrap_or(0), rest.to_owned())
    });
    Ok(patches)
}

/// What is in a folder.
///
/// # Errors
/// If it cannot be read; also if it is not there.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let cannot = |error| Failure::new(format!("{}: {error}", folder.display()));
    let entries = fs::read_dir(folder).map_err(cannot)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(cannot)).collect()
}

impl Patch {
    /// What stands for mutants, which are made without a patch.
    pub(super) fn of_mutant(id: &str, part: &str, title: &str) -> Patch {
        let [id, part, title] = [id, part, title].map(str::to_owned);
        let (caught_by, labs, except) = (Vec::new(), Vec::new(), Vec::new());
        Patch {
            id,
            part,
            title,
            caught_by,
            labs,
            except,
            base: None,
            text: String::new(),
            path: PathBuf::new(),
        }
    }

    fn read(path: &Path) -> Result<Patch, Failure> {
        let text =
            fs::read_to_string(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Patch::parse(path, text).map_err(|missing| Failure::new(format!("{}: {missing}", path.display())))
    }

    fn parse(path: &Path, text: String) -> Result<Patch, String> {
        let field = |name: &str| {
            let head = text.lines().take_while(|line| !line.starts_with("---"));
            head.filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
                .ok_or_else(|| format!("the head has no line `{name}: …`"))
        };
        let names = |list: String| list.split(',').map(|name| name.trim().to_owned()).collect();
        let list = |name: &str| field(name).map(names).unwrap_or_default();
        let (caught_by, labs, except) = (list("caught-by"), list("labs"), list("except"));
        let base = field("base").ok();
        let (id, part, title) = (field("id")?, field("part")?, field("title")?);
        Ok(Patch { id, part, title, caught_by, labs, except, base, text, path: path.to_path_buf() })
    }

    /// The id, and the base if it is not the workspace: `R33`, `R33/threads`.
    pub(super) fn name(&self) -> String {
        match &self.base {
            None => self.id.clone(),
            Some(base) => format!("{}/{base}", self.id),
        }
    }

    /// Whether the user means this one: by its id, on whatever base, or by its name.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name) || self.name().eq_ignore_ascii_case(name)
    }

    /// The files that it changes, and their new text; `source` says where a file's old text is. Nothing is
    /// written.
    pub(super) fn apply(&self, source: impl Fn(&Path) -> PathBuf) -> Result<Vec<(PathBuf, String)>, Failure> {
        let fail = |what: String| Failure::new(format!("{}: {what}", self.path.display()));
        let Some(begin) = self.text.find("\n--- ") else {
            // A base may be a solution by itself.
            return if self.base.is_some() {
                Ok(Vec::new())
            } else {
                Err(fail("there is no diff in it".to_owned()))
            };
        };
        let mut changed = Vec::new();
        for file in PatchSet::parse(&self.text[begin + 1..], ParseOptions::unidiff()) {
            let file = file.map_err(|error| fail(error.to_string()))?;
            let FileOperation::Modify { modified, .. } = file.operation().strip_prefix(1) else {
                return Err(fail(
                    "a wrong solution changes files and neither creates nor removes any".to_owned(),
                ));
            };
            let name = PathBuf::from(modified.as_ref());
            let path = source(&name);
            let old =
                fs::read_to_string(&path).map_err(|error| fail(format!("{}: {error}", path.display())))?;
            let diff = file.patch().as_text().ok_or_else(|| fail("a binary diff".to_owned()))?;
            let new = diffy::apply(&old, diff)
                .map_err(|error| fail(format!("does not apply to {} any more: {error}", name.display())))?;
            changed.push((name, new));
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "id: R33\npart: 2C\ntitle: the vote is not persisted\ncaught-by: crash_2c, ElectionSafety\n\nA description: \
                        with a colon.\n--- a/x.rs\n+++ b/x.rs\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n";

    #[test]
    fn the_head_is_read() {
        let patch = Patch::parse(Path::new("R33.patch"), TEXT.to_owned()).expect("it is a patch");
        assert_eq!((patch.id.as_str(), patch.part.as_str()), ("R33", "2C"));
        assert_eq!(patch.title, "the vote is not persisted");
        assert_eq!(patch.caught_by, ["crash_2c", "ElectionSafety"]);
    }

    #[test]
    fn a_missing_line_is_named() {
        let text = TEXT.replace("part: 2C\n", "");
        let error = Patch::parse(Path::new("x"), text).err();
        assert_eq!(error.as_deref(), Some("the head has no line `part: …`"));
    }

    /// The scratch folder of one test, with two files in it.
    fn two_files(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lab-patch-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        fs::write(folder.join("x.rs"), "one\ntwo\n").expect("the folder can be written");
        fs::write(folder.join("y.rs"), "zero\n\nfour\nfive\n").expect("the folder can be written");
        folder
    }

    /// As `git diff` writes it, with lines between the files, and moved by a line since.
    #[test]
    fn a_patch_may_change_several_files() {
        let second = "diff --git a/y.rs b/y.rs\nindex 12..34 100644\n--- a/y.rs\n+++ b/y.rs\n@@ -1,2 +1,2 @@\n four\n-five\n+six\n";
        let text =
            TEXT.replace("--- a/x.rs", "diff --git a/x.rs b/x.rs\nindex 56..78 100644\n--- a/x.rs") + second;
        let patch = Patch::parse(Path::new("R33.patch"), text).expect("it is a patch");
        let folder = two_files("several");
        let changed = patch.apply(|file| folder.join(file)).map_err(|error| error.to_string());
        let expected = [("x.rs", "one\nthree\n"), ("y.rs", "zero\n\nfour\nsix\n")];
        assert_eq!(changed, Ok(expected.map(|(name, text)| (PathBuf::from(name), text.to_owned())).to_vec()));
        fs::remove_dir_all(folder).expect("the folder is there");
    }

    #[test]
    fn a_patch_that_does_not_apply_any_more_says_so() {
        let patch =
            Patch::parse(Path::new("R33.patch"), TEXT.replace("-two", "-deux")).expect("it is a patch");
        let folder = two_files("stale");
        let error = patch.apply(|file| folder.join(file)).map(|_| ()).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.starts_with("R33.patch: does not apply to x.rs any more")));
        fs::remove_dir_all(folder).expect("the folder is there");
    }
}
