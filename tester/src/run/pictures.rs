//! Where pictures of failures go: `LAB_PICTURES=DIR`, or `lab-pictures` in the folder that the test was built
//! in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use parking_lot::Mutex;

use super::channel::Reports;
use super::plan::Plan;

/// How many pictures of one test are enough: of ten thousand seeds, many may fail in one way.
const MOST: usize = 3;

/// How many of which test this process has written.
static WRITTEN: Mutex<BTreeMap<&'static str, usize>> = Mutex::new(BTreeMap::new());

/// The folder for pictures, which need not exist yet.
pub(super) fn folder(given: Option<String>) -> PathBuf {
    given.map_or_else(|| target().join("lab-pictures"), PathBuf::from)
}

/// The folder that cargo builds into: it lies above the binary, and is marked as one that can be made again.
/// Without one, the folder for temporary files.
pub(crate) fn target() -> PathBuf {
    let binary = env::current_exe().unwrap_or_default();
    let target = binary.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.map_or_else(env::temp_dir, Path::to_path_buf)
}

/// Writes a page under a name that tells test, seed and options. None if there are enough of them; when `lab`
/// runs thousands of seeds, in one process after the other, those that lie in the folder count.
pub(super) fn write(
    plan: &Plan,
    folder: &Path,
    seed: u64,
    page: impl FnOnce() -> String,
) -> io::Result<Option<PathBuf>> {
    let prefix = format!("{}-seed-", plan.test);
    let is_alone = plan.seeds.end - plan.seeds.start == 1;
    if !is_alone && plan.reports != Reports::Nobody && count(folder, &prefix) >= MOST {
        return Ok(None);
    }
    {
        let mut written = WRITTEN.lock();
        let count = written.entry(plan.test).or_default();
        if !is_alone && *count >= MOST {
            return Ok(None);
        }
        *count += 1;
    }
    fs::create_dir_all(folder)?;
    // Options are words such as ` --swarm`.
    let options = plan.options(seed).replace(" --", "-");
    let path = folder.join(format!("{prefix}{seed}{options}.html"));
    fs::write(&path, page())?;
    Ok(Some(path.canonicalize().unwrap_or(path)))
}

/// Writes the whole story of a run beside the pictures if the report leaves lines out and nothing else keeps
/// it (`cargo lab stress` does); where it is, in words.
pub(super) fn write_story(
    plan: &Plan,
    seed: u64,
    told: &str,
    whole: impl FnOnce() -> String,
) -> Option<String> {
    let folder = plan.pictures.as_ref()?;
    let is_alone = plan.seeds.end - plan.seeds.start == 1;
    if !is_alone || !told.contains(crate::story::LEFT_OUT) {
        return None;
    }
    let options = plan.options(seed).replace(" --", "-");
    let path = folder.join(format!("{}-seed-{seed}{options}.story.txt", plan.test));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, whole()));
    Some(match written {
        Ok(()) => format!("the whole story: {}", path.canonicalize().unwrap_or(path).display()),
        Err(error) => format!("the whole story could not be written to {}: {error}", path.display()),
    })
}

/// How many pictures with names of this kind are in the folder.
fn count(folder: &Path, prefix: &str) -> usize {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix) && name.ends_with(".html")).count()
}
