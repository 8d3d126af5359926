//! What one server has acknowledged to leaders, and what it may not do any more because of that.
//!
//! Only messages with entries count. Some solutions say yes to every heartbeat, and their leaders do not
//! take that for an acknowledgement.

use std::time::Duration;

use labapi::Request;

use crate::failure::{Broken, Invariant};

/// A solution may say no to a message that a later one has overtaken. But a leader sends new ones all the
/// time: a server that has said no so often, for so long, and never yes, lacks what it acknowledged.
const REFUSALS: u32 = 20;
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// What one server has acknowledged.
#[derive(Default)]
pub(super) struct Acknowledgements {
    latest: Acknowledged,
    /// The latest term of a leader whose message has arrived.
    heard: u64,
    /// Whether the log may have lost what was acknowledged, for a good reason.
    may_be_gone: bool,
    refused: Refused,
}

/// The furthest entry that a server acknowledged to the latest leader to which it acknowledged anything.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Acknowledged {
    /// The leader's term.
    term: u64,
    index: u64,
    term_of_entry: u64,
    /// In which of its lives the server did so.
    incarnation: u64,
}

/// Refusals of what builds on acknowledged entries, since the last acknowledgement.
#[derive(Debug, Clone, Copy, Default)]
struct Refused {
    times: u32,
    first: Duration,
}

impl Acknowledgements {
    pub(super) fn latest(&self) -> Acknowledged {
        self.latest
    }

    /// Index and term of the last entry that the server's log is known to hold, if any is.
    pub(super) fn known_end(&self) -> Option<(u64, u64)> {
        let is_known = !self.may_be_gone && self.latest.index > 0;
        is_known.then_some((self.latest.index, self.latest.term_of_entry))
    }

    /// A new life begins.
    pub(super) fn starts(&mut self) {
        (self.may_be_gone, self.refused) = (true, Refused::default());
    }

    /// A leader's message arrives. A later leader may take entries back; so may a snapshot, where the log
    /// lacks what it covers.
    pub(super) fn hears(&mut self, term: u64, is_snapshot: bool) {
        if term > self.heard || term == self.heard && is_snapshot {
            self.heard = term;
            self.starts();
        }
    }

    /// The server acknowledges to the leader of `term` what a message with these entries brings.
    pub(super) fn acknowledges(
        &mut self,
        incarnation: u64,
        term: u64,
        prev_index: u64,
        entries: &[(u64, u64)],
    ) {
        self.refused = Refused::default();
        let Some(&(term_of_entry, _)) = entries.last() else { return };
        let index = prev_index + entries.len() as u64;
        if (term, index) > (self.latest.term, self.latest.index) {
            self.latest = Acknowledged { term, index, term_of_entry, incarnation };
            self.may_be_gone = term < self.heard;
        }
    }

    /// The election restriction (§5.4.1): whoever has acknowledged an entry in an earlier term votes for
    /// nobody whose log is less up-to-date than that.
    ///
    /// Whether a candidate counts its entries from 0 or from 1 is its own affair, if its voters do the same.
    pub(super) fn votes(&self, server: usize, request: &Request) -> Result<(), Broken> {
        let Request::Vote { term, candidate, last_index, last_term } = *request else { return Ok(()) };
        let Some((index, own_term)) = self.known_end() else { return Ok(()) };
        let is_up_to_date = (last_term, last_index + 1) >= (own_term, index);
        if candidate == server || self.heard >= term || is_up_to_date {
            return Ok(());
        }
        Err(Invariant::ElectionRestriction.broken(format!(
            "server {server} votes in term {term} for server {candidate}, whose log ends at index {last_index} (term \
             {last_term}), but to the leader of term {} it has acknowledged the entry at index {index} (term {own_term})",
            self.latest.term
        )))
    }

