//! Which files a handout has, and what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use lab_terminal::{Failure, nearest};

use crate::labs::{BESIDE, FRAMEWORK, LABS, Lab, ORACLE, find};
use crate::marks::{Case, Cut, Fault, Level, cut, reference, solution, solution_before};
use crate::scan::Language;
use crate::{catalogue, manifest, papers};

/// Who may change a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Replaced at grading: the framework, and labs that are put in.
    Framework,
    /// Replaced at grading: a lab's tests.
    Tests,
    /// The student's.
    Yours,
}

/// What to hand out.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Labs without their solutions, in the order of the course.
    pub(crate) labs: Vec<&'static Lab>,
    /// Labs as they are.
    pub(crate) given: Vec<&'static Lab>,
    pub(crate) level: Level,
}

/// A handout, before it is written.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) files: BTreeMap<PathBuf, File>,
    /// The lines of the reference that must not be in it.
    pub(crate) dropped: Vec<String>,
    /// The lines of the labs' crates in the reference that may be.
    pub(crate) kept: Vec<String>,
    /// What the labs' sources hold at the level classic and others cannot call or read: `path:line: name`.
    pub(crate) private: Vec<String>,
}

/// One file of a handout.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) content: Vec<u8>,
    pub(crate) role: Role,
}

impl Choice {
    /// From the names on the command line. A lab that another stands on comes along as a skeleton, unless it
    /// is `with`; Raft comes as the oracle, unless it is asked for.
    pub(crate) fn new(labs: &[String], with: &[String], level: Level) -> Result<Choice, Failure> {
        if labs.is_empty() {
            return Err(Failure::new(format!("which lab? --lab LAB, one or more of: {}", names())));
        }
        let asked = labs.iter().map(|name| known(name)).collect::<Result<Vec<_>, _>>()?;
        let with = with.iter().map(|name| known(name)).collect::<Result<Vec<_>, _>>()?;
        if let Some(lab) = with.iter().find(|lab| asked.contains(lab)) {
            return Err(Failure::new(format!("{} cannot be both handed out and put in", lab.name)));
        }
        let is_needed = |lab: &Lab| asked.iter().any(|asked| asked.needs.contains(&lab.name));
        if let Some(lab) = with.iter().find(|lab| !is_needed(lab)) {
            return Err(Failure::new(format!("no lab of this handout stands on {}", lab.name)));
        }
        let mut choice = Choice { labs: Vec::new(), given: Vec::new(), level };
        for lab in &LABS {
            if asked.contains(&lab) || is_needed(lab) && lab.name != "raft" && !with.contains(&lab) {
                choice.labs.push(lab);
            } else if with.contains(&lab) && lab.name != "raft" {
                choice.given.push(lab);
            }
        }
        Ok(choice)
    }

    /// What decides which marks count.
    pub(crate) fn case(&self) -> Case {
        Case { level: self.level, has_oracle: self.has_oracle() }
    }

    /// Whether consensus comes from the oracle.
    pub(crate) fn has_oracle(&self) -> bool {
        !self.has("raft") && self.labs.iter().any(|lab| lab.needs.contains(&"raft"))
    }

    /// Whether this lab is handed out.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.labs.iter().any(|lab| lab.name == name)
    }

    /// All crates' folders.
    pub(crate) fn crates(&self) -> Vec<&'static str> {
        let labs = self.labs.iter().chain(&self.given).flat_map(|lab| lab.given.iter().chain(lab.packages));
        let framework = FRAMEWORK.iter().chain(self.needs_consensus().then_some(&ORACLE));
        framework.chain(labs).copied().collect()
    }

    /// The oracle comes along with every lab that stands on a consensus module.
    pub(crate) fn needs_consensus(&self) -> bool {
        self.labs.iter().any(|lab| lab.needs.contains(&"raft"))
    }
}

fn names() -> String {
    LABS.map(|lab| lab.name).join(", ")
}

fn known(name: &str) -> Result<&'static Lab, Failure> {
    find(name).ok_or_else(|| {
        let all: Vec<String> = LABS.iter().map(|lab| lab.name.to_owned()).collect();
        let there = match nearest(name, &all).first() {
            Some(near) => format!("did you mean {near}? There are: {}", names()),
            None => format!("there are: {}", names()),
        };
        Failure::new(format!("there is no lab `{name}`; {there}"))
    })
}

/// Everything that the handout of this choice holds, from the workspace at `root`.
pub(crate) fn plan(root: &Path, choice: &Choice) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    for path in BESIDE {
        plan.put(path, read(&root.join(path))?, Role::Framework);
    }
    for folder in choice.crates() {
        let of = |labs: &[&Lab]| labs.iter().any(|lab| lab.packages.contains(&folder));
        if of(&choice.labs) {
            plan.take_lab(root, folder, choice)?;
        } else if of(&choice.given) {
            plan.take_solved(root, folder, choice)?;
        } else {
            plan.take_as_it_is(root, folder)?;
        }
    }
    manifest::add_root(&mut plan, root, choice)?;
    catalogue::add(&mut plan, root, choice)?;
    papers::add(&mut plan, root, choice)?;
    Ok(plan)
}

/// The same handout with the reference's sources in it: what passes.
pub(crate) fn solved(root: &Path, choice: &Choice) -> Result<Plan, Failure> {
    solved_with(root, choice, &|text| Ok(solution(text)))
}

