//! Why nothing happens: what a report says of a group when agreement, a leader or an operation did not come;
//! and what a run came to.
//!
//! It rests on what any solution shows: the answers of `get_state`, what became of the calls, what the
//! messages say if they can be read, and what comes out of the apply channel. Progress is that something is
//! committed. With it all counts begin anew, so that a report counts what happened since.

mod due;
mod table;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::Arc;

use labapi::{Reply, Request};
use labrpc::{Name, Traffic};
use labrt::quiet::Mutex;
use labrt::runtime;

pub(crate) use threads::{lines_of, threads};

use crate::net::Clients;
use crate::test::Test;

/// What is known of the progress of one group. Clones are the same.
#[derive(Clone)]
pub(crate) struct Progress {
    state: Arc<Mutex<State>>,
}

struct State {
    prefix: String,
    servers: Vec<Seen>,
    /// What became of the calls of each server's latest life to each other one.
    links: Vec<Vec<Arc<Traffic>>>,
    /// What became of calls from outside of the group: of clients, or of other groups.
    clients: Clients,
    /// The highest index that is known to be committed.
    committed: u64,
    /// Whether any service got anything.
    has_applied: bool,
    /// When that became known, in nanoseconds.
    since: u64,
    /// How often a server was seen to lead a term that it did not lead before.
    elections: u64,
    crashes: u64,
    /// The test is at its end, and crashes servers for that only.
    is_over: bool,
    /// How often a server acknowledged a leader's snapshot that was new to it, as the messages tell.
    installed: u64,
    /// How often a service took a leader's snapshot.
    taken: u64,
    /// Whether the servers make snapshots.
    makes_snapshots: bool,
    /// Whether it is seen what the services get.
    has_appliers: bool,
    /// Whether the messages can be read.
    has_wire: bool,
}

#[derive(Clone, Default)]
struct Seen {
    is_alive: bool,
    is_connected: bool,
    /// Its last answer to `get_state`.
    state: Option<(u64, bool)>,
    /// Since when it has not answered the question for it, in nanoseconds.
    asked: Option<u64>,
    /// Index and term of the last entry that it acknowledged or sent.
    log_end: Option<(u64, u64)>,
    /// Index and term of the first entry of its own term that it sent as a leader.
    first_own: Option<(u64, u64)>,
    /// The highest index that it acknowledged to a leader, and that leader's term.
    acknowledged: (u64, u64),
    /// How many AppendEntries it refused in a row.
    refused: u64,
    applied: u64,
    /// The last index, and its term, that it expected when it took a command.
    taken: Option<(u64, u64)>,
    stood: Candidacy,
    /// The last term that it led, and the end of the last snapshot that it took, in any of its lives.
    led: u64,
    snapshot: u64,
}

/// The last term in which a server asked for votes, and who got the request and who granted it: a bit each.
#[derive(Clone, Copy, Default)]
struct Candidacy {
    term: u64,
    asked: u64,
    granted: u64,
}

impl Progress {
    pub(crate) fn new(prefix: &str, servers: usize, clients: Clients) -> Progress {
        let state = State {
            prefix: prefix.to_owned(),
            servers: vec![Seen::default(); servers],
            links: vec![Vec::new(); servers],
            clients,
            committed: 0,
            has_applied: false,
            since: 0,
            elections: 0,
            crashes: 0,
            is_over: false,
            installed: 0,
            taken: 0,
            makes_snapshots: false,
            has_appliers: false,
            has_wire: false,
        };
        Progress { state: Arc::new(Mutex::new(state)) }
    }

    /// A server begins a life, and calls the others on links that are counted there.
    pub(crate) fn starts(&self, server: usize, links: Vec<Arc<Traffic>>) {
        let state = &mut *self.state.lock();
        let seen = &mut state.servers[server];
        (seen.is_alive, seen.state, seen.asked, seen.applied) = (true, None, None, 0);
        (seen.taken, seen.refused, seen.stood) = (None, 0, Candidacy::default());
        state.links[server] = links;
    }

    /// The test is at its end.
    pub(crate) fn ends(&self) {
        self.state.lock().is_over = true;
    }

