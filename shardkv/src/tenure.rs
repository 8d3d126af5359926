// handout: file guided
//! A shard's life in a group: the diagram of the crate's essay as types.

use kvraft::KeyValue;
use rsm::WithSessions;
use shardctrler::GroupId;

use crate::view::Stage;

/// A shard's content: a small key/value service with its clients' sessions. Values and sessions
/// move together. An operation that took effect in one group must not take effect again when
/// the clerk sends it to the next owner.
pub(crate) type Shard = WithSessions<KeyValue>;

/// A group's tenure of a shard. It begins with the configuration that makes the group the owner.
/// A group may own a shard several times, so it can have several tenures of it at once.
///
/// Only two stages have a content, and only one of them serves. So a missing content cannot be
/// served or handed over by mistake.
pub(crate) enum Tenure {
    /// The group owns the shard and has not received the content yet.
    Pulling {
        /// The previous owner.
        from: GroupId,
    },
    /// The group owns the shard and has the content.
    Serving {
        /// The newest content: clients write here and nowhere else.
        shard: Shard,
    },
    /// The group no longer owns the shard and has not received the content yet. The next owner
    /// waits for it.
    Passing {
        /// The previous owner.
        from: GroupId,
        /// The configuration that ended the tenure.
        until: u64,
    },
    /// The group no longer owns the shard and still has the content, perhaps the only copy. The
    /// content no longer changes.
    Waiting {
        /// The content at the end of the tenure.
        shard: Shard,
        /// The configuration that ended the tenure.
        until: u64,
    },
}

// handout: bodies 4B
impl Tenure {
    // handout: body kept
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Tenure::Pulling { .. } => Stage::Pulling,
            Tenure::Serving { .. } => Stage::Serving,
            Tenure::Passing { .. } => Stage::Passing,
            Tenure::Waiting { .. } => Stage::Waiting,
        }
    }

    // handout: body kept
    /// The configuration that ended the tenure, `None` if it is open.
    pub(crate) fn until(&self) -> Option<u64> {
        match self {
            Tenure::Pulling { .. } | Tenure::Serving { .. } => None,
            Tenure::Passing { until, .. } | Tenure::Waiting { until, .. } => Some(*until),
        }
    }

    // handout: body kept
    /// The group to ask for the content, `None` if the content is here.
    pub(crate) fn from(&self) -> Option<GroupId> {
        match self {
            Tenure::Pulling { from } | Tenure::Passing { from, .. } => Some(*from),
            Tenure::Serving { .. } | Tenure::Waiting { .. } => None,
        }
    }

    // handout: body kept
    /// The content, `None` if it has not arrived.
    pub(crate) fn content(&self) -> Option<&Shard> {
        match self {
            Tenure::Serving { shard } | Tenure::Waiting { shard, .. } => Some(shard),
            Tenure::Pulling { .. } | Tenure::Passing { .. } => None,
        }
    }

    /// The tenure after configuration `until` made another group the owner.
    ///
    /// # Panics
    /// If the tenure has ended already.
    pub(crate) fn end(self, until: u64) -> Tenure {
        assert!(until > 0, "configuration 0 owns no shards, so it ends no tenure");
        match self {
            Tenure::Pulling { from } => Tenure::Passing { from, until },
            Tenure::Serving { shard } => Tenure::Waiting { shard, until },
            Tenure::Passing { until: before, .. } | Tenure::Waiting { until: before, .. } => {
                panic!("configuration {until} ends a tenure that configuration {before} ended already")
            }
        }
    }

    /// The tenure after the content arrived.
    ///
    /// # Panics
    /// If the content is here already.
    pub(crate) fn install(self, shard: Shard) -> Tenure {
        match self {
            Tenure::Pulling { .. } => Tenure::Serving { shard },
            Tenure::Passing { until, .. } => Tenure::Waiting { shard, until },
            Tenure::Serving { .. } | Tenure::Waiting { .. } => {
                panic!("a second content arrives: it would overwrite all operations since the first")
            }
        }
    }
}
