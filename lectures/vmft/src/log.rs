// handout: file guided
//! The primary's end of the logging channel: entries that the backup may not have, and how far behind it is.
//!
//! The network loses, repeats and reorders messages. So entries stay here until they are acknowledged, and
//! acknowledgements may come in any order: the largest counts.

use std::collections::VecDeque;

use labrt::time::{Duration, Instant};

use crate::rpc::{Entry, LogAck};

/// How many entries one message carries at most.
const MAX_BATCH: usize = 256;

/// Entries on their way to the backup.
#[derive(Debug, Default)]
pub struct Log {
    /// Not acknowledged.
    entries: VecDeque<Entry>,
    /// The highest number that was sent.
    sent: u64,
    received: u64,
    replayed: u64,
    replayed_icount: u64,
    /// When each entry that is not replayed was recorded.
    recorded: VecDeque<(u64, Instant)>,
}

// handout: bodies VB
impl Log {
    /// A log whose first entry will be `next_seq`.
    pub fn new(next_seq: u64) -> Log {
        let before = next_seq - 1;
        Log { sent: before, received: before, replayed: before, ..Log::default() }
    }

    /// Adds entries that were recorded now.
    pub fn push(&mut self, entries: Vec<Entry>, now: Instant) {
        self.recorded.extend(entries.iter().map(|entry| (entry.seq, now)));
        self.entries.extend(entries);
    }

    /// Number of entries that are not acknowledged.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every entry is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The backup has received all entries up to this one.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether there are entries that were never sent.
    pub fn has_news(&self) -> bool {
        self.entries.back().is_some_and(|entry| entry.seq > self.sent)
    }

    /// The entries of the next message: the first ones that are not acknowledged.
    pub fn batch(&mut self) -> Vec<Entry> {
        let batch: Vec<Entry> = self.entries.iter().take(MAX_BATCH).cloned().collect();
        self.sent = batch.last().map_or(self.sent, |entry| self.sent.max(entry.seq));
        batch
    }

    /// Takes an acknowledgement; an old one changes nothing.
    pub fn acknowledge(&mut self, ack: LogAck) {
        self.received = self.received.max(ack.received_seq);
        self.replayed = self.replayed.max(ack.replayed_seq);
        self.replayed_icount = self.replayed_icount.max(ack.replayed_icount);
        let (received, replayed) = (self.received, self.replayed);
        while self.entries.pop_front_if(|entry| entry.seq <= received).is_some() {}
        while self.recorded.pop_front_if(|(seq, _)| *seq <= replayed).is_some() {}
    }

    /// Instructions that the backup has retired, as far as this host knows; 0 before the first
    /// acknowledgement, which says nothing about how far it is.
    pub fn replayed_icount(&self) -> u64 {
        self.replayed_icount
    }

    /// The execution lag: for how long the oldest entry that is not replayed has existed.
    pub fn lag(&self, now: Instant) -> Duration {
        self.recorded.front().map_or(Duration::ZERO, |&(_, at)| now.saturating_duration_since(at))
    }
}
