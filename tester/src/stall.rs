//! Why nothing happens: what a report says of a group when agreement, a leader or an operation did not come;
//! and what a run came to.
//!
//! It rests on what any solution shows: the answers of `get_state`, who calls whom, which requests arrive,
//! what the messages say if they can be read, and what comes out of the apply channel. Progress is that
//! something is committed. With it all counts begin anew, so that a report counts what happened since.

use std::sync::Arc;

use labapi::{Reply, Request};
use labrt::quiet::Mutex;
use labrt::runtime;

use crate::test::Test;

/// Rows that a report has room for. Of larger tests it tells the sentence of each group only.
const ROWS: usize = 9;

/// So many calls in a row are not lost by chance, nor all on their way.
const MISSED: u64 = 6;

/// What is known of the progress of one group. Clones are the same.
#[derive(Clone)]
pub(crate) struct Progress {
    state: Arc<Mutex<State>>,
}

struct State {
    prefix: String,
    servers: Vec<Seen>,
    /// The highest index that is known to be committed.
    committed: u64,
    /// When that became known, in nanoseconds.
    since: u64,
    /// How often a server was seen to lead a term that it did not lead before.
    elections: u64,
    crashes: u64,
    /// How often a server took a snapshot from a leader.
    installed: u64,
    /// Whether the servers make snapshots.
    makes_snapshots: bool,
    /// Whether it is seen what the services get.
    has_appliers: bool,
    /// Whether anything was ever seen of logs: messages that can be read, or an apply channel.
    reads_logs: bool,
}

#[derive(Clone, Default)]
struct Seen {
    is_alive: bool,
    is_connected: bool,
    /// Its last answer to `get_state`.
    state: Option<(u64, bool)>,
    /// Index and term of the last entry that it acknowledged or sent.
    log_end: Option<(u64, u64)>,
    applied: u64,
    /// The last term that it led, and the end of the last snapshot that it took, in any of its lives.
    led: u64,
    snapshot: u64,
    /// How often it called each server since the last progress, and how many requests arrived.
    calls: Vec<u64>,
    arrived: Vec<u64>,
    /// How many of the latest calls to each server have not arrived.
    missed: Vec<u64>,
}

