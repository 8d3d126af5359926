// handout: file guided
//! Which chunkserver has what (§2.6.2). Nothing of this is on the master's disk: chunkservers tell it after
//! the master has started, and in their heartbeats from then on.

use std::collections::{BTreeMap, BTreeSet};

use labrt::rand::random;
use labrt::time::{Duration, Instant};

use crate::rpc::{Handle, Heartbeat, ServerId, Version};

/// A replica, as its server has told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    version: Version,
    /// A checksum does not match.
    is_corrupt: bool,
    /// The master has decided to delete it.
    is_doomed: bool,
}

/// A chunkserver.
#[derive(Debug)]
struct Server {
    boot: u64,
    number: u64,
    heard: Instant,
    free: u64,
    chunks: BTreeMap<Handle, Held>,
    /// The next heartbeat shall list all chunks.
    wants_full: bool,
}

/// All chunkservers that the master knows.
#[derive(Debug, Default)]
pub struct Locations {
    servers: BTreeMap<ServerId, Server>,
    silence: Duration,
}

// handout: bodies GA
impl Locations {
    /// Nobody is known. A server that is silent for `silence` will count as dead.
    pub fn new(silence: Duration) -> Locations {
        Locations { servers: BTreeMap::new(), silence }
    }

    /// Takes what a heartbeat tells. False if it is an old one, which tells nothing, or one of a server of
    /// which all chunks must be known first.
    pub fn hear(&mut self, beat: &Heartbeat, now: Instant) -> bool {
        let known = self.servers.get(&beat.server).filter(|server| server.boot == beat.boot);
        match known {
            Some(server) if beat.number <= server.number => return false,
            None if !beat.is_full => return false,
            _ => {}
        }
        let fresh = Server {
            boot: beat.boot,
            number: 0,
            heard: now,
            free: 0,
            chunks: BTreeMap::new(),
            wants_full: false,
        };
        let is_new = known.is_none();
        let server = self.servers.entry(beat.server).or_insert(fresh);
        if is_new {
            (server.boot, server.chunks, server.wants_full) = (beat.boot, BTreeMap::new(), false);
        }
        (server.number, server.heard, server.free) = (beat.number, now, beat.free);
        if beat.is_full {
            let listed: BTreeSet<Handle> = beat.chunks.iter().map(|(handle, _)| *handle).collect();
            server.chunks.retain(|handle, _| listed.contains(handle));
            server.wants_full = false;
        }
        for &(handle, version) in &beat.chunks {
            match version {
                Some(version) => server.has(handle, version),
                None => drop(server.chunks.remove(&handle)),
            }
        }
        for handle in &beat.corrupt {
            if let Some(held) = server.chunks.get_mut(handle) {
                held.is_corrupt = true;
            }
        }
        true
    }

    /// Whether the next heartbeat of this life shall list all chunks.
    pub fn wants_full(&self, server: ServerId, boot: u64) -> bool {
        self.servers.get(&server).is_none_or(|known| known.boot != boot || known.wants_full)
    }

    /// The server has acknowledged that it has this version now, whole: it need not tell that once more.
    pub fn note(&mut self, server: ServerId, handle: Handle, version: Version) {
        let Some(server) = self.servers.get_mut(&server) else { return };
        if server.chunks.get(&handle).is_none_or(|held| held.version <= version) {
            server.chunks.remove(&handle);
            server.has(handle, version);
        }
    }

    // handout: body GB
    /// What the server has of this chunk is unknown, until it has told of all its chunks.
    pub fn doubt(&mut self, server: ServerId, handle: Handle) {
        if let Some(server) = self.servers.get_mut(&server) {
            server.chunks.remove(&handle);
            server.wants_full = true;
        }
    }

    /// The living servers.
    pub fn alive(&self, now: Instant) -> Vec<ServerId> {
        self.living(now).map(|(id, _)| id).collect()
    }

    // handout: body kept
    fn living(&self, now: Instant) -> impl Iterator<Item = (ServerId, &Server)> {
        let silence = self.silence;
        let servers = self.servers.iter().filter(move |(_, server)| now < server.heard + silence);
        servers.map(|(&id, server)| (id, server))
    }

    /// The living servers whose replica is good and has this version.
    pub fn replicas(&self, handle: Handle, version: Version, now: Instant) -> Vec<ServerId> {
        let has = |server: &Server| {
            server.chunks.get(&handle).is_some_and(|held| held.version == version && held.is_good())
        };
        self.living(now).filter(|(_, server)| has(server)).map(|(id, _)| id).collect()
    }

    /// The highest version that any server has told of.
    pub fn highest(&self, handle: Handle) -> Version {
        let versions = self.servers.values().filter_map(|server| server.chunks.get(&handle));
        versions.map(|held| held.version).max().unwrap_or(0)
    }

    /// What the server has told that it has: chunk, version, and whether the replica is of use.
    pub fn chunks(&self, server: ServerId) -> Vec<(Handle, Version, bool)> {
        let chunks = self.servers.get(&server).map(|server| &server.chunks).into_iter().flatten();
        chunks.map(|(&handle, held)| (handle, held.version, held.is_good())).collect()
    }

    // handout: body GB
    /// The server shall delete its replica, and is told so until it has done it.
    pub fn doom(&mut self, server: ServerId, handle: Handle) {
        let held = self.servers.get_mut(&server).and_then(|server| server.chunks.get_mut(&handle));
        if let Some(held) = held {
            held.is_doomed = true;
        }
    }

    /// Living servers for `count` new replicas: those with the fewest chunks, and of these any. Not those in
    /// `except`, nor those that are full.
    pub fn choose(&self, count: usize, bytes: usize, except: &[ServerId], now: Instant) -> Vec<ServerId> {
        let has_room = |server: &Server| server.free >= bytes as u64;
        let servers = self.living(now).filter(|(id, server)| !except.contains(id) && has_room(server));
        let mut ranked: Vec<(usize, u64, ServerId)> =
            servers.map(|(id, server)| (server.chunks.len(), random(), id)).collect();
        ranked.sort_unstable();
        ranked.into_iter().take(count).map(|(_, _, id)| id).collect()
    }

    /// How many chunks the server has.
    pub fn load(&self, server: ServerId) -> usize {
        self.servers.get(&server).map_or(0, |server| server.chunks.len())
    }
}

impl Server {
    fn has(&mut self, handle: Handle, version: Version) {
        let held = self.chunks.entry(handle).or_insert(Held { version, is_corrupt: false, is_doomed: false });
        if version > held.version {
            *held = Held { version, is_corrupt: false, is_doomed: false };
        }
    }
}

impl Held {
    fn is_good(&self) -> bool {
        !self.is_corrupt && !self.is_doomed
    }
}
