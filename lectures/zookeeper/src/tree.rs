//! The tree of znodes: what each write does to it, and what each read finds. No sessions, no threads.

// handout: drop classic
use std::collections::{BTreeMap, BTreeSet, VecDeque};
// handout: end
// handout: put classic
// use std::collections::BTreeSet;
// handout: end

use serde::{Deserialize, Serialize};

// handout: drop classic
use crate::path;
use crate::rpc::{ANY_VERSION, Error, EventKind, Flags, SessionId, Stat, WatchKind, Zxid};
// handout: end
// handout: put classic
// use crate::rpc::{Error, EventKind, Flags, SessionId, Stat, WatchKind, Zxid};
// handout: end

// handout: drop classic
/// How many deletions the tree remembers. A client that was away for more of them is told of a change that
/// there may not have been.
const DELETIONS: usize = 1000;

// handout: end
/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Znode {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    data: Vec<u8>,
    version: i64,
    cversion: i64,
    czxid: Zxid,
    mzxid: Zxid,
    pzxid: Zxid,
    ephemeral_owner: Option<SessionId>,
    /// The number of the next sequential child. It never falls, so no number is used twice.
    next_seq: u64,
    /// The children's names.
    children: BTreeSet<String>,
    // handout: end
}

// handout: drop classic
/// What a transaction has done to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The node.
    pub path: String,
    /// What happened to it.
    pub kind: EventKind,
}

// handout: end
/// All nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    nodes: BTreeMap<String, Znode>,
    /// The newest deletions: when, and of which node.
    deleted: VecDeque<(Zxid, String)>,
    /// Deletions up to this transaction may be forgotten.
    forgotten: Zxid,
    // handout: end
}

// handout: bodies ZA
impl Default for Tree {
    /// The root alone.
    fn default() -> Tree {
        let root = Znode::new(Vec::new(), 0, None);
        let nodes = BTreeMap::from([(String::new(), root)]);
        Tree { nodes, deleted: VecDeque::new(), forgotten: 0 }
    }
}

impl Znode {
    fn new(data: Vec<u8>, zxid: Zxid, ephemeral_owner: Option<SessionId>) -> Znode {
        Znode {
            data,
            version: 0,
            cversion: 0,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ephemeral_owner,
            next_seq: 0,
            children: BTreeSet::new(),
        }
    }

    /// The path of the next sequential child. Numbers whose names are taken by other nodes are skipped.
    fn next_sequential(&mut self, path: &str) -> String {
        loop {
            let full = format!("{path}{:010}", self.next_seq);
            self.next_seq += 1;
            if !self.children.contains(path::name(&full)) {
                return full;
            }
        }
    }

    /// What it holds.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The names of its children.
    pub fn children(&self) -> &BTreeSet<String> {
        &self.children
    }

    /// What is known of it besides.
    pub fn stat(&self) -> Stat {
        Stat {
            version: self.version,
            cversion: self.cversion,
            czxid: self.czxid,
            mzxid: self.mzxid,
            pzxid: self.pzxid,
            ephemeral_owner: self.ephemeral_owner,
            children: self.children.len(),
        }
    }
}

impl Tree {
    /// The node with this path.
    ///
    /// # Errors
    /// [`Error::NoNode`].
    pub fn get(&self, path: &str) -> Result<&Znode, Error> {
        self.nodes.get(path).ok_or(Error::NoNode)
    }

    fn get_mut(&mut self, path: &str) -> Result<&mut Znode, Error> {
        self.nodes.get_mut(path).ok_or(Error::NoNode)
    }

    /// Creates a node in transaction `zxid`, and returns its path. An ephemeral node belongs to `session`.
    ///
    /// # Errors
    /// [`Error::NoNode`] if there is no parent, [`Error::NoChildrenForEphemerals`], [`Error::NodeExists`].
    pub fn create(
        &mut self,
        path: &str,
        data: Vec<u8>,
        flags: Flags,
        session: SessionId,
        zxid: Zxid,
    ) -> Result<String, Error> {
        let parent = self.get_mut(path::parent(path))?;
        if parent.ephemeral_owner.is_some() {
            return Err(Error::NoChildrenForEphemerals);
        }
        let full = if flags.sequential { parent.next_sequential(path) } else { path.to_owned() };
        if !parent.children.insert(path::name(&full).to_owned()) {
            return Err(Error::NodeExists);
        }
        parent.cversion += 1;
        parent.pzxid = zxid;
        let owner = flags.ephemeral.then_some(session);
        self.nodes.insert(full.clone(), Znode::new(data, zxid, owner));
        Ok(full)
    }

    /// Deletes a node in transaction `zxid`.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::BadVersion`], [`Error::NotEmpty`].
    pub fn delete(&mut self, path: &str, version: i64, zxid: Zxid) -> Result<(), Error> {
        let node = self.get(path)?;
        if ![ANY_VERSION, node.version].contains(&version) {
            return Err(Error::BadVersion);
        }
        if !node.children.is_empty() {
            return Err(Error::NotEmpty);
        }
        self.nodes.remove(path);
        let parent = self.get_mut(path::parent(path)).unwrap_or_else(|_| panic!("{path} has no parent"));
        parent.children.remove(path::name(path));
        parent.cversion += 1;
        parent.pzxid = zxid;
        self.deleted.push_back((zxid, path.to_owned()));
        if self.deleted.len() > DELETIONS {
            self.forgotten = self.deleted.pop_front().map_or(self.forgotten, |(zxid, _)| zxid);
        }
        Ok(())
    }

    /// Replaces a node's data in transaction `zxid`.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::BadVersion`].
    pub fn set_data(&mut self, path: &str, data: Vec<u8>, version: i64, zxid: Zxid) -> Result<Stat, Error> {
        let node = self.get_mut(path)?;
        if ![ANY_VERSION, node.version].contains(&version) {
            return Err(Error::BadVersion);
        }
        node.data = data;
        node.version += 1;
        node.mzxid = zxid;
        Ok(node.stat())
    }

    /// The ephemeral nodes of a session. They have no children, so they can go in any order.
    pub fn ephemerals(&self, session: SessionId) -> Vec<String> {
        let is_owned = |(_, node): &(&String, &Znode)| node.ephemeral_owner == Some(session);
        self.nodes.iter().filter(is_owned).map(|(path, _)| path.clone()).collect()
    }

    /// What a watch that was left in state `since` has missed (rule 5); None if nothing has changed.
    pub fn missed(&self, kind: WatchKind, path: &str, since: Zxid) -> Option<EventKind> {
        let was_deleted = || self.deleted.iter().rev().any(|(zxid, gone)| *zxid > since && gone == path);
        match (kind, self.nodes.get(path)) {
            (WatchKind::Absent, Some(_)) => Some(EventKind::Created),
            // It may have come and gone again.
            (WatchKind::Absent, None) => {
                (since < self.forgotten || was_deleted()).then_some(EventKind::Deleted)
            }
            (_, None) => Some(EventKind::Deleted),
            // It is another node than the one that was watched.
            (_, Some(node)) if node.czxid > since => Some(EventKind::Deleted),
            (WatchKind::Data, Some(node)) => (node.mzxid > since).then_some(EventKind::Data),
            (WatchKind::Children, Some(node)) => (node.pzxid > since).then_some(EventKind::Children),
        }
    }
}
