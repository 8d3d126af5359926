//! What the reference solution needs for each test, so that a wasteful solution learns of it (it is a remark,
//! never a failure), and so that long tests begin early on real threads.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::Failure;
use crate::catalogue::Test;
use crate::protocol::Report;
use crate::runner::World;

/// A solution that needs more than so many times the reference's RPCs is told.
const TOLERATED: u64 = 3;

/// Below this many RPCs, a few more are no waste.
pub(crate) const FEW: u64 = 100;

/// The file `reference.toml` beside labs.toml; nothing is known where there is none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reference {
    /// RPCs of each test: the most that several seeds needed.
    #[serde(default)]
    rpcs: BTreeMap<String, u64>,
    /// Virtual seconds of each test that lasts long: the most of several seeds.
    #[serde(default)]
    seconds: BTreeMap<String, f64>,
}

impl Reference {
    /// Reads the file in the workspace's root.
    ///
    /// # Errors
    /// If it is there and cannot be understood.
    pub(crate) fn load(root: &Path) -> Result<Reference, Failure> {
        let path = root.join("reference.toml");
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Reference::default()),
            Err(error) => Err(Failure::new(format!("{}: {error}", path.display()))),
            Ok(text) => {
                toml::from_str(&text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
            }
        }
    }

    /// The most RPCs that the reference needs for a test, if that is known.
    pub(crate) fn rpcs(&self, test: &Test) -> Option<u64> {
        self.rpcs.get(&test.name).copied()
    }

    /// How many seconds a test lasts, if it lasts long.
    pub(crate) fn seconds(&self, test: &Test) -> Option<f64> {
        self.seconds.get(&test.name).copied()
    }

    /// The remark on a run that passed and needed many more RPCs than the reference.
    pub(crate) fn remark(&self, test: &Test, report: &Report, world: &World) -> Option<String> {
        let reference = *self.rpcs.get(&test.name)?;
        // Chance and the wall clock decide how many there are in other worlds.
        let is_ordinary = report.ok && !world.threads && world.variables.is_empty();
        let is_much = report.rpcs > FEW && report.rpcs > reference.saturating_mul(TOLERATED);
        (is_ordinary && is_much)
            .then(|| format!("{} RPCs; the reference needs at most {reference}", report.rpcs))
    }
}
