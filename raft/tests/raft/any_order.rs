// handout: file guided
//! Safety under any order of events: bare servers whose messages arrive in any order, any
//! number of times or never, whose timeouts elapse at any moment, and which crash.
//!
//! The lab tests play likely faults in a likely order of time. Here there is no time. Each
//! step picks one of all possible events at random, so states that need five unlikely
//! coincidences occur, too. After each step the test checks the properties of Figure 3. It
//! does not check progress, only that enough has happened for the checks to mean something.

use std::collections::BTreeMap;

use raft::ApplyMsg;
use raft::rpc::Entry;
use raft::rules::{HEARTBEAT_INTERVAL, Reply, Request, Turn};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::bare::*;

/// How many runs, each from its own seed, and how long.
const RUNS: u64 = 200;
const STEPS: usize = 4000;

/// A message on its way.
#[derive(Clone)]
struct Packet {
    /// Sender and receiver of the request.
    from: usize,
    to: usize,
    request: Request,
    /// The reply, once the server has handled the request: the packet is on its way back.
    reply: Option<Reply>,
}

/// The servers, the messages between them, and what has happened so far.
struct World {
    random: SmallRng,
    servers: Vec<Server>,
    wire: Vec<Packet>,
    /// The one leader of each term.
    leaders: BTreeMap<u64, usize>,
    /// What was committed at each index, from 1. The first server to apply an index sets it;
    /// all others must agree.
    committed: Vec<Entry>,
    /// The index up to which each server has applied in its present life.
    applied: Vec<u64>,
    commands: u64,
    /// Index and term of the last entry of each log, after the last step.
    ends: Vec<(u64, u64)>,
    /// How often a server has truncated entries for a leader that did not have them.
    overwritten: u64,
    /// How often a leader's snapshot has reached a service.
    installed: u64,
}

impl World {
    fn new(seed: u64, servers: usize) -> World {
        World {
            random: SmallRng::seed_from_u64(seed),
            servers: (0..servers).map(|me| Server::boot(me, servers)).collect(),
            wire: Vec::new(),
            leaders: BTreeMap::new(),
            committed: Vec::new(),
            applied: vec![0; servers],
            commands: 0,
            ends: vec![(0, 0); servers],
            overwritten: 0,
            installed: 0,
        }
    }

    /// One event happens.
    fn step(&mut self) {
        let server = self.random.random_range(0..self.servers.len());
        match self.random.random_range(0..1000) {
            0..500 => self.deliver(),
            500..800 => self.send(server),
            800..880 => self.command(server),
            880..960 => self.apply(server),
            960..985 => self.snapshot(server),
            985..994 => self.time_out(server),
            _ => self.crash(server),
        }
        self.check();
    }

    /// One of the messages arrives, and may arrive again later.
    fn deliver(&mut self) {
        if self.wire.is_empty() {
            return;
        }
        let chosen = self.random.random_range(0..self.wire.len());
        let packet = self.wire[chosen].clone();
        if self.random.random_bool(0.8) {
            self.wire.swap_remove(chosen);
        }
        match &packet.reply {
            None => {
                let reply = Some(self.servers[packet.to].handle(&packet.request));
                self.put(Packet { reply, ..packet });
            }
            Some(reply) => self.servers[packet.from].reply(packet.to, &packet.request, reply.clone()),
        }
    }

    /// A message leaves. The network holds a few dozen; it loses the oldest.
    fn put(&mut self, packet: Packet) {
        if self.wire.len() == 40 {
            let lost = self.random.random_range(0..self.wire.len());
            self.wire.swap_remove(lost);
        }
        self.wire.push(packet);
    }

    /// A server sends one of the others the message that is due.
    fn send(&mut self, from: usize) {
        let to = self.random.random_range(0..self.servers.len());
        self.servers[from].wait(HEARTBEAT_INTERVAL);
        if to != from
            && let Turn::Send(request) = self.servers[from].turn(to)
        {
            self.put(Packet { from, to, request, reply: None });
        }
    }

    fn time_out(&mut self, server: usize) {
        if !self.servers[server].state.is_leader() {
            self.servers[server].stand_for_election();
        }
    }

    fn command(&mut self, server: usize) {
        if self.servers[server].state.is_leader() {
            self.commands += 1;
            let command = format!("command {}", self.commands);
            self.servers[server].start(&command);
        }
    }

