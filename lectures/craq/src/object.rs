//! An object with its versions.

// handout: drop classic
use labrt::time::Instant;

use crate::rpc::{Op, Refusal, Version, Versioned};

// handout: end
// handout: put classic
// use crate::rpc::{Version, Versioned};
//
// handout: end
// handout: drop classic
/// A version that a node holds.
#[derive(Clone, Debug)]
struct Held {
    version: Version,
    value: Vec<u8>,
    /// When this node applied it.
    since: Instant,
}

// handout: end
/// An object. Its newest version is dirty until the node knows that it is committed.
#[derive(Clone, Debug)]
pub struct Object {
    // handout: drop classic
    /// Oldest first, without gaps.
    held: Vec<Held>,
    /// The newest version that this node knows to be committed.
    committed: Version,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies CA
impl Object {
    /// An object whose only version is committed.
    pub(crate) fn clean(versioned: Versioned, since: Instant) -> Object {
        let Versioned { version, value } = versioned;
        Object { held: vec![Held { version, value, since }], committed: version }
    }

    /// An object that was never written. Version 0 is committed from the beginning, so a test-and-set of an
    /// unknown object needs no rule of its own.
    pub(crate) fn empty(now: Instant) -> Object {
        Object::clean(Versioned { version: 0, value: Vec::new() }, now)
    }

    // handout: body guided kept
    /// The newest version, committed or not.
    pub fn newest(&self) -> Version {
        self.held.last().map_or(0, |held| held.version)
    }

    // handout: body guided kept
    /// The newest version that the node knows to be committed.
    pub fn committed(&self) -> Version {
        self.committed
    }

    // handout: body guided kept
    /// The numbers of the versions that the node holds, oldest first.
    pub fn versions(&self) -> Vec<Version> {
        self.held.iter().map(|held| held.version).collect()
    }

    /// Whether the newest version is committed.
    pub fn is_clean(&self) -> bool {
        self.committed == self.newest()
    }

    /// The value of a version, if the node holds it.
    pub fn at(&self, version: Version) -> Option<Versioned> {
        let held = self.held.iter().find(|held| held.version == version)?;
        Some(Versioned { version, value: held.value.clone() })
    }

    // handout: body CC
    /// When the node applied the newest version.
    pub(crate) fn newest_since(&self) -> Option<Instant> {
        self.held.last().map(|held| held.since)
    }

    /// Adds the next version, which is dirty. With `keeps_older` the older ones stay beside it.
    pub(crate) fn add(&mut self, versioned: Versioned, now: Instant, keeps_older: bool) {
        let Versioned { version, value } = versioned;
        debug_assert_eq!(version, self.newest() + 1, "versions grow by one");
        if !keeps_older {
            self.held.clear();
        }
        self.held.push(Held { version, value, since: now });
    }

    /// This version is committed: older ones are no longer needed.
    pub(crate) fn commit(&mut self, version: Version) {
        self.committed = self.committed.max(version);
        let committed = self.committed;
        self.held.retain(|held| held.version >= committed);
        debug_assert!(self.newest() >= committed, "a version was committed that this node does not hold");
    }

    /// What an operation makes of the newest version: the new value, and the number after an increment.
    pub(crate) fn carry_out(&self, op: &Op) -> Result<(Vec<u8>, i64), Refusal> {
        let newest = self.held.last().map_or(&[][..], |held| &held.value);
        match op {
            Op::Put(value) => Ok((value.clone(), 0)),
            Op::Append(bytes) => Ok(([newest, bytes].concat(), 0)),
            Op::Increment(by) => {
                let number = number_of(newest).and_then(|number| number.checked_add(*by));
                let number = number.ok_or_else(|| self.no_number())?;
                Ok((number.to_string().into_bytes(), number))
            }
            // Which of the two versions the client meant is open until the newer one is committed or lost.
            Op::TestAndSet { .. } if !self.is_clean() => Err(Refusal::Busy),
            Op::TestAndSet { version, value } => {
                let is_expected = *version == self.newest();
                if is_expected { Ok((value.clone(), 0)) } else { Err(Refusal::BadVersion(self.newest())) }
            }
        }
    }

    /// Why there is no number. A refusal tells its client what the object holds, and a version that is not
    /// committed may still be lost: the client would have seen what never was.
    fn no_number(&self) -> Refusal {
        if self.is_clean() { Refusal::NotANumber } else { Refusal::Busy }
    }
}

/// The number that a value stands for; an empty value stands for 0.
fn number_of(value: &[u8]) -> Option<i64> {
    if value.is_empty() { Some(0) } else { std::str::from_utf8(value).ok()?.parse().ok() }
}
