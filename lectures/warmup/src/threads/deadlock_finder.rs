//! Exercise 8: deadlocks that a trace shows, whether or not they happened in it.
//!
//! A thread that takes lock B while it holds lock A adds the edge A → B to the lock-order graph. A cycle of
//! edges by different threads is a deadlock of some other schedule: each thread of the cycle can hold its
//! first lock while it waits for its second. A thread that takes a lock it holds already is a cycle of one
//! lock: it waits for itself. Two exceptions keep correct programs from being reported: two edges of one
//! thread never wait for each other, and a third lock that two threads both hold around their edges keeps
//! them apart (Havelund, *Using runtime analysis to guide model checking*, SPIN 2000).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a thread does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It begins to take this lock. It has it when its next event comes.
    Lock(String),
    /// It gives up this lock.
    Unlock(String),
    /// It begins to send on this unbuffered channel, and goes on when another thread receives.
    Send(String),
    /// It begins to receive from this channel, and waits for a send if none has begun.
    Receive(String),
}

/// An event of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The thread.
    pub thread: String,
    /// What it does.
    pub step: Step,
    /// The source line, for reports.
    pub site: String,
}

impl Event {
    /// An event.
    pub fn new(thread: &str, step: Step, site: &str) -> Event {
        Event { thread: thread.to_owned(), step, site: site.to_owned() }
    }
}

/// A deadlock that can happen, or has happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadlock {
    /// Threads that can wait for one another in a circle, or a thread that waits for itself. For each, where
    /// it took the lock that it holds and where it wants the next one. Other lines that make the same cycle
    /// of locks again make no other deadlock: the lines are those that come first in the trace.
    LockCycle {
        /// The locks, each taken while the one before it is held; the first one while the last is held.
        locks: Vec<String>,
        /// The source lines, two for each lock.
        sites: Vec<String>,
    },
    /// A send that no other thread receives.
    BlockedSend {
        /// The thread that sends.
        thread: String,
        /// The channel.
        channel: String,
        /// The source line.
        site: String,
    },
}

// handout: drop classic
/// A lock that was wanted while another one was held.
#[derive(Clone, Debug)]
struct Edge {
    thread: String,
    held: String,
    held_at: String,
    wanted: String,
    wanted_at: String,
    /// All locks that the thread held.
    guards: BTreeSet<String>,
}

// handout: end
// handout: body 0B
/// Reports every deadlock of the trace once, in the order of [`Deadlock`]. A cycle of locks begins with the
/// lock that is first by name.
pub fn find_deadlocks(trace: &[Event]) -> Vec<Deadlock> {
    let edges = edges(trace);
    let mut found = BTreeMap::new();
    for first in 0..edges.len() {
        extend(&edges, &mut vec![first], &mut found);
    }
    let cycles = found.into_iter().map(|(locks, sites)| Deadlock::LockCycle { locks, sites });
    let blocked: BTreeSet<Deadlock> = blocked_sends(trace).into_iter().collect();
    cycles.chain(blocked).collect()
}

// handout: body 0B
/// The lock-order graph.
fn edges(trace: &[Event]) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut held: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for Event { thread, step, site } in trace {
        let held = held.entry(thread).or_default();
        match step {
            Step::Lock(lock) => {
                let guards: BTreeSet<String> = held.iter().map(|(lock, _)| (*lock).to_owned()).collect();
                edges.extend(held.iter().map(|(of_held, at)| Edge {
                    thread: thread.clone(),
                    held: (*of_held).to_owned(),
                    held_at: (*at).to_owned(),
                    wanted: lock.clone(),
                    wanted_at: site.clone(),
                    guards: guards.clone(),
                }));
                held.push((lock, site));
            }
            Step::Unlock(lock) => {
                if let Some(last) = held.iter().rposition(|(of_held, _)| of_held == lock) {
                    held.remove(last);
                }
            }
            Step::Send(_) | Step::Receive(_) => {}
        }
    }
    edges
}

// handout: body 0B
/// Extends a path of edges by every edge that can follow, and reports it when it has become a cycle. A cycle
/// is found once for each of its edges, so only the one that begins with the least lock counts.
///
/// `found` has the source lines by the locks; those that were found first stay.
fn extend(edges: &[Edge], path: &mut Vec<usize>, found: &mut BTreeMap<Vec<String>, Vec<String>>) {
    let (first, last) = (&edges[path[0]], &edges[path[path.len() - 1]]);
    if last.wanted == first.held {
        let path = path.iter().map(|&index| &edges[index]);
        let locks = path.clone().map(|edge| edge.held.clone()).collect();
        let sites = path.flat_map(|edge| [edge.held_at.clone(), edge.wanted_at.clone()]).collect();
        found.entry(locks).or_insert(sites);
        return;
    }
    for (index, next) in edges.iter().enumerate() {
        let can_wait = |&other: &usize| {
            let other = &edges[other];
            other.thread != next.thread && other.held != next.held && other.guards.is_disjoint(&next.guards)
        };
        if next.held == last.wanted && next.held > first.held && path.iter().all(can_wait) {
            path.push(index);
            extend(edges, path, found);
            path.pop();
        }
    }
}

// handout: body 0B
/// Sends for which no other thread has received. A receive meets the oldest send of another thread.
fn blocked_sends(trace: &[Event]) -> Vec<Deadlock> {
    let mut waiting: BTreeMap<&str, (VecDeque<&Event>, VecDeque<&Event>)> = BTreeMap::new();
    let meet = |others: &mut VecDeque<&Event>, event: &Event| {
        let partner = others.iter().position(|other| other.thread != event.thread);
        partner.and_then(|partner| others.remove(partner)).is_some()
    };
    for event in trace {
        let (Step::Send(channel) | Step::Receive(channel)) = &event.step else { continue };
        let (sends, receives) = waiting.entry(channel).or_default();
        let (own, others) =
            if matches!(event.step, Step::Send(_)) { (sends, receives) } else { (receives, sends) };
        if !meet(others, event) {
            own.push_back(event);
        }
    }
    let blocked = waiting.into_iter().flat_map(|(channel, (sends, _))| {
        sends.into_iter().map(move |event| Deadlock::BlockedSend {
            thread: event.thread.clone(),
            channel: channel.to_owned(),
            site: event.site.clone(),
        })
    });
    blocked.collect()
}
