//! How much of the messages could be read. A `wire` that reads none of them, or not what they answer, leaves
//! the rules that rest on them blind; the report says so.

use std::collections::BTreeSet;

use labapi::{Reply, Request};

use crate::failure::Broken;

/// So many names of methods are told.
const NAMES: usize = 3;

/// An index beyond this is no index, but a number below 0 that was made one.
const LARGEST: u64 = 1 << 60;

/// Whether a request that was read can be one of a cluster with so many servers.
pub(super) fn check(method: &str, request: &Request, servers: usize) -> Result<(), Broken> {
    let sender = request.sender();
    if sender >= servers {
        return Err(Broken::expectation(format!(
            "`wire` reads a `{method}` that server {sender} sent, but there are servers 0 to {} only",
            servers - 1
        )));
    }
    let index = match *request {
        Request::Vote { last_index, .. } => last_index,
        Request::Append { prev_index, .. } => prev_index,
        Request::Snapshot { last_included_index, .. } => last_included_index,
    };
    if index < LARGEST {
        return Ok(());
    }
    Err(Broken::expectation(format!(
        "`wire` reads a `{method}` with index {index}: the log's first entry has index 1, and where there is none \
         before it the index is 0"
    )))
}

/// What was read of the messages of one cluster.
#[derive(Default)]
pub(super) struct Reading {
    votes: Count,
    entries: Count,
    /// Requests that bring a snapshot.
    snapshots: u64,
    /// Whether a handler whose request was not read wrote a snapshot.
    has_unread_snapshot: bool,
    /// The methods of which requests were read, and those of which none was.
    read: BTreeSet<String>,
    unread: BTreeSet<String>,
}

/// Requests of a kind, and how many of them were granted.
#[derive(Default)]
struct Count {
    requests: u64,
    granted: u64,
}

/// What the cluster came to, as is seen without reading any message.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Came {
    /// A server of several said that it leads.
    pub(super) has_leader: bool,
    /// A service got something.
    pub(super) has_applied: bool,
    /// A service took a leader's snapshot.
    pub(super) has_installed: bool,
}

impl Reading {
    pub(super) fn reads(&mut self, method: &str, request: &Request) {
        if !self.read.contains(method) {
            self.unread.remove(method);
            self.read.insert(method.to_owned());
        }
        match request {
            Request::Vote { .. } => self.votes.requests += 1,
            Request::Append { entries, .. } => self.entries.requests += u64::from(!entries.is_empty()),
            Request::Snapshot { .. } => self.snapshots += 1,
        }
    }

    pub(super) fn reads_reply(&mut self, request: &Request, reply: Reply) {
        let count = match request {
            Request::Vote { .. } => &mut self.votes,
            Request::Append { entries, .. } if !entries.is_empty() => &mut self.entries,
            Request::Append { .. } | Request::Snapshot { .. } => return,
        };
        count.granted += u64::from(reply == Reply::Granted);
    }

    /// A request of this method cannot be read.
    pub(super) fn cannot_read(&mut self, method: &str) {
        if !self.read.contains(method) && !self.unread.contains(method) {
            self.unread.insert(method.to_owned());
        }
    }

    /// Whether no request of this method was ever read, but some of the same service: a message of the
    /// consensus module then, of which nothing is known.
    pub(super) fn is_between_servers(&self, method: &str) -> bool {
        let service = |method: &str| method.split_once('.').map(|(service, _)| service.to_owned());
        !self.read.contains(method) && self.read.iter().any(|read| service(read) == service(method))
    }

    /// The handler of a request that cannot be read wrote a snapshot.
    pub(super) fn misses_snapshot(&mut self) {
        self.has_unread_snapshot = true;
    }

    /// What the rules could not see, a line each.
    pub(super) fn gaps(&self, came: Came) -> Vec<String> {
        let mut gaps = Vec::new();
        if came.has_leader {
            gaps.extend(self.votes.gap("votes", "a server leads", "asks for one", &self.names()));
        }
        if came.has_applied {
            gaps.extend(self.entries.gap(
                "entries and acknowledgements",
                "services get commands",
                "brings one",
                &self.names(),
            ));
        }
        if self.has_unread_snapshot || came.has_installed && self.snapshots == 0 {
            let names = self.names();
            gaps.push(format!(
                "snapshots on the wire: leaders send them, but `wire` does not read each request that brings one{names}"
            ));
        }
        gaps
    }

