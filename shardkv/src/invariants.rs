//! What must hold of one group after each step, whatever it is asked to do. The types of
//! `tenure.rs` forbid most of what could be wrong; this is the rest. What must hold of all
//! groups together only a tester can see (`tests/shardkv/custody.rs`).

use crate::state::Group;
use crate::tenure::Tenure;

impl Group {
    /// # Panics
    /// If an invariant is broken, with its words.
    pub(crate) fn check(&self) {
        for shard in 0..self.tenures.len() {
            self.check_tenures(shard);
        }
        for handover in self.garbage.keys() {
            let tenure = self.tenures[handover.shard].get(&handover.config);
            assert!(
                tenure.is_none_or(|tenure| tenure.content().is_some()),
                "{handover:?} is called garbage at its former owner, but is not here either"
            );
        }
    }

    /// Tenures of one shard do not overlap; the one that has not ended is the last, and is
    /// there exactly if the group owns the shard.
    fn check_tenures(&self, shard: usize) {
        let tenures = &self.tenures[shard];
        let mut free_from = 0;
        for (&since, tenure) in tenures {
            assert!(
                free_from <= since && since <= self.config,
                "a tenure of shard {shard} begins with configuration {since}, at {} of them, but the one \
                 before lasted until {free_from}",
                self.config
            );
            free_from = tenure.until().unwrap_or(u64::MAX);
            assert!(since < free_from, "a tenure of shard {shard} from {since} to {free_from} is empty");
        }
        let owned = tenures.values().last().is_some_and(|tenure: &Tenure| tenure.until().is_none());
        assert!(
            owned == (self.owners[shard] == self.gid),
            "shard {shard} belongs to group {}, but group {} has it as {:?}",
            self.owners[shard],
            self.gid,
            tenures.values().last().map(Tenure::stage)
        );
    }
}
