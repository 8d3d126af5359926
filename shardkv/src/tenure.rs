//! A shard's life in a group. The diagram is in the crate's essay; here it is as types.

use kvraft::KeyValue;
use rsm::WithSessions;
use shardctrler::GroupId;

/// A shard's content: a small key/value service with its clients' sessions. They stay
/// together, wherever the shard goes: an operation that was carried out in one group must
/// not be carried out again by another that is asked for it a second time.
pub(crate) type Shard = WithSessions<KeyValue>;

/// What a group has of a shard from the configuration on that made it its owner. A group
/// may own a shard several times, so it can have several of these at once.
///
/// Only two of the four have a content, and only one of these can be asked to serve: what is
/// not there cannot be served or handed over by mistake.
pub(crate) enum Tenure {
    /// Owned, and not here yet.
    Pulling {
        /// Who had it before.
        from: GroupId,
    },
    /// Owned, and here.
    Serving {
        /// All there is: nobody else has as much.
        shard: Shard,
    },
    /// No longer owned, and not even here yet: the next owner waits for this group to get it.
    Passing {
        /// Who had it before.
        from: GroupId,
        /// The configuration that ended the tenure.
        until: u64,
    },
    /// No longer owned, and still here: nobody else may have it. It does not change any more.
    Waiting {
        /// As it was when the tenure ended.
        shard: Shard,
        /// The configuration that ended the tenure.
        until: u64,
    },
}

/// The stage of a tenure, for testers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Owned, and not here yet.
    Pulling,
    /// Owned, and here.
    Serving,
    /// No longer owned, and not here yet.
    Passing,
    /// No longer owned, and here until the next owner has it.
    Waiting,
}

impl Stage {
    /// Whether the group has the shard's content.
    pub fn has_content(self) -> bool {
        matches!(self, Stage::Serving | Stage::Waiting)
    }
}

impl Tenure {
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Tenure::Pulling { .. } => Stage::Pulling,
            Tenure::Serving { .. } => Stage::Serving,
            Tenure::Passing { .. } => Stage::Passing,
            Tenure::Waiting { .. } => Stage::Waiting,
        }
    }

    /// The configuration that ended the tenure, if one has.
    pub(crate) fn until(&self) -> Option<u64> {
        match self {
            Tenure::Pulling { .. } | Tenure::Serving { .. } => None,
            Tenure::Passing { until, .. } | Tenure::Waiting { until, .. } => Some(*until),
        }
    }

    /// Who must be asked for the content, if it is not here.
    pub(crate) fn from(&self) -> Option<GroupId> {
        match self {
            Tenure::Pulling { from } | Tenure::Passing { from, .. } => Some(*from),
            Tenure::Serving { .. } | Tenure::Waiting { .. } => None,
        }
    }

    /// The content, if it is here.
    pub(crate) fn content(&self) -> Option<&Shard> {
        match self {
            Tenure::Serving { shard } | Tenure::Waiting { shard, .. } => Some(shard),
            Tenure::Pulling { .. } | Tenure::Passing { .. } => None,
        }
    }

    /// The configuration `until` makes another group the owner.
    ///
    /// # Panics
    /// If the tenure has ended before.
    pub(crate) fn end(self, until: u64) -> Tenure {
        match self {
            Tenure::Pulling { from } => Tenure::Passing { from, until },
            Tenure::Serving { shard } => Tenure::Waiting { shard, until },
            Tenure::Passing { until: before, .. } | Tenure::Waiting { until: before, .. } => {
                panic!("configuration {until} ends a tenure that configuration {before} has ended")
            }
        }
    }

    /// The content has arrived.
    ///
    /// # Panics
    /// If it is here already.
    pub(crate) fn install(self, shard: Shard) -> Tenure {
        match self {
            Tenure::Pulling { .. } => Tenure::Serving { shard },
            Tenure::Passing { until, .. } => Tenure::Waiting { shard, until },
            Tenure::Serving { .. } | Tenure::Waiting { .. } => {
                panic!("a shard arrives that is here already: what happened to it since would be lost")
            }
        }
    }
}
