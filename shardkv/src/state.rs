// handout: file guided
//! The state that all servers of a group agree on: the shards with their contents, and the effect
//! of each command. It knows no threads, network or clock.

use std::collections::{BTreeMap, BTreeSet};

use kvraft::{KeyValue, Operation};
use labgob::DecodeError;
use rsm::{Request, StateMachine, WithSessions};
use serde::{Deserialize, Serialize};
use shardctrler::{Config, GroupId, NO_GROUP, SHARDS};

use crate::rpc::{Content, KvError, PullError, key_to_shard};
use crate::saved::Saved;
use crate::tenure::{Shard, Tenure};
use crate::view::{GroupView, Handover, Stage, TenureView};

/// A command in a group's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A client's operation.
    Operate(Request<Operation>),
    /// Adopts the next configuration. The log orders it among the operations, so all servers
    /// agree which operations come before it.
    Adopt(Config),
    /// Installs a content that this group pulled. The handover's configuration made it the owner.
    Install(Handover, Content),
    /// Deletes a content that waits: the next owner has it.
    Discard(Handover),
    /// Drops the note of garbage: the former owner has deleted its copy.
    Forget(Handover),
}

/// The reply to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The result of an operation.
    Operation(Result<String, KvError>),
    /// The command has taken effect: this copy of it, or an earlier one, or the state has moved
    /// past it.
    Done,
}

/// The next step of a handover to this group; see [`Group::transfer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Pull the content from one of these servers.
    Pull(Vec<String>),
    /// Ask one of these servers to have its group delete the copy.
    Discard(Vec<String>),
}

/// The state of a group.
pub struct Group {
    /// This group's number.
    pub(crate) gid: GroupId,
    /// Number of the last configuration that the group adopted, 0 at first.
    pub(crate) config: u64,
    /// The owner of each shard, [`NO_GROUP`] if it never had one. A shard that a configuration
    /// assigns to no group stays with its last owner, which keeps the content.
    pub(crate) owners: [GroupId; SHARDS],
    /// The servers of each group that a configuration has ever named, from the last one that did.
    /// Groups that left stay here: other groups still need their shards.
    pub(crate) directory: BTreeMap<GroupId, Vec<String>>,
    /// This group's tenures of each shard, by their first configuration.
    pub(crate) tenures: [BTreeMap<u64, Tenure>; SHARDS],
    /// Garbage at former owners: the handovers whose content this group has, with the former
    /// owner that still keeps a copy.
    pub(crate) garbage: BTreeMap<Handover, GroupId>,
    /// Number of changes to the fields above. Changes of values and sessions do not count.
    pub(crate) changes: u64,
}

