//! What is asked at the end of a test, of all that was seen.

use std::ops::Range;

use gfs::rpc::{Handle, Mutation, ServerId};
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
        let places: Vec<(u64, Range<usize>)> = mutations
            .map(|(_, (number, mutation))| match mutation {
                Mutation::Write { offset, data } => (*number, *offset..*offset + facts.length(data)),
                Mutation::Pad { from } => (*number, *from..self.chunk),
            })
            .chain(mine().map(|success| {
                // Of a chunk with one replica the watch sees no other sign of a mutation.
                (success.begun, success.offset..success.offset + success.bytes.len())
            }))
            .collect();
        for success in mine() {
            let is_there = |(at, byte): (usize, &u8)| {
                replica.content.get(at) == Some(byte)
                    || replica.is_in_doubt(at)
                    || places.iter().any(|(number, place)| *number > success.begun && place.contains(&at))
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

    /// The most clones that ran at one moment, and the highest rate of one, in bytes a second.
    pub(crate) fn clone_limits(&self) -> (usize, f64) {
        let facts = self.facts.lock();
        let span = |clone: &Clone| clone.done.map(|(done, _)| (clone.at, done));
        let spans: Vec<(Instant, Instant)> = facts.clones.iter().filter_map(span).collect();
        let at_once = |at: Instant| spans.iter().filter(|(from, to)| *from <= at && at < *to).count();
        let most = spans.iter().map(|(from, _)| at_once(*from)).max().unwrap_or(0);
        let rate = |clone: &Clone| {
            let (done, bytes) = clone.done?;
            Some(bytes as f64 / done.duration_since(clone.at).max(Duration::from_nanos(1)).as_secs_f64())
        };
        (most, facts.clones.iter().filter_map(rate).fold(0.0, f64::max))
    }
}
