//! Names of files. They are full paths in one flat table: there are no directories to create (§4.1).

use crate::rpc::MasterError;

/// Length limit of a path, in bytes.
pub const MAX_PATH: usize = 1 << 10;

/// Begins the names of deleted files that can still be restored.
pub const HIDDEN: &str = "/.deleted/";

/// Checks that `path` can name a file: a slash before each of its names, none of which is empty, `.` or `..`,
/// or has a NUL.
///
/// # Errors
/// [`MasterError::BadPath`].
pub fn check(path: &str) -> Result<(), MasterError> {
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    let names = path.strip_prefix('/').filter(|_| path.len() <= MAX_PATH);
    let is_path = names.is_some_and(|names| names.split('/').all(is_name));
    is_path.then_some(()).ok_or(MasterError::BadPath)
}

/// As [`check`], and the path is not that of a deleted file: nobody creates those but the master.
///
/// # Errors
/// [`MasterError::BadPath`].
pub fn check_new(path: &str) -> Result<(), MasterError> {
    if path.starts_with(HIDDEN) { Err(MasterError::BadPath) } else { check(path) }
}

/// The name under which a deleted file can be restored. `number` makes it different from all others, also
/// from those of files that had the same path.
pub fn hidden(path: &str, number: u64) -> String {
    format!("{HIDDEN}{number}{path}")
}
