//! What is known of the servers from outside, and the rules that it must obey. No thread, no clock, no
//! network.

use std::time::Duration;

use labapi::{Reply, Request};
use rustc_hash::FxHashMap;

use super::acknowledged::{Acknowledged, Acknowledgements};
use super::promises::{Promise, Promises};
use super::reigns::Reigns;
use crate::failure::{Broken, Invariant};

/// What is known of all servers of a cluster.
pub(super) struct Facts {
    servers: Vec<Known>,
    reigns: Reigns,
    /// What is known of the entry with this index and term.
    entries: FxHashMap<(u64, u64), Entry>,
    /// Whether a server was ever started again. Before that no server needs a disk.
    any_restart: bool,
    /// What the last reply promised without a write to the disk since it was asked for.
    hollow: Option<Promise>,
}

/// What is known of a server.
#[derive(Default)]
struct Known {
    incarnation: u64,
    /// The highest term that it was ever seen in.
    term: u64,
    /// Its vote in each term.
    votes: FxHashMap<u64, usize>,
    /// The highest index that it acknowledged, or sent as a leader.
    holds: u64,
    /// The highest index of a snapshot that a leader sent it.
    snapshot: u64,
    acknowledged: Acknowledgements,
    promises: Promises,
}

struct Entry {
    digest: u64,
    /// Term of the entry before it.
    previous_term: u64,
    /// The leader that sent it first.
    sender: usize,
}

/// What is known of a server's disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    /// How many of the writes to it are durable.
    pub(super) writes: u64,
    /// Whether there is a snapshot on it. It counts for refusals only.
    pub(super) has_snapshot: bool,
    /// When that is so, from the beginning of the run.
    pub(super) at: Duration,
}

/// What was known when a request arrived, for the judgement of its reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    acknowledged: Acknowledged,
}

impl Facts {
    pub(super) fn new(servers: usize) -> Facts {
        Facts {
            servers: (0..servers).map(|_| Known::default()).collect(),
            reigns: Reigns::new(servers),
            entries: FxHashMap::default(),
            any_restart: false,
            hollow: None,
        }
    }

    /// A server starts its `incarnation`th life with a disk that was written to `writes` times.
    pub(super) fn starts(&mut self, server: usize, incarnation: u64, writes: u64) -> Result<(), Broken> {
        self.any_restart |= incarnation > 1;
        let known = &mut self.servers[server];
        known.incarnation = incarnation;
        known.acknowledged.starts();
        match known.promises.take_unwritten(writes) {
            Some(promise) if incarnation > 1 => Err(Invariant::DurablePromise.broken(format!(
                "server {server} is restarted, but {promise} before its crash without a write to its disk"
            ))),
            _ => Ok(()),
        }
    }

    /// What the last reply promised without a write to the disk since it was asked for that, if anything.
    pub(super) fn take_hollow(&mut self) -> Option<Promise> {
        self.hollow.take()
    }

    /// The lowest term that an honest server can name from now on.
    pub(super) fn lowest_term(&self, server: usize) -> u64 {
        self.servers[server].term
    }

    /// `get_state` says so. `lowest` is what [`Facts::lowest_term`] was when it was asked.
    pub(super) fn state(
        &mut self,
        server: usize,
        incarnation: u64,
        lowest: u64,
        (term, leads): (u64, bool),
    ) -> Result<(), Broken> {
        if term < lowest {
            return Err(Invariant::GrowingTerm.broken(format!(
                "server {server} says that it is in term {term} (its life {incarnation}), but it was in term {lowest} \
                 before"
            )));
        }
        self.reaches(server, term);
        if leads { self.reigns.leads(server, Some(incarnation), term) } else { Ok(()) }
    }

    fn reaches(&mut self, server: usize, term: u64) {
        let known = &mut self.servers[server];
        known.term = known.term.max(term);
    }

