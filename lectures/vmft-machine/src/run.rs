//! How the machine runs: one instruction after the other, until something is needed from outside.
//!
//! This is the loop in which a guest spends its time, on both hosts. So it counts instructions and does
//! nothing else that a guest's instruction does not ask for: whether an interrupt is due is decided by how
//! far the hypervisor lets it run ([`Machine::run`]'s limit), not by a look at a clock in here.

use crate::instruction::{Instruction, Operation};
use crate::machine::{BLOCK, DiskOperation, Exit, MAX_PACKET, Machine, Output, Stop, Trap};

impl Machine {
    /// Runs until `limit` instructions are retired since the machine's start, or something else comes first.
    ///
    /// The limit is how a backup obeys its primary: an interrupt that came behind instruction 4210 there is
    /// delivered here after `run(4210)`, at the same point, whatever the two processors' speeds (§2.1). A
    /// limit that is passed already runs nothing.
    pub fn run(&mut self, limit: u64) -> Exit {
        if let Some(stop) = self.stopped {
            return Exit::Stopped(stop);
        }
        if self.waiting {
            return Exit::Waiting;
        }
        // Out of the machine's hands while it runs, so that a step may change everything else.
        let instructions = std::mem::take(&mut self.program.instructions);
        let exit = self.run_on(&instructions, limit);
        self.program.instructions = instructions;
        exit
    }

    /// An instruction counts when it is carried out, not before: one that exits or traps is met again, or
    /// stays where the machine has stopped.
    fn run_on(&mut self, instructions: &[Instruction], limit: u64) -> Exit {
        while self.icount < limit {
            let Some(&instruction) = instructions.get(self.pc as usize) else {
                return self.trap(Trap::JumpOutside);
            };
            if let Err(exit) = self.step(instruction) {
                return exit.unwrap_or_else(|trap| self.trap(trap));
            }
            self.icount += 1;
        }
        Exit::Limit
    }

    /// A trap is a state of the machine like any other. Both hosts come to it at the same `icount`, and a
    /// backup that goes live finds the guest as dead as it was (a bug of the guest is not masked).
    pub(crate) fn trap(&mut self, trap: Trap) -> Exit {
        self.stop(Stop::Trapped(trap))
    }

    fn stop(&mut self, stop: Stop) -> Exit {
        self.stopped = Some(stop);
        Exit::Stopped(stop)
    }

    /// Carries out an instruction, unless it must exit or traps. [`Operation`] says what each one does.
    ///
    /// # Errors
    /// `Ok` of an exit that is no mistake, and `Err` of a trap; in both cases nothing has changed.
    #[inline(always)]
    fn step(&mut self, instruction: Instruction) -> Result<(), Result<Exit, Trap>> {
        let Instruction { operation, a, b, c, imm } = instruction;
        // Read in any case: that is cheaper than to ask which instructions need them.
        let (x, y) = (self.get(b), self.get(c));
        let number = i64::from(imm) as u64;
        let mut next = self.pc + 1;
        match operation {
            Operation::Movi => self.set(a, number),
            Operation::Mov => self.set(a, x),
            Operation::Add => self.set(a, x.wrapping_add(y)),
            Operation::Sub => self.set(a, x.wrapping_sub(y)),
            Operation::Mul => self.set(a, x.wrapping_mul(y)),
            Operation::Divu => self.set(a, x.checked_div(y).ok_or(Err(Trap::DivisionByZero))?),
            Operation::And => self.set(a, x & y),
            Operation::Or => self.set(a, x | y),
            Operation::Xor => self.set(a, x ^ y),
            Operation::Shl => self.set(a, x.wrapping_shl(y as u32)),
            Operation::Shr => self.set(a, x.wrapping_shr(y as u32)),
            Operation::Cmplt => self.set(a, u64::from(x < y)),
            Operation::Cmpeq => self.set(a, u64::from(x == y)),
            Operation::Ld => {
                let word = self.load(x.wrapping_add(number)).map_err(Err)?;
                self.set(a, word);
            }
            Operation::St => self.store(x.wrapping_add(number), &self.get(a).to_le_bytes()).map_err(Err)?,
            Operation::Ldb => {
                let byte = self.slice(x.wrapping_add(number), 1).map_err(Err)?[0];
                self.set(a, u64::from(byte));
            }
            Operation::Stb => self.store(x.wrapping_add(number), &[self.get(a) as u8]).map_err(Err)?,
            Operation::Jmp => next = imm as u32,
            Operation::Jz if self.get(a) == 0 => next = imm as u32,
            Operation::Jnz if self.get(a) != 0 => next = imm as u32,
            Operation::Jz | Operation::Jnz => {}
            Operation::Call => {
                self.push(u64::from(next)).map_err(Err)?;
                next = imm as u32;
            }
            // A word that is no position becomes one that no program has: it traps in its turn.
            Operation::Ret | Operation::Iret => {
                next = u32::try_from(self.pop().map_err(Err)?).unwrap_or(u32::MAX);
                self.enabled |= operation == Operation::Iret;
            }
            _ => self.step_rarely(instruction)?,
        }
        self.pc = next;
        Ok(())
    }

