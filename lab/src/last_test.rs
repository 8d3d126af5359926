//! Where `cargo lab test` keeps whole reports: `lab-runs/last-test`, and while another run is at work there,
//! `lab-runs/last-test-2`.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// More runs at once than this share the last folder.
const MOST: u32 = 99;

/// A folder that no other run writes to. It is removed at the end if nothing was kept.
pub(crate) struct LastTest {
    path: PathBuf,
    /// The folder, locked. None where that is not possible.
    _lock: Option<File>,
}

impl LastTest {
    /// Takes the first folder that no other run has, and clears it: the reports of an earlier run would be
    /// taken for this one's.
    pub(crate) fn claim(root: &Path) -> LastTest {
        let place = |number| match number {
            1 => root.join("lab-runs").join("last-test"),
            _ => root.join("lab-runs").join(format!("last-test-{number}")),
        };
        for number in 1..MOST {
            let path = place(number);
            match lock(&path) {
                Claim::Ours(lock) => {
                    clear(&path);
                    return LastTest { path, _lock: lock };
                }
                Claim::Busy => {}
            }
        }
        LastTest { path: place(MOST), _lock: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LastTest {
    fn drop(&mut self) {
        // These fail if there is anything in the folder.
        if fs::remove_dir(&self.path).is_ok()
            && let Some(parent) = self.path.parent()
        {
            let _ = fs::remove_dir(parent);
        }
    }
}

enum Claim {
    /// Without a lock if the system gives none: where nothing can be written, nothing is shared either.
    Ours(Option<File>),
    Busy,
}

fn lock(folder: &Path) -> Claim {
    loop {
        let opened = fs::create_dir_all(folder).and_then(|()| File::open(folder));
        let Ok(file) = opened else { return Claim::Ours(None) };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Claim::Busy,
            Err(TryLockError::Error(_)) => return Claim::Ours(None),
        }
        // Another run may have removed its empty folder in between, and a third one may have made it again.
        let is_there = |locked: fs::Metadata| {
            fs::metadata(folder).is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino()))
        };
        if file.metadata().is_ok_and(is_there) {
            return Claim::Ours(Some(file));
        }
    }
}

/// Removes what is in a folder. What cannot be removed stays, and is written over.
fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("lab-last-test-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        root
    }

    #[test]
    fn runs_at_once_have_folders_of_their_own() {
        let root = root("two");
        let first = LastTest::claim(&root);
        fs::write(first.path().join("a_2a-seed-1.txt"), "of the first").expect("the folder is there");
        let second = LastTest::claim(&root);
        assert_eq!(second.path(), root.join("lab-runs/last-test-2"));
        assert!(first.path().join("a_2a-seed-1.txt").is_file(), "the second run has removed it");
        drop((first, second));
        assert!(!root.join("lab-runs/last-test-2").exists(), "nothing was kept there");
        // The next run takes the first folder again, without what was in it.
        let third = LastTest::claim(&root);
        assert_eq!(third.path(), root.join("lab-runs/last-test"));
        assert!(!third.path().join("a_2a-seed-1.txt").exists());
        drop(third);
        assert!(!root.join("lab-runs").exists());
        let _ = fs::remove_dir(&root);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_reason_to_fail() {
        let root = root("file");
        fs::write(&root, "a file").expect("there is room");
        let claimed = LastTest::claim(&root);
        assert_eq!(claimed.path(), root.join("lab-runs/last-test"));
        drop(claimed);
        fs::remove_file(&root).expect("it is still there");
    }
}
