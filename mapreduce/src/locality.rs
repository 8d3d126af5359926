// handout: file guided
//! Part 1B: a map goes to a machine that has its input, if it can (paper, §3.4).

use std::collections::VecDeque;

use crate::table::{MachineId, TaskTable};

/// For each machine, the idle tasks whose input it has, in the order in which they go out. Like the main
/// queue, each may name tasks that are no longer idle.
#[derive(Debug, Default)]
pub(crate) struct LocalQueues {
    queues: Vec<VecDeque<usize>>,
    /// The machines that have each task's input; none if the input is equally far from all.
    replicas: Vec<Vec<MachineId>>,
}

// handout: bodies 1B
impl LocalQueues {
    // handout: body 1A
    /// The machine's queue, if it has one.
    pub(crate) fn queue(&mut self, machine: MachineId) -> Option<&mut VecDeque<usize>> {
        self.queues.get_mut(machine as usize)
    }

    /// Puts a task that is idle again at the front of its machines' queues.
    pub(crate) fn put_first(&mut self, task: usize) {
        for &machine in self.replicas.get(task).into_iter().flatten() {
            self.queues[machine as usize].push_front(task);
        }
    }
}

impl TaskTable {
    /// Tells which machines have the input of each task. To be called before any task goes out.
    pub(crate) fn set_replicas(&mut self, replicas: Vec<Vec<MachineId>>) {
        let machines = replicas.iter().flatten().max().map_or(0, |&last| last as usize + 1);
        self.local.queues = vec![VecDeque::new(); machines];
        for (task, machines) in replicas.iter().enumerate() {
            machines.iter().for_each(|&machine| self.local.queues[machine as usize].push_back(task));
        }
        self.local.replicas = replicas;
    }
}
