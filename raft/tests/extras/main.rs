// handout: file never
//! Tests of what the course does not ask for: disks that lose what was not synced. A solution that never
//! calls `Persister::sync` passes all other tests, so these are a test target of their own.

mod disks;
#[path = "../raft/snapshot_crash.rs"]
mod snapshot_crash;
