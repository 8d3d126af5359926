//! Locks on files, and directories that belong to a living process.
//!
//! The system releases a lock (`flock`) when the process that holds it ends, for any reason. So a directory
//! with a free lock was left by a killed process, and the next job into the same folder removes it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;

/// The name of the lock file in a directory.
const LOCK: &str = "lock";

/// The prefix of a directory that has no lock yet.
const UNNAMED: &str = ".new-";

/// The prefix of a directory that its process is removing.
const UNWANTED: &str = ".old-";

/// A process needs less than this to lock and name its new directory.
const NAMING: Duration = Duration::from_secs(60);

/// How often to try for the lock of the folder in which a directory gets its name. Another job has it for a
/// moment only; whoever has it for longer is no job, such as `flock FOLDER mrjob …`.
const TRIES: usize = 50;

/// How long a lock may outlive the process that took it. A child that the process was just starting holds the
/// lock until it executes its program, which can take seconds on a busy machine.
const LOCK_OUTLIVES_OWNER: Duration = Duration::from_secs(60);

/// How long to wait between two tries for a lock.
const RETRY: Duration = Duration::from_millis(20);

/// A lock for which other processes wait. Its file exists while a process holds the lock or waits for it.
pub(crate) struct Lock {
    path: PathBuf,
    /// Open while the lock is held.
    _file: File,
}

impl Lock {
    /// Waits for the lock.
    pub(crate) fn wait(path: &Path) -> io::Result<Lock> {
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            file.lock()?;
            // The previous holder removed the file, and another process may have created a new one of the
            // same name.
            match fs::metadata(path) {
                Ok(there) if there.ino() == file.metadata()?.ino() => {
                    return Ok(Lock { path: path.to_owned(), _file: file });
                }
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while the lock is held, so no other process holds it yet.
        let _ = fs::remove_file(&self.path);
    }
}

/// A directory of this process. Dropping it removes the directory; after a kill, a later job removes it.
pub(crate) struct OwnDirectory {
    path: PathBuf,
    /// Locked while this process lives.
    _lock: File,
}

impl OwnDirectory {
    /// Creates the directory `prefix` + `name` in `parent`, which only this user may enter. Removes
    /// directories of the same prefix whose processes were killed.
    pub(crate) fn create(parent: &Path, prefix: &str, name: &str) -> io::Result<OwnDirectory> {
        // Held until the directory has its name.
        let naming = lock_names(parent);
        remove_abandoned(parent, prefix, naming.is_some());
        // It gets its name after its lock, so no other process takes it for abandoned.
        let unlocked = parent.join(format!("{UNNAMED}{prefix}{name}"));
        fs::DirBuilder::new().mode(0o700).create(&unlocked)?;
        let path = parent.join(format!("{prefix}{name}"));
        let claim = || -> io::Result<File> {
            let mut lock = File::create(unlocked.join(LOCK))?;
            lock.lock()?;
            sign(&mut lock)?;
            fs::rename(&unlocked, &path)?;
            Ok(lock)
        };
        // The disk may be full.
        let lock = claim().inspect_err(|_| drop(fs::remove_dir_all(&unlocked)))?;
        Ok(OwnDirectory { path, _lock: lock })
    }

    /// Takes over the directory of a killed process; `None` if its process lives.
    pub(crate) fn take_over(path: &Path) -> Option<OwnDirectory> {
        let mut lock = OpenOptions::new().read(true).write(true).open(path.join(LOCK)).ok()?;
        lock.try_lock().ok()?;
        sign(&mut lock).ok()?;
        Some(OwnDirectory { path: path.to_owned(), _lock: lock })
    }

