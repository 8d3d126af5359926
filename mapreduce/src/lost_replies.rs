// handout: file guided
//! Questions that come twice, and assignments that never arrive.
//!
//! The network repeats and loses messages. Without the rules here that would do no harm either: an assignment
//! whose reply was lost would time out, and run elsewhere. But it would cost ten seconds, and one execution
//! more.
//!
//! For example, worker 7 asks for the first time and gets map 3; the network delivers the question twice. The
//! second copy has a number that was answered before, so that the worker gets map 3 again, and not map 4,
//! which it would never run. Or the reply is lost: the worker asks for the second time, and says that it runs
//! nothing. The coordinator knows that worker 7 holds map 3, and hands out the same attempt again.

use labrt::time::Instant;

use crate::events::{Cause, Event};
use crate::rpc::{AttemptId, GetTaskArgs, GetTaskReply, TaskId, WorkerId};
use crate::state::State;

// handout: bodies 1A
impl State {
    /// The answer to a question that was answered before, or that shows that a reply was lost. `None` for a
    /// new question of a worker that runs what the coordinator thinks it runs.
    pub(crate) fn answer_again(&mut self, args: &GetTaskArgs, now: Instant) -> Option<GetTaskReply> {
        let asked = self.asked.entry(args.worker).or_default();
        let repeated = args.number <= *asked;
        *asked = args.number.max(*asked);
        let held = self.holding.get(&args.worker).map_or(&[][..], Vec::as_slice);
        let unknown = held.iter().copied().find(|&held| args.running != Some(held));
        if repeated {
            return Some(self.repeat(args.worker, unknown));
        }
        self.hand_out_again(args.worker, unknown?, now)
    }

    /// Answers a question of before: the answer is the same if it still holds, and nothing changes.
    fn repeat(&mut self, worker: WorkerId, held: Option<AttemptId>) -> GetTaskReply {
        match held.filter(|&id| self.has_input(id.task)) {
            Some(id) => {
                self.tell(Event::HandedOutAgain { id, worker });
                self.assignment(id)
            }
            None => GetTaskReply::Wait { ms: self.rules.wait.as_millis() as u64 },
        }
    }

    /// Hands out the same attempt again: the worker asks for work although it holds an attempt, so it has
    /// never heard of it. `None` if the attempt is a reduce that has lost some of its input meanwhile; then
    /// the coordinator takes it back.
    fn hand_out_again(&mut self, worker: WorkerId, id: AttemptId, now: Instant) -> Option<GetTaskReply> {
        if !self.has_input(id.task) {
            self.give_up(id, Cause::TakenBack);
            return None;
        }
        self.set_deadline(id, now, |attempt| attempt.started = now);
        self.tell(Event::HandedOutAgain { id, worker });
        Some(self.assignment(id))
    }

    /// Whether a worker could begin the task now. A reduce cannot begin while some of its input is lost.
    fn has_input(&self, task: TaskId) -> bool {
        matches!(task, TaskId::Map(_)) || self.maps.all_done() && self.machines.lost.is_empty()
    }
}
