//! A checker over all groups, at every step of every server, in every test: some group has each
//! shard, at most one group serves it, no group deletes the only copy, and the servers of a group
//! agree.
//!
//! A server's state is what it has applied. It applies committed entries only, so a majority of its
//! group has them on disk. The group's state is that of the server that has applied most.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use labrt::quiet::Mutex;
use shardctrler::{GroupId, SHARDS};
use shardkv::{Group, Handover, Stage, TenureView};
use tester::Test;

pub(crate) struct Custody {
    test: Test,
    ledger: Mutex<Ledger>,
}

/// The states of all groups so far.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The latest state of each group.
    groups: BTreeMap<GroupId, State>,
    /// All states of each group, by the number of changes before them.
    history: BTreeMap<(GroupId, u64), State>,
    /// Handovers whose content has arrived at the next owner. A shard's first owner counts as arrived.
    arrived: BTreeSet<Handover>,
}

/// The part of a group's state that the checker compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    changes: u64,
    config: u64,
    tenures: Vec<TenureView>,
    garbage: Vec<Handover>,
}

impl Custody {
    pub(crate) fn new(test: &Test) -> Arc<Custody> {
        Arc::new(Custody { test: test.clone(), ledger: Mutex::default() })
    }

    /// The watcher of a server of this group.
    pub(crate) fn watcher(
        self: &Arc<Self>,
        group: GroupId,
        server: usize,
    ) -> impl FnMut(u64, &Group) + Send + 'static {
        let custody = Arc::clone(self);
        let mut seen = None;
        move |_, state| {
            // Most entries are operations of clients, which change nothing here.
            if seen != Some(state.changes()) {
                seen = Some(state.changes());
                custody.observe(group, server, state);
            }
        }
    }

    fn observe(&self, group: GroupId, server: usize, state: &Group) {
        let judged = self.ledger.lock().enter(group, server, State::of(state));
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

impl State {
    pub(crate) fn of(group: &Group) -> State {
        State {
            changes: group.changes(),
            config: group.config(),
            tenures: group.tenures().collect(),
            garbage: group.garbage().collect(),
        }
    }
}

impl Ledger {
    /// Takes in a server's state. Returns a line for the story if there is one, or the broken rule.
    pub(crate) fn enter(
        &mut self,
        group: GroupId,
        server: usize,
        state: State,
    ) -> Result<Option<String>, String> {
        let first = self.history.entry((group, state.changes)).or_insert_with(|| state.clone());
        if *first != state {
            return Err(format!(
                "the servers of group {group} disagree: after {} changes one server has {first:?}, but \
                 server {server} has {state:?}",
                state.changes
            ));
        }
        let before = self.groups.get(&group);
        if before.is_some_and(|before| before.changes >= state.changes) {
            return Ok(None);
        }
        for tenure in state.tenures.iter().filter(|tenure| tenure.stage.has_content()) {
            self.arrived.insert(Handover { shard: tenure.shard, config: tenure.since });
        }
        let before = self.groups.insert(group, state);
        self.check_deletions(group, before.as_ref())?;
        (0..SHARDS).try_for_each(|shard| self.check_shard(shard))?;
        Ok(self.news(group, before.as_ref()))
    }

    /// Each content that the group has deleted has arrived at its next owner.
    fn check_deletions(&self, group: GroupId, before: Option<&State>) -> Result<(), String> {
        let now = &self.groups[&group].tenures;
        for had in before.iter().flat_map(|before| &before.tenures) {
            let still = now.iter().find(|has| (has.shard, has.since) == (had.shard, had.since));
            if !had.stage.has_content() || still.is_some_and(|still| still.stage.has_content()) {
                continue;
            }
            let next = had.until.map(|config| Handover { shard: had.shard, config });
            if !next.is_some_and(|next| self.arrived.contains(&next)) {
                return Err(format!(
                    "group {group} deleted the only copy of shard {}: it had {had:?}",
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
            self.groups.iter().flat_map(move |(group, state)| {
                let of_shard = state.tenures.iter().filter(move |tenure| tenure.shard == shard);
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

    fn news(&self, group: GroupId, before: Option<&State>) -> Option<String> {
        let state = &self.groups[&group];
        let shards = |stage: Stage| {
            let at_stage = state.tenures.iter().filter(move |tenure| tenure.stage == stage);
            at_stage.map(|tenure| tenure.shard).collect::<Vec<_>>()
        };
        (before.map_or(0, |before| before.config) != state.config).then(|| {
            format!(
                "group {group} is at configuration {}: serves {:?}, pulls {:?}",
                state.config,
                shards(Stage::Serving),
                shards(Stage::Pulling)
            )
        })
    }
}
