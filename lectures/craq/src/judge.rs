// handout: file guided
//! The manager's judgement: who is alive, who may act, and which configuration comes next. Pure.
//!
//! What it knows of nodes it has from their heartbeats, and a new manager begins with nothing. What must not
//! be forgotten stands in the [`Plan`].

use std::collections::BTreeMap;

use labrt::time::Instant;
use rsm::Request;

use crate::registry::Plan;
use crate::rpc::{Config, Granted, Heartbeat, Member, NewConfig, NodeId};
use crate::state::Settings;

/// What was heard of a node.
#[derive(Clone, Debug)]
struct Report {
    heartbeat: Heartbeat,
    /// The number of the heartbeat.
    sequence: u64,
    at: Instant,
}

/// What a manager knows.
pub(crate) struct Judge {
    settings: Settings,
    /// The newest heartbeat of each node, members and spares. A member that was never heard has a report too,
    /// made when this manager looked at the plan first: from then on its silence counts ([`Judge::step`]).
    reports: BTreeMap<NodeId, Report>,
    /// When it judged last: a gap tells that this manager did not lead, or was cut off.
    judged: Option<Instant>,
    /// The plan that it saw last, and the one that it proposed then. Any other is of another manager's reign.
    seen: Plan,
    proposed: Option<Plan>,
    /// Since when this manager knows the next configuration.
    next_since: Option<(Config, Instant)>,
    /// The members of the configuration in force that have it, from the tail on, and what they have received.
    told: (u64, BTreeMap<Member, u64>),
    /// How often a node was one of two neighbours that could not talk.
    quarrels: BTreeMap<NodeId, u64>,
}

// handout: bodies CA
impl Judge {
    /// A manager that knows nothing.
    pub(crate) fn new(settings: Settings) -> Judge {
        Judge {
            settings,
            reports: BTreeMap::new(),
            judged: None,
            seen: Plan::default(),
            proposed: None,
            next_since: None,
            told: (0, BTreeMap::new()),
            quarrels: BTreeMap::new(),
        }
    }

    /// A heartbeat has come, and `plan` was the plan at some time after that. So if the node is granted a
    /// lease, no plan without it was made before its heartbeat left.
    ///
    /// Lives are drawn by chance, and have no order. So a heartbeat of an earlier life that comes very late
    /// makes a node look as if it had restarted: it is removed without need, and joins again.
    pub(crate) fn note(&mut self, request: Request<Heartbeat>, plan: &Plan, now: Instant) -> Granted {
        let Request { sequence, command: heartbeat, .. } = request;
        let member = heartbeat.member;
        let known = self.reports.get(&member.node);
        let is_late =
            known.is_some_and(|known| known.heartbeat.member == member && known.sequence > sequence);
        if !is_late {
            self.reports.insert(member.node, Report { heartbeat, sequence, at: now });
        }
        let stays = plan.next.as_ref().is_none_or(|next| next.place(member).is_some());
        let is_member = plan.active.place(member).is_some();
        let is_granted = is_member && stays && heartbeat.epoch == plan.active.epoch;
        let mut granted = Granted { epoch: plan.active.epoch, is_granted, is_member, copy_to: None };
        // handout: from CB: the spare that the tail shall copy to
        if is_granted && plan.active.tail() == Some(member) {
            granted.copy_to = self.spare(plan, now);
        }
        // handout: end
        granted
    }

    // handout: body CB
    /// The spare that joins next, if the chain is too short.
    /// None while the next configuration waits for leases: the tail that would copy may be the one to go.
    fn spare(&self, plan: &Plan, now: Instant) -> Option<Member> {
        if plan.next.is_some() || plan.active.members.len() >= self.settings.length {
            return None;
        }
        self.spares(plan, now).first().copied()
    }

    /// The nodes that are alive and in no chain.
    fn spares(&self, plan: &Plan, now: Instant) -> Vec<Member> {
        let is_free = |report: &&Report| {
            let Heartbeat { member, epoch, .. } = report.heartbeat;
            let is_alive = now.saturating_duration_since(report.at) <= self.settings.suspicion;
            is_alive && epoch == 0 && plan.active.members.iter().all(|one| one.node != member.node)
        };
        self.reports.values().filter(is_free).map(|report| report.heartbeat.member).collect()
    }

