//! The invariants of the lab, watched at every step of every test.
//!
//! Everything that comes to a process and leaves it is seen at its handlers. From that the watch knows which
//! version each server must have of each chunk, and every byte of it. Nothing here rests on the solution's
//! help.

mod finish;
mod master;
mod order;

use std::collections::{BTreeMap, BTreeSet};

use gfs::Settings;
use gfs::rpc::{
    AppendArgs, ChunkError, ChunkVersion, CloneFrom, CopyChunk, DataId, Grant, Handle, Mutation, PushData,
    Raise, Raised, ReadArgs, ReadReply, ServerId, Version, WriteArgs,
};
use labrpc::Answer;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::time::Instant;
use serde::de::DeserializeOwned;
use tester::Test;

use crate::model::Replica;
use crate::names::Names;

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    labgob::decode(bytes).expect("a message of the lab's own type")
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Master,
    Shadow,
    Server(ServerId),
}

/// A mutation that a client was told to be done.
#[derive(Clone, Debug)]
pub(crate) struct Success {
    pub(crate) handle: Handle,
    pub(crate) version: Version,
    pub(crate) offset: usize,
    pub(crate) bytes: Vec<u8>,
    /// Its number in the primary's order; if the primary is alone, in the order of the answers.
    serial: u64,
}

/// A clone that was ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clone {
    pub(crate) handle: Handle,
    pub(crate) source: ServerId,
    pub(crate) target: ServerId,
    pub(crate) at: Instant,
    /// When it was answered, and how many bytes it brought.
    pub(crate) done: Option<(Instant, usize)>,
}

/// A lease that was granted.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) version: Version,
    pub(crate) primary: ServerId,
    secondaries: Vec<ServerId>,
    pub(crate) at: Instant,
}

#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) replicas: BTreeMap<(ServerId, Handle), Replica>,
    /// The newest lease of each chunk.
    pub(crate) leases: BTreeMap<Handle, Granted>,
    primaries: BTreeMap<(Handle, Version), ServerId>,
    data: BTreeMap<DataId, Vec<u8>>,
    /// All that have come to a secondary, and where each has come.
    mutations: BTreeMap<(Handle, Version, u64), Mutation>,
    arrived: BTreeSet<(ServerId, Handle, Version, u64)>,
    /// The last mutation that each secondary has acknowledged, itself or by a later one.
    applied: BTreeMap<(Handle, Version, ServerId), u64>,
    pub(crate) successes: Vec<Success>,
    pub(crate) clones: Vec<Clone>,
    names: Names,
    /// How often each process has crashed.
    lives: BTreeMap<ServerId, u64>,
    calls: BTreeMap<String, u64>,
    next: u64,
}

type Hook = dyn Fn(Who, &str, &[u8]) + Send + Sync;

/// The watch over a test.
#[derive(Clone)]
pub(crate) struct Watch {
    test: Test,
    facts: Arc<Mutex<Facts>>,
    settings: Settings,
    /// Called before each handler, on its thread.
    hook: Arc<Mutex<Option<Arc<Hook>>>>,
}

type Run<'a> = &'a dyn Fn() -> Option<Answer>;

impl Watch {
    pub(crate) fn new(test: &Test, settings: &Settings) -> Watch {
        let settings = settings.clone();
        Watch { test: test.clone(), facts: Arc::default(), settings, hook: Arc::default() }
    }

