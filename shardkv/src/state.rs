//! What all servers of a group agree on: which shards they own, what is in them, and what
//! each command does to that. Without threads, network or clock.

use std::collections::{BTreeMap, BTreeSet};

use kvraft::{KeyValue, Operation};
use labgob::DecodeError;
use rsm::{Request, StateMachine, WithSessions};
use serde::{Deserialize, Serialize};
use shardctrler::{Config, GroupId, NO_GROUP, SHARDS};

use crate::rpc::{Content, Handover, KvError, PullError, key_to_shard};
use crate::tenure::{Shard, Stage, Tenure};

/// What the log of a group holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A client's operation.
    Operate(Request<Operation>),
    /// The next configuration. It goes through the log, so that all servers agree which
    /// operations come before and which after it.
    Adopt(Config),
    /// A shard that this group owns since the handover's configuration has arrived.
    Install(Handover, Content),
    /// The next owner has the shard.
    Discard(Handover),
    /// The owner before this group has deleted its copy.
    Forget(Handover),
}

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The result of an operation.
    Operation(Result<String, KvError>),
    /// The group is where the command wanted it to be, through this one or an earlier copy.
    Done,
}

/// What is to be done next about a handover to this group; see [`Group::transfer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Get the content from one of these servers.
    Pull(Vec<String>),
    /// Have one of these servers delete its copy.
    Discard(Vec<String>),
}

/// The state of a group.
pub struct Group {
    /// Which group it is.
    pub(crate) gid: GroupId,
    /// Number of the last configuration that was adopted; 0 at first.
    pub(crate) config: u64,
    /// Who owns each shard, [`NO_GROUP`] if nobody ever did. A shard that is assigned to no
    /// group stays with its last owner, so that its content is somewhere.
    pub(crate) owners: [GroupId; SHARDS],
    /// The servers of each group that ever was in a configuration, by the last one that
    /// named them. Also of those that left: they have what others need.
    directory: BTreeMap<GroupId, Vec<String>>,
    /// This group's tenures of each shard, by the configuration that began them.
    pub(crate) tenures: [BTreeMap<u64, Tenure>; SHARDS],
    /// Copies at a former owner that are garbage, because this group has the content, and
    /// who has them.
    pub(crate) garbage: BTreeMap<Handover, GroupId>,
    /// How often anything of the above has changed, apart from values and sessions.
    changes: u64,
}

/// A tenure as testers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenureView {
    /// Which shard.
    pub shard: usize,
    /// The configuration that began it.
    pub since: u64,
    /// The configuration that ended it.
    pub until: Option<u64>,
    /// Where it is in its life.
    pub stage: Stage,
}

impl Group {
    /// A group that has adopted no configuration.
    pub fn new(gid: GroupId) -> Group {
        Group {
            gid,
            config: 0,
            owners: [NO_GROUP; SHARDS],
            directory: BTreeMap::new(),
            tenures: std::array::from_fn(|_| BTreeMap::new()),
            garbage: BTreeMap::new(),
            changes: 0,
        }
    }

    /// Number of the last configuration that was adopted.
    pub fn config(&self) -> u64 {
        self.config
    }

    /// How often configuration or tenures have changed: equal numbers, equal tenures.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// All tenures of which anything is left, in order.
    pub fn tenures(&self) -> impl Iterator<Item = TenureView> {
        self.tenures.iter().enumerate().flat_map(|(shard, tenures)| {
            tenures.iter().map(move |(&since, tenure)| TenureView {
                shard,
                since,
                until: tenure.until(),
                stage: tenure.stage(),
            })
        })
    }

    /// Handovers of which the former owner still has its copy, for all that this group knows.
    pub fn garbage(&self) -> impl Iterator<Item = Handover> {
        self.garbage.keys().copied()
    }

    /// Whether operations on this key would be refused, and how.
    pub fn refusal(&self, key: &str) -> Option<KvError> {
        match self.tenures[key_to_shard(key)].last_key_value() {
            Some((_, Tenure::Serving { .. })) => None,
            Some((_, Tenure::Pulling { .. })) => Some(KvError::Moving),
            Some((_, Tenure::Passing { .. } | Tenure::Waiting { .. })) | None => Some(KvError::WrongGroup),
        }
    }

