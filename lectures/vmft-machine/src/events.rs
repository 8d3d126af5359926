//! The machine's events: the three ways in which something from outside reaches the guest.
//!
//! # What a recording must hold
//!
//! A guest's run is determined by its program and by its events. So a recording is a list of events, each
//! with the `icount` at which it took place, and nothing else:
//!
//! | event | `icount` | besides |
//! |---|---|---|
//! | interrupt | instructions retired before the handler's first one | which; the packet, or the disk's status and data |
//! | value from outside | with the instruction itself | the value |
//! | output | with the instruction itself | nothing: the replayed guest makes the same one |
//!
//! An example of a guest that is idle at instruction 40 (`wfi`), gets a packet, and answers it:
//!
//! ```text
//! icount 40   interrupt: packet, 24 bytes      the handler's first instruction is number 41
//! icount 57   output                           `nettx` was number 57
//! icount 58   interrupt: timer                 directly behind `iret`, number 58
//! ```
//!
//! Several interrupts at one `icount` are delivered in the order of the list. To replay: run to the next
//! event's `icount`, cause the event, and go on. The lab's `Entry` adds an epoch and a number to each event,
//! for the channel; the machine knows nothing of these.

use crate::machine::{Interrupt, Machine, Output};
use crate::memory::ARGUMENT;

impl Machine {
    /// Delivers an interrupt between two instructions. One without a vector only ends the guest's wait.
    ///
    /// The handler finds its argument in `r13`, and on the stack the position to go back to. If the stack is
    /// beyond memory the machine has stopped, with a trap: there is no other place for that position.
    ///
    /// # Panics
    /// If interrupts are disabled, or no such disk operation is under way.
    pub fn interrupt(&mut self, interrupt: &Interrupt) {
        assert!(
            self.takes_interrupts(),
            "an interrupt at instruction {}, where they are disabled",
            self.icount
        );
        // Also without a handler: a guest may wait for something that comes by another way than a handler.
        self.waiting = false;
        let (vector, argument) = match interrupt {
            Interrupt::Timer => (0, 0),
            Interrupt::Packet(packet) => {
                self.packet.clone_from(packet);
                (1, packet.len() as u64)
            }
            Interrupt::Disk { operation, data } => (2, self.end_operation(*operation, data.as_deref())),
        };
        if let Some(handler) = self.vectors[vector] {
            self.set(ARGUMENT, argument);
            match self.push(u64::from(self.pc)) {
                Ok(()) => (self.pc, self.enabled) = (handler, false),
                Err(trap) => drop(self.trap(trap)),
            }
        }
        self.event();
    }

    /// A disk operation is over. This is the only moment at which the disk writes to memory, and the guest is
    /// between two instructions then. With real hardware a transfer races with the guest's loads, and two
    /// hosts would see different bytes; bounce buffers are the paper's remedy too (§3.4).
    fn end_operation(&mut self, number: u64, data: Option<&[u8]>) -> u64 {
        let Some(at) = self.operations.iter().position(|operation| operation.number == number) else {
            panic!("an interrupt for disk operation {number}, which is not under way")
        };
        let operation = self.operations.remove(at);
        let Some(data) = data else { return 1 };
        if operation.write.is_none() {
            // The range was checked when the operation was started.
            let stored = self.store(operation.address, data);
            debug_assert_eq!(stored, Ok(()), "a read beyond memory was started");
        }
        0
    }

    /// Carries out the non-deterministic instruction that [`Machine::run`] stopped at, with this result. The
    /// machine does not care whether it was measured here or on another host some time ago.
    ///
    /// # Panics
    /// If the next instruction is none.
    pub fn finish_nondeterministic(&mut self, value: u64) {
        let next = self.program.instructions.get(self.pc as usize);
        let Some(next) = next.filter(|next| next.operation.is_nondeterministic()) else {
            panic!("instruction {} takes no value from outside: {next:?}", self.icount)
        };
        self.set(next.a, value);
        self.retire();
        self.event();
    }

    /// Goes on behind the output that [`Machine::run`] stopped at. Returns the output's number, from 1.
    ///
    /// The guest takes the output for made, whether it has left the host or waits for the backup: only its
    /// clients notice the difference (§2.2: the guest runs on while its output is delayed).
    ///
    /// # Panics
    /// If the next instruction is none.
    pub fn finish_output(&mut self, output: &Output) -> u64 {
        let next = self.program.instructions.get(self.pc as usize);
        assert!(
            next.is_some_and(|next| next.operation.is_output()),
            "instruction {} is no output",
            self.icount
        );
        self.outputs += 1;
        // It is under way from here on, although the hypervisor may hold it back for a while.
        if let Output::DiskWrite { lba, data, .. } = output {
            self.start(*lba, 0, Some((data.clone(), self.outputs)));
        }
        self.retire();
        self.event();
        self.outputs
    }

    /// The instruction was carried out from outside.
    fn retire(&mut self) {
        self.pc += 1;
        self.icount += 1;
    }

    /// Counts an event, and shows it to a test. Two hosts that have had the same number of events are at the
    /// same point of the guest's life, and their hashes must be equal there: that is lockstep.
    fn event(&mut self) {
        self.events += 1;
        if let Some(probe) = self.probe.clone() {
            let hash = self.state_hash();
            probe(self.events, self.icount, hash);
        }
    }
}
