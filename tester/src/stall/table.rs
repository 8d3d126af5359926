//! What was seen of each server and of each link, in lines that fit 80 columns.

use labrpc::Traffic;

use super::due::{fate, list, waits};
use super::{Seen, State};

/// Rows that a report has room for. Of larger groups it tells the sentence only.
const ROWS: usize = 9;

/// Links that a report has room for.
const LINKS: usize = 3;

/// A server that has been asked for its state for so long without an answer does not answer: in nanoseconds.
const SILENCE: u64 = 100_000_000;

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

impl State {
    pub(super) fn lines(&self, until: u64) -> Vec<String> {
        if !self.is_consensus() {
            return self.plain_lines();
        }
        let until = until.max(self.since);
        let span = format!("from {:.3} s to {:.3} s", seconds(self.since), seconds(until));
        let (prefix, committed) = (&self.prefix, self.committed);
        let mut lines = vec![match (self.has_wire, self.has_appliers) {
            (true, _) => format!("{prefix}: nothing was committed behind index {committed} {span}"),
            (_, true) => format!("{prefix}: no service got anything behind index {committed} {span}"),
            _ => format!("{prefix}: nothing can be said of its logs (no `wire`) {span}"),
        }];
        lines.push(format!("  {}", self.due()));
        lines.extend(self.silent(until));
        if self.servers.len() <= ROWS {
            lines.push("  server last seen as           log seen up to applied calls".to_owned());
            lines.extend((0..self.servers.len()).map(|server| self.row(server, until)));
        }
        lines.extend(self.bad_links());
        lines
    }

    /// Of servers that are no consensus modules: who runs, and what becomes of the calls.
    fn plain_lines(&self) -> Vec<String> {
        let of = |is_so: fn(&Seen) -> bool| -> Vec<usize> {
            let servers = self.servers.iter().enumerate();
            servers.filter(|&(_, seen)| is_so(seen)).map(|(server, _)| server).collect()
        };
        let kinds = [
            ("up", of(|seen| seen.is_alive && seen.is_connected)),
            ("cut off", of(|seen| seen.is_alive && !seen.is_connected)),
            ("down", of(|seen| !seen.is_alive)),
        ];
        let told = kinds.iter().filter(|(_, servers)| !servers.is_empty());
        let told: Vec<String> = told.map(|(kind, servers)| format!("{kind}: {}", list(servers))).collect();
        let mut lines = vec![format!("{}: {}", self.prefix, told.join("; "))];
        lines.extend(self.bad_links());
        lines
    }

    /// See [`super::Progress::line`].
    pub(super) fn line(&self) -> String {
        let (prefix, committed, since) = (&self.prefix, self.committed, seconds(self.since));
        if !self.is_consensus() {
            return self.plain_lines().remove(0);
        }
        if self.is_down() && !self.knows_logs() {
            return format!("{prefix}: all servers are down");
        }
        if self.is_down() {
            return format!(
                "{prefix}: all servers are down; committed up to index {committed} at {since:.3} s"
            );
        }
        let waiting: u64 = (0..self.servers.len()).map(|server| self.waiting_at(server)).sum();
        let calls = if waiting > 0 { format!(", {}", waits(waiting, "others")) } else { String::new() };
        let calls = calls + &self.answers();
        if !self.knows_logs() {
            return format!("{prefix}: what it has committed cannot be seen{calls}");
        }
        format!("{prefix}: all that it has is committed, up to index {committed} at {since:.3} s{calls}")
    }

    /// How many calls from outside each server answered: one that refuses the same client again and again
    /// shows in nothing else.
    fn answers(&self) -> String {
        let answers: Vec<u64> = (0..self.servers.len()).map(|server| self.answers_of(server)).collect();
        if answers.len() > ROWS || answers.iter().all(|&count| count == 0) {
            return String::new();
        }
        let answers = answers.iter().enumerate().map(|(server, count)| format!("{count} by {server}"));
        format!("; answers to others: {}", answers.collect::<Vec<_>>().join(", "))
    }

    /// How many calls from outside of the group a server answered, in the whole run.
    fn answers_of(&self, server: usize) -> u64 {
        let (name, clients) = (self.name(server), self.clients.try_lock());
        let answered =
            |link: &Traffic| link.calls().saturating_sub(link.lost() + link.open() + link.replies_lost());
        clients.map_or(0, |clients| {
            clients.iter().filter(|(to, _)| *to == name).map(|(_, link)| answered(link)).sum()
        })
    }

    /// Who does not say what state it is in.
    fn silent(&self, until: u64) -> Option<String> {
        let is_silent = |seen: &Seen| self.silence(seen, until).is_some();
        let silent: Vec<usize> =
            (0..self.servers.len()).filter(|&server| is_silent(&self.servers[server])).collect();
        let since = silent.iter().filter_map(|&server| self.servers[server].asked).min()?;
        let (who, verb) = (list(&silent), if silent.len() == 1 { "has" } else { "have" });
        Some(format!(
            "  {who} {verb} not answered `get_state` since {:.3} s: see who holds the lock",
            seconds(since)
        ))
    }

