// handout: file guided
//! Which chunkserver has what (§2.6.2). Nothing of this is on the master's disk: chunkservers tell it after
//! the master has started, and in their heartbeats from then on. A server has the last word about what is on
//! its disks: they fail, are replaced, and come back, and a list on the master's disk would be wrong by then.

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
    /// The master has decided to delete it. So it counts no longer, although it is still there: otherwise two
    /// of them could be taken for enough, and both be deleted.
    is_doomed: bool,
}

/// A chunkserver, as its heartbeats have told of it.
#[derive(Debug)]
struct Server {
    /// Its life: what an earlier life told may have been lost with it.
    boot: u64,
    /// The number of its newest heartbeat in this life. Heartbeats may overtake each other.
    number: u64,
    heard: Instant,
    /// Room for chunks, in bytes.
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
    /// When any server was heard last.
    listened: Option<Instant>,
    /// When one was heard again, after none had been for long: the end of that time.
    deaf_until: Option<Instant>,
}

// handout: bodies GA
impl Locations {
    /// Nobody is known. A server that is silent for `silence` will count as dead: nobody is sent there, and
    /// its replicas count as lost. If it was only slow, it comes back with them, and there are some too many.
    pub fn new(silence: Duration) -> Locations {
        Locations { servers: BTreeMap::new(), silence, listened: None, deaf_until: None }
    }

    /// Takes what a heartbeat tells. False if it is an old one, which tells nothing, or one of a server of
    /// which all chunks must be known first.
    pub fn hear(&mut self, beat: &Heartbeat, now: Instant) -> bool {
        self.listen(now);
        let known = self.servers.get(&beat.server).filter(|server| server.boot == beat.boot);
        match known {
            Some(server) if beat.number <= server.number => return false,
            None if !beat.is_full => return false,
            _ => {}
        }
        // What an earlier life of the server has told is void.
        if known.is_none() {
            self.servers.insert(beat.server, Server::new(beat.boot, now));
        }
        let Some(server) = self.servers.get_mut(&beat.server) else { return false };
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

    /// Some server is heard.
    fn listen(&mut self, now: Instant) {
        let before = self.listened.replace(now);
        if before.is_some_and(|before| now.saturating_duration_since(before) > self.silence / 2) {
            self.deaf_until = Some(now);
        }
    }

    /// Whether the master has heard no server for long, and not all of them since. It was cut off or stood
    /// still, and whoever is heard first is not the only one alive: a version that is raised right then would
    /// leave the replicas of all others behind. After a while those that are still silent are dead.
    pub fn is_settling(&self, now: Instant) -> bool {
        self.deaf_until.is_some_and(|until| {
            now < until + self.silence / 2 && self.servers.values().any(|server| server.heard < until)
        })
    }

    /// Whether the next heartbeat of this life shall list all chunks.
    pub fn wants_full(&self, server: ServerId, boot: u64) -> bool {
        self.servers.get(&server).is_none_or(|known| known.boot != boot || known.wants_full)
    }

    /// The server has acknowledged that it has this version now, whole: it need not tell that once more. A
    /// heartbeat that is under way meanwhile may tell of an older one, which changes nothing (`Server::has`).
    pub fn note(&mut self, server: ServerId, handle: Handle, version: Version) {
        let Some(server) = self.servers.get_mut(&server) else { return };
        if server.chunks.get(&handle).is_none_or(|held| held.version <= version) {
            server.chunks.remove(&handle);
            server.has(handle, version);
        }
    }

    // handout: body GB
    /// What the server has of this chunk is unknown, until it has told of all its chunks. It was asked for
    /// something and did not answer: whether it has done it, it alone can say.
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

    /// The living servers whose replica is good and has this version. All that the master hands out to
    /// clients comes from here, so a stale replica is never read, written, or cloned (§4.5).
    pub fn replicas(&self, handle: Handle, version: Version, now: Instant) -> Vec<ServerId> {
        let has = |server: &Server| {
            server.chunks.get(&handle).is_some_and(|held| held.version == version && held.is_good())
        };
        self.living(now).filter(|(_, server)| has(server)).map(|(id, _)| id).collect()
    }

    /// The highest version that any server has told of; 0 if none has told of the chunk. Dead servers count:
    /// they may come back with it.
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
    /// `except`, nor those that are full. Fewer than `count` if there are no more.
    ///
    /// The paper weighs disk space and recent creations (§4.2). Here all chunks are alike, and their number
    /// says both.
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
    fn new(boot: u64, heard: Instant) -> Server {
        Server { boot, number: 0, heard, free: 0, chunks: BTreeMap::new(), wants_full: false }
    }

    /// A higher version is another replica: what was known of the old one's damage says nothing about it.
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