    /// The methods that cannot be read, in words.
    fn names(&self) -> String {
        let names: Vec<String> = self.unread.iter().take(NAMES).map(|name| format!("`{name}`")).collect();
        if names.is_empty() { String::new() } else { format!(" (it reads nothing of {})", names.join(", ")) }
    }
}

impl Count {
    fn gap(&self, what: &str, why: &str, request: &str, names: &str) -> Option<String> {
        match (self.requests, self.granted) {
            (0, _) => {
                Some(format!("{what} on the wire: {why}, but `wire` reads no request that {request}{names}"))
            }
            (_, 0) => {
                Some(format!("{what} on the wire: {why}, but `wire` reads no reply as {:?}", Reply::Granted))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Came = Came { has_leader: true, has_applied: true, has_installed: true };

    fn vote() -> Request {
        Request::Vote { term: 1, candidate: 0, last_index: 0, last_term: 0 }
    }

    fn append(entries: &[(u64, u64)]) -> Request {
        let entries = entries.to_vec();
        Request::Append { term: 1, leader: 0, prev_index: 0, prev_term: 0, entries, commit_index: 0 }
    }

    fn snapshot() -> Request {
        Request::Snapshot { term: 1, leader: 0, last_included_index: 9 }
    }

    #[test]
    fn a_wire_that_reads_all_has_no_gap() {
        let mut reading = Reading::default();
        for request in [vote(), append(&[(1, 7)]), snapshot()] {
            reading.reads("Raft.x", &request);
            reading.reads_reply(&request, Reply::Granted);
        }
        assert_eq!(reading.gaps(ALL), [""; 0]);
    }

    #[test]
    fn what_never_happened_is_no_gap() {
        assert_eq!(Reading::default().gaps(Came::default()), [""; 0]);
    }

    #[test]
    fn a_wire_that_reads_nothing_is_told_with_the_methods() {
        let mut reading = Reading::default();
        ["Raft.vote", "Raft.append", "Raft.append"]
            .into_iter()
            .for_each(|method| reading.cannot_read(method));
        let gaps = reading.gaps(ALL);
        assert_eq!(gaps.len(), 3, "{gaps:?}");
        let words = "votes on the wire: a server leads, but `wire` reads no request that asks for one (it reads nothing \
                     of `Raft.append`, `Raft.vote`)";
        assert_eq!(gaps[0], words);
    }

    #[test]
    fn heartbeats_are_no_entries_and_refusals_no_votes() {
        let mut reading = Reading::default();
        for (request, reply) in [(vote(), Reply::Refused), (append(&[]), Reply::Granted)] {
            reading.reads("Raft.x", &request);
            reading.reads_reply(&request, reply);
        }
        let gaps = reading.gaps(Came { has_installed: false, ..ALL });
        assert!(gaps[0].ends_with("but `wire` reads no reply as Granted"), "{gaps:?}");
        assert!(gaps[1].ends_with("but `wire` reads no request that brings one"), "{gaps:?}");
    }

    #[test]
    fn what_no_message_can_say_is_told_as_a_mistake_of_the_wire() {
        let said = |request: &Request| check("Raft.x", request, 3).map_err(|broken| broken.message);
        assert_eq!(said(&vote()), Ok(()));
        let stranger = Request::Vote { term: 1, candidate: 3, last_index: 0, last_term: 0 };
        let words = "`wire` reads a `Raft.x` that server 3 sent, but there are servers 0 to 2 only";
        assert_eq!(said(&stranger), Err(words.to_owned()));
        let below_zero = Request::Vote { term: 1, candidate: 0, last_index: u64::MAX, last_term: 0 };
        assert!(said(&below_zero).is_err_and(|words| words.contains("first entry has index 1")));
    }

    #[test]
    fn a_message_of_clients_is_none_between_servers() {
        let mut reading = Reading::default();
        reading.reads("Raft.vote", &vote());
        let between =
            ["Raft.snapshot", "Kv.get", "Raft.vote"].map(|method| reading.is_between_servers(method));
        assert_eq!(between, [true, false, false]);
    }
}
