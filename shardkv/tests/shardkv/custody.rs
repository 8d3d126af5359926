//! A checker over all groups, at every step of every server that shows its group, in every test: some
//! group has each shard, at most one group serves it, no group deletes the only copy, and the servers of a
//! group agree.
//!
//! A server's view is what it has applied. It applies committed entries only, so a majority of its
//! group has them on disk. The group's view is that of the server that has applied most.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use labrt::quiet::Mutex;
use shardctrler::{GroupId, SHARDS};
use shardkv::{GroupView, Handover, Stage, TenureView};
use tester::Test;

pub(crate) struct Custody {
    test: Test,
    ledger: Mutex<Ledger>,
}

/// The views of all groups so far.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The latest view of each server in its present life.
    servers: BTreeMap<(GroupId, usize), GroupView>,
    /// The latest view of each group.
    groups: BTreeMap<GroupId, GroupView>,
    /// All views of each group, by the number of changes before them.
    history: BTreeMap<(GroupId, u64), GroupView>,
    /// All handovers that any group has shown, by the tenures that begin with them.
    begun: BTreeSet<Handover>,
    /// Those whose content has arrived at the next owner. A shard's first owner counts as arrived.
    arrived: BTreeSet<Handover>,
}

impl Custody {
    pub(crate) fn new(test: &Test) -> Arc<Custody> {
        Arc::new(Custody { test: test.clone(), ledger: Mutex::default() })
    }

    /// The watcher of a server that begins a new life.
    pub(crate) fn watcher(
        self: &Arc<Self>,
        group: GroupId,
        server: usize,
    ) -> impl FnMut(&GroupView) + Send + 'static {
        self.ledger.lock().servers.remove(&(group, server));
        let custody = Arc::clone(self);
        move |view| custody.observe(group, server, view)
    }

    /// Whether any server has shown its group. A solution that shows none is judged from outside.
    pub(crate) fn sees(&self) -> bool {
        !self.ledger.lock().groups.is_empty()
    }

    /// Looks at what a server has shown in its present life; `None` if it has shown nothing.
    pub(crate) fn of_server<T>(
        &self,
        group: GroupId,
        server: usize,
        look: impl FnOnce(&GroupView) -> T,
    ) -> Option<T> {
        self.ledger.lock().servers.get(&(group, server)).map(look)
    }

    fn observe(&self, group: GroupId, server: usize, view: &GroupView) {
        let judged = self.ledger.lock().enter(group, server, view.clone());
        match judged {
            Ok(news) => {
                if let Some(news) = news {
                    self.test.note(news);
                }
            }
            Err(broken) => self.test.fail(broken),
        }
    }
}

impl Ledger {
    /// Takes in a server's view. Returns a line for the story if there is one, or the broken rule.
    pub(crate) fn enter(
        &mut self,
        group: GroupId,
        server: usize,
        view: GroupView,
    ) -> Result<Option<String>, String> {
        self.servers.insert((group, server), view.clone());
        let first = self.history.entry((group, view.changes)).or_insert_with(|| view.clone());
        if *first != view {
            return Err(format!(
                "the servers of group {group} disagree: after {} changes {}",
                view.changes,
                differences(first, server, &view)
            ));
        }
        let before = self.groups.get(&group);
        if before.is_some_and(|before| before.changes >= view.changes) {
            return Ok(None);
        }
        for tenure in &view.tenures {
            let handover = Handover { shard: tenure.shard, config: tenure.since };
            self.begun.insert(handover);
            if tenure.stage.has_content() {
                self.arrived.insert(handover);
            }
        }
        let before = self.groups.insert(group, view);
        self.check_deletions(group, before.as_ref())?;
        (0..SHARDS).try_for_each(|shard| self.check_shard(shard))?;
        Ok(self.news(group, before.as_ref()))
    }

