//! Exercise 4: wait until enough votes are in, in three ways.

use labrt::sync::{Condvar, Mutex};
use labrt::thread;
use labrt::time::Duration;

/// How long a look at the votes takes while spinning. In the simulation computing takes no time, so the
/// spinning version sleeps this long between two looks.
pub const LOOK: Duration = Duration::from_micros(50);

/// How a vote has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether enough voters said yes.
    pub won: bool,
    /// How often the waiting thread looked at the votes again, after its first look.
    pub wake_ups: u64,
}

// handout: bodies kept
/// A vote under way, as a candidate for leader sees it.
pub struct Election {
    votes: Mutex<Votes>,
    changed: Condvar,
}

/// The votes so far.
#[derive(Debug)]
struct Votes {
    voters: usize,
    needed: usize,
    yes: usize,
    no: usize,
    looks: u64,
}

impl Votes {
    // handout: body kept
    /// The verdict, if there is one: enough said yes, or everybody has answered. Counts the looks.
    fn look(&mut self) -> Option<Verdict> {
        self.looks += 1;
        let won = self.yes >= self.needed;
        let is_over = won || self.yes + self.no == self.voters;
        is_over.then_some(Verdict { won, wake_ups: self.looks - 1 })
    }
}

// handout: bodies 0B
impl Election {
    // handout: body kept
    /// A vote of so many voters, of whom `needed` must say yes.
    pub fn new(voters: usize, needed: usize) -> Election {
        let votes = Votes { voters, needed, yes: 0, no: 0, looks: 0 };
        Election { votes: Mutex::new(votes), changed: Condvar::new() }
    }

    /// A voter's answer.
    pub fn vote(&self, says_yes: bool) {
        let mut votes = self.votes.lock();
        if says_yes {
            votes.yes += 1;
        } else {
            votes.no += 1;
        }
        self.changed.notify_all();
    }

    /// Waits by looking again and again, each [`LOOK`].
    pub fn wait_spinning(&self) -> Verdict {
        self.wait_polling(LOOK)
    }

    /// Waits by looking once in each `period`.
    pub fn wait_polling(&self, period: Duration) -> Verdict {
        loop {
            // The lock is given up before the sleep; otherwise no vote could come in.
            let seen = self.votes.lock().look();
            if let Some(verdict) = seen {
                return verdict;
            }
            thread::sleep(period);
        }
    }

    /// Waits on the condition variable: one look for each vote.
    ///
    /// The thread looks in a loop, since a wake-up says that something has changed and not that the wait is
    /// over. It looks under the lock that it gives up by waiting, so no vote comes between look and wait.
    pub fn wait(&self) -> Verdict {
        let mut votes = self.votes.lock();
        loop {
            if let Some(verdict) = votes.look() {
                return verdict;
            }
            self.changed.wait(&mut votes);
        }
    }
}
