// handout: file guided
//! A node's rules for reads. Pure, as `state.rs`.

use labrt::time::Instant;

use crate::object::Object;
use crate::rpc::{Member, Read, ReadMode, Refusal, Version, VersionQuery, Versioned};
use crate::state::{Mode, State};

/// What a node has to do for a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nothing: this is the answer.
    Answer(Versioned),
    /// Ask the tail which version is committed.
    AskTail(Member),
}

// handout: bodies CA
impl State {
    /// Answers a read, or says that the tail must be asked first.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn read(&self, read: &Read, now: Instant) -> Result<Reading, Refusal> {
        self.check(read.at)?;
        if self.settings.mode == Mode::Plain && !self.is_tail() {
            return Err(Refusal::NotTail);
        }
        self.check_reader(read.mode, now)?;
        let Some(object) = self.objects.get(&read.object) else {
            return Ok(Reading::Answer(Versioned { version: 0, value: Vec::new() }));
        };
        let version = if self.takes_newest(object, read.mode, now) {
            object.newest()
        } else if object.is_clean() {
            object.committed()
        } else {
            return self.config.tail().map(Reading::AskTail).ok_or(Refusal::NotMember);
        };
        object.at(version).map(Reading::Answer).ok_or(Refusal::NotMember)
    }

    /// Whether the node may answer a read at all. With a lease it has seen every update that is committed.
    fn check_reader(&self, mode: ReadMode, now: Instant) -> Result<(), Refusal> {
        match mode {
            ReadMode::Strong => {
                self.check_lease(now)?;
                if self.is_tail() { self.check_handover() } else { Ok(()) }
            }
            ReadMode::Eventual => Ok(()),
            _ if self.has_lease(now) => Ok(()),
            // Everything that was committed until the lease's end is here.
            ReadMode::BoundedTime(bound) => {
                let is_young = self.lease_until.is_some_and(|until| now < until + bound);
                if is_young { Ok(()) } else { Err(Refusal::TooOld) }
            }
            // How many versions are missing, the node cannot know.
            ReadMode::BoundedVersions(_) => Err(Refusal::TooOld),
        }
    }

    /// Whether a read may take a version that is not committed.
    /// Strong reads never do: the version may be lost with the head. Weak reads say how much they risk, in
    /// time since the version came, or in versions beyond the committed one (USENIX ATC 2009, §2.4).
    fn takes_newest(&self, object: &Object, mode: ReadMode, now: Instant) -> bool {
        match mode {
            ReadMode::Strong => false,
            ReadMode::Eventual => true,
            ReadMode::BoundedTime(bound) => object
                .newest_since()
                .is_some_and(|since| object.is_clean() || now.saturating_duration_since(since) <= bound),
            ReadMode::BoundedVersions(bound) => object.newest() - object.committed() <= bound,
        }
    }

    /// The tail tells which version is committed: its newest. It answers under the same conditions as a read:
    /// a tail that has lost its place does not know.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn version_query(&self, query: VersionQuery, now: Instant) -> Result<Version, Refusal> {
        self.check(query.at)?;
        if !self.is_tail() {
            return Err(Refusal::NotTail);
        }
        self.check_lease(now)?;
        self.check_handover()?;
        Ok(self.objects.get(&query.object).map_or(0, Object::newest))
    }

    /// Answers a read after the tail has said which version is committed. The node may know of a newer one
    /// by now; the older one may be gone then.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn read_committed(
        &self,
        read: &Read,
        version: Version,
        now: Instant,
    ) -> Result<Versioned, Refusal> {
        self.check(read.at)?;
        self.check_lease(now)?;
        let object = self.objects.get(&read.object).ok_or(Refusal::NotMember)?;
        object.at(version.max(object.committed())).ok_or(Refusal::NotMember)
    }
}
