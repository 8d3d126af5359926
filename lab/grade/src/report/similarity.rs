//! An export for tools that look for similar submissions: what each student wrote, and the handout as base
//! code. Copies of one another are noted on the class's page; everything else is such a tool's work.

use std::fs;
use std::path::Path;

use lab_terminal::Failure;

use crate::plan::{Plan, Role, Row, kept};
use crate::take::Sources;

/// The folder of the export, in the batch's.
const FOLDER: &str = "similarity";

/// Writes `similarity/students/NAME` and `similarity/handout`.
pub(super) fn export(plan: &Plan, out: &Path) -> Result<(), Failure> {
    let folder = out.join(FOLDER);
    // Of an earlier merge, with submissions that may be gone.
    let _ = fs::remove_dir_all(&folder);
    for row in plan.rows.iter().filter(|row| !row.hash.is_empty()) {
        match row.role {
            Role::Student => {
                let place = super::folder(&folder, &row.name);
                lay(&place, &kept(out, &row.hash)?)?;
            }
            Role::Skeleton => lay(&folder.join("handout"), &kept(out, &row.hash)?)?,
            Role::Reference | Role::Canary => {}
        }
    }
    Ok(())
}

fn lay(folder: &Path, sources: &Sources) -> Result<(), Failure> {
    for (path, text) in sources {
        let path = folder.join(path);
        let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
        parent
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// Students whose sources are the same, letter by letter.
pub(super) fn twins(plan: &Plan) -> Vec<Vec<&str>> {
    let students: Vec<&Row> =
        plan.rows.iter().filter(|row| row.role == Role::Student && !row.hash.is_empty()).collect();
    let skeleton = plan.rows.iter().find(|row| row.role == Role::Skeleton).map_or("", |row| &row.hash);
    let mut twins: Vec<Vec<&str>> = Vec::new();
    let mut seen = Vec::new();
    for row in students.iter().filter(|row| row.hash != skeleton) {
        if seen.contains(&&row.hash) {
            continue;
        }
        seen.push(&row.hash);
        let same: Vec<&str> =
            students.iter().filter(|other| other.hash == row.hash).map(|other| other.name.as_str()).collect();
        if same.len() > 1 {
            twins.push(same);
        }
    }
    twins
}
