//! Where progress was due: one sentence, which rests on what was seen and says no more than that.

use labrpc::Traffic;

use super::{Candidacy, Seen, State};

/// So many calls in a row are not lost by chance, nor all on their way.
const MISSED: u64 = 6;

/// So many handlers of one server that have not returned do not return.
const WAITING: u64 = 3;

/// Servers in words: "0", "0 and 2", "0, 1 and 2".
pub(super) fn list(servers: &[usize]) -> String {
    let words: Vec<String> = servers.iter().map(usize::to_string).collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => words.concat(),
    }
}

/// "a call of clients waits", "3 calls of clients wait".
pub(super) fn waits(calls: u64, whose: &str) -> String {
    match calls {
        1 => format!("a call of {whose} waits"),
        calls => format!("{calls} calls of {whose} wait"),
    }
}

/// What became of the calls on a link on which no reply comes.
pub(super) fn fate(link: &Traffic) -> &'static str {
    let (lost, open, replies) = (link.lost(), link.open(), link.replies_lost());
    match lost.max(open).max(replies) {
        0 if link.unanswered() == link.calls() => "are still on their way",
        0 => "were answered too late, or not at all",
        most if most == open => "arrived, and their handlers have not returned",
        most if most == lost => "did not arrive",
        _ => "arrived, and the replies were lost",
    }
}

impl State {
    fn majority(&self) -> usize {
        self.servers.len() / 2 + 1
    }

    /// Servers but this one for which `is` holds.
    fn others(&self, server: usize, is: impl Fn(usize, &Seen) -> bool) -> Vec<usize> {
        let others = self.servers.iter().enumerate().filter(|&(other, _)| other != server);
        others.filter(|&(other, seen)| is(other, seen)).map(|(other, _)| other).collect()
    }

    /// The living server of the highest term that says that it leads.
    fn leader(&self) -> Option<(usize, u64)> {
        let living = self.servers.iter().enumerate().filter(|(_, seen)| seen.is_alive);
        let leaders =
            living.filter_map(|(server, seen)| Some((seen.state.filter(|state| state.1)?.0, server)));
        leaders.max().map(|(term, server)| (server, term))
    }

    /// The last index that the leader is known to have.
    fn end_of(&self, leader: usize) -> u64 {
        self.servers[leader].log_end.map_or(0, |(index, _)| index)
    }

    /// The last index that the leader took a command for in its term, and does not send.
    fn unsent(&self, leader: usize, term: u64) -> Option<u64> {
        let taken = self.servers[leader].taken.filter(|&(_, of)| of == term)?.0;
        (self.has_wire && taken > self.end_of(leader).max(self.committed)).then_some(taken)
    }

    /// Whether no server runs.
    pub(super) fn is_down(&self) -> bool {
        self.servers.iter().all(|seen| !seen.is_alive)
    }

    /// Whether the servers are consensus modules: they are asked for their terms, or their logs are seen.
    pub(super) fn is_consensus(&self) -> bool {
        self.knows_logs() || self.servers.iter().any(|seen| seen.state.is_some() || seen.asked.is_some())
    }

    /// See [`super::Progress::is_suspect`].
    pub(super) fn is_suspect(&self) -> bool {
        if self.is_down() {
            return false;
        }
        let is_stuck = self.servers.iter().any(|seen| seen.is_alive && seen.asked.is_some());
        is_stuck || self.leader().is_none_or(|(leader, _)| self.end_of(leader) > self.committed)
    }

    /// See [`super::Progress::owes_answers`].
    pub(super) fn owes_answers(&self) -> Option<String> {
        let servers = self.servers.iter().enumerate().filter(|(_, seen)| seen.is_alive && seen.is_connected);
        let waiting = servers.map(|(server, _)| (server, self.waiting_at(server)));
        let (server, calls) = waiting.max_by_key(|&(_, calls)| calls).filter(|&(_, calls)| calls > 0)?;
        Some(format!("{} at {}", waits(calls, "clients"), self.name(server)))
    }

    /// Where progress was due.
    pub(super) fn due(&self) -> String {
        let up = self.servers.iter().filter(|seen| seen.is_alive && seen.is_connected).count();
        if up < self.majority() {
            return format!("{up} of {} servers are up and connected: none was due", self.servers.len());
        }
        let Some((leader, term)) = self.leader() else {
            return format!("nobody says that it leads: {}", self.election());
        };
        let who = format!("server {leader} leads term {term}");
        if self.links[leader].len() > 1 && self.links[leader].iter().all(|link| link.calls() == 0) {
            return format!("{who}, and calls nobody: its messages were due");
        }
        let deaf = self.others(leader, |other, _| self.is_deaf(leader, other));
        if self.servers.len() - deaf.len() < self.majority() {
            return format!("{who}; its last calls to {}", self.fates(leader, &deaf));
        }
        let due = match self.unsent(leader, term) {
            Some(index) => format!("; it took a command at index {index}, and sends no such entry"),
            None if self.end_of(leader) > self.committed => self.commitment(leader, term),
            None => self.application(leader, &deaf),
        };
        format!("{who}{due}")
    }

    /// Whether the calls of one server to another get no answers any more.
    fn is_deaf(&self, from: usize, to: usize) -> bool {
        let waits = |link: &Traffic| link.open() >= WAITING && link.unanswered() >= WAITING;
        self.links[from].get(to).is_some_and(|link| link.unanswered() >= MISSED || waits(link))
    }