    /// The plan that shall follow, if one shall.
    ///
    /// Losses come first, also while a configuration waits: it is replaced by one without them, and the wait
    /// begins anew. Next comes what has waited long enough, and last a spare that has its copy.
    pub(crate) fn step(&mut self, plan: &Plan, now: Instant) -> Option<Plan> {
        // Another manager has led. What was heard before it is over: a node may have restarted and joined
        // meanwhile, and its earlier life would be held against it.
        if self.seen != *plan && self.proposed.as_ref() != Some(plan) {
            self.forget();
        }
        self.open_eyes(plan, now);
        let following = self.following(plan, now);
        (self.seen, self.proposed) = (plan.clone(), following.clone());
        following
    }

    fn following(&mut self, plan: &Plan, now: Instant) -> Option<Plan> {
        if plan.active.epoch == 0 {
            return self.first(plan, now);
        }
        // handout: from CB: members that are lost
        let proposed = plan.next.as_ref().unwrap_or(&plan.active);
        let lost = self.lost(plan, proposed, now);
        let stay: Vec<Member> =
            proposed.members.iter().copied().filter(|member| !lost.contains(member)).collect();
        // Whoever is left holds everything that was committed. Without a member nobody would.
        if !lost.is_empty() && !stay.is_empty() {
            tracing::debug!(target: "judge", "lost: {lost:?}");
            let next = plan.active.followed_by(stay);
            return Some(plan.followed_by(plan.active.clone(), Some(next)));
        }
        // handout: end
        match &plan.next {
            Some(next) => self.has_waited(next, now).then(|| plan.followed_by(next.clone(), None)),
            None => self.joined(plan, now),
        }
    }

    /// All nodes get their full time, which counts from the next look at them.
    fn forget(&mut self) {
        self.reports.clear();
        (self.judged, self.next_since) = (None, None);
    }

    /// A manager that has not judged for long did not lead, or was cut off from its registry. It cannot know
    /// what nodes said meanwhile, and begins anew. After a shorter gap they get the gap: nodes are silent
    /// only while somebody listens. A step a heartbeat late is no gap.
    fn open_eyes(&mut self, plan: &Plan, now: Instant) {
        let away = self.judged.map(|judged| now.saturating_duration_since(judged));
        if away.is_none_or(|away| away > self.settings.suspicion) {
            self.forget();
        }
        self.judged = Some(now);
        let missed = away.unwrap_or_default().saturating_sub(self.settings.heartbeat * 2);
        for report in self.reports.values_mut() {
            report.at = now.min(report.at + missed);
        }
        for member in &plan.active.members {
            let silent = Heartbeat {
                chain: self.settings.chain,
                member: *member,
                epoch: 0,
                received: 0,
                acked: 0,
                complaint: None,
                handed: None,
            };
            self.reports.entry(member.node).or_insert(Report { heartbeat: silent, sequence: 0, at: now });
        }
    }

    /// The first configuration, once there are enough nodes.
    /// It needs no wait: nobody had a lease before, and all nodes are empty.
    fn first(&self, plan: &Plan, now: Instant) -> Option<Plan> {
        let mut members = self.spares(plan, now);
        members.truncate(self.settings.length);
        let is_full = members.len() == self.settings.length;
        is_full.then(|| plan.followed_by(plan.active.followed_by(members), None))
    }

    // handout: body CB
    /// The members that are silent, have restarted, or do not get along with their neighbour.
    ///
    /// A node that has restarted within its silence goes on with heartbeats, and has lost its objects. Its
    /// life gives it away. Quarrels are looked at only when nothing else is wrong: a dead node has two
    /// neighbours that complain about it.
    fn lost(&mut self, plan: &Plan, proposed: &Config, now: Instant) -> Vec<Member> {
        let is_lost = |member: &Member| {
            let report = self.reports.get(&member.node);
            report.is_some_and(|report| {
                let is_silent = now.saturating_duration_since(report.at) > self.settings.suspicion;
                is_silent || report.heartbeat.member != *member
            })
        };
        let lost: Vec<Member> = proposed.members.iter().copied().filter(is_lost).collect();
        if !lost.is_empty() || plan.next.is_some() {
            return lost;
        }
        self.quarrel(&plan.active).into_iter().collect()
    }