    /// A client's operation, at its place in the log: what was served when a server took it may
    /// have been given away by a configuration that came before it.
    fn operate(&mut self, request: Request<Operation>) -> Result<String, KvError> {
        let key = request.command.key();
        if let Some(refusal) = self.refusal(key) {
            return Err(refusal);
        }
        let shard = key_to_shard(key);
        let Some(Tenure::Serving { shard }) = self.tenures[shard].values_mut().last() else {
            unreachable!("what is not refused is served");
        };
        shard.apply(request).map_err(|error| match error {
            kvraft::KvError::TooLarge => KvError::TooLarge,
            kvraft::KvError::WrongLeader => KvError::WrongLeader,
        })
    }

    /// Goes on to the next configuration. Any other is not next any more, or not yet: two
    /// leaders, one after the other, may have seen the same need for it.
    fn adopt(&mut self, config: Config) {
        if config.number != self.config + 1 {
            return;
        }
        // Shards of the last one may still be on their way: nobody waits for them here.
        for (shard, &owner) in config.shards.iter().enumerate() {
            if owner != NO_GROUP && owner != self.owners[shard] {
                self.change_owner(Handover { shard, config: config.number }, owner);
            }
        }
        self.directory.extend(config.groups);
        self.config = config.number;
        self.changed();
    }

    /// The handover's configuration gives the shard to `owner`. All groups take note of it,
    /// also those that it does not concern: one of them may be the next, and must know whom
    /// to ask.
    fn change_owner(&mut self, handover: Handover, owner: GroupId) {
        let before = std::mem::replace(&mut self.owners[handover.shard], owner);
        let tenures = &mut self.tenures[handover.shard];
        // Of this group's tenures the last one is open as long as it owns the shard.
        if before == self.gid
            && let Some((since, tenure)) = tenures.pop_last()
        {
            tenures.insert(since, tenure.end(handover.config));
        }
        if owner == self.gid {
            let tenure = match before {
                // Nobody ever wrote to it.
                NO_GROUP => Tenure::Serving { shard: empty_shard() },
                from => Tenure::Pulling { from },
            };
            tenures.insert(handover.config, tenure);
        }
    }

    /// What this group has pulled is in its log now, and so on the disks of a majority. From
    /// here on the copy where it came from is garbage.
    ///
    /// # Panics
    /// If the content is none: servers look at it before it goes into the log.
    fn install(&mut self, handover: Handover, content: &Content) {
        let tenures = &mut self.tenures[handover.shard];
        // Otherwise this is another copy of what has arrived, from before all that has
        // happened to the shard since.
        let Some(from) = tenures.get(&handover.config).and_then(Tenure::from) else { return };
        let shard = decode_shard(content).unwrap_or_else(|error| {
            panic!("what was installed as shard {} is no shard: {error}", handover.shard)
        });
        if let Some(tenure) = tenures.remove(&handover.config) {
            tenures.insert(handover.config, tenure.install(shard));
        }
        self.garbage.insert(handover, from);
        self.changed();
    }

    /// The next owner has what was waiting for it. Nothing else is ever deleted, whoever asks.
    fn discard(&mut self, handover: Handover) {
        let since = self.waiting(handover).map(|(since, _)| since);
        if let Some(since) = since {
            self.tenures[handover.shard].remove(&since);
            self.changed();
        }
    }

    /// The former owner has deleted its copy; nobody needs to ask again.
    fn forget(&mut self, handover: Handover) {
        if self.garbage.remove(&handover).is_some() {
            self.changed();
        }
    }

    /// The tenure that this handover ends, if the shard is here.
    fn waiting(&self, handover: Handover) -> Option<(u64, &Shard)> {
        self.tenures.get(handover.shard)?.iter().find_map(|(&since, tenure)| match tenure {
            Tenure::Waiting { shard, until } if *until == handover.config => Some((since, shard)),
            _ => None,
        })
    }

