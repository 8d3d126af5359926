//! What leaves the master: invariants 4, 5, 6 and 10.

use std::collections::BTreeMap;

use gfs::rpc::{ChangeRequest, FindChunk, Handle, Heartbeat, Located, MasterError, Version};
use labrpc::Answer;

use super::{Run, Watch, Who, decode, seen};

/// Longest message between a client and the master, in bytes (invariant 10). A list of names may be longer.
const SHORT: usize = 1024;

impl Watch {
    pub(super) fn at_master(&self, who: Who, method: &str, bytes: &[u8], run: Run<'_>) -> Option<Answer> {
        let is_from_client = matches!(method, "change" | "list" | "find_chunk" | "add_chunk");
        let check = |size: usize| {
            self.expect(!is_from_client || size <= SHORT || method == "list", || {
                format!("10: a message `{method}` of {size} bytes passes through the master")
            });
        };
        check(bytes.len());
        let answer = match method {
            "change" if who == Who::Master => self.change(&decode(bytes), run),
            "list" if who == Who::Master => self.list(&decode::<String>(bytes), run),
            "find_chunk" if who == Who::Master => {
                let question: FindChunk = decode(bytes);
                self.located(&question.path, run)
            }
            "add_chunk" => {
                let question: gfs::rpc::AddChunk = decode(bytes);
                self.located(&question.path, run)
            }
            "heartbeat" => {
                self.heard(&decode(bytes));
                run()
            }
            _ => run(),
        };
        if let Some(Ok(reply)) = &answer {
            check(reply.len());
        }
        answer
    }

    fn change(&self, request: &ChangeRequest, run: Run<'_>) -> Option<Answer> {
        self.facts.lock().names.asked(request);
        seen(run, |answer: &Result<String, MasterError>| self.facts.lock().names.answered(request, answer))
    }

    fn list(&self, prefix: &str, run: Run<'_>) -> Option<Answer> {
        let since = self.facts.lock().names.begun();
        seen(run, |list: &Vec<String>| {
            if let Some(complaint) = self.facts.lock().names.complaint(prefix, list, since) {
                self.test.fail(format!("invariant 6: {complaint}"));
            }
        })
    }

    /// Invariants 4, 5 and 6: where the master sends clients.
    fn located(&self, path: &str, run: Run<'_>) -> Option<Answer> {
        let (since, leases) = self.with(|facts| {
            let leases = facts.leases.iter().map(|(handle, lease)| (*handle, lease.version));
            (facts.names.begun(), leases.collect::<BTreeMap<Handle, Version>>())
        });
        seen(run, |answer: &Result<Located, MasterError>| {
            let facts = self.facts.lock();
            if *answer == Err(MasterError::NoFile) {
                self.expect(!facts.names.must_be_there(path, since), || {
                    format!("6: {path} was created, and the master does not know it")
                });
            }
            let Ok(located) = answer else { return };
            let Located { handle, version, lease_left_ms, .. } = *located;
            let lease = self.settings.lease.as_millis() as u64;
            self.test.expect(lease_left_ms <= lease, || {
                format!("the master says that a lease of {lease} ms lasts {lease_left_ms} ms more")
            });
            let newest = leases.get(&handle).copied().unwrap_or(0);
            self.expect(version >= newest, || {
                format!("5: the master gives version {version} of chunk {handle}, after a lease for {newest}")
            });
            for &server in located.replicas.iter().chain(&located.primary) {
                let has = facts.replicas.get(&(server, handle)).map_or(0, |replica| replica.version);
                self.expect(has >= version, || {
                    format!("4: the master sends clients to server {server} for version {version} of chunk {handle}, but it has {has}")
                });
            }
        })
    }

    /// Servers tell of versions that a crash came upon.
    fn heard(&self, beat: &Heartbeat) {
        let mut facts = self.facts.lock();
        let told = beat.chunks.iter().filter_map(|&(handle, version)| Some((handle, version?)));
        told.for_each(|(handle, version)| facts.has(beat.server, handle, version));
    }
}
