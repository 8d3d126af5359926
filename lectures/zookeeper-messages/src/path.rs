//! Paths of znodes, as the course writes them: without a leading slash. The root is the empty path.

use crate::rpc::Error;

/// Length limit of a path, in bytes.
pub const MAX_PATH: usize = 1 << 10;

/// Checks that `path` names a node that can be created: names without `/` and NUL, none of them empty, `.` or
/// `..`, with a slash between two of them.
///
/// # Errors
/// [`Error::BadPath`].
pub fn check(path: &str) -> Result<(), Error> {
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    let is_path = path.len() <= MAX_PATH && path.split('/').all(is_name);
    is_path.then_some(()).ok_or(Error::BadPath)
}

/// As [`check`], but the root is a path, too: it can be read and watched.
///
/// # Errors
/// [`Error::BadPath`].
pub fn check_or_root(path: &str) -> Result<(), Error> {
    if path.is_empty() { Ok(()) } else { check(path) }
}

/// The path of a node's parent: `locks/a` has the parent `locks`, and `locks` the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The last name of a path: that of `locks/a` is `a`.
pub fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The path of the child of `parent` with this name.
pub fn child(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}
