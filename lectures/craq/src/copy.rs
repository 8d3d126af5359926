// handout: file guided
//! Joining: the tail's state goes to a spare, while the tail goes on. Pure, as `state.rs`.
//!
//! The tail sends its objects as they were when the copy began, then the updates that came since. When few
//! are left it steps back: it applies nothing more, and sends the rest. From then on it waits for the
//! configuration in which the spare stands behind it.

use std::collections::VecDeque;

use labrt::time::Instant;

use crate::object::Object;
use crate::rpc::{Content, CopyState, Header, Member, Record, Refusal, Session};
use crate::state::{State, Step};

/// How many objects or sessions a part holds.
const PART: usize = 64;
/// With so many missing updates at most the tail steps back.
const FEW: usize = 8;

/// How far a handover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The tail goes on as if nothing were.
    Copying,
    /// It has stopped; the last updates are on their way.
    SteppedBack,
    /// The spare has everything.
    Handed,
}

/// The tail's side of a copy.
pub(crate) struct Handover {
    to: Member,
    attempt: u64,
    part: u64,
    /// Parts that have not left.
    parts: VecDeque<Content>,
    /// Updates since the copy began that have not left.
    suffix: Vec<Record>,
    stage: Stage,
}

/// The spare's side.
pub(crate) struct Incoming {
    epoch: u64,
    attempt: u64,
    /// The part that comes next.
    next: u64,
    pub(crate) is_complete: bool,
}

// handout: bodies CB
impl Handover {
    pub(crate) fn has_stepped_back(&self) -> bool {
        self.stage != Stage::Copying
    }

    /// The new tail, once it has everything.
    pub(crate) fn handed(&self) -> Option<Member> {
        (self.stage == Stage::Handed).then_some(self.to)
    }

    pub(crate) fn remember(&mut self, record: &Record) {
        self.suffix.push(record.clone());
    }

    /// The next part. The tail steps back when few updates are left.
    ///
    /// Updates go on while the parts leave, and are remembered in the suffix. Each round sends what came
    /// during the round before, so the rounds get shorter, and the last one stops updates for one message.
    fn next_content(&mut self) -> Content {
        if let Some(content) = self.parts.pop_front() {
            return content;
        }
        let is_last = self.suffix.len() <= FEW;
        if is_last {
            self.stage = Stage::SteppedBack;
        }
        Content::Suffix { records: std::mem::take(&mut self.suffix), is_last }
    }
}

// handout: bodies CB
/// The tail's side.
impl State {
    /// Begins to copy the state to a spare, unless that is under way.
    /// The newest version of each object goes, without the older ones: at the tail every version is clean.
    pub(crate) fn begin_handover(&mut self, to: Member) {
        if self.handover.is_some() {
            return;
        }
        let mut parts = VecDeque::from([Content::Begin { n: self.hist }]);
        let objects: Vec<_> =
            self.objects.iter().filter_map(|(&id, object)| Some((id, object.at(object.newest())?))).collect();
        parts.extend(objects.chunks(PART).map(|part| Content::Objects(part.to_vec())));
        let sessions: Vec<(u64, Session)> = self.sessions.iter().map(|(&id, &last)| (id, last)).collect();
        parts.extend(sessions.chunks(PART).map(|part| Content::Sessions(part.to_vec())));
        self.attempts += 1;
        let (attempt, suffix, stage) = (self.attempts, Vec::new(), Stage::Copying);
        self.handover = Some(Handover { to, attempt, part: 0, parts, suffix, stage });
    }

    /// Whether a copy is under way.
    pub(crate) fn has_part(&self) -> bool {
        self.handover.as_ref().is_some_and(|handover| handover.handed().is_none())
    }

    /// The next part of the copy, and for whom it is.
    pub(crate) fn next_part(&mut self) -> Option<(Member, CopyState)> {
        let at = self.header();
        let handover = self.handover.as_mut().filter(|handover| handover.handed().is_none())?;
        let content = handover.next_content();
        let (attempt, part) = (handover.attempt, handover.part);
        handover.part += 1;
        Some((handover.to, CopyState { at, attempt, part, content }))
    }

    /// What became of a part. Without an answer the copy is given up: the manager asks for another one.
    pub(crate) fn copied(&mut self, part: &CopyState, is_taken: bool) {
        let is_current = part.at == self.header();
        let Some(handover) = self.handover.as_mut().filter(|one| is_current && one.attempt == part.attempt)
        else {
            return;
        };
        if !is_taken {
            // The manager has not heard that the spare has everything, so this node is still the tail.
            self.handover = None;
        } else if matches!(part.content, Content::Suffix { is_last: true, .. }) {
            handover.stage = Stage::Handed;
            self.is_urgent = true;
        }
    }

    fn header(&self) -> Header {
        Header { chain: self.settings.chain, epoch: self.config.epoch }
    }
}

// handout: bodies CB
/// The spare's side.
impl State {
    /// Takes a part of the tail's state. What a tail has is committed. A repetition changes nothing.
    ///
    /// # Errors
    /// [`Refusal::WrongEpoch`] for a member's own epoch or an older one, [`Refusal::Stale`] for an earlier
    /// attempt, [`Refusal::Gap`] for a part that comes too early.
    pub(crate) fn copy_state(&mut self, part: CopyState, now: Instant) -> Result<(), Refusal> {
        let CopyState { at, attempt, part, content } = part;
        if at.chain != self.settings.chain {
            return Err(Refusal::WrongChain);
        }
        // A copy of a later epoch: this node was removed, and has not heard of it.
        if at.epoch <= self.config.epoch {
            return Err(Refusal::WrongEpoch(self.config.epoch));
        }
        let known = self.incoming.as_ref().map_or((0, 0), |copy| (copy.epoch, copy.attempt));
        if (at.epoch, attempt) < known {
            return Err(Refusal::Stale);
        }
        if (at.epoch, attempt) > known {
            self.leave();
            self.incoming = Some(Incoming { epoch: at.epoch, attempt, next: 0, is_complete: false });
        }
        let Some(copy) = self.incoming.as_mut() else { return Err(Refusal::Gap) };
        if part > copy.next {
            return Err(Refusal::Gap);
        }
        if part == copy.next {
            copy.next += 1;
            self.take(content, now);
        }
        Ok(())
    }

    /// A part comes once and in order, as `copy_state` sees to. The spare shows the copy to testers when it
    /// is complete; until then it belongs to no chain, and nobody may rely on it.
    fn take(&mut self, content: Content, now: Instant) {
        match content {
            Content::Begin { n } => (self.hist, self.committed) = (n, n),
            Content::Objects(objects) => {
                let clean = objects.into_iter().map(|(id, versioned)| (id, Object::clean(versioned, now)));
                self.objects.extend(clean);
            }
            Content::Sessions(sessions) => self.sessions.extend(sessions),
            Content::Suffix { records, is_last } => {
                records.into_iter().for_each(|record| self.apply(record, now));
                self.commit(self.hist);
                if let Some(copy) = self.incoming.as_mut().filter(|_| is_last) {
                    copy.is_complete = true;
                    self.show(&Step::Install);
                }
            }
        }
    }
}