    /// Like [`OwnDirectory::take_over`], but if the process that took the lock has ended, waits until the
    /// lock is free.
    pub(crate) fn take_over_of_killed(path: &Path) -> Option<OwnDirectory> {
        let given_up = Instant::now() + LOCK_OUTLIVES_OWNER;
        loop {
            // Asked before the lock is tried: if the owner has ended by now, its lock will be free soon.
            let lives = owner_lives(path);
            if let Some(directory) = OwnDirectory::take_over(path) {
                return Some(directory);
            }
            if lives || Instant::now() >= given_up {
                return None;
            }
            std::thread::sleep(RETRY);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory in place for another process.
    pub(crate) fn keep(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        // Renamed first, because a directory under its own name must be complete: a job that is killed in the
        // middle of the removal must not be resumed without its files.
        let unwanted = unwanted(&self.path).filter(|unwanted| fs::rename(&self.path, unwanted).is_ok());
        if !remove(unwanted.as_ref().unwrap_or(&self.path)) {
            eprintln!("mrjob: {} could not be removed", self.path.display());
        }
    }
}

/// The directory's name during its removal.
fn unwanted(path: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(UNWANTED);
    name.push(path.file_name()?);
    Some(path.with_file_name(name))
}

/// Removes a directory with everything in it. False if that fails.
fn remove(path: &Path) -> bool {
    // A worker that is ending may still write a file there, or another job removes the directory at the same
    // time.
    (0..5).any(|_| match fs::remove_dir_all(path) {
        Err(error) => error.kind() == ErrorKind::NotFound,
        Ok(()) => true,
    })
}

/// Writes this process's number into the lock file.
fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    write!(lock, "{}", std::process::id())
}

/// Whether the process that took the directory's lock still lives, as far as this machine knows. A lock file
/// without a number counts as alive: its owner is about to write the number.
fn owner_lives(path: &Path) -> bool {
    let owner = fs::read_to_string(path.join(LOCK)).ok().and_then(|text| text.parse().ok());
    owner.is_none_or(|owner| signal::kill(Pid::from_raw(owner), None) != Err(Errno::ESRCH))
}

/// The directories in `parent` whose names begin with `prefix`.
pub(crate) fn directories(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    named.map(|entry| entry.path()).collect()
}

/// Locks the folder while a directory in it gets its name. None if that fails: some file systems have no
/// locks on folders.
fn lock_names(parent: &Path) -> Option<File> {
    let folder = File::open(parent).ok()?;
    for _ in 0..TRIES {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

/// Removes the directories of killed processes. Directories of other users stay, since their locks cannot be
/// opened. If the caller has locked the folder, no living process is about to name its directory. Without
/// that lock, only the age of a directory tells that its process was killed before it named it.
fn remove_abandoned(parent: &Path, prefix: &str, is_locked: bool) {
    for path in directories(parent, prefix) {
        drop(OwnDirectory::take_over(&path));
    }
    // Their processes were killed during the removal, or are still removing them.
    for path in directories(parent, &format!("{UNWANTED}{prefix}")) {
        remove(&path);
    }
    for path in directories(parent, &format!("{UNNAMED}{prefix}")) {
        if !is_locked && !is_older(&path, NAMING) {
            continue;
        }
        match OwnDirectory::take_over(&path) {
            Some(directory) => drop(directory),
            // Its process was killed even before it made the lock.
            None if !path.join(LOCK).exists() => drop(remove(&path)),
            None => {}
        }
    }
}

/// Whether the file is older than that. False if its time is unknown or in the future.
fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|data| data.modified()).ok();
    modified.and_then(|time| time.elapsed().ok()).is_some_and(|elapsed| elapsed > age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mrjob-locks-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn the_directory_of_a_living_process_stays_and_an_abandoned_one_goes() {
        let parent = scratch("directory");
        let first = OwnDirectory::create(&parent, "job-", "1").unwrap();
        fs::write(first.path().join("file"), b"x").unwrap();
        let second = OwnDirectory::create(&parent, "job-", "2").unwrap();
        assert!(first.path().join("file").exists(), "its lock is held");
        assert!(OwnDirectory::take_over(first.path()).is_none());
        first.keep();
        drop(OwnDirectory::create(&parent, "job-", "3").unwrap());
        let left: Vec<_> = fs::read_dir(&parent).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["job-2"]);
        drop(second);
        fs::remove_dir_all(&parent).unwrap();
    }

    /// A process that is killed while it removes its directory leaves nothing to resume, and the next process
    /// removes the rest.
    #[test]
    fn a_directory_that_is_being_removed_has_another_name() {
        let parent = scratch("removal");
        let directory = OwnDirectory::create(&parent, "job-", "1").unwrap();
        let half = parent.join(".old-job-1");
        fs::rename(directory.path(), &half).unwrap();
        directory.keep();
        fs::remove_file(half.join(LOCK)).unwrap();
        fs::write(half.join("file"), b"x").unwrap();
        assert_eq!(directories(&parent, "job-"), Vec::<PathBuf>::new());
        drop(OwnDirectory::create(&parent, "job-", "2").unwrap());
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        fs::remove_dir_all(&parent).unwrap();
    }

    /// A process that is killed before it has named its directory leaves one with or without a lock in it.
    #[test]
    fn a_directory_without_a_name_goes_with_the_next_one() {
        let parent = scratch("naming");
        fs::create_dir(parent.join(".new-job-1")).unwrap();
        fs::create_dir(parent.join(".new-job-2")).unwrap();
        File::create(parent.join(".new-job-2").join(LOCK)).unwrap();
        drop(OwnDirectory::create(&parent, "job-", "3").unwrap());
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        // Somebody else has the folder's lock: then only old ones go.
        let foreign = File::open(&parent).unwrap();
        foreign.lock().unwrap();
        fs::create_dir(parent.join(".new-job-1")).unwrap();
        drop(OwnDirectory::create(&parent, "job-", "3").unwrap());
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 1);
        drop(foreign);
        fs::remove_dir_all(&parent).unwrap();
    }

    /// A child of a killed process may hold the lock for a while.
    #[test]
    fn the_lock_of_a_killed_process_is_waited_for() {
        let parent = scratch("killed");
        let mut killed = std::process::Command::new("true").spawn().unwrap();
        killed.wait().unwrap();
        let directory = OwnDirectory::create(&parent, "job-", "1").unwrap();
        let path = directory.path().to_owned();
        assert!(OwnDirectory::take_over_of_killed(&path).is_none(), "its owner, this process, lives");
        fs::write(path.join(LOCK), killed.id().to_string()).unwrap();
        let held = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            directory.keep();
        });
        assert!(OwnDirectory::take_over_of_killed(&path).is_some(), "its owner has ended");
        held.join().unwrap();
        fs::remove_dir_all(&parent).unwrap();
    }

    #[test]
    fn one_holds_the_lock_at_a_time_and_none_is_left() {
        let parent = scratch("lock");
        let path = parent.join("lock");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        let take_the_lock = || {
            for _ in 0..200 {
                let _lock = Lock::wait(&path).unwrap();
                assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            }
        };
        std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(take_the_lock))));
        assert!(!path.exists());
        fs::remove_dir_all(&parent).unwrap();
    }
}
