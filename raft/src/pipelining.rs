// handout: file never
//! Messages that do not wait for the answer to the last one (pipelining, dissertation
//! §10.2.2). An option, beyond Figure 2.
//!
//! Without it at most one message to a follower is under way, and a command that comes just
//! after it waits for a whole round trip before its own begins. With it a leader *streams* to
//! a follower whose log is known to match: it takes for granted that what it has sent
//! arrives, moves `next_index` on at once, and sends what comes next. The follower's check of
//! the previous entry keeps that safe. Nothing depends on the order in which messages come: a
//! message that overtakes another one is refused like any that does not fit.
//!
//! A refusal says where the follower's log ends, and the stream goes on from there. A call
//! without an answer ends the stream, and so does the term: the leader goes on from what the
//! follower has confirmed, one message at a time. The next message that the follower
//! accepts starts the stream again.
//!
//! Three servers, sixteen clients that append now and then, messages that take 5 ms each: an
//! append takes 25.0 ms without this option and 20.5 ms with it. Four messages of 5 ms are the
//! least. On a network that lets messages overtake one another it is 25.0 and 23.0 ms, since
//! each overtaken message costs a refusal (`pipelining_waits_for_less_3c`, seven seeds).
//! Clients that append without a pause gain nothing: their commands gather while a message
//! is under way, and go out together.

use labrt::time::Instant;
use tracing::debug;

use crate::replication::{Request, that_fit};
use crate::rpc::AppendEntriesArgs;
use crate::state::State;

/// What a leader that pipelines knows of the messages on their way to one follower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stream {
    /// One message at a time.
    #[default]
    Closed,
    /// Messages made at this moment or later do not wait for one another. What becomes of
    /// earlier ones says nothing about the stream.
    Since(Instant),
}

impl State {
    /// From now on this server, as a leader, sends followers messages before it has the
    /// answer to the last one.
    pub fn pipeline(&mut self) {
        self.pipelines = true;
    }

    /// What to send to `peer` beside the message that is under way: entries that it does not
    /// carry. `None` if there is nothing. Never a heartbeat, a snapshot or a guess at
    /// `next_index`, which all go out one at a time ([`State::next_turn`]).
    pub fn request_ahead(&mut self, peer: usize, now: Instant) -> Option<Request> {
        debug_assert_ne!(peer, self.me, "a server sends itself no messages");
        let streams = self.is_leader() && self.peers[peer].stream != Stream::Closed;
        (streams && self.may_go_ahead(peer)).then(|| self.request(peer, now))
    }

    /// An AppendEntries goes out to a peer. A stream counts on its arrival.
    pub(crate) fn note_sent(&mut self, peer: usize, args: &AppendEntriesArgs) {
        let contact = &mut self.peers[peer];
        if contact.stream != Stream::Closed {
            contact.next_index = args.prev_log_index + args.entries.len() as u64 + 1;
        }
    }

    /// Whether there are entries that have not gone out yet, and what is under way leaves
    /// room for them: entries behind the confirmed ones go ahead as long as one message
    /// could carry them all. So a slow link is not flooded, and the time-outs of single
    /// messages suit all of them.
    fn may_go_ahead(&self, peer: usize) -> bool {
        let contact = &self.peers[peer];
        let confirmed = contact.match_index;
        // Otherwise the follower may need the snapshot next.
        let is_in_log = confirmed >= self.log().last_included_index();
        let under_way = (contact.next_index - 1 - confirmed) as usize;
        is_in_log && that_fit(self.log().suffix(confirmed + 1)).len() > under_way
    }

    /// The follower has confirmed what it got, so what comes next need not wait.
    pub(crate) fn open_stream(&mut self, peer: usize, now: Instant) {
        let contact = &mut self.peers[peer];
        if self.pipelines && contact.stream == Stream::Closed {
            let (matches, next) = (contact.match_index, contact.next_index);
            debug_assert_eq!(next, matches + 1, "the stream begins with a guess");
            contact.stream = Stream::Since(now);
        }
    }

    /// A message made at `sent` was refused because the follower's log ends at `end`. In a
    /// stream it has overtaken another message, or that one is lost. The stream goes on from
    /// `end`. Everything sent before this moment may have met the same gap, so it says nothing
    /// more. Returns whether there is a stream.
    pub(crate) fn send_again(&mut self, peer: usize, end: u64, sent: Instant, now: Instant) -> bool {
        let contact = &mut self.peers[peer];
        let Stream::Since(start) = contact.stream else { return false };
        if sent >= start {
            contact.next_index = (end + 1).clamp(contact.match_index + 1, contact.next_index);
            contact.stream = Stream::Since(now);
        }
        true
    }

    /// A message made at `sent` got no answer. If it was of a stream, what was sent behind it
    /// will be refused. The leader goes on behind what the follower has confirmed, which is
    /// certain to match.
    pub(crate) fn close_stream(&mut self, peer: usize, sent: Instant) {
        let contact = &mut self.peers[peer];
        if matches!(contact.stream, Stream::Since(start) if sent >= start) {
            debug!(target: "log", "server {peer}: goes on from {}, one message at a time", contact.match_index + 1);
            contact.stream = Stream::Closed;
            contact.next_index = contact.match_index + 1;
        }
    }
}