    /// Within a term the leader's log only grows, so that what a server has acknowledged cannot become wrong
    /// in that term. `before` is what it had acknowledged when the message arrived that it refuses `now`.
    pub(super) fn refuses(
        &mut self,
        (server, incarnation): (usize, u64),
        before: Acknowledged,
        now: Duration,
        request: &Request,
    ) -> Result<(), Broken> {
        let Request::Append { term, leader, prev_index, .. } = *request else { return Ok(()) };
        if before.term != term || prev_index > before.index {
            return Ok(());
        }
        let broken = |since: &str| {
            Err(Invariant::AcknowledgedEntry.broken(format!(
                "server {server} acknowledged everything up to index {} to server {leader}, leader of term {term}; {since}",
                before.index
            )))
        };
        if before.incarnation < incarnation {
            return broken(&format!("after its crash it lacks the entry at index {prev_index}"));
        }
        let Refused { times, first } = &mut self.refused;
        *first = if *times == 0 { now } else { *first };
        *times += 1;
        let seconds = now.saturating_sub(*first);
        if *times < REFUSALS || seconds < REFUSED_FOR {
            return Ok(());
        }
        broken(&format!(
            "since then it has refused {times} messages that build on that (the last one on index {prev_index}), and \
             acknowledged none in {:.1} s",
            seconds.as_secs_f64()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &[(u64, u64)] = &[(3, 7)];

    fn vote(term: u64, last_index: u64, last_term: u64) -> Request {
        Request::Vote { term, candidate: 0, last_index, last_term }
    }

    fn rule(result: Result<(), Broken>) -> Option<Invariant> {
        result.err().and_then(|broken| broken.invariant)
    }

    /// A server that has acknowledged index 5, of term 3, to the leader of term 4.
    fn voter() -> Acknowledgements {
        let mut voter = Acknowledgements::default();
        voter.hears(4, false);
        voter.acknowledges(1, 4, 4, ENTRY);
        voter
    }

    #[test]
    fn a_vote_for_a_log_that_lacks_an_acknowledged_entry_is_broken() {
        let restricted = Some(Invariant::ElectionRestriction);
        assert_eq!(rule(voter().votes(1, &vote(5, 9, 2))), restricted, "longer, of an older term");
        assert_eq!(rule(voter().votes(1, &vote(5, 3, 3))), restricted, "shorter, of the same term");
        assert_eq!(voter().votes(1, &vote(5, 5, 3)), Ok(()));
        assert_eq!(voter().votes(1, &vote(5, 4, 3)), Ok(()), "it may count from 0");
        assert_eq!(voter().votes(1, &vote(5, 1, 4)), Ok(()));
        assert_eq!(voter().votes(0, &vote(5, 1, 1)), Ok(()), "itself");
    }

    #[test]
    fn a_later_leader_a_snapshot_and_a_crash_may_take_entries_back() {
        let outdated = vote(9, 3, 3);
        let after = |event: fn(&mut Acknowledgements)| {
            let mut voter = voter();
            event(&mut voter);
            rule(voter.votes(1, &outdated))
        };
        assert_eq!(after(|voter| voter.hears(6, false)), None);
        assert_eq!(after(|voter| voter.hears(4, true)), None);
        assert_eq!(after(Acknowledgements::starts), None);
        let again = |voter: &mut Acknowledgements| {
            voter.hears(6, false);
            // An acknowledgement that was on its way says nothing of the log that it has now.
            voter.acknowledges(1, 4, 5, ENTRY);
        };
        assert_eq!(after(again), None);
        let restricted = Some(Invariant::ElectionRestriction);
        assert_eq!(after(|voter| voter.hears(2, true)), restricted, "of a leader whose term is over");
        assert_eq!(after(|voter| voter.acknowledges(1, 4, 2, ENTRY)), restricted, "a late copy");
        // The vote was given before the leader of its own term was heard.
        let mut voter = voter();
        voter.hears(9, false);
        voter.acknowledges(1, 9, 5, ENTRY);
        assert_eq!(voter.votes(1, &outdated), Ok(()));
    }

    #[test]
    fn heartbeats_are_no_acknowledgements() {
        let mut voter = Acknowledgements::default();
        voter.hears(4, false);
        voter.acknowledges(1, 4, 5, &[]);
        assert_eq!((voter.known_end(), voter.votes(1, &vote(5, 1, 1))), (None, Ok(())));
    }

    #[test]
    fn refusals_of_what_was_acknowledged_are_counted() {
        let behind = Request::Append {
            term: 4,
            leader: 0,
            prev_index: 5,
            prev_term: 3,
            entries: Vec::new(),
            commit_index: 5,
        };
        let refuse = |voter: &mut Acknowledgements, times: u64| {
            let mut refused = (0..times).map(|n| {
                let latest = voter.latest();
                rule(voter.refuses((1, 1), latest, Duration::from_millis(100 * n), &behind))
            });
            refused.find(Option::is_some).flatten()
        };
        assert_eq!(refuse(&mut voter(), 19), None, "they may be old");
        assert_eq!(refuse(&mut voter(), 20), Some(Invariant::AcknowledgedEntry));
        let mut voter = voter();
        assert_eq!(refuse(&mut voter, 19), None);
        voter.acknowledges(1, 4, 5, &[]);
        assert_eq!(refuse(&mut voter, 19), None, "it has said yes meanwhile");
        let latest = voter.latest();
        let mut at_once = (0..100).map(|_| voter.refuses((1, 1), latest, Duration::ZERO, &behind));
        assert!(at_once.all(|judged| judged == Ok(())), "many that arrive together may be old");
    }
}
