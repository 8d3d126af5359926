// handout: file guided
//! The RPCs of this crate, made readable for the tester's checkers.
//!
//! A solution that keeps the message types of `rpc.rs` can use this file as it is; one that has
//! its own types needs as much again for them.

use labapi::{Reply, Request, WireFormat, digest};

// handout: drop
use crate::checked::read_record;
use crate::persist::Record;
// handout: end
use crate::rpc::{
    AppendEntriesArgs, AppendEntriesReply, InstallSnapshotArgs, InstallSnapshotReply, RequestVoteArgs,
    RequestVoteReply,
};

/// Reads the messages of [`crate::rpc`].
pub struct RaftWire;

impl WireFormat for RaftWire {
    fn request(&self, method: &str, args: &[u8]) -> Option<Request> {
        match method {
            "RaftRpc.request_vote" => labgob::decode(args).ok().and_then(of_vote),
            "RaftRpc.append_entries" => labgob::decode(args).ok().map(|args| of_append(&args)),
            "RaftRpc.install_snapshot" => labgob::decode(args).ok().map(|args| of_snapshot(&args)),
            _ => None,
        }
    }

    fn reply(&self, method: &str, request: &Request, reply: &[u8]) -> Option<Reply> {
        let (term, granted) = match method {
            "RaftRpc.request_vote" => {
                let reply: RequestVoteReply = labgob::decode(reply).ok()?;
                (reply.term, reply.vote_granted)
            }
            "RaftRpc.append_entries" => {
                let reply: AppendEntriesReply = labgob::decode(reply).ok()?;
                (reply.term, reply.success)
            }
            "RaftRpc.install_snapshot" => {
                let reply: InstallSnapshotReply = labgob::decode(reply).ok()?;
                // While chunks are missing nothing is promised.
                if reply.next_offset.is_some() {
                    return Some(Reply::Other);
                }
                (reply.term, true)
            }
            _ => return None,
        };
        Some(match (term == request.term(), granted) {
            (true, true) => Reply::Granted,
            (true, false) => Reply::Refused,
            (false, _) => Reply::Other,
        })
    }

    // handout: drop
    /// The records of the write-ahead log, one after another.
    fn disk(&self, bytes: &[u8]) -> Option<String> {
        let (mut rest, mut words) = (bytes, Vec::new());
        while !rest.is_empty() {
            let (record, length) = read_record(rest).ok()?;
            words.push(of_record(&record));
            rest = &rest[length..];
        }
        (!words.is_empty()).then(|| words.join("; "))
    }
    // handout: end
}

// handout: drop
fn of_record(record: &Record<'_>) -> String {
    match record {
        Record::Base { last_included_index, last_included_term } => {
            format!("snapshot up to {last_included_index} (term {last_included_term})")
        }
        Record::HardState { current_term, voted_for: Some(candidate) } => {
            format!("term {current_term}, vote for server {candidate}")
        }
        Record::HardState { current_term, voted_for: None } => format!("term {current_term}, no vote"),
        Record::Entries(entries) if entries.is_empty() => "no entries".to_owned(),
        Record::Entries(entries) => {
            let terms: Vec<String> = entries.iter().map(|entry| entry.term.to_string()).collect();
            let noun = if terms.len() == 1 { "entry of term" } else { "entries of terms" };
            format!("{noun} {}", terms.join(" "))
        }
        Record::Truncate { index } => format!("entries from {index} on are gone"),
    }
}
// handout: end

/// A pre-vote is no vote: the receiver promises nothing.
fn of_vote(args: RequestVoteArgs) -> Option<Request> {
    (!args.pre_vote).then_some(Request::Vote {
        term: args.term,
        candidate: args.candidate_id,
        last_index: args.last_log_index,
        last_term: args.last_log_term,
    })
}

fn of_append(args: &AppendEntriesArgs) -> Request {
    Request::Append {
        term: args.term,
        leader: args.leader_id,
        prev_index: args.prev_log_index,
        prev_term: args.prev_log_term,
        entries: args.entries.iter().map(|entry| (entry.term, digest(&entry.command))).collect(),
        commit_index: args.leader_commit,
    }
}

fn of_snapshot(args: &InstallSnapshotArgs) -> Request {
    Request::Snapshot {
        term: args.term,
        leader: args.leader_id,
        last_included_index: args.last_included_index,
    }
}

// handout: drop
#[cfg(test)]
mod tests {
    use super::*;
    use crate::checked::add_record;

    #[test]
    fn the_disk_is_read_record_by_record() {
        let mut bytes = Vec::new();
        assert_eq!(RaftWire.disk(&bytes), None);
        add_record(&Record::HardState { current_term: 3, voted_for: None }, &mut bytes);
        add_record(&Record::HardState { current_term: 3, voted_for: Some(1) }, &mut bytes);
        add_record(&Record::Truncate { index: 7 }, &mut bytes);
        let words = "term 3, no vote; term 3, vote for server 1; entries from 7 on are gone";
        assert_eq!(RaftWire.disk(&bytes).as_deref(), Some(words));
        bytes.pop();
        assert_eq!(RaftWire.disk(&bytes), None, "a torn record says nothing");
    }
}
// handout: end
