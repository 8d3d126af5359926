//! Writing a handout: all of it or nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab_terminal::{Failure, RECORD, fingerprint};
use serde::{Deserialize, Serialize};

use crate::marks::Level;
use crate::plan::{Choice, Plan, Role};

/// What was handed out, kept in the handout.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) labs: Vec<String>,
    pub(crate) with: Vec<String>,
    pub(crate) level: Level,
    /// Every file but this one.
    pub(crate) files: BTreeMap<PathBuf, Entry>,
}

/// A file of a handout, as it was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) role: Role,
    /// Of its bytes.
    pub(crate) fingerprint: u64,
}

impl Record {
    /// Of a handout that is about to be written.
    pub(crate) fn of(plan: &Plan, choice: &Choice) -> Record {
        let names = |labs: &[&crate::labs::Lab]| labs.iter().map(|lab| lab.name.to_owned()).collect();
        let entry =
            |file: &crate::plan::File| Entry { role: file.role, fingerprint: fingerprint(&file.content) };
        Record {
            labs: names(&choice.labs),
            with: names(&choice.given),
            level: choice.level,
            files: plan.files.iter().map(|(path, file)| (path.clone(), entry(file))).collect(),
        }
    }

    /// Of a handout that was written earlier.
    pub(crate) fn read(handout: &Path) -> Result<Record, Failure> {
        let path = handout.join(RECORD);
        let text = fs::read_to_string(&path).map_err(|error| {
            Failure::new(format!("{} is no handout: {}: {error}", handout.display(), path.display()))
        })?;
        serde_json::from_str(&text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    }

    /// Writes it where it belongs.
    pub(crate) fn write(&self, handout: &Path) -> Result<(), Failure> {
        let path = handout.join(RECORD);
        fs::write(&path, self.text()).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    }

    fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.unwrap_or_else(|error| unreachable!("names and numbers have an encoding: {error}")) + "\n"
    }
}

/// Writes the handout to `out`, which must not exist, or be an empty folder. If that fails nothing is left.
pub(crate) fn write(plan: &Plan, choice: &Choice, out: &Path, git: bool) -> Result<(), Failure> {
    check_is_free(out)?;
    let name = out.file_name().ok_or_else(|| Failure::new(format!("{} is no new folder", out.display())))?;
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let partial = parent.join(format!(".{}.partial-{}", name.display(), std::process::id()));
    let written = fill(plan, choice, &partial).and_then(|()| if git { commit(&partial) } else { Ok(()) });
    let moved = written.and_then(|()| {
        // An empty folder is replaced; one that somebody has filled meanwhile is not.
        fs::rename(&partial, out).map_err(|error| Failure::new(format!("{}: {error}", out.display())))
    });
    moved.inspect_err(|_| {
        // The failure is told already; that the rest cannot be removed adds nothing.
        let _ = fs::remove_dir_all(&partial);
    })
}

/// Fails if something is there already.
fn check_is_free(out: &Path) -> Result<(), Failure> {
    match fs::read_dir(out) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Failure::new(format!("{} is not empty", out.display()))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::new(format!("{}: {error}", out.display()))),
    }
}

/// Writes all files below a folder that does not exist.
fn fill(plan: &Plan, choice: &Choice, folder: &Path) -> Result<(), Failure> {
    let put = |path: &Path, content: &[u8]| {
        let path = folder.join(path);
        let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
        parent
            .and_then(|()| fs::write(&path, content))
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    };
    for (path, file) in &plan.files {
        put(path, &file.content)?;
        make_executable(&folder.join(path))?;
    }
    Record::of(plan, choice).write(folder)
}

/// Scripts can be run.
fn make_executable(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    if path.extension().is_none_or(|extension| extension != "sh") {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Makes the folder a repository with one commit.
fn commit(folder: &Path) -> Result<(), Failure> {
    let identity = ["-c", "user.name=Handout", "-c", "user.email=handout@localhost"];
    for arguments in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "-m", "Handout"]] {
        let status = Command::new("git")
            .args(identity)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .status()
            .map_err(|error| Failure::new(format!("cannot run git: {error}")))?;
        if !status.success() {
            return Err(Failure::new(format!("git {} failed", arguments[0])));
        }
    }
    Ok(())
}