    /// The content that a handover from this group is about. It is final, and equal on all servers that know of
    /// the handover: they have all applied the same operations before the configuration.
    ///
    /// # Errors
    /// If it is not here any more, or not yet.
    pub fn hand_over(&self, handover: Handover) -> Result<Content, PullError> {
        if let Some((_, shard)) = self.waiting(handover) {
            return Ok(Content(shard.snapshot()));
        }
        Err(if self.is_gone(handover) { PullError::Gone } else { PullError::NotYet })
    }

    /// Whether the content that a handover is about was here, and was deleted.
    pub fn is_gone(&self, handover: Handover) -> bool {
        let ends_here = |tenure: &Tenure| tenure.until() == Some(handover.config);
        let tenures = self.tenures.get(handover.shard);
        self.config >= handover.config && tenures.is_some_and(|tenures| !tenures.values().any(ends_here))
    }

    /// Everything that this group wants of others, by the handover that it is about.
    pub fn transfers(&self) -> BTreeSet<Handover> {
        let to_pull = self.tenures.iter().enumerate().flat_map(|(shard, tenures)| {
            let missing = tenures.iter().filter(|(_, tenure)| tenure.from().is_some());
            missing.map(move |(&config, _)| Handover { shard, config })
        });
        to_pull.chain(self.garbage.keys().copied()).collect()
    }

    /// What is to be done next about a handover to this group; `None` if it is over.
    pub fn transfer(&self, handover: Handover) -> Option<Transfer> {
        let servers = |group: GroupId| self.directory.get(&group).cloned().unwrap_or_default();
        let tenure = self.tenures[handover.shard].get(&handover.config);
        if let Some(from) = tenure.and_then(Tenure::from) {
            return Some(Transfer::Pull(servers(from)));
        }
        self.garbage.get(&handover).map(|&from| Transfer::Discard(servers(from)))
    }

    /// To be called after each change that is not a client's.
    fn changed(&mut self) {
        self.changes += 1;
        self.check();
    }
}

fn empty_shard() -> Shard {
    WithSessions::new(KeyValue::default())
}

/// The shard that was written so.
pub(crate) fn decode_shard(content: &Content) -> Result<Shard, DecodeError> {
    let mut shard = empty_shard();
    shard.restore(&content.0)?;
    Ok(shard)
}

impl StateMachine for Group {
    type Command = Command;
    type Reply = Reply;

    fn apply(&mut self, command: Command) -> Reply {
        match command {
            Command::Operate(request) => return Reply::Operation(self.operate(request)),
            Command::Adopt(config) => self.adopt(config),
            Command::Install(handover, content) => self.install(handover, &content),
            Command::Discard(handover) => self.discard(handover),
            Command::Forget(handover) => self.forget(handover),
        }
        Reply::Done
    }

    fn snapshot(&self) -> Vec<u8> {
        labgob::encode(&Saved::of(self))
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        labgob::decode::<Saved>(snapshot)?.restore(self)
    }
}

/// A group's state as it is written.
#[derive(Serialize, Deserialize)]
struct Saved {
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

/// What a tenure's content is, or where.
#[derive(Serialize, Deserialize)]
enum Source {
    Here(Content),
    At(GroupId),
}

impl Saved {
    fn of(group: &Group) -> Saved {
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

    /// Puts what was written in the place of the group's state, or leaves that as it is.
    fn restore(self, group: &mut Group) -> Result<(), DecodeError> {
        let mut restored = Group::new(group.gid);
        for SavedTenure { handover, until, source } in self.tenures {
            // A tenure is made again as it came about: it began, and perhaps it has ended.
            let begun = match source {
                Source::Here(content) => Tenure::Serving { shard: decode_shard(&content)? },
                Source::At(from) => Tenure::Pulling { from },
            };
            let tenure = match until {
                Some(until) => begun.end(until),
                None => begun,
            };
            let tenures = restored.tenures.get_mut(handover.shard).ok_or(DecodeError::Truncated)?;
            tenures.insert(handover.config, tenure);
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