    /// Looks at what is known.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Facts) -> T) -> T {
        look(&self.facts.lock())
    }

    /// Has something done before each handler runs, on its thread; it may crash the server.
    pub(crate) fn before(&self, hook: impl Fn(Who, &str, &[u8]) + Send + Sync + 'static) {
        *self.hook.lock() = Some(Arc::new(hook));
    }

    pub(crate) fn unhook(&self) {
        *self.hook.lock() = None;
    }

    /// How many calls of this method have reached a process.
    pub(crate) fn calls(&self, method: &str) -> u64 {
        self.facts.lock().calls.get(method).copied().unwrap_or(0)
    }

    /// The calls that have reached the master, heartbeats aside.
    pub(crate) fn master_calls(&self) -> u64 {
        let methods = ["change", "list", "find_chunk", "add_chunk"];
        methods.iter().map(|method| self.calls(&format!("MasterRpc.{method}"))).sum()
    }

    /// A server is about to crash.
    pub(crate) fn crashes(&self, server: ServerId) {
        let mut facts = self.facts.lock();
        *facts.lives.entry(server).or_default() += 1;
        facts
            .replicas
            .iter_mut()
            .filter(|((at, _), _)| *at == server)
            .for_each(|(_, replica)| replica.crash());
    }

    #[track_caller]
    fn expect(&self, holds: bool, what: impl FnOnce() -> String) {
        self.test.expect(holds, || format!("invariant {}", what()));
    }

    /// A message comes to a process, and what its handler answers leaves.
    pub(crate) fn around(&self, who: Who, method: &str, bytes: &[u8], run: Run<'_>) -> Option<Answer> {
        *self.facts.lock().calls.entry(method.to_owned()).or_default() += 1;
        let hook = self.hook.lock().clone();
        if let Some(hook) = hook {
            hook(who, method, bytes);
        }
        match (who, method.split('.').next_back().unwrap_or_default()) {
            (Who::Server(me), method) => self.at_server(me, method, bytes, run),
            (who, method) => self.at_master(who, method, bytes, run),
        }
    }

    fn at_server(&self, me: ServerId, method: &str, bytes: &[u8], run: Run<'_>) -> Option<Answer> {
        match method {
            "push_data" => {
                let push: PushData = decode(bytes);
                let (length, piece) = (push.bytes.len(), self.settings.piece);
                self.test.expect(length <= piece, || {
                    format!("{length} bytes are pushed at once, and the longest piece has {piece}")
                });
                self.facts.lock().data.insert(push.id, push.bytes);
                run()
            }
            "write" => {
                let WriteArgs { handle, version, offset, data } = decode(bytes);
                let length = self.facts.lock().length(&data);
                let place = offset..offset.saturating_add(length);
                self.mutation(me, (handle, version), &data, place, run, |answer: &Result<(), ChunkError>| {
                    answer.clone().map(|()| offset)
                })
            }
            "append" => {
                let AppendArgs { handle, version, data, .. } = decode(bytes);
                let from = self.with(|facts| facts.content(me, handle).len());
                self.mutation(me, (handle, version), &data, from..usize::MAX, run, Result::clone)
            }
            "apply" => self.apply(me, decode(bytes), run),
            "read" => self.read(me, &decode(bytes), run),
            "create" => {
                let ChunkVersion { handle, version } = decode(bytes);
                seen(run, |answer: &Result<(), ChunkError>| {
                    if answer.is_ok() {
                        let mut facts = self.facts.lock();
                        facts.replicas.entry((me, handle)).or_insert_with(|| Replica::new(version));
                    }
                })
            }
            "raise" => {
                let raise: Raise = decode(bytes);
                seen(run, |answer: &Result<Raised, ChunkError>| {
                    if answer.is_ok() {
                        self.facts.lock().has(me, raise.handle, raise.to);
                    }
                })
            }
            "grant" => {
                let grant: Grant = decode(bytes);
                seen(run, |answer: &Result<(), ChunkError>| {
                    if answer.is_ok() {
                        self.granted(me, &grant);
                    }
                })
            }
            "copy" => {
                let CopyChunk { from, version, to } = decode(bytes);
                seen(run, |answer: &Result<(), ChunkError>| {
                    let facts = &mut *self.facts.lock();
                    let original = facts.replicas.get(&(me, from)).map(|original| original.copy(version));
                    if let (Ok(()), Some(copy)) = (answer, original) {
                        facts.replicas.entry((me, to)).or_insert(copy);
                    }
                })
            }
            "clone_replica" => self.clone_replica(me, decode(bytes), run),
            _ => run(),
        }
    }

    /// Invariants 1 and 3, at the primary.
    fn mutation<T: DeserializeOwned>(
        &self,
        me: ServerId,
        (handle, version): (Handle, Version),
        data: &[DataId],
        place: std::ops::Range<usize>,
        run: Run<'_>,
        offset: impl Fn(&Result<T, ChunkError>) -> Result<usize, ChunkError>,
    ) -> Option<Answer> {
        let (number, newest, life) = {
            let facts = &mut *self.facts.lock();
            facts.next += 1;
            let number = facts.next;
            if let Some(replica) = facts.replicas.get_mut(&(me, handle)) {
                replica.begun.insert(number, place.clone());
            }
            (number, facts.leases.get(&handle).map_or(0, |lease| lease.version), facts.life(me))
        };
        let answer = run();
        let facts = &mut *self.facts.lock();
        if facts.life(me) != life {
            return answer;
        }
        if let Some(replica) = facts.replicas.get_mut(&(me, handle)) {
            replica.begun.remove(&number);
        }
        let Some(Ok(reply)) = &answer else { return answer };
        match offset(&decode(reply)) {
            Ok(offset) => {
                let newest = if self.test.is_ordinary() {
                    facts.leases.get(&handle).map_or(0, |lease| lease.version)
                } else {
                    newest
                };
                self.expect(newest <= version, || {
                    format!(
                        "1: server {me} mutates chunk {handle} under lease {version}, but {newest} is granted"
                    )
                });
                let primary = facts.primaries.get(&(handle, version));
                self.expect(primary == Some(&me), || {
                    format!("1: server {me} mutates chunk {handle}, but {primary:?} has lease {version}")
                });
                self.succeeded(facts, me, (handle, version), data, offset);
            }
            Err(ChunkError::Padded) => {
                if let Some(replica) = facts.replicas.get_mut(&(me, handle)) {
                    let length = replica.content.len();
                    replica.apply(length, &vec![0; self.settings.chunk - length.min(self.settings.chunk)]);
                }
            }
            Err(ChunkError::NotPrimary | ChunkError::Failed(_)) => {
                let in_model = facts.in_model(handle, version);
                let was_seen =
                    facts.serials(handle, version, data).iter().any(|(serial, _)| *serial <= in_model);
                let is_primary = facts.primaries.get(&(handle, version)) == Some(&me);
                if let (false, true, Some(replica)) =
                    (was_seen, is_primary, facts.replicas.get_mut(&(me, handle)))
                {
                    replica.doubt(place);
                }
            }
            Err(_) => {}
        }
        answer
    }

    /// A client hears that its mutation is done.
    fn succeeded(
        &self,
        facts: &mut Facts,
        me: ServerId,
        (handle, version): (Handle, Version),
        data: &[DataId],
        offset: usize,
    ) {
        let bytes = facts.bytes(data);
        let lease = facts.leases.get(&handle).filter(|lease| lease.version == version);
        let secondaries = lease.map_or(&[][..], |lease| &lease.secondaries);
        let applied = |server: ServerId| facts.applied.get(&(handle, version, server)).copied().unwrap_or(0);
        let serials = facts.serials(handle, version, data);
        let mine = || serials.iter().filter(|(_, at)| *at == offset).map(|(serial, _)| *serial);
        // Of two with the same data one is done, and the other one may be under way.
        let is_done = |serial: &u64| secondaries.iter().all(|&server| applied(server) >= *serial);
        let serial = mine().rfind(is_done).or_else(|| mine().next_back());
        for &server in secondaries {
            let applied = applied(server);
            self.expect(serial.is_some_and(|serial| applied >= serial), || {
                format!("3: chunk {handle}: server {me} says that {serial:?} is done, but {server} is at {applied}")
            });
        }
        self.expect(offset + bytes.len() <= self.settings.chunk, || {
            format!("3: {} bytes at {offset} are beyond the end of chunk {handle}", bytes.len())
        });
        if serial.is_none()
            && let Some(replica) = facts.replicas.get_mut(&(me, handle))
        {
            replica.apply_alone(offset, &bytes);
        }
        facts.next += 1;
        let serial = serial.unwrap_or(facts.next);
        facts.successes.push(Success { handle, version, offset, bytes, serial });
    }

    /// Invariants 7 and 9: a read returns the bytes that the replica must hold.
    fn read(&self, me: ServerId, args: &ReadArgs, run: Run<'_>) -> Option<Answer> {
        let ReadArgs { handle, version, offset, length } = *args;
        let (before, life) = {
            let facts = &mut *self.facts.lock();
            let replica = facts.replicas.get_mut(&(me, handle));
            (replica.map(Replica::begin_read), facts.life(me))
        };
        seen(run, |answer: &Result<ReadReply, ChunkError>| {
            let facts = &mut *self.facts.lock();
            let replica = facts
                .replicas
                .get_mut(&(me, handle))
                .filter(|_| facts.lives.get(&me).copied().unwrap_or(0) == life);
            let (Some(replica), Some(before)) = (replica, before) else { return };
            let read = answer.as_ref().map(|reply| reply.bytes.as_slice());
            let (wanted, bytes) = read.map_or((0, &[][..]), |bytes| (length, bytes));
            if let Some(complaint) = replica.end_read(&before, offset, wanted, bytes) {
                self.test.fail(format!(
                    "invariant 7: a read of chunk {handle}, version {version}, at server {me}: {complaint}"
                ));
            }
        })
    }

    /// Invariant 1: a version has one primary.
    fn granted(&self, me: ServerId, grant: &Grant) {
        let facts = &mut *self.facts.lock();
        let Grant { handle, version, .. } = *grant;
        let primary = *facts.primaries.entry((handle, version)).or_insert(me);
        self.expect(primary == me, || {
            format!("1: lease {version} of chunk {handle} goes to server {me}, and went to {primary}")
        });
        let secondaries = grant.secondaries.clone();
        let granted = Granted { version, primary: me, secondaries, at: Instant::now() };
        if facts.leases.get(&handle).is_none_or(|newest| newest.version < version) {
            facts.leases.insert(handle, granted);
        }
    }

    /// Invariant 4: a clone comes from a replica that is current.
    fn clone_replica(&self, me: ServerId, order: CloneFrom, run: Run<'_>) -> Option<Answer> {
        let CloneFrom { handle, version, source } = order;
        let place = {
            let facts = &mut *self.facts.lock();
            let has = facts.replicas.get(&(source, handle)).map_or(0, |replica| replica.version);
            self.expect(has >= version, || {
                format!("4: chunk {handle} is cloned from server {source}, which has {has} and not {version}")
            });
            facts.clones.push(Clone { handle, source, target: me, at: Instant::now(), done: None });
            facts.clones.len() - 1
        };
        seen(run, |answer: &Result<(), ChunkError>| {
            let facts = &mut *self.facts.lock();
            let original =
                facts.replicas.get(&(source, handle)).filter(|original| original.version == version);
            let original = original.map(|original| original.copy(version));
            let own = facts.replicas.get(&(me, handle)).map(|own| own.version);
            // Neither one that is refused nor one that finds the chunk there brings anything.
            let is_new = answer.is_ok() && own.is_none_or(|own| own < version);
            let bytes = original.as_ref().filter(|_| is_new).map_or(0, |original| original.content.len());
            facts.clones[place].done = Some((Instant::now(), bytes));
            let (Ok(()), Some(mut copy)) = (answer, original) else { return };
            match facts.replicas.get(&(me, handle)) {
                Some(own) if own.version > version => return,
                // It may have kept its own, unless that was damaged.
                Some(own) if own.version == version => copy.doubt_where_different(own),
                _ => {}
            }
            facts.replicas.insert((me, handle), copy);
        })
    }
}

/// Runs a handler, and looks at its answer before that leaves.
fn seen<T: DeserializeOwned>(run: Run<'_>, look: impl FnOnce(&T)) -> Option<Answer> {
    let answer = run();
    if let Some(Ok(reply)) = &answer {
        look(&decode(reply));
    }
    answer
}

impl Facts {
    fn life(&self, server: ServerId) -> u64 {
        self.lives.get(&server).copied().unwrap_or(0)
    }

    fn bytes(&self, data: &[DataId]) -> Vec<u8> {
        data.iter().filter_map(|id| self.data.get(id)).flatten().copied().collect()
    }

    fn length(&self, data: &[DataId]) -> usize {
        data.iter().filter_map(|id| self.data.get(id)).map(Vec::len).sum()
    }

    fn has(&mut self, server: ServerId, handle: Handle, version: Version) {
        if let Some(replica) = self.replicas.get_mut(&(server, handle)) {
            replica.version = replica.version.max(version);
        }
    }

    /// What a server must hold of a chunk.
    pub(crate) fn content(&self, server: ServerId, handle: Handle) -> &[u8] {
        self.replicas.get(&(server, handle)).map_or(&[], |replica| replica.content.as_slice())
    }
}