    /// A crash, and the restart. Messages from before the crash still arrive, as they do on a
    /// real network.
    fn crash(&mut self, server: usize) {
        self.servers[server] = self.servers[server].reboot();
        self.applied[server] = self.servers[server].state.last_applied;
    }

    fn snapshot(&mut self, server: usize) {
        let index = self.applied[server];
        self.servers[server].snapshot(index, &format!("everything up to {index}"));
    }

    /// State Machine Safety: all servers apply the same command at an index, and each server
    /// applies in order.
    fn apply(&mut self, server: usize) {
        for message in self.servers[server].applied() {
            match message {
                ApplyMsg::Command { index, term, command } => {
                    assert_eq!(index, self.applied[server] + 1, "server {server} applies out of order");
                    self.applied[server] = index;
                    let entry = Entry { term, command: command.into() };
                    match self.committed.get(index as usize - 1) {
                        Some(before) => assert_eq!(*before, entry, "server {server} at index {index}"),
                        None => self.committed.push(entry),
                    }
                }
                ApplyMsg::Snapshot { index, snapshot, .. } => {
                    assert!(index > self.applied[server], "server {server} goes back to index {index}");
                    assert_eq!(snapshot, format!("everything up to {index}").into_bytes());
                    self.applied[server] = index;
                    self.installed += 1;
                }
            }
        }
    }

    /// The other properties of Figure 3.
    fn check(&mut self) {
        self.check_leaders();
        for server in 0..self.servers.len() {
            (0..server).for_each(|other| self.check_log_matching(server, other));
            let log = self.servers[server].state.log();
            let (index, term) =
                std::mem::replace(&mut self.ends[server], (log.last_index(), log.last_term()));
            let lost = index > log.last_included_index() && log.term(index) != Some(term);
            self.overwritten += u64::from(lost);
        }
    }

    /// Election Safety: at most one leader can be elected in a given term. Leader
    /// Completeness: it has every entry committed before.
    fn check_leaders(&mut self) {
        for (number, server) in self.servers.iter().enumerate().filter(|(_, server)| server.state.is_leader())
        {
            let term = server.state.term();
            let leader = *self.leaders.entry(term).or_insert(number);
            assert_eq!(leader, number, "two leaders of term {term}");
            let log = server.state.log();
            for (index, entry) in (1..).zip(&self.committed).filter(|(_, entry)| entry.term < term) {
                let has = index <= log.last_included_index() || log.entry(index) == Some(entry);
                assert!(
                    has,
                    "server {number} leads term {term} without the committed entry at index {index}"
                );
            }
        }
    }

    /// Log Matching: if two logs contain an entry with the same index and term, then the
    /// logs are identical in all entries up through the given index.
    fn check_log_matching(&self, one: usize, other: usize) {
        let (one, other) = (self.servers[one].state.log(), self.servers[other].state.log());
        let first = one.last_included_index().max(other.last_included_index()) + 1;
        let last = one.last_index().min(other.last_index());
        let mut agreed = false;
        for index in (first..=last).rev() {
            agreed |= one.term(index) == other.term(index);
            assert!(
                !agreed || one.entry(index) == other.entry(index),
                "logs differ below an entry they share, at {index}"
            );
        }
    }
}

/// Runs one world to its end.
fn play(seed: u64, servers: usize) -> World {
    let mut world = World::new(seed, servers);
    for _ in 0..STEPS {
        world.step();
    }
    world
}

/// Plays many worlds, and checks that the dangerous situations did occur.
fn play_many(servers: usize) {
    let worlds: Vec<World> = (0..RUNS).map(|seed| play(seed, servers)).collect();
    let total = |count: fn(&World) -> u64| worlds.iter().map(count).sum::<u64>() / RUNS;
    let leaders = total(|world| world.leaders.len() as u64);
    let committed = total(|world| world.committed.len() as u64);
    let overwritten = total(|world| world.overwritten);
    let installed = total(|world| world.installed);
    println!(
        "a run has {leaders} leaders, {committed} committed entries, {overwritten} logs overwritten, \
         {installed} snapshots installed"
    );
    assert!(
        leaders > 5 && committed > 10 && overwritten > 1 && installed > 1,
        "too little happened for the checks to mean anything"
    );
}

#[test]
fn three_servers_are_safe_in_any_order_of_events() {
    play_many(3);
}

#[test]
fn five_servers_are_safe_in_any_order_of_events() {
    play_many(5);
}