    // handout: body CB
    /// One of two neighbours that cannot talk to each other, though both talk to the manager: the one that
    /// has been in such a pair more often, or the one nearer to the tail.
    ///
    /// Which of the two is at fault nobody can know. The count makes sure that a node with a bad link is not
    /// kept for ever at the cost of all its neighbours, one after the other.
    fn quarrel(&mut self, active: &Config) -> Option<Member> {
        let complaint = self.reports.values().find_map(|report| {
            let Heartbeat { member, epoch, complaint, .. } = report.heartbeat;
            let about = complaint.filter(|_| epoch == active.epoch)?;
            let other = active.members.iter().find(|other| other.node == about)?;
            Some((active.place(member)?, active.place(*other)?))
        });
        let (one, other) = complaint?;
        let (front, back) = (active.members[one.min(other)], active.members[one.max(other)]);
        let mut count = |member: Member| {
            let quarrels = self.quarrels.entry(member.node).or_default();
            *quarrels += 1;
            *quarrels
        };
        let (front_count, back_count) = (count(front), count(back));
        Some(if front_count > back_count { front } else { back })
    }

    /// Whether the leases of all members that `next` lacks have ended. None of them was granted one after the
    /// plan was made. A configuration that removes nobody is in force at once, and is never `next`.
    ///
    /// The time counts from when this manager has seen the plan, which is after it was made. A manager that
    /// takes over waits longer than it would have to, and never too short.
    fn has_waited(&mut self, next: &Config, now: Instant) -> bool {
        if self.next_since.as_ref().is_none_or(|(known, _)| known != next) {
            self.next_since = Some((next.clone(), now));
        }
        let since = self.next_since.as_ref().map_or(now, |(_, since)| *since);
        now.saturating_duration_since(since) >= self.settings.lease + self.settings.clock_error
    }

    /// The configuration with the node to which the tail has handed over. If that node is gone again, the
    /// tail is freed by a new epoch of the same chain.
    fn joined(&self, plan: &Plan, now: Instant) -> Option<Plan> {
        let tail = plan.active.tail()?;
        let report = self.reports.get(&tail.node).filter(|report| report.heartbeat.member == tail)?;
        let handed = report.heartbeat.handed.filter(|_| report.heartbeat.epoch == plan.active.epoch)?;
        let mut members = plan.active.members.clone();
        if self.spares(plan, now).contains(&handed) {
            members.push(handed);
        }
        Some(plan.followed_by(plan.active.followed_by(members), None))
    }
}

// handout: bodies CA
/// Telling the nodes.
impl Judge {
    /// Who must be told of the configuration in force: the tail first, so that each node learns what its
    /// successor has.
    ///
    /// When a middle is lost this is the exchange of the first paper: the successor says what it has, and the
    /// predecessor is told.
    pub(crate) fn news(&mut self, plan: &Plan) -> Option<(Member, NewConfig)> {
        let config = &plan.active;
        if self.told.0 != config.epoch {
            self.told = (config.epoch, BTreeMap::new());
        }
        let member = *config.members.iter().rev().find(|member| !self.told.1.contains_key(member))?;
        let successor_has = config.successor(member).and_then(|behind| self.told.1.get(&behind).copied());
        let Settings { chain, lease, .. } = self.settings;
        Some((member, NewConfig { chain, config: config.clone(), successor_has, lease }))
    }

    /// A member has taken the configuration of this epoch, and has received updates up to `n`.
    pub(crate) fn taken(&mut self, epoch: u64, member: Member, n: u64) {
        if self.told.0 == epoch {
            self.told.1.insert(member, n);
        }
    }
}