// handout: bodies 4B
impl Group {
    /// A group that has adopted no configuration.
    ///
    /// # Panics
    /// If the number is [`NO_GROUP`].
    pub fn new(gid: GroupId) -> Group {
        assert!(gid != NO_GROUP, "{NO_GROUP} means \"no group\" and cannot name one");
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

    /// Number of the last configuration that the group adopted.
    pub fn config(&self) -> u64 {
        self.config
    }

    /// Number of changes to configuration, tenures and garbage so far. Servers of a group with equal
    /// numbers have equal ones of all three.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    // handout: body kept
    /// The tenures that this group still keeps, by shard and then by time.
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

    // handout: body kept
    /// The handovers whose former owner may still keep a copy, as far as this group knows.
    pub fn garbage(&self) -> impl Iterator<Item = Handover> {
        self.garbage.keys().copied()
    }

    // handout: body kept
    /// What a tester may see of the group.
    pub fn view(&self) -> GroupView {
        GroupView {
            changes: self.changes,
            config: self.config,
            tenures: self.tenures().collect(),
            garbage: self.garbage().collect(),
        }
    }

    /// The refusal that an operation on this key would get now, `None` if the group serves it.
    pub fn refusal(&self, key: &str) -> Option<KvError> {
        match self.tenures[key_to_shard(key)].last_key_value() {
            Some((_, Tenure::Serving { .. })) => None,
            Some((_, Tenure::Pulling { .. })) => Some(KvError::Moving),
            Some((_, Tenure::Passing { .. } | Tenure::Waiting { .. })) | None => Some(KvError::WrongGroup),
        }
    }

    /// Carries out a client's operation at its place in the log. The group may have given the shard
    /// away since a server accepted the operation, by a configuration at an earlier place.
    fn operate(&mut self, request: Request<Operation>) -> Result<String, KvError> {
        let key = request.command.key();
        let shard = key_to_shard(key);
        if let Some(refusal) = self.refusal(key) {
            tracing::debug!(target: "refuse", "{}: shard {shard}: {refusal:?}", request.command);
            return Err(refusal);
        }
        assert!(
            self.owners[shard] == self.gid,
            "shard {shard} is served, but {} owns it",
            self.owners[shard]
        );
        let Some(Tenure::Serving { shard }) = self.tenures[shard].values_mut().last() else {
            unreachable!("the group does not refuse shard {shard}, so it serves it");
        };
        shard.apply(request).map_err(|error| match error {
            kvraft::KvError::TooLarge => KvError::TooLarge,
            kvraft::KvError::WrongLeader => KvError::WrongLeader,
        })
    }

    /// Adopts the next configuration, and ignores any other: two leaders, one after the other, may
    /// have put the same configuration into the log.
    fn adopt(&mut self, config: Config) {
        if config.number != self.config + 1 {
            return;
        }
        let named = |owner: &GroupId| *owner == NO_GROUP || config.groups.contains_key(owner);
        assert!(config.shards.iter().all(named), "an owner is no group of its configuration: {config:?}");
        // Shards of the last configuration may still be on their way. The group does not wait for them.
        for (shard, &owner) in config.shards.iter().enumerate() {
            if owner != NO_GROUP && owner != self.owners[shard] {
                self.change_owner(Handover { shard, config: config.number }, owner);
            }
        }
        self.directory.extend(config.groups);
        self.config = config.number;
        self.changed();
        tracing::debug!(target: "config", "{} adopted: {}", self.config, self.summary());
    }

    /// The stages of this group's tenures, for the log: "serves [0, 1], pulls [7], passes on [], keeps [2]".
    fn summary(&self) -> String {
        let at = |stage: Stage| {
            let tenures = self.tenures().filter(move |tenure| tenure.stage == stage);
            tenures.map(|tenure| tenure.shard).collect::<Vec<_>>()
        };
        format!(
            "serves {:?}, pulls {:?}, passes on {:?}, keeps {:?}",
            at(Stage::Serving),
            at(Stage::Pulling),
            at(Stage::Passing),
            at(Stage::Waiting)
        )
    }

    /// Notes that the handover's configuration gives the shard to `owner`. Every group notes every
    /// change of owner: it may be the next owner, and must know then which group to ask.
    fn change_owner(&mut self, handover: Handover, owner: GroupId) {
        let before = std::mem::replace(&mut self.owners[handover.shard], owner);
        assert!(before != owner && owner != NO_GROUP, "{handover:?} goes from group {before} to {owner}");
        let tenures = &mut self.tenures[handover.shard];
        // While this group owns the shard, the last of its tenures is the open one.
        if before == self.gid
            && let Some((since, tenure)) = tenures.pop_last()
        {
            assert!(since < handover.config, "{handover:?} ends a tenure that began with {since}");
            tenures.insert(since, tenure.end(handover.config));
        }
        if owner == self.gid {
            let tenure = match before {
                // No group ever owned the shard, so it is empty.
                NO_GROUP => Tenure::Serving { shard: empty_shard() },
                from => Tenure::Pulling { from },
            };
            tenures.insert(handover.config, tenure);
        }
    }

    /// Installs a content that this group pulled. The entry is committed, so the content is on the
    /// disks of a majority, and the former owner's copy becomes garbage.
    ///
    /// # Panics
    /// If the content cannot be decoded: servers check that before they put it into the log.
    fn install(&mut self, handover: Handover, content: &Content) {
        let tenures = &mut self.tenures[handover.shard];
        // Without such a tenure the content arrived before, and this is a second copy. It lacks the
        // operations since then.
        let Some(from) = tenures.get(&handover.config).and_then(Tenure::from) else { return };
        let shard = decode_shard(content).unwrap_or_else(|error| {
            panic!("the content installed as shard {} cannot be decoded: {error}", handover.shard)
        });
        if let Some(tenure) = tenures.remove(&handover.config) {
            tenures.insert(handover.config, tenure.install(shard));
        }
        let is_new = self.garbage.insert(handover, from).is_none();
        assert!(is_new, "{handover:?} was noted as garbage before its content arrived");
        self.changed();
        let Handover { shard, config } = handover;
        tracing::debug!(target: "install", "shard {shard} of {config}, from group {from}");
    }

    /// Deletes a content that waits for the next owner, which has it now. A request to delete
    /// anything else changes nothing.
    fn discard(&mut self, handover: Handover) {
        let since = self.waiting(handover).map(|(since, _)| since);
        if let Some(since) = since {
            let deleted = self.tenures[handover.shard].remove(&since);
            assert!(
                deleted.is_some_and(|tenure| tenure.stage() == Stage::Waiting),
                "{handover:?} deletes a content that does not wait"
            );
            self.changed();
            tracing::debug!(target: "discard", "shard {}, given away by {}", handover.shard, handover.config);
        }
    }

    /// Drops the note of garbage: the former owner has deleted its copy.
    fn forget(&mut self, handover: Handover) {
        if self.garbage.remove(&handover).is_some() {
            self.changed();
            tracing::debug!(target: "forget", "shard {} of {}", handover.shard, handover.config);
        }
    }

    /// The tenure that this handover ends, with its content, `None` if the content is not here.
    fn waiting(&self, handover: Handover) -> Option<(u64, &Shard)> {
        self.tenures.get(handover.shard)?.iter().find_map(|(&since, tenure)| match tenure {
            Tenure::Waiting { shard, until } if *until == handover.config => Some((since, shard)),
            _ => None,
        })
    }

    /// The content for a handover from this group. It is final, and equal on all servers that have
    /// adopted the handover's configuration, because all apply the same operations before it.
    ///
    /// # Errors
    /// [`PullError::NotYet`] or [`PullError::Gone`].
    pub fn hand_over(&self, handover: Handover) -> Result<Content, PullError> {
        if let Some((since, shard)) = self.waiting(handover) {
            assert!(since < handover.config && handover.config <= self.config, "{handover:?} from {since}");
            return Ok(Content(shard.snapshot()));
        }
        Err(if self.is_gone(handover) { PullError::Gone } else { PullError::NotYet })
    }

    /// Whether this group has adopted the handover's configuration and keeps no tenure that the
    /// handover ended. For a handover from this group that means that the content was deleted.
    pub fn is_gone(&self, handover: Handover) -> bool {
        let ends_here = |tenure: &Tenure| tenure.until() == Some(handover.config);
        let tenures = self.tenures.get(handover.shard);
        self.config >= handover.config && tenures.is_some_and(|tenures| !tenures.values().any(ends_here))
    }

    /// The handovers to this group that are not over.
    pub fn transfers(&self) -> BTreeSet<Handover> {
        let to_pull = self.tenures.iter().enumerate().flat_map(|(shard, tenures)| {
            let missing = tenures.iter().filter(|(_, tenure)| tenure.from().is_some());
            missing.map(move |(&config, _)| Handover { shard, config })
        });
        to_pull.chain(self.garbage.keys().copied()).collect()
    }

    /// The next step of a handover to this group, `None` if the handover is over.
    pub fn transfer(&self, handover: Handover) -> Option<Transfer> {
        let servers = |group: GroupId| self.directory.get(&group).cloned().unwrap_or_default();
        let tenure = self.tenures[handover.shard].get(&handover.config);
        if let Some(from) = tenure.and_then(Tenure::from) {
            return Some(Transfer::Pull(servers(from)));
        }
        self.garbage.get(&handover).map(|&from| Transfer::Discard(servers(from)))
    }

    /// Ends each change other than a client's operation: counts it, and checks the invariants.
    fn changed(&mut self) {
        self.changes += 1;
        self.check();
    }
}

// handout: body kept
fn empty_shard() -> Shard {
    WithSessions::new(KeyValue::default())
}

// handout: body kept
/// The shard with this content.
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
        let bytes = labgob::encode(&Saved::of(self));
        tracing::debug!(target: "snapshot", "configuration {}, {} bytes", self.config, bytes.len());
        bytes
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        labgob::decode::<Saved>(snapshot)?.restore(self)?;
        tracing::debug!(target: "restore", "configuration {}, {} bytes", self.config, snapshot.len());
        Ok(())
    }
}