    /// A request arrives at `server`, whose disk has `writes` durable writes.
    pub(super) fn request(
        &mut self,
        server: usize,
        writes: u64,
        request: &Request,
    ) -> Result<Arrival, Broken> {
        let (sender, term) = (request.sender(), request.term());
        self.reaches(sender, term);
        match request {
            Request::Vote { .. } => self.votes(sender, term, sender)?,
            Request::Append { prev_index, prev_term, entries, commit_index, .. } => {
                self.reigns.leads(sender, None, term)?;
                self.holds(sender, prev_index + entries.len() as u64);
                self.take_entries(sender, *prev_index, *prev_term, entries)?;
                self.reigns.sends(term, *prev_index, entries);
                self.commits(term, *commit_index)?;
            }
            Request::Snapshot { last_included_index, .. } => {
                self.reigns.leads(sender, None, term)?;
                self.holds(sender, *last_included_index);
                let known = &mut self.servers[server];
                known.snapshot = known.snapshot.max(*last_included_index);
            }
        }
        let known = &mut self.servers[server];
        if !matches!(request, Request::Vote { .. }) {
            known.acknowledged.hears(term, matches!(request, Request::Snapshot { .. }));
        }
        if let Some(promise) = Promise::asked_by(request) {
            known.promises.asked(promise, writes);
        }
        Ok(Arrival { acknowledged: known.acknowledged.latest() })
    }

    fn holds(&mut self, server: usize, index: u64) {
        let known = &mut self.servers[server];
        known.holds = known.holds.max(index);
    }

    fn votes(&mut self, server: usize, term: u64, candidate: usize) -> Result<(), Broken> {
        let first = *self.servers[server].votes.entry(term).or_insert(candidate);
        if first == candidate {
            return Ok(());
        }
        Err(Invariant::OneVote
            .broken(format!("server {server} votes for servers {first} and {candidate} in term {term}")))
    }

    /// An index and a term determine the command and the term of the entry before (§5.3).
    fn take_entries(
        &mut self,
        sender: usize,
        prev_index: u64,
        prev_term: u64,
        entries: &[(u64, u64)],
    ) -> Result<(), Broken> {
        let mut previous_term = prev_term;
        for (index, &(term, digest)) in (prev_index + 1..).zip(entries) {
            let new = Entry { digest, previous_term, sender };
            let first = self.entries.entry((index, term)).or_insert(new);
            let other = first.sender;
            if first.digest != digest {
                return Err(Invariant::LogMatching.broken(format!(
                    "servers {other} and {sender} send different commands at index {index}, both of term {term}"
                )));
            }
            if first.previous_term != previous_term {
                return Err(Invariant::LogMatching.broken(format!(
                    "servers {other} and {sender} send the same entry at index {index} (term {term}), but before it \
                     entries of term {} and {previous_term}",
                    first.previous_term
                )));
            }
            previous_term = term;
        }
        Ok(())
    }

    /// The leader of `term` says that everything up to `index` is committed.
    fn commits(&mut self, term: u64, index: u64) -> Result<(), Broken> {
        if index <= self.reigns.committable() {
            return Ok(());
        }
        let holders = self.servers.iter().filter(|known| known.holds >= index).count();
        self.reigns.commits(term, index, holders)
    }

    /// A handler of `server` has returned a reply to the request whose arrival was noted.
    pub(super) fn reply(
        &mut self,
        server: usize,
        arrival: Arrival,
        disk: Disk,
        request: &Request,
        reply: Reply,
    ) -> Result<(), Broken> {
        match reply {
            Reply::Granted => self.granted(server, disk, request),
            // A module may refuse to compare what its own snapshot covers.
            Reply::Refused if disk.has_snapshot => Ok(()),
            Reply::Refused => self.refused(server, arrival, disk.at, request),
            Reply::Other => Ok(()),
        }
    }

    fn granted(&mut self, server: usize, disk: Disk, request: &Request) -> Result<(), Broken> {
        let term = request.term();
        self.reaches(server, term);
        let holds_before = self.servers[server].holds;
        match *request {
            Request::Vote { candidate, .. } => {
                self.votes(server, term, candidate)?;
                self.servers[server].acknowledged.votes(server, request)?;
            }
            Request::Append { prev_index, ref entries, .. } => {
                let index = prev_index + entries.len() as u64;
                self.holds(server, index);
                self.reigns.acknowledges(server, term, index);
                let known = &mut self.servers[server];
                known.acknowledged.acknowledges(known.incarnation, term, prev_index, entries);
            }
            Request::Snapshot { last_included_index, .. } => {
                self.holds(server, last_included_index);
                self.reigns.acknowledges(server, term, last_included_index);
            }
        }
        let any_restart = self.any_restart;
        let known = &mut self.servers[server];
        let Some(promise) = Promise::asked_by(request) else { return Ok(()) };
        // What it had acknowledged before, had created as a leader or got by a snapshot, was on the disk
        // before.
        let is_old = match promise {
            Promise::Vote { candidate, .. } => candidate == server,
            Promise::Entry { index, .. } => index <= holds_before.max(known.snapshot),
        };
        if is_old || known.promises.is_written(promise, disk.writes) {
            return Ok(());
        }
        // Who has never written has not come to this part of the lab.
        self.hollow = (any_restart || disk.writes > 0).then_some(promise);
        if !any_restart {
            return Ok(());
        }
        Err(Invariant::DurablePromise.broken(format!(
            "server {server} {promise} without a write to its disk since it was asked for that"
        )))
    }

