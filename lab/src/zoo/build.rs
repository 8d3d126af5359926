//! Building wrong solutions, one after the other, in a copy of the workspace.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::Instant;

use super::copy::WorkspaceCopy;
use super::patch::Patch;
use crate::Failure;
use crate::build::{Binaries, BuildOptions, build};
use crate::catalogue::Test;

/// A solution that is ready to run: its test binaries, by package and test target.
pub(super) struct Built {
    pub(super) patch: Patch,
    /// How long the build took.
    pub(super) seconds: f64,
    binaries: BTreeMap<(String, String), PathBuf>,
}

impl Built {
    /// The binary that holds this test.
    pub(super) fn binary(&self, test: &Test) -> &Path {
        &self.binaries[&(test.package.clone(), test.binary.clone())]
    }

    /// Removes the binaries. Broken code may well keep files of them open; they are not needed any more.
    pub(super) fn discard(&self) {
        for binary in self.binaries.values() {
            let _ = std::fs::remove_file(binary);
        }
    }
}

/// Takes the folder for this process alone.
fn lock(place: &Path) -> Result<File, Failure> {
    let path = place.join("lock");
    let cannot = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(place).map_err(|error| cannot(&error))?;
    let file = File::create(&path).map_err(|error| cannot(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(cannot(&"another zoo is at work in this folder")),
        Err(TryLockError::Error(error)) => Err(cannot(&error)),
    }
}

/// The folder in which solutions are built, and how.
pub(super) struct Builder {
    copy: WorkspaceCopy,
    place: PathBuf,
    options: BuildOptions,
    /// Two at work in one folder would spoil each other's copy. Freed with this, or with the process.
    _lock: File,
}

impl Builder {
    /// For the workspace at `root`.
    pub(super) fn new(root: &Path, place: &Path, options: BuildOptions) -> Result<Builder, Failure> {
        let lock = lock(place)?;
        let copy = WorkspaceCopy::of(root, &place.join("source"), &options.without_assertions)?;
        let (target, log) = (Some(place.join("target")), Some(place.join("build.log")));
        Ok(Builder {
            copy,
            place: place.to_path_buf(),
            options: BuildOptions { target, log, ..options },
            _lock: lock,
        })
    }

    /// Builds one solution after the other, until the receiver is gone. One that cannot be built says so, and
    /// the next one is built.
    pub(super) fn build_all(
        mut self,
        solutions: Vec<(Patch, Vec<Test>)>,
        sender: &Sender<Result<Built, Failure>>,
    ) {
        for (patch, tests) in solutions {
            if sender.send(self.build(patch, &tests)).is_err() {
                return;
            }
        }
    }

    /// Applies a patch, builds the binaries of these tests, and puts them where the next build cannot replace
    /// them.
    pub(super) fn build(&mut self, patch: Patch, tests: &[Test]) -> Result<Built, Failure> {
        let begin = Instant::now();
        self.copy.restore(patch.base.as_deref())?;
        for (file, text) in patch.apply(|file| self.copy.source(file))? {
            self.copy.replace(&file, &text)?;
        }
        let binaries = build(self.copy.folder(), tests, &self.options)
            .map_err(|failure| Failure::new(format!("{} does not build: {failure}", patch.id)))?;
        let log = self.options.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok());
        if let Some(place) = log.as_deref().and_then(never_reached) {
            let id = &patch.id;
            return Err(Failure::new(format!(
                "{id} is not what it says: the compiler finds code of it never reached {place}"
            )));
        }
        self.keep(patch, binaries, begin)
    }

    /// New texts of these files of the workspace.
    pub(super) fn texts(
        &self,
        files: &[String],
        change: impl Fn(&Path, &str) -> String,
    ) -> Result<Vec<(PathBuf, String)>, Failure> {
        let new = |file: &String| {
            let path = self.copy.source(Path::new(file));
            let old = std::fs::read_to_string(&path)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            Ok((PathBuf::from(file), change(Path::new(file), &old)))
        };
        files.iter().map(new).collect()
    }

    /// Builds the workspace with other texts of some files; the compiler's words if it refuses them.
    pub(super) fn build_texts(
        &mut self,
        patch: Patch,
        texts: Vec<(PathBuf, String)>,
        tests: &[Test],
    ) -> Result<Result<Built, String>, Failure> {
        let begin = Instant::now();
        self.copy.restore(None)?;
        for (file, text) in texts {
            self.copy.replace(&file, &text)?;
        }
        let options = BuildOptions { is_tentative: true, ..self.options.clone() };
        match build(self.copy.folder(), tests, &options) {
            Ok(binaries) => self.keep(patch, binaries, begin).map(Ok),
            Err(failure) => {
                let log = self.options.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok());
                log.map(Err).ok_or(failure)
            }
        }
    }

    /// Puts binaries where the next build cannot replace them.
    fn keep(&self, patch: Patch, binaries: Binaries, begin: Instant) -> Result<Built, Failure> {
        let keep = |((package, target), binary): ((String, String), PathBuf)| {
            let kept = self.place.join(format!("{}-{package}-{target}", patch.id));
            // Never written in place: a process may still run the one that is there.
            let _ = std::fs::remove_file(&kept);
            std::fs::copy(binary, &kept)
                .map_err(|error| Failure::new(format!("{}: {error}", kept.display())))?;
            Ok(((package, target), kept))
        };
        let binaries = binaries.into_iter().map(keep).collect::<Result<_, Failure>>()?;
        Ok(Built { patch, seconds: begin.elapsed().as_secs_f64(), binaries })
    }
}

/// Where the compiler says that code is never reached: a patch that was put there behind a `return` changes
/// nothing, and says the same of the tests as the solution that it was made of.
fn never_reached(log: &str) -> Option<&str> {
    let mut lines = log.lines();
    let is_dead = |line: &str| {
        ["warning: unreachable statement", "warning: unreachable expression"].contains(&line.trim_end())
    };
    lines.find(|line| is_dead(line))?;
    Some(lines.next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::never_reached;

    #[test]
    fn code_that_is_never_reached_is_found_in_what_the_compiler_says() {
        let dead = "   Compiling raft v0.1.0\nwarning: unreachable statement\n   --> raft/src/replication.rs:111:9\n";
        assert_eq!(never_reached(dead), Some("--> raft/src/replication.rs:111:9"));
        let alive = "warning: unused variable: `x`\n --> raft/src/log.rs:1:1\n    Finished\n";
        assert_eq!(never_reached(alive), None);
    }
}