    pub(crate) fn crashes(&self, server: usize) {
        let state = &mut *self.state.lock();
        if !std::mem::replace(&mut state.servers[server].is_alive, false) {
            return;
        }
        state.crashes += u64::from(!state.is_over);
    }

    pub(crate) fn has_links(&self, server: usize, is_connected: bool) {
        self.state.lock().servers[server].is_connected = is_connected;
    }

    /// `get_state` is asked.
    pub(crate) fn asks(&self, server: usize) {
        self.state.lock().servers[server].asked = Some(runtime::now().as_nanos());
    }

    /// `get_state` was asked, and the server does not tell.
    pub(crate) fn tells_nothing(&self, server: usize) {
        self.state.lock().servers[server].asked = None;
    }

    /// `get_state` says so.
    pub(crate) fn answers(&self, server: usize, state: (u64, bool)) {
        let known = &mut *self.state.lock();
        let seen = &mut known.servers[server];
        (seen.state, seen.asked) = (Some(state), None);
        if state.1 && state.0 > seen.led {
            seen.led = state.0;
            known.elections += 1;
        }
    }

    /// A server took a command, and expects it at this index in this term.
    pub(crate) fn takes(&self, server: usize, index: u64, term: u64) {
        self.state.lock().servers[server].taken = Some((index, term));
    }

    /// It will be seen what the services get.
    pub(crate) fn has_appliers(&self) {
        self.state.lock().has_appliers = true;
    }

    /// The messages can be read.
    pub(crate) fn has_wire(&self) {
        self.state.lock().has_wire = true;
    }

    /// A server's service got everything up to this index.
    pub(crate) fn applies(&self, server: usize, index: u64) {
        let state = &mut *self.state.lock();
        state.servers[server].applied = index;
        state.has_applied |= index > 0;
        state.commits(index);
    }

    /// A request has arrived. Its handler may never return.
    pub(crate) fn arrives(&self, request: &Request) {
        let Some(end) = end_of(request) else { return };
        if let Some(leader) = self.state.lock().servers.get_mut(request.sender()) {
            let later = leader.log_end.filter(|&(index, term)| (term, index) > (end.1, end.0));
            leader.log_end = later.or(Some(end));
            if let Some((index, term)) = first_own(request) {
                let earlier = leader.first_own.filter(|known| known.1 == term && known.0 < index);
                leader.first_own = earlier.or(Some((index, term)));
            }
        }
    }

    /// A request was handled, with this reply if it can be read.
    pub(crate) fn handles(&self, server: usize, request: &Request, reply: Option<Reply>) {
        let state = &mut *self.state.lock();
        let is_granted = reply == Some(Reply::Granted);
        match *request {
            Request::Vote { term, candidate, .. } => {
                if let Some(candidate) = state.servers.get_mut(candidate) {
                    candidate.stood.answers(term, server, is_granted);
                }
            }
            Request::Snapshot { term, last_included_index, .. } if is_granted => {
                let seen = &mut state.servers[server];
                state.installed += u64::from(last_included_index > seen.snapshot);
                seen.snapshot = seen.snapshot.max(last_included_index);
                seen.acknowledges(term, last_included_index);
            }
            Request::Snapshot { .. } => {}
            Request::Append { term, commit_index, .. } => {
                let seen = &mut state.servers[server];
                seen.refused = if reply == Some(Reply::Refused) { seen.refused + 1 } else { 0 };
                // Whoever grants a message that covers nothing tells nothing of its log.
                if let Some(end) = end_of(request).filter(|end| is_granted && end.0 > 0) {
                    seen.log_end = Some(end);
                    seen.acknowledges(term, end.0);
                }
                state.commits(commit_index);
            }
        }
    }

    /// A service took a leader's snapshot, which shows in its channel also if the messages cannot be read.
    pub(crate) fn takes_snapshot(&self) {
        self.state.lock().taken += 1;
    }

    /// The servers make snapshots, so that one of them may need another one's.
    pub(crate) fn makes_snapshots(&self) {
        self.state.lock().makes_snapshots = true;
    }