    fn refused(
        &mut self,
        server: usize,
        arrival: Arrival,
        now: Duration,
        request: &Request,
    ) -> Result<(), Broken> {
        let known = &mut self.servers[server];
        match *request {
            Request::Append { prev_index, .. } if prev_index > known.snapshot => {
                let life = (server, known.incarnation);
                known.acknowledged.refuses(life, arrival.acknowledged, now, request)
            }
            _ => Ok(()),
        }
    }

    /// Index and term of the last entry that the server's log is known to hold, if any is.
    pub(super) fn known_end(&self, server: usize) -> Option<(u64, u64)> {
        self.servers[server].acknowledged.known_end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(writes: u64) -> Disk {
        Disk { writes, has_snapshot: false, at: Duration::ZERO }
    }

    fn append(term: u64, prev: (u64, u64), entries: &[(u64, u64)]) -> Request {
        let (prev_index, prev_term) = prev;
        Request::Append { term, leader: 0, prev_index, prev_term, entries: entries.to_vec(), commit_index: 0 }
    }

    fn vote(term: u64, candidate: usize, (last_index, last_term): (u64, u64)) -> Request {
        Request::Vote { term, candidate, last_index, last_term }
    }

    /// Three servers, of which server 2 was restarted, so that promises count.
    fn facts() -> Facts {
        let mut facts = Facts::new(3);
        (0..3).for_each(|server| assert_eq!(facts.starts(server, 1, 0), Ok(())));
        assert_eq!(facts.starts(2, 2, 0), Ok(()));
        facts
    }

    fn rule(result: Result<(), Broken>) -> Option<Invariant> {
        result.err().and_then(|broken| broken.invariant)
    }

    #[test]
    fn an_acknowledged_entry_that_is_gone_after_a_crash_is_missed() {
        let mut facts = facts();
        let both = append(3, (0, 0), &[(3, 7), (3, 8)]);
        let arrival = facts.request(1, 0, &both).expect("nothing is wrong");
        assert_eq!(facts.reply(1, arrival, disk(1), &both, Reply::Granted), Ok(()));
        let behind = append(3, (2, 3), &[(3, 9)]);
        // In the same life a refusal may be an old one; after a crash it is a loss.
        let arrival = facts.request(1, 1, &behind).expect("nothing is wrong");
        assert_eq!(facts.reply(1, arrival, disk(1), &behind, Reply::Refused), Ok(()));
        assert_eq!(facts.starts(1, 2, 1), Ok(()));
        let arrival = facts.request(1, 1, &behind).expect("nothing is wrong");
        let covered = Disk { has_snapshot: true, ..disk(1) };
        assert_eq!(facts.reply(1, arrival, covered, &behind, Reply::Refused), Ok(()));
        let lost = facts.reply(1, arrival, disk(1), &behind, Reply::Refused);
        assert_eq!(rule(lost), Some(Invariant::AcknowledgedEntry));
    }

    #[test]
    fn a_loss_in_a_later_term_is_no_breach() {
        let mut facts = facts();
        let entry = append(3, (0, 0), &[(3, 7)]);
        let arrival = facts.request(1, 0, &entry).expect("nothing is wrong");
        assert_eq!(facts.reply(1, arrival, disk(1), &entry, Reply::Granted), Ok(()));
        assert_eq!(facts.starts(1, 2, 1), Ok(()));
        let later = append(4, (1, 3), &[]);
        let arrival = facts.request(1, 1, &later).expect("nothing is wrong");
        assert_eq!(facts.reply(1, arrival, disk(1), &later, Reply::Refused), Ok(()));
    }

    #[test]
    fn one_write_is_enough_for_requests_that_overlap() {
        let mut facts = facts();
        let (long, short) = (append(3, (0, 0), &[(3, 7), (3, 8)]), append(3, (0, 0), &[(3, 7)]));
        let first = facts.request(1, 0, &long).expect("nothing is wrong");
        // The handler of the long one has written and not answered yet.
        let second = facts.request(1, 1, &short).expect("nothing is wrong");
        assert_eq!(facts.reply(1, second, disk(1), &short, Reply::Granted), Ok(()));
        assert_eq!(facts.reply(1, first, disk(1), &long, Reply::Granted), Ok(()));
        assert_eq!(facts.reply(1, first, disk(1), &long, Reply::Granted), Ok(()), "a copy needs no write");
    }

    #[test]
    fn a_vote_without_a_write_counts_where_servers_are_restarted() {
        let vote = vote(5, 0, (0, 0));
        let mut without_restarts = Facts::new(3);
        let arrival = without_restarts.request(1, 0, &vote).expect("nothing is wrong");
        assert_eq!(without_restarts.reply(1, arrival, disk(0), &vote, Reply::Granted), Ok(()));
        assert_eq!(without_restarts.take_hollow(), None, "a server that never writes");
        assert_eq!(rule(without_restarts.starts(1, 2, 0)), Some(Invariant::DurablePromise));

        let mut facts = facts();
        let arrival = facts.request(1, 4, &vote).expect("nothing is wrong");
        let unwritten = facts.reply(1, arrival, disk(4), &vote, Reply::Granted);
        assert_eq!(rule(unwritten), Some(Invariant::DurablePromise));
        let vote_for_0 = Promise::Vote { term: 5, candidate: 0 };
        assert_eq!((facts.take_hollow(), facts.take_hollow()), (Some(vote_for_0), None));
        assert_eq!(facts.reply(1, arrival, disk(5), &vote, Reply::Granted), Ok(()));
        assert_eq!(facts.take_hollow(), None, "it has written");
    }

    #[test]
    fn a_hollow_promise_is_marked_also_where_no_server_was_restarted() {
        let mut facts = Facts::new(3);
        let vote = vote(5, 0, (0, 0));
        let arrival = facts.request(1, 4, &vote).expect("nothing is wrong");
        assert_eq!(facts.reply(1, arrival, disk(4), &vote, Reply::Granted), Ok(()));
        assert_eq!(facts.take_hollow(), Some(Promise::Vote { term: 5, candidate: 0 }));
    }

    #[test]
    fn a_candidate_votes_for_itself() {
        let mut facts = facts();
        let request = |candidate| vote(5, candidate, (0, 0));
        let arrival = facts.request(1, 0, &request(0)).expect("nothing is wrong");
        assert_eq!(facts.reply(1, arrival, disk(1), &request(0), Reply::Granted), Ok(()));
        let stands = facts.request(2, 0, &request(1)).map(drop);
        assert_eq!(rule(stands), Some(Invariant::OneVote));
    }

    #[test]
    fn the_term_of_the_entry_before_belongs_to_the_entry() {
        let mut facts = facts();
        facts.request(1, 0, &append(3, (4, 2), &[(3, 7)])).expect("nothing is wrong");
        let other = facts.request(2, 0, &append(3, (4, 1), &[(3, 7)])).map(drop);
        assert_eq!(rule(other), Some(Invariant::LogMatching));
    }

    #[test]
    fn a_state_that_was_asked_for_earlier_may_be_older() {
        let mut facts = facts();
        let lowest = facts.lowest_term(1);
        assert_eq!(facts.state(1, 1, facts.lowest_term(1), (7, false)), Ok(()));
        assert_eq!(facts.state(1, 1, lowest, (6, false)), Ok(()), "asked before, told later");
        let back = facts.state(1, 1, facts.lowest_term(1), (6, false));
        assert_eq!(rule(back), Some(Invariant::GrowingTerm));
    }

    #[test]
    fn a_leader_is_not_elected_twice_in_a_term() {
        let mut facts = facts();
        assert_eq!(facts.state(1, 1, 0, (7, true)), Ok(()));
        assert_eq!(facts.state(1, 1, 0, (7, true)), Ok(()));
        assert_eq!(rule(facts.state(1, 2, 0, (7, true))), Some(Invariant::ElectionSafety));
        let heartbeat = facts.request(2, 0, &append(7, (0, 0), &[])).map(drop);
        assert_eq!(rule(heartbeat), Some(Invariant::ElectionSafety));
    }
}
