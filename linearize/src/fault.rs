//! What happened to the system while clients called.

/// Something that happened to the system meanwhile: a crash, a partition of the network, a change of leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// When it began, in the unit and on the clock of the history.
    pub from: u64,
    /// When it ended; equal to `from` for something that took no time, [`crate::OPEN`] if it never ended.
    pub to: u64,
    /// What happened, in a few words.
    pub label: String,
    /// What sort of thing it is, for example `crash`: spans of a group share a colour and are hidden
    /// together.
    pub group: String,
    /// Whom it concerned, for example the servers that were cut off.
    pub targets: Vec<String>,
}