/// The same, but as it is before a student has begun with these parts.
pub(crate) fn solved_before(root: &Path, choice: &Choice, later: &[String]) -> Result<Plan, Failure> {
    let is_later = |part: &str| later.iter().any(|later| later == part);
    solved_with(root, choice, &|text| solution_before(text, &is_later))
}

fn solved_with(
    root: &Path,
    choice: &Choice,
    solution: &dyn Fn(&str) -> Result<Option<String>, Fault>,
) -> Result<Plan, Failure> {
    let mut plan = plan(root, choice)?;
    for package in choice.labs.iter().flat_map(|lab| lab.packages) {
        for path in files_below(root, &Path::new(package).join("src"))? {
            let solution = solution(&text_of(root, &path)?).map_err(|fault| in_file(&path, &fault))?;
            if let Some(text) = solution {
                plan.files.insert(path, File { content: text.into_bytes(), role: Role::Yours });
            }
        }
    }
    Ok(plan)
}

impl Plan {
    /// Adds a file.
    pub(crate) fn put(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>, role: Role) {
        let path = path.into();
        let before = self.files.insert(path.clone(), File { content: content.into(), role });
        assert!(before.is_none(), "the handout would have two files {}", path.display());
    }

    /// A file of the handout as text.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(Path::new(path)).and_then(|file| std::str::from_utf8(&file.content).ok())
    }

    /// A crate without what proves it: tests and benches of the framework.
    fn take_as_it_is(&mut self, root: &Path, folder: &str) -> Result<(), Failure> {
        let mut sources = String::new();
        for path in files_below(root, &Path::new(folder).join("src"))? {
            let content = read(&root.join(&path))?;
            sources.push_str(&String::from_utf8_lossy(&content));
            self.put(path, content, Role::Framework);
        }
        let path = Path::new(folder).join("Cargo.toml");
        let text = manifest::without_sections(&text_of(root, &path)?, &["[[bench]]", "[[test]]"]);
        self.put(path, manifest::with_named_alone(&text, &sources), Role::Framework);
        Ok(())
    }

    /// A lab's crate with the reference's sources, which nobody has to write. They have marks, too, and stand
    /// over another consensus module in the reference.
    fn take_solved(&mut self, root: &Path, folder: &str, choice: &Choice) -> Result<(), Failure> {
        let manifest = Path::new(folder).join("Cargo.toml");
        let text = cut_file(root, &manifest, choice.case())?.text.unwrap_or_default();
        self.put(manifest, manifest::without_sections(&text, &["[[bench]]"]), Role::Framework);
        for part in ["src", "tests"] {
            for path in files_below(root, &Path::new(folder).join(part))? {
                if path.extension().is_none_or(|extension| extension != "rs") {
                    self.put(path.clone(), read(&root.join(&path))?, Role::Framework);
                    continue;
                }
                let text = match part {
                    "src" => reference(&text_of(root, &path)?, choice.case())
                        .map_err(|fault| in_file(&path, &fault))?,
                    _ => cut_file(root, &path, choice.case())?.text,
                };
                if let Some(text) = text {
                    self.put(path, text, Role::Framework);
                }
            }
        }
        Ok(())
    }

    /// A lab's crate, cut by its marks.
    fn take_lab(&mut self, root: &Path, folder: &str, choice: &Choice) -> Result<(), Failure> {
        let manifest = Path::new(folder).join("Cargo.toml");
        let Cut { text, .. } = cut_file(root, &manifest, choice.case())?;
        let text = manifest::without_sections(&text.unwrap_or_default(), &["[[bench]]"]);
        self.put(manifest, text, Role::Framework);
        for (part, role) in [("src", Role::Yours), ("tests", Role::Tests)] {
            for path in files_below(root, &Path::new(folder).join(part))? {
                if path.extension().is_none_or(|extension| extension != "rs") {
                    self.put(path.clone(), read(&root.join(&path))?, role);
                    continue;
                }
                let Cut { text, dropped, kept, private } = cut_file(root, &path, choice.case())?;
                self.dropped.extend(dropped);
                self.kept.extend(kept);
                if role == Role::Yours {
                    let place = |(line, name)| format!("{}:{line}: {name}", path.display());
                    self.private.extend(private.into_iter().map(place));
                }
                if let Some(text) = text {
                    self.put(path, text, role);
                }
            }
        }
        Ok(())
    }
}

/// A file of the reference, cut. A fault in its marks is told with file and line.
pub(crate) fn cut_file(root: &Path, path: &Path, case: Case) -> Result<Cut, Failure> {
    let text = text_of(root, path)?;
    let language = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Language::Toml,
        Some("md") => Language::Markdown,
        _ => Language::Rust,
    };
    cut(&text, language, case).map_err(|fault| in_file(path, &fault))
}

fn in_file(path: &Path, fault: &Fault) -> Failure {
    Failure::new(format!("{}:{}: {}", path.display(), fault.line, fault.message))
}

/// A file of the workspace as text.
pub(crate) fn text_of(root: &Path, path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(&root.join(path))?)
        .map_err(|_| Failure::new(format!("{} is not UTF-8", path.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// The files below a folder of the workspace, as paths from the workspace's root, in order. None if there is
/// no such folder.
pub(crate) fn files_below(root: &Path, folder: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let mut files = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        if !path.is_dir() {
            continue;
        }
        let cannot = |error| Failure::new(format!("{}: {error}", path.display()));
        for entry in fs::read_dir(&path).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let inner = folder.join(entry.file_name());
            if entry.file_type().map_err(cannot)?.is_dir() {
                folders.push(inner);
            } else {
                files.insert(inner);
            }
        }
    }
    Ok(files)
}
