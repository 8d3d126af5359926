// handout: file guided
//! What must hold whenever the lock is free, and what must hold of each change.
//!
//! The monitor (see `server.rs`) calls [`Inspector::inspect`] each time a thread gives up the
//! lock, so every test of anything else also tests these. The cost grows with the change,
//! not with the log: each entry is checked once, when it is new.
//!
//! One server can check these invariants by itself. The tester checks those that speak of
//! several servers (Figure 3: at most one leader a term, equal logs, no committed entry
//! lost). It sees each step through its `Observer`.

use labapi::{Observer, Role, View, digest};

use crate::state::State;

/// What an inspection remembers for the next one. It leaves out the entries, because
/// `persist.rs` notes which of them have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    role: Role,
    term: u64,
    voted_for: Option<usize>,
    commit_index: u64,
    last_applied: u64,
    last_included_index: u64,
    last_index: u64,
    // handout: drop
    /// Whether a leader may give up within its term, and how often pre-votes were asked for.
    check_quorum: bool,
    polls: u64,
    // handout: end
}

impl Seen {
    fn of(state: &State) -> Seen {
        Seen {
            role: state.role,
            term: state.term(),
            voted_for: state.voted_for(),
            commit_index: state.commit_index,
            last_applied: state.last_applied,
            last_included_index: state.log().last_included_index(),
            last_index: state.log().last_index(),
            // handout: drop
            check_quorum: state.disturbance.check_quorum,
            polls: state.disturbance.polls,
            // handout: end
        }
    }
}

/// Watches a server's state from step to step.
pub struct Inspector {
    /// The state at the last inspection.
    last: Seen,
    observer: Option<Box<dyn Observer>>,
}

impl Inspector {
    /// Checks the state at boot, and starts from there.
    pub fn new(state: &mut State) -> Inspector {
        let changed_from = state.persistent.take_changed_from();
        check_state(state, changed_from);
        Inspector { last: Seen::of(state), observer: None }
    }

    /// Shows the state to the observer: now, and after each step.
    pub fn watch(&mut self, state: &State, mut observer: Box<dyn Observer>) {
        observe(observer.as_mut(), state, state.log().last_included_index() + 1);
        self.observer = Some(observer);
    }

    /// Checks the state and the step since the last inspection. Returns which threads have
    /// work because of it.
    ///
    /// Without an observer the checks run only if debug assertions are on.
    ///
    /// # Panics
    /// If an invariant is broken, with a sentence that says which and how.
    pub fn inspect(&mut self, state: &mut State) -> News {
        let changed_from = state.persistent.take_changed_from();
        let now = Seen::of(state);
        let last = std::mem::replace(&mut self.last, now);
        if cfg!(debug_assertions) || self.observer.is_some() {
            check_state(state, changed_from);
            check_step(&last, &now, changed_from);
        }
        let changed = now != last || changed_from != u64::MAX;
        if let Some(observer) = self.observer.as_mut().filter(|_| changed) {
            observe(observer.as_mut(), state, changed_from);
        }
        News::of(&last, &now)
    }
}

/// Which of the server's threads have work after a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The server has another role, so the election timeout starts or ends.
    pub role: bool,
    /// There may be a message for the others: after a new role, a new election, or a
    /// leader's new entries. A follower's new term is none of these.
    pub outgoing: bool,
    /// There is something for the service: new committed entries, or a leader's snapshot,
    /// which raises the commit index, too.
    pub committed: bool,
}

impl News {
    fn of(last: &Seen, now: &Seen) -> News {
        let role = last.role != now.role;
        let election = now.role == Role::Candidate && last.term != now.term;
        let entries = now.role == Role::Leader && last.last_index != now.last_index;
        // handout: drop
        let entries = entries || last.polls != now.polls;
        // handout: end
        let outgoing = role || election || entries;
        News { role, outgoing, committed: last.commit_index != now.commit_index }
    }
}

/// Shows the state to the tester.
fn observe(observer: &mut dyn Observer, state: &State, changed_from: u64) {
    let entry = |index| state.log().entry(index).map(|entry| (entry.term, digest(&entry.command)));
    observer.observe(&View {
        term: state.term(),
        role: state.role,
        commit_index: state.commit_index,
        last_included_index: state.log().last_included_index(),
        last_index: state.log().last_index(),
        changed_from,
        entry: &entry,
    });
}

