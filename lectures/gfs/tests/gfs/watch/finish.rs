//! What is asked at the end of a test, of all that was seen.

use std::ops::Range;

use gfs::rpc::{Handle, Mutation, ServerId, Version};
use labrt::time::{Duration, Instant};

use super::{Clone, Watch};

impl Watch {
    /// Whether the bytes of each mutation that succeeded are where they should be, unless a later one, which
    /// may have failed, wrote over them. Returns the first complaint.
    pub(crate) fn lost_success(&self, server: ServerId, handle: Handle) -> Option<String> {
        let facts = self.facts.lock();
        let replica = facts.replicas.get(&(server, handle))?;
        let mine = || facts.successes.iter().filter(|success| success.handle == handle);
        let mutations = facts.mutations.range((handle, 0, 0)..(handle + 1, 0, 0));
        let places: Vec<((Version, u64), Range<usize>)> = mutations
            .map(|(&(_, version, serial), mutation)| match mutation {
                Mutation::Write { offset, data } => {
                    ((version, serial), *offset..*offset + facts.length(data))
                }
                Mutation::Pad { from } => ((version, serial), *from..self.settings.chunk),
            })
            .chain(mine().map(|success| {
                // Of a chunk with one replica the watch sees no other sign of a mutation.
                let place = success.offset..success.offset + success.bytes.len();
                ((success.version, success.serial), place)
            }))
            .collect();
        for success in mine() {
            let order = (success.version, success.serial);
            let is_there = |(at, byte): (usize, &u8)| {
                replica.content.get(at) == Some(byte)
                    || replica.is_in_doubt(at)
                    || places.iter().any(|(later, place)| *later > order && place.contains(&at))
            };
            if !(success.offset..).zip(&success.bytes).all(is_there) {
                return Some(format!(
                    "{} bytes at {} of chunk {handle}, version {}, are not on server {server}",
                    success.bytes.len(),
                    success.offset,
                    success.version
                ));
            }
        }
        None
    }

    /// The most clones that ran at one moment, and the fastest one.
    pub(crate) fn clone_limits(&self) -> (usize, Option<Clone>) {
        let facts = self.facts.lock();
        let span = |clone: &Clone| clone.done.map(|(done, _)| (clone.at, done));
        let spans: Vec<(Instant, Instant)> = facts.clones.iter().filter_map(span).collect();
        let at_once = |at: Instant| spans.iter().filter(|(from, to)| *from <= at && at < *to).count();
        let most = spans.iter().map(|(from, _)| at_once(*from)).max().unwrap_or(0);
        let by_rate = |one: &&Clone, other: &&Clone| one.rate().total_cmp(&other.rate());
        (most, facts.clones.iter().max_by(by_rate).copied())
    }
}

impl Clone {
    /// In bytes a second; 0 if it has brought none.
    pub(crate) fn rate(&self) -> f64 {
        let Some((done, bytes)) = self.done else { return 0.0 };
        bytes as f64 / done.duration_since(self.at).max(Duration::from_nanos(1)).as_secs_f64()
    }
}
