// handout: file guided
//! The invariants of one group, which hold after each entry of its log. The types of `tenure.rs`
//! enforce others. The invariants of all groups together are in `tests/shardkv/custody.rs`,
//! because only a tester sees all groups.

use shardctrler::{GroupId, NO_GROUP};

use crate::state::Group;
use crate::tenure::Tenure;

// handout: bodies kept
impl Group {
    /// Looks at all invariants: after each change, and after a snapshot was restored.
    ///
    /// # Panics
    /// If one is broken.
    pub(crate) fn check(&self) {
        for shard in 0..self.tenures.len() {
            self.check_tenures(shard);
            self.check_sources(shard);
        }
        for (handover, &from) in &self.garbage {
            let tenure = self.tenures[handover.shard].get(&handover.config);
            assert!(
                tenure.is_none_or(|tenure| tenure.content().is_some()),
                "{handover:?} is noted as garbage at its former owner, but its content has not arrived here"
            );
            assert!(
                self.can_be_asked(from),
                "{handover:?} is noted as garbage at group {from}, which cannot be asked"
            );
        }
    }

    /// A content that is missing can be asked for, and so can the owner of each shard.
    fn check_sources(&self, shard: usize) {
        let owner = self.owners[shard];
        assert!(
            owner == NO_GROUP || owner == self.gid || self.can_be_asked(owner),
            "the servers of group {owner}, which owns shard {shard}, are unknown"
        );
        for (since, tenure) in &self.tenures[shard] {
            assert!(
                tenure.from().is_none_or(|from| self.can_be_asked(from)),
                "shard {shard} of configuration {since} comes from {:?}, which cannot be asked",
                tenure.from()
            );
        }
    }

    /// Whether this is another group with known servers.
    fn can_be_asked(&self, group: GroupId) -> bool {
        group != self.gid && self.directory.get(&group).is_some_and(|servers| !servers.is_empty())
    }

    /// The tenures of one shard do not overlap. Only the last one can be open, and it is open if and
    /// only if the group owns the shard.
    fn check_tenures(&self, shard: usize) {
        let tenures = &self.tenures[shard];
        let mut free_from = 0;
        for (&since, tenure) in tenures {
            assert!(
                free_from <= since && since <= self.config,
                "a tenure of shard {shard} begins with configuration {since}, but the one before it lasts \
                 until {free_from}, and the group is at configuration {}",
                self.config
            );
            free_from = tenure.until().unwrap_or(u64::MAX);
            assert!(since < free_from, "a tenure of shard {shard} from {since} to {free_from} is empty");
        }
        let owned = tenures.values().last().is_some_and(|tenure: &Tenure| tenure.until().is_none());
        assert!(
            owned == (self.owners[shard] == self.gid),
            "group {} owns shard {shard}, but at group {} its last tenure is {:?}",
            self.owners[shard],
            self.gid,
            tenures.values().last().map(Tenure::stage)
        );
    }
}
