//! What is known of the servers from outside, and the rules that it must obey. No thread, no clock, no
//! network.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use labapi::{Reply, Request};
use rustc_hash::FxHashMap;

use super::acknowledged::{Acknowledged, Acknowledgements};
use super::promises::{Promise, Promises};
use super::reading::Reading;
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
    /// How much of the messages could be read.
    pub(super) reading: Reading,
    /// What the last reply promised without a write to the disk since it was asked for.
    hollow: Option<Promise>,
    /// Whether any server calls itself, as it calls the others.
    calls_itself: Arc<AtomicBool>,
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
    /// The highest index of a snapshot that a leader sent it; `u64::MAX` if one of them could not be read.
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
            reading: Reading::default(),
            hollow: None,
            calls_itself: Arc::default(),
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

    /// `flag` tells whether any server calls itself, as it calls the others.
    pub(super) fn may_call_itself(&mut self, flag: &Arc<AtomicBool>) {
        self.calls_itself = Arc::clone(flag);
    }

    /// Whether one of several servers was seen to lead.
    pub(super) fn has_leader(&self) -> bool {
        self.servers.len() > 1 && self.reigns.is_any_seen()
    }

    /// A message that could not be read brought a server a leader's snapshot: what its log holds since then
    /// is anybody's guess.
    pub(super) fn takes_unread_snapshot(&mut self, server: usize) {
        self.reading.misses_snapshot();
        let known = &mut self.servers[server];
        known.snapshot = u64::MAX;
        known.acknowledged.starts();
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
            // One that asks itself for its vote, as it asks the others, gives it when it answers.
            Request::Vote { .. } if self.calls_itself.load(Ordering::Relaxed) => {}
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
            // The reply to a snapshot is a term and nothing else, so a later one may be read as a grant.
            Promise::Snapshot { index } => index <= holds_before || known.term > term,
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
            // It refuses since it has heard of a later term, even if its reply is read otherwise.
            _ if known.term > request.term() => Ok(()),
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
