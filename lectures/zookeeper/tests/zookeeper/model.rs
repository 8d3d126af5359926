//! The tests' own tree: it replays the committed transactions, and knows the state of each zxid.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zookeeper::rpc::{Action, Transaction, WatchKind};
use zookeeper::{Answer, Error, EventKind, Operation, Outcome, SessionId, Stat, Zxid, path};

/// A node at some time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) data: Arc<Vec<u8>>,
    pub(crate) stat: Stat,
}

/// What became of a node, or of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Itself,
    Children,
}

/// A transaction that was applied, and what it did.
pub(crate) struct Applied {
    pub(crate) transaction: Transaction,
    pub(crate) answer: Answer,
    /// The nodes that it changed.
    pub(crate) touched: Vec<String>,
}

pub(crate) struct Model {
    /// The transactions; the first has zxid 1.
    pub(crate) applied: Vec<Applied>,
    nodes: BTreeMap<String, Node>,
    /// Each node's states: from which zxid on. None: there is no node.
    history: BTreeMap<String, Vec<(Zxid, Option<Node>)>>,
    changes: BTreeMap<(String, Class), Vec<(Zxid, EventKind)>>,
    counters: BTreeMap<String, u64>,
    open: BTreeSet<SessionId>,
    /// When sessions ended.
    pub(crate) ended: BTreeMap<SessionId, Zxid>,
    /// The zxid of each write.
    pub(crate) writes: BTreeMap<(SessionId, u64), Zxid>,
}

impl Default for Model {
    fn default() -> Model {
        let stat = Stat {
            version: 0,
            cversion: 0,
            czxid: 0,
            mzxid: 0,
            pzxid: 0,
            ephemeral_owner: None,
            children: 0,
        };
        let root = Node { data: Arc::default(), stat };
        Model {
            applied: Vec::new(),
            nodes: BTreeMap::from([(String::new(), root.clone())]),
            history: BTreeMap::from([(String::new(), vec![(0, Some(root))])]),
            changes: BTreeMap::new(),
            counters: BTreeMap::new(),
            open: BTreeSet::new(),
            ended: BTreeMap::new(),
            writes: BTreeMap::new(),
        }
    }
}

impl Model {
    pub(crate) fn zxid(&self) -> Zxid {
        self.applied.len() as Zxid
    }

    /// The next transaction.
    pub(crate) fn apply(&mut self, transaction: &Transaction) {
        let mut touched = Vec::new();
        let zxid = self.zxid() + 1;
        let session = transaction.session;
        let is_open = self.open.contains(&session);
        let answer = match &transaction.action {
            Action::OpenSession { .. } => {
                self.open.insert(session);
                Ok(Outcome::Done)
            }
            _ if !is_open => Err(Error::SessionExpired),
            Action::Expire | Action::Write(Operation::Close) => {
                self.open.remove(&session);
                self.ended.insert(session, zxid);
                let is_owned = |node: &Node| node.stat.ephemeral_owner == Some(session);
                let owned = self.nodes.iter().filter(|(_, node)| is_owned(node));
                let owned: Vec<String> = owned.map(|(path, _)| path.clone()).collect();
                owned.iter().for_each(|path| self.remove(path, zxid, &mut touched));
                Ok(Outcome::Done)
            }
            Action::Write(operation) => self.write(operation, session, zxid, &mut touched),
        };
        if matches!(transaction.action, Action::Write(_)) && is_open {
            self.writes.insert((session, transaction.xid), zxid);
        }
        self.applied.push(Applied { transaction: transaction.clone(), answer, touched });
    }

    fn write(
        &mut self,
        operation: &Operation,
        session: SessionId,
        zxid: Zxid,
        touched: &mut Vec<String>,
    ) -> Answer {
        match operation {
            Operation::Create { path: wanted, data, flags } => {
                let parent = path::parent(wanted).to_owned();
                let above = self.nodes.get(&parent).ok_or(Error::NoNode)?;
                if above.stat.ephemeral_owner.is_some() {
                    return Err(Error::NoChildrenForEphemerals);
                }
                let path = if flags.sequential { self.numbered(&parent, wanted) } else { wanted.clone() };
                if self.nodes.contains_key(&path) {
                    return Err(Error::NodeExists);
                }
                let stat = Stat {
                    version: 0,
                    cversion: 0,
                    czxid: zxid,
                    mzxid: zxid,
                    pzxid: zxid,
                    ephemeral_owner: flags.ephemeral.then_some(session),
                    children: 0,
                };
                self.change(&path, Class::Itself, zxid, EventKind::Created);
                self.set(&path, Some(Node { data: Arc::new(data.clone()), stat }), zxid, touched);
                self.change_children(&parent, 1, zxid, touched);
                Ok(Outcome::Created(path))
            }
            Operation::Delete { path, version } => {
                let stat = self.expect_version(path, *version)?;
                if stat.children > 0 {
                    return Err(Error::NotEmpty);
                }
                self.remove(path, zxid, touched);
                Ok(Outcome::Done)
            }
            Operation::SetData { path, data, version } => {
                let old = self.expect_version(path, *version)?;
                let stat = Stat { version: old.version + 1, mzxid: zxid, ..old };
                self.change(path, Class::Itself, zxid, EventKind::Data);
                self.set(path, Some(Node { data: Arc::new(data.clone()), stat }), zxid, touched);
                Ok(Outcome::Set(stat))
            }
            other => panic!("the log holds {other:?}, which is no write"),
        }
    }

