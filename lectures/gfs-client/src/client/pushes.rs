// handout: file guided
//! Data on their way to all replicas, before their mutation (§3.2). They flow along a chain of servers, so
//! each card sends them once. Who is the primary does not matter here.

use labrt::rand::random;
use labrt::thread;

use super::Client;
use crate::TRIES;
use crate::rpc::{DataId, Located, PushData, ServerId};

// handout: bodies GA
impl Client {
    /// The servers, the nearest to this client first; of equally near ones any, so that load spreads.
    pub(super) fn by_distance(&self, servers: &[ServerId]) -> Vec<ServerId> {
        let mut ranked: Vec<(usize, u64, ServerId)> = servers
            .iter()
            .map(|&server| (self.place.map_or(0, |place| place.abs_diff(server)), random(), server))
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, server)| server).collect()
    }

    /// A chain through all servers, each the nearest one to the one before (§3.2). The data cross each long
    /// way once, where a client that sent them to each replica itself would cross it for each.
    fn chain(&self, servers: &[ServerId]) -> Vec<ServerId> {
        let mut left = self.by_distance(servers);
        let mut chain = Vec::new();
        while !left.is_empty() {
            // The first one is the nearest to the client.
            let nearest = match chain.last() {
                None => 0,
                Some(last) => {
                    let distance = |place: &usize| left[*place].abs_diff(*last);
                    (0..left.len()).min_by_key(distance).unwrap_or(0)
                }
            };
            chain.push(left.remove(nearest));
        }
        chain
    }

    /// Pushes data to all replicas. Pieces travel at the same time, so a server passes one on while the next
    /// one arrives. If the chain is broken somewhere, each server gets the data from here; then it is enough
    /// if the primary has them, which finds out who has not.
    pub(super) fn push(&mut self, located: &Located, bytes: &[u8]) -> Option<Vec<DataId>> {
        let chain = self.chain(&located.replicas);
        let pieces: Vec<(DataId, &[u8])> = bytes
            .chunks(self.settings.piece)
            .map(|piece| {
                self.pushes += 1;
                (DataId { client: self.id, number: self.pushes }, piece)
            })
            .collect();
        if !self.push_along(&chain, &pieces) {
            let reached: Vec<ServerId> =
                chain.into_iter().filter(|&server| self.push_along(&[server], &pieces)).collect();
            if !located.primary.is_some_and(|primary| reached.contains(&primary)) {
                return None;
            }
        }
        Some(pieces.into_iter().map(|(id, _)| id).collect())
    }

    /// Whether all servers of the chain have all pieces. A server passes a piece on when it has it whole, so
    /// small pieces make the chain a pipeline: three servers take hardly longer than one.
    fn push_along(&self, chain: &[ServerId], pieces: &[(DataId, &[u8])]) -> bool {
        let Some((first, rest)) = chain.split_first() else { return false };
        let first = self.servers[*first].timeout(self.settings.call * TRIES as u32);
        let start = |(id, piece): &(DataId, &[u8])| {
            let (first, push) =
                (first.clone(), PushData { id: *id, bytes: piece.to_vec(), chain: rest.to_vec() });
            thread::spawn_named("push", move || first.push_data(&push) == Ok(Ok(())))
        };
        let pushes: Vec<_> = pieces.iter().map(start).collect();
        // All are waited for, so that none is still on its way when the next try begins: it would push others
        // out of the buffers for nothing.
        let pushed: Vec<bool> = pushes.into_iter().map(|push| push.join().unwrap_or(false)).collect();
        pushed.into_iter().all(|pushed| pushed)
    }
}