impl Progress {
    pub(crate) fn new(prefix: &str, servers: usize) -> Progress {
        let seen = Seen {
            calls: vec![0; servers],
            arrived: vec![0; servers],
            missed: vec![0; servers],
            ..Seen::default()
        };
        let state = State {
            prefix: prefix.to_owned(),
            servers: vec![seen; servers],
            committed: 0,
            since: 0,
            elections: 0,
            crashes: 0,
            installed: 0,
            makes_snapshots: false,
            has_appliers: false,
            reads_logs: false,
        };
        Progress { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn starts(&self, server: usize) {
        let seen = &mut self.state.lock().servers[server];
        (seen.is_alive, seen.state, seen.applied) = (true, None, 0);
    }

    pub(crate) fn crashes(&self, server: usize) {
        let state = &mut *self.state.lock();
        state.crashes += u64::from(std::mem::replace(&mut state.servers[server].is_alive, false));
    }

    pub(crate) fn has_links(&self, server: usize, is_connected: bool) {
        self.state.lock().servers[server].is_connected = is_connected;
    }

    /// `get_state` says so.
    pub(crate) fn answers(&self, server: usize, state: (u64, bool)) {
        let known = &mut *self.state.lock();
        let seen = &mut known.servers[server];
        seen.state = Some(state);
        if state.1 && state.0 > seen.led {
            seen.led = state.0;
            known.elections += 1;
        }
    }

    /// A call leaves, or is lost.
    pub(crate) fn calls(&self, from: usize, to: usize) {
        let seen = &mut self.state.lock().servers[from];
        seen.calls[to] += 1;
        seen.missed[to] += 1;
    }

    /// It will be seen what the services get.
    pub(crate) fn has_appliers(&self) {
        self.state.lock().has_appliers = true;
    }

    /// A server's service got everything up to this index.
    pub(crate) fn applies(&self, server: usize, index: u64) {
        let state = &mut *self.state.lock();
        state.reads_logs = true;
        state.servers[server].applied = index;
        state.commits(index);
    }

    /// A request was handled, with this reply if it can be read.
    pub(crate) fn handles(&self, server: usize, request: &Request, reply: Option<Reply>) {
        let state = &mut *self.state.lock();
        state.reads_logs = true;
        if let Some(sender) = state.servers.get_mut(request.sender()) {
            sender.arrived[server] += 1;
            sender.missed[server] = 0;
        }
        if let &Request::Snapshot { last_included_index, .. } = request
            && reply == Some(Reply::Granted)
        {
            let seen = &mut state.servers[server];
            state.installed += u64::from(last_included_index > seen.snapshot);
            seen.snapshot = seen.snapshot.max(last_included_index);
        }
        let Request::Append { prev_index, prev_term, entries, commit_index, leader, .. } = request else {
            return;
        };
        let end = (prev_index + entries.len() as u64, entries.last().map_or(*prev_term, |&(term, _)| term));
        if let Some(leader) = state.servers.get_mut(*leader) {
            leader.log_end =
                leader.log_end.filter(|&(index, term)| (term, index) > (end.1, end.0)).or(Some(end));
        }
        if reply == Some(Reply::Granted) {
            state.servers[server].log_end = Some(end);
        }
        state.commits(*commit_index);
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
        if state.makes_snapshots && state.reads_logs {
            test.met("snapshots installed", state.installed);
        }
    }

    /// When something was committed last, in nanoseconds; 0 if nothing ever was.
    pub(crate) fn since(&self) -> u64 {
        self.state.try_lock().map_or(0, |state| state.since)
    }

    /// What a report says of the time until `until`.
    pub(crate) fn lines(&self, until: u64) -> Vec<String> {
        // A run that is stuck may be stuck in here.
        self.state.try_lock().map_or_else(Vec::new, |state| state.lines(until))
    }
}

impl State {
    fn commits(&mut self, index: u64) {
        if index > self.committed {
            self.committed = index;
            self.since = runtime::now().as_nanos();
            for seen in &mut self.servers {
                seen.calls.fill(0);
                seen.arrived.fill(0);
            }
        }
    }

    fn lines(&self, until: u64) -> Vec<String> {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let span = format!("from {:.3} s to {:.3} s", seconds(self.since), seconds(until.max(self.since)));
        let mut lines = match self.reads_logs {
            true => {
                vec![format!("{}: nothing was committed behind index {} {span}", self.prefix, self.committed)]
            }
            false => vec![format!("{}: nothing can be said of its logs (no `wire`) {span}", self.prefix)],
        };
        lines.push(format!("  {}", self.due()));
        if self.servers.len() <= ROWS {
            lines.push(
                "  server  last seen as       log ends at      applied  calls: arrived of made".to_owned(),
            );
            lines.extend((0..self.servers.len()).map(|server| self.row(server)));
        }
        lines
    }

    /// The living server of the highest term that says that it leads.
    fn leader(&self) -> Option<(usize, u64)> {
        let leaders = self.servers.iter().enumerate().filter(|(_, seen)| seen.is_alive);
        let leaders =
            leaders.filter_map(|(server, seen)| Some((seen.state.filter(|state| state.1)?.0, server)));
        leaders.max().map(|(term, server)| (server, term))
    }

    /// Where progress was due.
    fn due(&self) -> String {
        let majority = self.servers.len() / 2 + 1;
        let up = self.servers.iter().filter(|seen| seen.is_alive && seen.is_connected).count();
        if up < majority {
            return format!("{up} of {} servers are up and connected: none was due", self.servers.len());
        }
        let Some((leader, term)) = self.leader() else {
            return format!("nobody says that it leads: an election was due ({})", self.votes());
        };
        let who = format!("server {leader} leads term {term}");
        let deaf: Vec<String> = (0..self.servers.len())
            .filter(|&other| other != leader && self.servers[leader].missed[other] >= MISSED)
            .map(|other| other.to_string())
            .collect();
        let silent = self.servers[leader].calls.iter().all(|&calls| calls == 0);
        match self.servers[leader].log_end.filter(|&(index, _)| index > self.committed) {
            _ if silent => format!("{who}, and calls nobody: its messages were due"),
            _ if self.reads_logs && !deaf.is_empty() => {
                format!("{who}; its last requests to {} did not arrive", deaf.join(", "))
            }
            _ if self.has_appliers && self.servers[leader].applied < self.committed => {
                let (committed, applied) = (self.committed, self.servers[leader].applied);
                format!(
                    "{who}; index {committed} is committed, and its service got {applied}: its applier was due"
                )
            }
            Some((index, _)) => {
                format!("{who} and has entries up to {index}: acknowledgements, or their count, were due")
            }
            None => format!("{who} and sends no new entry: a command was due, in its log or from its client"),
        }
    }

    /// How the latest election stands, as far as terms tell.
    fn votes(&self) -> String {
        let terms = self.servers.iter().filter(|seen| seen.is_alive).filter_map(|seen| seen.state);
        match terms.map(|(term, _)| term).max() {
            Some(0) => "all are in term 0: nobody has stood".to_owned(),
            Some(term) => format!("the highest term is {term}"),
            None => "no server has answered `get_state`".to_owned(),
        }
    }

    fn row(&self, server: usize) -> String {
        let seen = &self.servers[server];
        let role = match (seen.is_alive, seen.state) {
            (false, _) => "crashed".to_owned(),
            (true, None) => "no answer".to_owned(),
            (true, Some((term, true))) => format!("leads term {term}"),
            (true, Some((term, false))) => format!("in term {term}"),
        };
        let cut_off = if seen.is_alive && !seen.is_connected { ", cut off" } else { "" };
        let log_end =
            seen.log_end.map_or("unknown".to_owned(), |(index, term)| format!("{index} of term {term}"));
        let links = (0..self.servers.len()).filter(|&other| other != server && seen.calls[other] > 0);
        let links = links.map(|other| match self.reads_logs {
            true => format!("to {other}: {} of {}", seen.arrived[other], seen.calls[other]),
            false => format!("to {other}: {}", seen.calls[other]),
        });
        let links: Vec<String> = links.collect();
        let links = if links.is_empty() { "calls nobody".to_owned() } else { links.join(", ") };
        let applied = if self.has_appliers { seen.applied.to_string() } else { "unknown".to_owned() };
        format!("  {server:<7} {:<18} {log_end:<16} {applied:<8} {links}", format!("{role}{cut_off}"))
    }
}

/// The threads' lines, those that wait for locks first: as many as a screen has room for.
pub(crate) fn threads() -> Vec<String> {
    /// With story and table a report still fits one screen.
    const MOST: usize = 6;
    let report = runtime::waiting_report();
    let is_idle = |line: &&str| {
        ["the tester's", "`applier`", "`main`", "could run on"].iter().any(|part| line.contains(part))
    };
    let mut lines: Vec<&str> = report.lines().filter(|line| !is_idle(line)).collect();
    lines.sort_by_key(|line| !line.contains("held by"));
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    let mut lines: Vec<String> = lines.into_iter().map(|line| format!("  {}", line.trim_start())).collect();
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    if !lines.is_empty() {
        lines.insert(0, "threads:".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Progress {
        let progress = Progress::new("server", 3);
        (0..3).for_each(|server| {
            progress.starts(server);
            progress.has_links(server, true);
            progress.answers(server, (4, server == 1));
        });
        progress
    }

    fn append(entries: &[(u64, u64)]) -> Request {
        Request::Append {
            term: 4,
            leader: 1,
            prev_index: 7,
            prev_term: 3,
            entries: entries.to_vec(),
            commit_index: 0,
        }
    }

    /// The sentence that says where progress was due.
    fn due(progress: &Progress) -> String {
        progress.lines(0)[1].clone()
    }

    #[test]
    fn it_says_where_progress_was_due() {
        let progress = three();
        assert!(due(&progress).contains("server 1 leads term 4, and calls nobody"), "{}", due(&progress));
        for _ in 0..MISSED {
            progress.calls(1, 0);
            progress.calls(1, 2);
        }
        progress.handles(0, &append(&[]), Some(Reply::Granted));
        assert!(due(&progress).contains("its last requests to 2 did not arrive"), "{}", due(&progress));
        progress.handles(2, &append(&[]), Some(Reply::Granted));
        progress.handles(0, &append(&[(4, 1)]), Some(Reply::Refused));
        assert!(due(&progress).contains("has entries up to 8: acknowledgements"), "{}", due(&progress));
        progress.has_appliers();
        progress.applies(1, 5);
        progress.applies(0, 7);
        progress.calls(1, 0);
        let applier = "index 7 is committed, and its service got 5: its applier was due";
        assert!(due(&progress).contains(applier), "{}", due(&progress));
        progress.applies(1, 7);
        assert!(due(&progress).contains("has entries up to 8: acknowledgements"), "{}", due(&progress));
        progress.answers(1, (4, false));
        assert!(due(&progress).contains("an election was due (the highest term is 4)"), "{}", due(&progress));
        progress.crashes(0);
        progress.has_links(2, false);
        assert!(due(&progress).contains("1 of 3 servers are up and connected"), "{}", due(&progress));
    }

    #[test]
    fn rows_fit_the_width_of_a_terminal() {
        let progress = three();
        for _ in 0..12_345 {
            progress.calls(1, 0);
            progress.calls(1, 2);
        }
        progress.handles(0, &append(&[(4, 1)]), Some(Reply::Granted));
        progress.has_links(1, false);
        let lines = progress.lines(1_000_000_000);
        assert_eq!(lines.len(), 3 + 3);
        assert!(lines.iter().all(|line| line.len() <= 100), "{lines:#?}");
        assert!(lines[3].contains("8 of term 4      unknown "), "{lines:#?}");
    }
}
