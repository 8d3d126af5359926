//! The order of mutations, at primaries and at secondaries (invariant 2).
//!
//! Messages overtake one another. A primary may have several mutations of a chunk under way. A secondary may
//! keep one that comes early until those before it have come, and its handlers may end in any order. So
//! nothing here follows the order of messages: mutations are applied by their numbers, without a gap.

use gfs::rpc::{ApplyArgs, ChunkError, DataId, Handle, Mutation, ServerId, Version};
use labrpc::Answer;

use super::{Facts, Run, Watch, seen};

/// In `Facts::applied`, the model of whichever server is the primary.
const PRIMARY: ServerId = usize::MAX;

impl Watch {
    /// A mutation comes to a secondary.
    pub(super) fn apply(&self, me: ServerId, args: ApplyArgs, run: Run<'_>) -> Option<Answer> {
        let (number, life) = self.arrives(me, &args);
        seen(run, |answer: &Result<(), ChunkError>| {
            let facts = &mut *self.facts.lock();
            if facts.life(me) != life {
                return;
            }
            if answer.is_ok() {
                self.acknowledged(facts, me, &args);
            }
            if let Some(replica) = facts.replicas.get_mut(&(me, args.handle)) {
                replica.has_answered(number, answer.is_ok());
            }
        })
    }

    /// Returns a number for this message, and the life of the server.
    fn arrives(&self, me: ServerId, args: &ApplyArgs) -> (u64, u64) {
        let ApplyArgs { handle, version, serial, mutation } = args;
        let (handle, version, serial) = (*handle, *version, *serial);
        let facts = &mut *self.facts.lock();
        facts.next += 1;
        let number = facts.next;
        let known = facts.mutations.entry((handle, version, serial)).or_insert_with(|| mutation.clone());
        self.expect(known == mutation, || {
            format!("2: mutation {serial} under lease {version} of chunk {handle}, as it comes to server {me}, is {mutation:?}, and was {known:?}")
        });
        facts.arrived.insert((me, handle, version, serial));
        self.primary_goes_on(facts, handle, version);
        let (offset, bytes) = self.effect(facts, mutation);
        if let Some(replica) = facts.replicas.get_mut(&(me, handle)) {
            replica.may_apply(number, offset, bytes);
        }
        (number, facts.life(me))
    }

    /// A secondary says that a mutation is applied there. So are all before it, and have come there.
    fn acknowledged(&self, facts: &mut Facts, me: ServerId, args: &ApplyArgs) {
        let ApplyArgs { handle, version, serial, .. } = *args;
        let applied = facts.applied.get(&(handle, version, me)).copied().unwrap_or(0);
        for next in applied + 1..=serial {
            self.expect(facts.arrived.contains(&(me, handle, version, next)), || {
                format!("2: server {me} applies mutation {serial} of chunk {handle}, and {next} has not come there")
            });
            let (offset, bytes) = self.effect(facts, &facts.mutations[&(handle, version, next)]);
            if let Some(replica) = facts.replicas.get_mut(&(me, handle)) {
                replica.apply(offset, &bytes);
            }
            facts.applied.insert((handle, version, me), next);
        }
    }

    /// The primary has applied what it sends, in the order of the numbers. A mutation that overtakes another
    /// one waits here, and reads at the primary may see it: its client has no answer yet.
    fn primary_goes_on(&self, facts: &mut Facts, handle: Handle, version: Version) {
        let Some(&primary) = facts.primaries.get(&(handle, version)) else { return };
        let mut next = facts.in_model(handle, version) + 1;
        while let Some(mutation) = facts.mutations.get(&(handle, version, next)) {
            let (offset, bytes) = self.effect(facts, mutation);
            match facts.replicas.get_mut(&(primary, handle)) {
                Some(replica) if replica.version == version => replica.apply(offset, &bytes),
                // The message was long on its way. The replica may be another one by now.
                Some(replica) => replica.doubt(offset..offset + bytes.len()),
                None => {}
            }
            facts.applied.insert((handle, version, PRIMARY), next);
            next += 1;
        }
    }

    /// Which bytes a mutation writes, and where.
    fn effect(&self, facts: &Facts, mutation: &Mutation) -> (usize, Vec<u8>) {
        match mutation {
            Mutation::Write { offset, data } => (*offset, facts.bytes(data)),
            Mutation::Pad { from } => (*from, vec![0; self.settings.chunk.saturating_sub(*from)]),
        }
    }
}

impl Facts {
    /// How many mutations the model of the primary has applied.
    pub(super) fn in_model(&self, handle: Handle, version: Version) -> u64 {
        self.applied.get(&(handle, version, PRIMARY)).copied().unwrap_or(0)
    }

    /// The mutations with these data: their numbers in the primary's order, and their offsets. There are
    /// several if the client's message came twice.
    pub(super) fn serials(&self, handle: Handle, version: Version, wanted: &[DataId]) -> Vec<(u64, usize)> {
        let mutations = self.mutations.range((handle, version, 0)..=(handle, version, u64::MAX));
        let is_wanted = |(&(.., serial), mutation): (&(Handle, Version, u64), &Mutation)| match mutation {
            Mutation::Write { offset, data } if data == wanted => Some((serial, *offset)),
            _ => None,
        };
        mutations.filter_map(is_wanted).collect()
    }
}
