//! A directory of a test's own, deleted at its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// The directory.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new, empty one.
    pub(crate) fn new() -> Scratch {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mrjob-test-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&self, name: &str, contents: &[u8]) {
        fs::write(self.path.join(name), contents).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A test that failed for another reason should not fail for this one.
        let _ = fs::remove_dir_all(&self.path);
    }
}
