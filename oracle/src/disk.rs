//! What a server writes. Nobody reads its entries again, since the book has them; but a service makes a
//! snapshot when its disk fills.

use labapi::Persister;
use serde::{Deserialize, Serialize};

use crate::book::Entry;

/// What stands before the entries.
#[derive(Serialize, Deserialize)]
struct Header {
    last_included_index: u64,
}

/// The last index that the disk's snapshot replaces. A new disk gets its header.
///
/// # Panics
///
/// If the state is damaged.
pub(crate) fn open(persister: &Persister) -> u64 {
    let state = persister.state();
    if state.is_empty() {
        persister.save(&header(0), None);
        return 0;
    }
    match labgob::decode_prefix::<Header>(&state) {
        Ok((header, _)) => header.last_included_index,
        Err(error) => panic!("the oracle's state on the disk is damaged: {error}"),
    }
}

/// The state behind a snapshot up to this index, without entries.
pub(crate) fn header(last_included_index: u64) -> Vec<u8> {
    labgob::encode(&Header { last_included_index })
}

/// Adds an entry to a state.
pub(crate) fn record(entry: &Entry, state: &mut Vec<u8>) {
    labgob::encode_into(&(entry.term, &entry.command[..]), state);
}
