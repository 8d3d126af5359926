// handout: file guided
//! A group's state as bytes, for snapshots.

use std::collections::BTreeMap;

use labgob::DecodeError;
use rsm::StateMachine;
use serde::{Deserialize, Serialize};
use shardctrler::{GroupId, NO_GROUP, SHARDS};

use crate::rpc::Content;
use crate::state::{Group, decode_shard};
use crate::tenure::Tenure;
use crate::view::Handover;

/// All of a group's state but its number, which the server knows from its setup.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    config: u64,
    owners: [GroupId; SHARDS],
    directory: BTreeMap<GroupId, Vec<String>>,
    tenures: Vec<SavedTenure>,
    garbage: BTreeMap<Handover, GroupId>,
    changes: u64,
}

#[derive(Serialize, Deserialize)]
struct SavedTenure {
    handover: Handover,
    until: Option<u64>,
    source: Source,
}

/// A tenure's content, or the group to ask for it.
#[derive(Serialize, Deserialize)]
enum Source {
    Here(Content),
    At(GroupId),
}

// handout: bodies 4B
impl Saved {
    pub(crate) fn of(group: &Group) -> Saved {
        let tenures = group.tenures.iter().enumerate().flat_map(|(shard, tenures)| {
            tenures.iter().map(move |(&config, tenure)| SavedTenure {
                handover: Handover { shard, config },
                until: tenure.until(),
                source: match (tenure.content(), tenure.from()) {
                    (Some(shard), _) => Source::Here(Content(shard.snapshot())),
                    (None, from) => Source::At(from.unwrap_or(NO_GROUP)),
                },
            })
        });
        Saved {
            config: group.config,
            owners: group.owners,
            directory: group.directory.clone(),
            tenures: tenures.collect(),
            garbage: group.garbage.clone(),
            changes: group.changes,
        }
    }

    /// Replaces the group's state. The invariants hold of the new one.
    ///
    /// # Errors
    /// If a shard cannot be decoded, or there is none with its number. The group is unchanged then.
    ///
    /// # Panics
    /// If the restored state breaks an invariant.
    pub(crate) fn restore(self, group: &mut Group) -> Result<(), DecodeError> {
        let mut restored = Group::new(group.gid);
        for SavedTenure { handover, until, source } in self.tenures {
            // A tenure goes through its life again: it begins, and it may have ended.
            let begun = match source {
                Source::Here(content) => Tenure::Serving { shard: decode_shard(&content)? },
                Source::At(from) => Tenure::Pulling { from },
            };
            let tenure = match until {
                Some(until) => begun.end(until),
                None => begun,
            };
            let no_shard = || DecodeError::Invalid(format!("there is no shard {}", handover.shard));
            let tenures = restored.tenures.get_mut(handover.shard).ok_or_else(no_shard)?;
            let twice = tenures.insert(handover.config, tenure).is_some();
            assert!(!twice, "the snapshot holds the tenure of {handover:?} twice");
        }
        restored.config = self.config;
        restored.owners = self.owners;
        restored.directory = self.directory;
        restored.garbage = self.garbage;
        restored.changes = self.changes;
        restored.check();
        *group = restored;
        Ok(())
    }
}
