//! `--watch`: grades what appears in a folder, for a course that collects by git or scp.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab_terminal::Failure;

use crate::take::is_foreign;

/// How often the folder is looked at. What has not changed between two looks is complete.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

/// The deepest folder whose changes are seen.
const DEEPEST: usize = 8;

/// How many files of a submission are looked at; one that has more is refused anyway.
const MOST_FILES: usize = 20_000;

/// What a folder holds, by submission: how many bytes and files, and when anything of them last changed, in
/// nanoseconds.
pub(crate) type Sight = BTreeMap<PathBuf, (u64, usize, i128)>;

/// Whether two paths lead to the same place, which is there.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// One look at the folder. `out` is no submission, if the results go there: it changes with each grading.
pub(crate) fn look(folder: &Path, out: &Path) -> Result<Sight, Failure> {
    let entries =
        fs::read_dir(folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let is_hidden = |path: &PathBuf| path.file_name().is_none_or(is_foreign) || is_same(path, out);
    Ok(paths.filter(|path| !is_hidden(path)).map(|path| (path.clone(), state(&path))).collect())
}

/// Sizes and times of everything below a path. What goes away meanwhile has changed, and is seen at the next
/// look.
fn state(path: &Path) -> (u64, usize, i128) {
    let mut state = (0, 0, 0);
    let mut waiting = vec![(path.to_path_buf(), 0)];
    while let Some((path, depth)) = waiting.pop() {
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        state.0 += about.len();
        state.1 += 1;
        // Not the time of its content: `scp -p` and `rsync -a` bring an older one with them.
        state.2 = state.2.max(i128::from(about.ctime()) * 1_000_000_000 + i128::from(about.ctime_nsec()));
        if about.is_dir() && depth < DEEPEST && state.1 < MOST_FILES {
            let inner = fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(inner.map(|entry| (entry.path(), depth + 1)));
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_change_deep_below_is_seen() {
        let folder = std::env::temp_dir().join(format!("lab-grade-watch-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("alice/raft/src")).expect("a folder");
        fs::write(folder.join(".hidden"), "x").expect("a file");
        let out = folder.join("grades");
        let look = || look(&folder, &out);
        let before = look().expect("it is there");
        assert_eq!(before, look().expect("it is there"));
        assert_eq!(before.len(), 1);
        // Results that lie in the folder would be graded again and again.
        fs::create_dir_all(&out).expect("a folder");
        assert_eq!(before, look().expect("it is there"));
        fs::write(folder.join("alice/raft/src/lib.rs"), "x").expect("a file");
        assert_ne!(before, look().expect("it is there"));
        // As long as before, and by its own time older than all else.
        fs::write(folder.join("alice/raft/src/log.rs"), "x").expect("a file");
        let before = look().expect("it is there");
        // The clock that stamps files goes on every few milliseconds.
        std::thread::sleep(Duration::from_millis(50));
        let path = folder.join("alice/raft/src/lib.rs");
        fs::write(&path, "y").expect("a file");
        let file = fs::File::options().append(true).open(&path).expect("a file");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
        assert_ne!(before, look().expect("it is there"));
        fs::remove_dir_all(&folder).expect("it was there");
        assert!(look().is_err());
    }
}
