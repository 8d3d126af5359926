//! Where pictures of failures go: `LAB_PICTURES=DIR`, or `lab-pictures` in the folder that the test was built in.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// How many pictures of one test a process writes: of ten thousand seeds, many may fail in one way.
const MOST: u32 = 3;

/// How many of which test there are.
static WRITTEN: Mutex<BTreeMap<&'static str, u32>> = Mutex::new(BTreeMap::new());

/// The folder for pictures, which need not exist yet.
pub(super) fn folder(given: Option<String>) -> PathBuf {
    given.map_or_else(|| target().unwrap_or_else(env::temp_dir).join("lab-pictures"), PathBuf::from)
}

/// The folder that cargo builds into: it lies above the test binary, and is marked as one that can be made again.
fn target() -> Option<PathBuf> {
    let binary = env::current_exe().ok()?;
    binary.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()).map(Path::to_path_buf)
}

/// Writes a page under a name that tells test, seed and options; None if enough of them are there.
pub(super) fn write(
    folder: &Path,
    test: &'static str,
    seed: u64,
    options: &str,
    page: impl FnOnce() -> String,
) -> io::Result<Option<PathBuf>> {
    {
        let mut written = WRITTEN.lock();
        let count = written.entry(test).or_default();
        if *count >= MOST {
            return Ok(None);
        }
        *count += 1;
    }
    fs::create_dir_all(folder)?;
    // Options are words such as ` --swarm`.
    let options = options.replace(" --", "-");
    let path = folder.join(format!("{test}-{seed}{options}.html"));
    fs::write(&path, page())?;
    Ok(Some(path.canonicalize().unwrap_or(path)))
}