    /// "0 and 1 did not arrive": servers of one fate together.
    fn fates(&self, leader: usize, deaf: &[usize]) -> String {
        let mut fates: Vec<(&str, Vec<usize>)> = Vec::new();
        for &server in deaf {
            let fate = fate(&self.links[leader][server]);
            match fates.iter_mut().find(|(known, _)| *known == fate) {
                Some((_, servers)) => servers.push(server),
                None => fates.push((fate, vec![server])),
            }
        }
        let words: Vec<String> =
            fates.iter().map(|(fate, servers)| format!("{} {fate}", list(servers))).collect();
        words.join(", those to ")
    }

    /// The leader has entries that are not known to be committed.
    fn commitment(&self, leader: usize, term: u64) -> String {
        let (end, end_term) = self.servers[leader].log_end.unwrap_or_default();
        let has = format!(" and has entries up to {end}");
        if end_term < term {
            return format!("{has}, none of its own term: only a new command commits them (§5.4.2)");
        }
        // A majority that has an earlier entry commits nothing.
        let first_own = self.servers[leader].first_own.filter(|&(_, of)| of == term);
        let next = first_own.map_or(end, |(index, _)| index).max(self.committed + 1);
        let has_next = |seen: &Seen| seen.acknowledged.0 == term && seen.acknowledged.1 >= next;
        let acknowledged = self.others(leader, |_, seen| has_next(seen));
        let without = self.others(leader, |_, seen| !has_next(seen));
        let refusing = self.others(leader, |_, seen| seen.refused >= MISSED);
        if acknowledged.len() + 1 >= self.majority() {
            return format!(
                "{has}; {} acknowledged index {next}: to count that was due",
                list(&acknowledged)
            );
        }
        if !refusing.is_empty() {
            let refuse = if refusing.len() == 1 { "refuses" } else { "refuse" };
            return format!(
                "{has}; {} {refuse} all it sends: earlier entries, or a snapshot, were due",
                list(&refusing)
            );
        }
        format!("{has}: acknowledgements of index {next} by {} were due", list(&without))
    }

    /// All that the leader is known to have is committed.
    fn application(&self, leader: usize, deaf: &[usize]) -> String {
        let committed = self.committed;
        let behind = |server: usize| {
            let seen = &self.servers[server];
            self.has_appliers && seen.is_alive && seen.is_connected && seen.applied < committed
        };
        let late: Vec<usize> = (0..self.servers.len()).filter(|&server| behind(server)).collect();
        let missing: Vec<usize> = deaf.iter().copied().filter(|&server| behind(server)).collect();
        let (of_leader, taken) = (self.servers[leader].log_end.is_some(), self.servers[leader].taken);
        match taken.filter(|&(index, _)| index > committed) {
            _ if !missing.is_empty() => format!("; its last calls to {}", self.fates(leader, &missing)),
            Some((index, _)) if !of_leader => format!(
                " and took a command at index {index}; its calls are answered: that it sends, counts or applies it was due"
            ),
            _ if !late.is_empty() => {
                let lagging: Vec<usize> =
                    late.iter().copied().filter(|&server| self.lacks_entries(server, leader)).collect();
                match lagging.is_empty() {
                    true => format!(
                        "; index {committed} is committed, and was not handed to the service on {}: that was due",
                        list(&late)
                    ),
                    false => format!(
                        "; index {committed} is committed, and the log ends before it on {}: entries, or a snapshot, were due",
                        list(&lagging)
                    ),
                }
            }
            _ if self.waiting_at(leader) > 0 => {
                let calls = waits(self.waiting_at(leader), "clients");
                format!("; all that it has is committed, and {calls} there: answers were due")
            }
            _ => " and sends no new entry: a command was due, in its log or from its client".to_owned(),
        }
    }

    /// Whether a follower is known to have acknowledged less than what is committed.
    fn lacks_entries(&self, server: usize, leader: usize) -> bool {
        let reached =
            self.servers[server].log_end.map_or(0, |(index, _)| index).max(self.servers[server].snapshot);
        self.has_wire && server != leader && reached < self.committed
    }

    /// Why there is no leader, as far as requests for votes and terms tell.
    fn election(&self) -> String {
        let living = || self.servers.iter().enumerate().filter(|(_, seen)| seen.is_alive);
        let Some(term) = living().filter_map(|(_, seen)| seen.state).map(|(term, _)| term).max() else {
            return "no server has answered `get_state`".to_owned();
        };
        if term == 0 {
            return "all are in term 0, and an election was due".to_owned();
        }
        let newest = living().map(|(server, seen)| (seen.stood.term, server)).max();
        match newest.filter(|&(of, _)| of > 0) {
            Some((of, server)) => self.candidacy(server, self.servers[server].stood, term.max(of)),
            None if self.has_wire => format!("the highest term is {term}, and no request for a vote arrived"),
            None => format!("the highest term is {term}, and votes, or their count, were due"),
        }
    }

    fn candidacy(&self, server: usize, stood: Candidacy, highest: u64) -> String {
        let of = |bits: u64| -> Vec<usize> {
            (0..self.servers.len()).filter(|&other| bits >> other & 1 == 1).collect()
        };
        let (asked, granted) = (of(stood.asked), of(stood.granted));
        let later = if highest > stood.term { format!(" (the highest is {highest})") } else { String::new() };
        let asked = format!(
            "in term {}{later} server {server}'s requests for votes reached {}",
            stood.term,
            list(&asked)
        );
        match granted.len() {
            0 => format!("{asked}, and nobody granted one"),
            votes if votes + 1 >= self.majority() => {
                format!("{asked}; {} granted one: that it leads was due", list(&granted))
            }
            _ => format!("{asked}; only {} granted one", list(&granted)),
        }
    }
}
