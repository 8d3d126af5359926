//! The machine's events: the three ways in which something from outside reaches the guest.

use crate::machine::{ARGUMENT, Interrupt, Machine, Output};

impl Machine {
    /// Delivers an interrupt between two instructions. One without a vector only ends the guest's wait.
    ///
    /// # Panics
    /// If interrupts are disabled, or no such disk operation is under way.
    pub fn interrupt(&mut self, interrupt: &Interrupt) {
        assert!(
            self.takes_interrupts(),
            "an interrupt at instruction {}, where they are disabled",
            self.icount
        );
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

    /// Carries out the non-deterministic instruction that [`Machine::run`] stopped at, with this result.
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

    /// Goes on behind the output that [`Machine::run`] stopped at. Returns the output's number.
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
        if let Output::DiskWrite { lba, data, .. } = output {
            self.start(*lba, 0, Some((data.clone(), self.outputs)));
        }
        self.retire();
        self.event();
        self.outputs
    }

    fn retire(&mut self) {
        self.pc += 1;
        self.icount += 1;
    }

    fn event(&mut self) {
        self.events += 1;
        if let Some(probe) = self.probe.clone() {
            let hash = self.state_hash();
            probe(self.events, self.icount, hash);
        }
    }
}