    /// Tells the test what the group came to.
    pub(crate) fn tell_met(&self, test: &Test) {
        // A run that is stuck may be stuck in here.
        let Some(state) = self.state.try_lock() else { return };
        if state.servers.iter().any(|seen| seen.state.is_some()) {
            test.met("elections", state.elections);
        }
        if state.crashes > 0 {
            test.met("crashes", state.crashes);
        }
        if state.makes_snapshots && state.knows_logs() {
            test.met("snapshots installed", state.installed.max(state.taken));
        }
    }

    /// Up to which index each server's service has got everything; nothing where that is not seen.
    pub(crate) fn applied(&self) -> Vec<u64> {
        // A run that is stuck may be stuck in here.
        let state = self.state.try_lock();
        state.map_or_else(Vec::new, |state| state.servers.iter().map(|seen| seen.applied).collect())
    }

    /// Whether services have got anything, and leaders' snapshots; false where that is not seen.
    pub(crate) fn services_have_got(&self) -> (bool, bool) {
        // A run that is stuck may be stuck in here.
        self.state.try_lock().map_or((false, false), |state| (state.has_applied, state.taken > 0))
    }

    /// When something was committed last, in nanoseconds; 0 if nothing ever was.
    pub(crate) fn since(&self) -> u64 {
        self.state.try_lock().map_or(0, |state| state.since)
    }

    /// What a report of several groups says of one with which nothing is wrong, as far as can be seen.
    pub(crate) fn line(&self) -> Option<String> {
        self.state.try_lock().map(|state| state.line())
    }

    /// Whether a server does not answer, or the group has no leader, or what it has is not committed: what a
    /// report of several groups tells first.
    pub(crate) fn is_suspect(&self) -> bool {
        self.state.try_lock().is_some_and(|state| state.is_suspect())
    }

    /// Which calls of clients wait at a server that could answer them, if nothing has been committed since
    /// the moment that is told with them, in nanoseconds.
    pub(crate) fn owes_answers(&self) -> Option<(u64, String)> {
        self.state.try_lock().and_then(|state| Some((state.since, state.owes_answers()?)))
    }

    /// What a report says of the time until `until`.
    pub(crate) fn lines(&self, until: u64) -> Vec<String> {
        // A run that is stuck may be stuck in here.
        self.state.try_lock().map_or_else(Vec::new, |state| state.lines(until))
    }
}

/// Index and term of the last entry that an AppendEntries speaks of.
fn end_of(request: &Request) -> Option<(u64, u64)> {
    let Request::Append { prev_index, prev_term, entries, .. } = request else { return None };
    Some((prev_index + entries.len() as u64, entries.last().map_or(*prev_term, |&(term, _)| term)))
}

/// Index and term of the first entry of the leader's own term in an AppendEntries.
fn first_own(request: &Request) -> Option<(u64, u64)> {
    let Request::Append { term, prev_index, entries, .. } = request else { return None };
    let of_term = entries.iter().position(|(of, _)| of == term)?;
    Some((prev_index + 1 + of_term as u64, *term))
}

impl Candidacy {
    /// A server has handled the candidate's request.
    fn answers(&mut self, term: u64, server: usize, is_granted: bool) {
        if term > self.term {
            *self = Candidacy { term, ..Candidacy::default() };
        }
        if term == self.term {
            self.asked |= 1 << server;
            self.granted |= u64::from(is_granted) << server;
        }
    }
}

impl Seen {
    fn acknowledges(&mut self, term: u64, index: u64) {
        let (of_term, known) = self.acknowledged;
        self.acknowledged = (term, if of_term == term { known.max(index) } else { index });
    }
}

impl State {
    /// Whether anything can be known of logs: from messages that can be read, or from an apply channel.
    pub(super) fn knows_logs(&self) -> bool {
        self.has_wire || self.has_appliers
    }

    /// A server's name in the network.
    fn name(&self, server: usize) -> Name {
        Name::from(format!("{}-{server}", self.prefix))
    }

    fn commits(&mut self, index: u64) {
        if index > self.committed {
            self.committed = index;
            self.since = runtime::now().as_nanos();
            self.links.iter().flatten().for_each(|link| link.forget());
        }
    }
}