    /// The name of a sequential node: the next number of its parent that no name has.
    fn numbered(&mut self, parent: &str, wanted: &str) -> String {
        let counter = self.counters.entry(parent.to_owned()).or_default();
        loop {
            let path = format!("{wanted}{:010}", *counter);
            *counter += 1;
            if !self.nodes.contains_key(&path) {
                return path;
            }
        }
    }

    fn expect_version(&self, path: &str, version: i64) -> Result<Stat, Error> {
        let stat = self.nodes.get(path).ok_or(Error::NoNode)?.stat;
        if version == -1 || version == stat.version { Ok(stat) } else { Err(Error::BadVersion) }
    }

    fn remove(&mut self, path: &str, zxid: Zxid, touched: &mut Vec<String>) {
        self.change(path, Class::Itself, zxid, EventKind::Deleted);
        self.change(path, Class::Children, zxid, EventKind::Deleted);
        self.set(path, None, zxid, touched);
        self.counters.remove(path);
        self.change_children(path::parent(path), -1, zxid, touched);
    }

    fn change_children(&mut self, parent: &str, by: isize, zxid: Zxid, touched: &mut Vec<String>) {
        let Some(mut node) = self.nodes.get(parent).cloned() else { return };
        node.stat.children = node.stat.children.strict_add_signed(by);
        node.stat.cversion += 1;
        node.stat.pzxid = zxid;
        self.change(parent, Class::Children, zxid, EventKind::Children);
        self.set(parent, Some(node), zxid, touched);
    }

    fn change(&mut self, path: &str, class: Class, zxid: Zxid, kind: EventKind) {
        self.changes.entry((path.to_owned(), class)).or_default().push((zxid, kind));
    }

    fn set(&mut self, path: &str, node: Option<Node>, zxid: Zxid, touched: &mut Vec<String>) {
        match &node {
            Some(node) => drop(self.nodes.insert(path.to_owned(), node.clone())),
            None => drop(self.nodes.remove(path)),
        }
        self.history.entry(path.to_owned()).or_default().push((zxid, node));
        touched.push(path.to_owned());
    }

    /// A node in the state of a zxid.
    pub(crate) fn at(&self, path: &str, zxid: Zxid) -> Option<&Node> {
        let states = self.history.get(path)?;
        let next = states.partition_point(|(since, _)| *since <= zxid);
        states.get(next.checked_sub(1)?)?.1.as_ref()
    }

    /// What a read finds in the state of a zxid.
    pub(crate) fn read(&self, operation: &Operation, zxid: Zxid) -> Answer {
        let node = self.at(operation.path(), zxid);
        match operation {
            Operation::Exists { .. } => Ok(Outcome::Exists(node.map(|node| node.stat))),
            Operation::GetData { .. } => {
                let node = node.ok_or(Error::NoNode)?;
                Ok(Outcome::Data(node.data.to_vec(), node.stat))
            }
            Operation::GetChildren { path: parent, .. } => {
                let stat = node.ok_or(Error::NoNode)?.stat;
                let below = if parent.is_empty() { String::new() } else { format!("{parent}/") };
                let within = self.history.range(below.clone()..).take_while(|(at, _)| at.starts_with(&below));
                let names = within.filter(|(at, _)| !at.is_empty() && path::parent(at) == parent);
                let there = names.filter(|(at, _)| self.at(at, zxid).is_some());
                Ok(Outcome::Children(there.map(|(at, _)| path::name(at).to_owned()).collect(), stat))
            }
            other => panic!("{other:?} is no read"),
        }
    }

    /// The first change after `since` that a watch must tell of.
    pub(crate) fn first_change(&self, kind: WatchKind, path: &str, since: Zxid) -> Option<(Zxid, EventKind)> {
        let class = if kind == WatchKind::Children { Class::Children } else { Class::Itself };
        let changes = self.changes.get(&(path.to_owned(), class))?;
        changes.get(changes.partition_point(|(zxid, _)| *zxid <= since)).copied()
    }

    /// The ephemeral nodes that are there, with their sessions.
    pub(crate) fn ephemerals(&self) -> impl Iterator<Item = (&String, SessionId)> {
        self.nodes.iter().filter_map(|(path, node)| Some((path, node.stat.ephemeral_owner?)))
    }

    pub(crate) fn is_open(&self, session: SessionId) -> bool {
        self.open.contains(&session)
    }
}
