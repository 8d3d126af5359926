//! Disks that lose what was not synced.

use labapi::Loss;

use super::Group;
use crate::test::Test;

impl<S: Send + Sync + 'static> Group<S> {
    /// From now on a crash may lose or tear what a server has written since its last
    /// [`labapi::Persister::sync`]; [`labapi::Persister::after_crash`] says how. Without this call every
    /// write is durable at once, and servers need not sync.
    pub fn lose_unsynced_writes(&self) {
        self.test().note("from now on a crash loses or tears what is not synced");
        self.shared.slots.lock().iter().for_each(|slot| slot.persister.lose_unsynced());
    }
}

/// Tells the story what a crash did to a server's disk.
pub(super) fn note_loss(test: &Test, server: &str, loss: Loss) {
    if loss.writes == 0 {
        return;
    }
    let writes = if loss.writes == 1 { "write" } else { "writes" };
    let torn = match loss.torn_after {
        Some(bytes) => format!(", the first of them torn after {bytes} bytes"),
        None => String::new(),
    };
    test.note(format!("{server} loses the last {} {writes}{torn}", loss.writes));
}