    /// Each content that the group has deleted has arrived at its next owner. While no group owns a shard,
    /// there is none: the next owner's first configuration may be much later than the one that ended the
    /// tenure. A group that is its own next owner may keep the content under a new tenure.
    fn check_deletions(&self, group: GroupId, before: Option<&GroupView>) -> Result<(), String> {
        let now = &self.groups[&group].tenures;
        for had in before.iter().flat_map(|before| &before.tenures) {
            let still = now.iter().find(|has| (has.shard, has.since) == (had.shard, had.since));
            if !had.stage.has_content() || still.is_some_and(|still| still.stage.has_content()) {
                continue;
            }
            let first = had.until.unwrap_or(had.since + 1);
            let next = self.begun.range(Handover { shard: had.shard, config: first }..).next();
            if next.is_none_or(|next| next.shard != had.shard || !self.arrived.contains(next)) {
                return Err(format!(
                    "group {group} deleted the only copy of shard {}: it had {had:?}, and the shard has not \
                     arrived at its next owner, from configuration {first} on",
                    had.shard
                ));
            }
        }
        Ok(())
    }

    /// Some group has the shard's latest content, and at most one group serves it.
    fn check_shard(&self, shard: usize) -> Result<(), String> {
        let newest = self.arrived.iter().rfind(|handover| handover.shard == shard);
        let tenures = || {
            self.groups.iter().flat_map(move |(group, view)| {
                let of_shard = view.tenures.iter().filter(move |tenure| tenure.shard == shard);
                of_shard.map(move |tenure| (*group, tenure))
            })
        };
        let has = |tenure: &TenureView| {
            tenure.stage.has_content() && newest.is_some_and(|n| n.config == tenure.since)
        };
        if newest.is_some() && !tenures().any(|(_, tenure)| has(tenure)) {
            return Err(format!("no group has shard {shard} any more: {:?}", tenures().collect::<Vec<_>>()));
        }
        let serving: Vec<_> = tenures().filter(|(_, tenure)| tenure.stage == Stage::Serving).collect();
        if serving.len() > 1 {
            return Err(format!("two groups serve shard {shard}: {serving:?}"));
        }
        Ok(())
    }

    fn news(&self, group: GroupId, before: Option<&GroupView>) -> Option<String> {
        let view = &self.groups[&group];
        let shards = |stage: Stage| {
            let at_stage = view.tenures.iter().filter(move |tenure| tenure.stage == stage);
            at_stage.map(|tenure| tenure.shard).collect::<Vec<_>>()
        };
        (before.map_or(0, |before| before.config) != view.config).then(|| {
            format!(
                "group {group} is at configuration {}: serves {:?}, pulls {:?}, passes on {:?}, keeps {:?}",
                view.config,
                shards(Stage::Serving),
                shards(Stage::Pulling),
                shards(Stage::Passing),
                shards(Stage::Waiting)
            )
        })
    }
}

/// What two servers of a group show differently after equally many changes.
fn differences(one: &GroupView, server: usize, other: &GroupView) -> String {
    let mut parts = Vec::new();
    if one.config != other.config {
        parts.push(format!(
            "one server is at configuration {} and server {server} at {}",
            one.config, other.config
        ));
    }
    let only = |these: &GroupView, those: &GroupView| {
        let tenures = these.tenures.iter().filter(|tenure| !those.tenures.contains(tenure));
        let garbage = these.garbage.iter().filter(|garbage| !those.garbage.contains(garbage));
        (tenures.copied().collect::<Vec<_>>(), garbage.copied().collect::<Vec<_>>())
    };
    for (name, (tenures, garbage)) in
        [("one server".to_owned(), only(one, other)), (format!("server {server}"), only(other, one))]
    {
        if !tenures.is_empty() {
            parts.push(format!("{name} alone has {tenures:?}"));
        }
        if !garbage.is_empty() {
            parts.push(format!("{name} alone knows garbage of {garbage:?}"));
        }
    }
    parts.join("; ")
}
