//! Carries out shards: builds a submission, runs its tests with some of the seeds, and leaves one file.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use lab_terminal::Failure;
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Shard, VERSION, kept};
use crate::run::Runner;
use crate::sandbox::Sandbox;
use crate::scratch;
use crate::store;
use crate::take::Refusal;
use crate::verdict::Sum;
use crate::workshop::Workshop;

/// What a shard came to. Nothing in it depends on the machine, or on when and how often it was run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Carried {
    pub(crate) version: u32,
    /// [`Plan::key`].
    pub(crate) key: String,
    pub(crate) seeds: Range<u64>,
    /// Why it could not be built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<Refusal>,
    /// By test.
    pub(crate) sums: BTreeMap<String, Sum>,
}

/// Where and how shards are carried out.
pub(crate) struct Worker<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) workshop: &'a Workshop,
    pub(crate) out: &'a Path,
    pub(crate) sandbox: Sandbox,
    /// How many processes at once for one shard.
    pub(crate) jobs: usize,
}

/// The file of a shard.
fn file(out: &Path, key: &str) -> PathBuf {
    out.join("shards").join(format!("{key}.json"))
}

/// What a shard came to, if it was carried out.
pub(crate) fn carried(out: &Path, key: &str) -> Option<Carried> {
    let carried: Carried = store::get_json(&file(out, key)).ok()?;
    (carried.key == key && carried.version == VERSION).then_some(carried)
}

impl Worker<'_> {
    /// Carries a shard out, unless that was done before. To do it twice, even at the same time, does no harm.
    pub(crate) fn carry_out(&self, shard: &Shard) -> Result<Carried, Failure> {
        let key = self.plan.key(shard)?;
        if let Some(carried) = carried(self.out, &key) {
            return Ok(carried);
        }
        let folder = scratch::folder(&format!("shard-{}", shard.shard))?;
        let result = self.build_and_run(shard, key, &folder);
        // It is large; what was wrong is known already.
        let _ = fs::remove_dir_all(&folder);
        let carried = result?;
        let path = file(self.out, &carried.key);
        let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
        parent.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        store::put_json(&path, &carried)?;
        Ok(carried)
    }

    fn build_and_run(&self, shard: &Shard, key: String, folder: &Path) -> Result<Carried, Failure> {
        let sources = kept(self.out, &shard.hash)?;
        let mut carried = Carried {
            version: VERSION,
            key,
            seeds: shard.seeds.clone(),
            refusal: None,
            sums: BTreeMap::new(),
        };
        let binaries = match self.workshop.recipe.build(self.sandbox, &sources, folder)? {
            Ok(binaries) => binaries,
            Err(refusal) => {
                carried.refusal = Some(refusal);
                return Ok(carried);
            }
        };
        let runner = Runner { sandbox: self.sandbox, binaries, jobs: self.jobs };
        let tests = self.plan.seeds(shard);
        let runs = runner.run(&tests)?;
        let sums = tests.iter().filter_map(|(test, seeds)| {
            Some((test.name.clone(), Sum::of(runs.get(&test.name)?, seeds.end - seeds.start)))
        });
        carried.sums = sums.collect();
        Ok(carried)
    }
}