    /// For how long a living server has not answered, in nanoseconds.
    fn silence(&self, seen: &Seen, until: u64) -> Option<u64> {
        let silence = until.saturating_sub(seen.asked.filter(|_| seen.is_alive)?);
        (silence >= SILENCE).then_some(silence)
    }

    fn row(&self, server: usize, until: u64) -> String {
        let seen = &self.servers[server];
        let is_silent = self.silence(seen, until).is_some();
        let role = match (seen.is_alive, seen.state) {
            (false, _) => "crashed".to_owned(),
            (true, None) => "no answer".to_owned(),
            (true, Some((term, true))) if is_silent => format!("led term {term}"),
            (true, Some((term, true))) => format!("leads term {term}"),
            (true, Some((term, false))) if is_silent => format!("was in term {term}"),
            (true, Some((term, false))) => format!("in term {term}"),
        };
        let cut_off = if seen.is_alive && !seen.is_connected { ", cut off" } else { "" };
        let log_end =
            seen.log_end.map_or("unknown".to_owned(), |(index, term)| format!("{index} of term {term}"));
        let links = self.links[server].iter().enumerate().filter(|(_, link)| link.calls() > 0);
        let links: Vec<String> = links.map(|(other, link)| format!("{other}:{}", link.calls())).collect();
        let links = if links.is_empty() { "none".to_owned() } else { links.join(" ") };
        let applied = if self.has_appliers { seen.applied.to_string() } else { "unknown".to_owned() };
        let role = format!("{role}{cut_off}");
        format!("  {server:<6} {role:<22} {log_end:<14} {applied:<7} {links}")
    }

    /// The links on which calls got lost, or wait for a handler, the worst first: those of clients, too.
    fn bad_links(&self) -> Vec<String> {
        let can_call = |server: usize| self.servers[server].is_alive && self.servers[server].is_connected;
        let mut bad: Vec<(u64, String)> = Vec::new();
        for (from, links) in self.links.iter().enumerate().filter(|&(from, _)| can_call(from)) {
            for (to, link) in links.iter().enumerate().filter(|&(to, _)| to != from) {
                let counts = [
                    (link.lost(), "requests did not arrive"),
                    (link.open(), "are with handlers that have not returned"),
                    (link.replies_lost(), "replies were lost"),
                ];
                let worst = counts.into_iter().max_by_key(|&(count, _)| count);
                if let Some((count, words)) = worst.filter(|&(count, _)| count > 1) {
                    bad.push((count, format!("  {from} -> {to}: of {} calls {count} {words}", link.calls())));
                }
            }
        }
        bad.sort_by_key(|&(count, _)| std::cmp::Reverse(count));
        let more = bad.len().saturating_sub(LINKS);
        bad.truncate(LINKS);
        let mut lines: Vec<String> = bad.into_iter().map(|(_, line)| line).collect();
        if more > 0 {
            lines.push(format!("  and {more} more links that lost calls"));
        }
        lines.extend(self.client_lines());
        lines
    }

    /// How many calls from outside of the group are with a server's handlers.
    pub(super) fn waiting_at(&self, server: usize) -> u64 {
        let name = self.name(server);
        let clients = self.clients.try_lock();
        clients.map_or(0, |clients| {
            clients.iter().filter(|(to, _)| *to == name).map(|(_, link)| link.open()).sum()
        })
    }

    /// What becomes of the calls from outside of the group: where they wait, and who gets no answers.
    fn client_lines(&self) -> Vec<String> {
        let servers = 0..self.servers.len();
        let waiting = servers.clone().map(|server| (server, self.waiting_at(server)));
        let waiting: Vec<String> = waiting
            .filter(|&(_, calls)| calls > 0)
            .map(|(server, calls)| format!("{calls} at {server}"))
            .collect();
        let mut lines = Vec::new();
        if !waiting.is_empty() {
            lines
                .push(format!("  calls of clients that wait for handlers to return: {}", waiting.join(", ")));
        }
        let Some(clients) = self.clients.try_lock() else { return lines };
        for server in servers {
            let name = self.name(server);
            let of = clients.iter().filter(|(to, link)| *to == name && link.open() == 0);
            if let Some((_, link)) = of.max_by_key(|(_, link)| link.unanswered())
                && link.unanswered() > 2
                && lines.len() < LINKS
            {
                let (calls, fate) = (link.unanswered(), fate(link));
                lines.push(format!("  a client's last {calls} calls to {server} {fate}"));
            }
        }
        lines
    }
}