    /// The instructions that a program runs seldom: those of devices and interrupts. Apart from the others so
    /// that the loop above stays small enough for the processor's caches and the compiler's registers.
    ///
    /// # Errors
    /// As `step`. An output or a value from outside exits *before* it takes effect: only the hypervisor can
    /// say whether and when it may, and [`Machine::finish_output`] or [`Machine::finish_nondeterministic`]
    /// then retires the instruction.
    #[cold]
    #[inline(never)]
    fn step_rarely(&mut self, instruction: Instruction) -> Result<(), Result<Exit, Trap>> {
        let Instruction { operation, a, b, imm, .. } = instruction;
        let (first, second) = (self.get(a), self.get(b));
        match operation {
            Operation::Setvec => {
                let vector = self.vectors.get_mut(first as usize).ok_or(Err(Trap::NoSuchVector))?;
                *vector = Some(imm as u32);
            }
            Operation::Ei => self.enabled = true,
            Operation::Di => self.enabled = false,
            // Interrupts are enabled with it: a guest that waited without them would wait for ever.
            Operation::Wfi => (self.enabled, self.waiting) = (true, true),
            Operation::Halt => return Err(Ok(self.stop(Stop::Halted))),
            // The packet stays: a guest may copy it twice, and the compiler must not copy it for the borrow.
            Operation::Netrx => {
                let packet = std::mem::take(&mut self.packet);
                let copied = self.store(first, &packet);
                self.packet = packet;
                copied.map_err(Err)?;
            }
            // Refused now, and not when the data come: then there is no instruction that could trap.
            Operation::Diskrd => {
                self.slice(second, BLOCK as u64).map_err(Err)?;
                self.start(first, second, None);
            }
            Operation::Timer => self.timer = first,
            Operation::Rdtime | Operation::Rdrand | Operation::Rdhost => {
                return Err(Ok(Exit::Nondeterministic(operation)));
            }
            Operation::Nettx if second > MAX_PACKET as u64 => return Err(Err(Trap::LongPacket)),
            Operation::Nettx => {
                let packet = self.slice(first, second).map_err(Err)?.to_vec();
                return Err(Ok(Exit::Output(Output::Packet(packet))));
            }
            Operation::Conout => return Err(Ok(Exit::Output(Output::Console(first as u8)))),
            // The data are taken here, so what the guest writes to the block later does not reach the disk.
            Operation::Diskwr => {
                let data = self.slice(second, BLOCK as u64).map_err(Err)?.to_vec();
                let operation = self.started_operations;
                return Err(Ok(Exit::Output(Output::DiskWrite { operation, lba: first, data })));
            }
            _ => unreachable!("`step` carries out {operation:?}"),
        }
        // `wfi` ends the run, although it is retired.
        if self.waiting {
            self.pc += 1;
            self.icount += 1;
            return Err(Ok(Exit::Waiting));
        }
        Ok(())
    }

    /// Notes a disk operation. The list is part of the state: a backup that goes live finds in it what was
    /// under way, and starts it again, since nobody can know whether the old host's request reached the disk
    /// (§3.4).
    pub(crate) fn start(&mut self, lba: u64, address: u64, write: Option<(Vec<u8>, u64)>) {
        let number = self.started_operations;
        self.started_operations += 1;
        self.operations.push(DiskOperation { number, lba, address, write });
    }
}