/// What must hold of the state. Of the entries it checks those at `changed_from` and behind.
fn check_state(state: &State, changed_from: u64) {
    let log = state.log();
    let (term, last_index) = (state.term(), log.last_index());
    let (applied, commit) = (state.last_applied, state.commit_index);
    assert!(applied <= commit, "applied up to {applied}, but committed only up to {commit}");
    assert!(commit <= last_index, "committed up to {commit}, but the log ends at {last_index}");
    assert!(
        log.last_included_index() <= commit,
        "the snapshot reaches to {}, but only {commit} entries are committed",
        log.last_included_index()
    );
    // Leaders make entries in their own terms, and terms only grow (§5.1). A server enters
    // the term of a message before it takes entries from it.
    for index in changed_from.max(log.last_included_index() + 1)..=last_index {
        let (before, here) = (log.term(index - 1), log.term(index));
        assert!(before <= here, "the term regresses at index {index}, from {before:?} to {here:?}");
        assert!(here <= Some(term), "the entry at index {index} is of term {here:?}, the server of {term}");
    }
    if state.role != Role::Follower {
        check_candidacy(state);
    }
    if state.role == Role::Leader {
        state.others().for_each(|peer| check_peer(state, peer));
    }
}

/// Candidates and leaders have voted for themselves, and leaders have a majority (§5.2). If a
/// candidate also voted for another, both could win with that vote.
fn check_candidacy(state: &State) {
    let (me, term) = (state.me, state.term());
    assert!(
        state.voted_for() == Some(me),
        "a {:?} whose vote in term {term} is {:?}",
        state.role,
        state.voted_for()
    );
    assert!(
        state.role != Role::Leader || state.votes.len() >= state.majority(),
        "leader of term {term} with the votes of {:?} only",
        state.votes
    );
}

/// What a leader knows about a follower must fit the leader's own log: the follower matches
/// no entry that the log lacks, and the leader sends no entry that is known to match.
fn check_peer(state: &State, server: usize) {
    let peer = &state.peers[server];
    let last_index = state.log().last_index();
    assert!(
        peer.match_index < peer.next_index && peer.next_index <= last_index + 1,
        "server {server} matches up to {} and needs {} next, in a log that ends at {last_index}",
        peer.match_index,
        peer.next_index
    );
}

/// What must hold of a step from one inspection to the next.
fn check_step(last: &Seen, now: &Seen, changed_from: u64) {
    assert!(now.term >= last.term, "the term regressed from {} to {}", last.term, now.term);
    // Two votes in a term would make two majorities possible (§5.2, Election Safety).
    let same_term = now.term == last.term;
    assert!(
        !same_term || last.voted_for.is_none() || now.voted_for == last.voted_for,
        "the vote in term {} changed from {:?} to {:?}",
        now.term,
        last.voted_for,
        now.voted_for
    );
    // A term has no other leader that could send this one a message. So a leader steps down
    // only by leaving its term.
    let still_leader = same_term && last.role == Role::Leader;
    let steps_down = still_leader && now.role != Role::Leader;
    // handout: drop
    // Unless it hears from no majority (`disturbance.rs`).
    let steps_down = steps_down && !(now.check_quorum && now.role == Role::Follower);
    // handout: end
    assert!(!steps_down, "the leader of term {} became a {:?} within the term", now.term, now.role);
    // Figure 3, Leader Append-Only: a leader never overwrites or deletes entries in its
    // log; it only appends new entries.
    assert!(
        !still_leader || changed_from > last.last_index,
        "the leader of term {} overwrote its log at index {changed_from} (Leader Append-Only)",
        now.term
    );
    check_progress(last, now, changed_from);
}

/// Some things never go back. A committed entry stays committed, whatever happens to terms and
/// leaders, and a service cannot undo what it has applied.
fn check_progress(last: &Seen, now: &Seen, changed_from: u64) {
    for (what, before, after) in [
        ("the commit index", last.commit_index, now.commit_index),
        ("the last applied index", last.last_applied, now.last_applied),
        ("the snapshot's last index", last.last_included_index, now.last_included_index),
    ] {
        assert!(after >= before, "{what} regressed from {before} to {after}");
    }
    assert!(
        changed_from > last.commit_index,
        "the entry at index {changed_from} changed, but everything up to {} was committed",
        last.commit_index
    );
}
