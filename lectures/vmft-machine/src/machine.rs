//! The guest machine: one core, 64 KiB of memory, and devices. It is deterministic: two machines that start
//! alike and are given the same events after the same numbers of instructions stay alike, bit for bit.
//!
//! Whatever is *not* a function of the machine's state comes from outside, by three methods:
//! [`Machine::interrupt`], [`Machine::finish_nondeterministic`], and [`Machine::finish_output`], which tells
//! that an output was taken. [`Machine::run`] stops where one of the last two is needed.
//!
//! No device writes to memory except in [`Machine::interrupt`]. A disk block waits in the hypervisor until
//! then (a bounce buffer), so a guest that reads the target of a pending transfer sees the same on both
//! hosts.
//!
//! Conventions: `r15` is the stack pointer; an interrupt pushes `pc`, disables interrupts, and puts its
//! argument into `r13` (timer: 0; packet: its length; disk: 0 if it went well, else 1). `iret` undoes both.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};

use crate::instruction::{Instruction, Operation, Program};

/// Size of the guest's memory in bytes.
pub const MEMORY: usize = 64 << 10;
/// Size of a page in bytes: the unit in which changes of memory are noted.
pub const PAGE: usize = 1 << 10;
/// Size of a disk block in bytes.
pub const BLOCK: usize = 512;
/// The longest packet in bytes.
pub const MAX_PACKET: usize = 1500;

/// The register that an interrupt puts its argument into.
pub(crate) const ARGUMENT: u8 = 13;
/// The stack pointer.
const STACK: u8 = 15;

/// Why a guest cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trap {
    /// `divu` by zero.
    DivisionByZero,
    /// `pc` is beyond the program.
    JumpOutside,
    /// A load, store, push, pop or transfer beyond memory.
    BeyondMemory,
    /// `setvec` of a vector above 7.
    NoSuchVector,
    /// `nettx` of more than [`MAX_PACKET`] bytes.
    LongPacket,
}

/// How a guest has ended. The instruction at `pc` was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stop {
    /// By `halt`.
    Halted,
    /// By a mistake of the program.
    Trapped(Trap),
}

/// Something that comes from a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interrupt {
    /// The timer's period is over. Vector 0.
    Timer,
    /// A packet came. Vector 1.
    Packet(Vec<u8>),
    /// A disk operation ended. Vector 2.
    Disk {
        /// Number of the operation.
        operation: u64,
        /// What a read found, or None if the operation failed. A write has an empty block.
        data: Option<Vec<u8>>,
    },
}

/// Something that leaves the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// A packet.
    Packet(Vec<u8>),
    /// A byte for the console.
    Console(u8),
    /// A block for the disk.
    DiskWrite {
        /// Number of the operation that the disk's interrupt will name.
        operation: u64,
        /// Number of the block.
        lba: u64,
        /// [`BLOCK`] bytes.
        data: Vec<u8>,
    },
}

impl Output {
    /// A hash of its content, for comparing what two hosts would send.
    pub fn digest(&self) -> u64 {
        let mut hasher = FxHasher::default();
        hasher.write(&labgob::encode(self));
        hasher.finish()
    }
}

/// A disk operation that the guest has started and whose interrupt it has not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskOperation {
    /// Its number, from 0.
    pub number: u64,
    /// Number of the block.
    pub lba: u64,
    /// Where a read will put its data.
    pub address: u64,
    /// Of a write: the data as they were when it started, and the number of the output.
    pub write: Option<(Vec<u8>, u64)>,
}

/// Why [`Machine::run`] returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As many instructions as asked for are retired.
    Limit,
    /// The guest waits for an interrupt.
    Waiting,
    /// The guest has ended.
    Stopped(Stop),
    /// The next instruction needs a value from outside: [`Machine::finish_nondeterministic`].
    Nondeterministic(Operation),
    /// The next instruction is this output: [`Machine::finish_output`].
    Output(Output),
}

/// Called after each event, for tests: the number of events so far, `icount`, and the state's hash.
pub type Probe = Arc<dyn Fn(u64, u64, u64) + Send + Sync>;

/// A guest machine. Encoded, it is the whole state that a new backup needs.
#[derive(Clone, Serialize, Deserialize)]
pub struct Machine {
    pub(crate) program: Program,
    pub(crate) registers: [u64; 16],
    pub(crate) pc: u32,
    /// Whether interrupts are enabled.
    pub(crate) enabled: bool,
    pub(crate) waiting: bool,
    pub(crate) stopped: Option<Stop>,
    pub(crate) vectors: [Option<u32>; 8],
    #[serde(with = "labgob::bytes")]
    pub(crate) memory: Vec<u8>,
    /// Retired instructions.
    pub(crate) icount: u64,
    /// Events so far: interrupts, values from outside, outputs.
    pub(crate) events: u64,
    /// Outputs so far.
    pub(crate) outputs: u64,
    /// Microseconds; 0 while the timer is off.
    pub(crate) timer: u64,
    /// What `netrx` copies.
    pub(crate) packet: Vec<u8>,
    pub(crate) operations: Vec<DiskOperation>,
    pub(crate) started_operations: u64,
    /// A hash of each page as it was when its bit in `unhashed` was cleared.
    pub(crate) page_hashes: Vec<u64>,
    pub(crate) unhashed: u64,
    /// A bit for each page that was written since [`Machine::take_dirty_pages`].
    pub(crate) dirty: u64,
    #[serde(skip)]
    pub(crate) probe: Option<Probe>,
}

impl Machine {
    /// A machine that is about to run the program's first instruction, with interrupts disabled and the
    /// stack at the end of memory.
    pub fn new(program: Program) -> Machine {
        let mut registers = [0; 16];
        registers[usize::from(STACK)] = MEMORY as u64;
        Machine {
            program,
            registers,
            pc: 0,
            enabled: false,
            waiting: false,
            stopped: None,
            vectors: [None; 8],
            memory: vec![0; MEMORY],
            icount: 0,
            events: 0,
            outputs: 0,
            timer: 0,
            packet: Vec::new(),
            operations: Vec::new(),
            started_operations: 0,
            page_hashes: vec![0; MEMORY / PAGE],
            unhashed: u64::MAX,
            dirty: u64::MAX,
            probe: None,
        }
    }

    /// Has a test see each event from now on.
    pub fn set_probe(&mut self, probe: Option<Probe>) {
        self.probe = probe;
    }

    /// Retired instructions. The guest cannot see this number.
    pub fn icount(&self) -> u64 {
        self.icount
    }

    /// How many events there were: interrupts, values from outside, outputs.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many outputs the guest has made; each has its number, from 1.
    pub fn outputs(&self) -> u64 {
        self.outputs
    }

    /// Whether the guest waits for an interrupt.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// How the guest has ended, if it has.
    pub fn stopped(&self) -> Option<Stop> {
        self.stopped
    }

    /// Whether an interrupt can be taken now.
    pub fn takes_interrupts(&self) -> bool {
        self.enabled && self.stopped.is_none()
    }

    /// The timer's period in microseconds; 0 while it is off.
    pub fn timer(&self) -> u64 {
        self.timer
    }

    /// Disk operations under way, in the order in which they were started.
    pub fn operations(&self) -> &[DiskOperation] {
        &self.operations
    }

    /// The guest's memory.
    pub fn memory(&self) -> &[u8] {
        &self.memory
    }

    /// A hash of registers, flags, memory, `icount` and the devices' queues. Pages that have not changed
    /// since the last call are not read again.
    pub fn state_hash(&mut self) -> u64 {
        while self.unhashed != 0 {
            let page = self.unhashed.trailing_zeros() as usize;
            self.unhashed &= self.unhashed - 1;
            let mut hasher = FxHasher::default();
            hasher.write(&self.memory[page * PAGE..][..PAGE]);
            self.page_hashes[page] = hasher.finish();
        }
        let mut hasher = FxHasher::default();
        self.registers.iter().chain(&self.page_hashes).for_each(|&word| hasher.write_u64(word));
        let rest = (self.pc, self.enabled, self.waiting, self.stopped, &self.vectors);
        let devices = (self.timer, &self.packet, &self.operations, self.outputs);
        hasher.write(&labgob::encode(&(rest, self.icount, devices)));
        hasher.finish()
    }

    /// A bit for each page that was written since the last call, or ever.
    pub fn take_dirty_pages(&mut self) -> u64 {
        std::mem::take(&mut self.dirty)
    }
}

/// Running.
impl Machine {
    /// Runs until `limit` instructions are retired since the machine's start, or something else comes first.
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

    pub(crate) fn trap(&mut self, trap: Trap) -> Exit {
        self.stop(Stop::Trapped(trap))
    }

    fn stop(&mut self, stop: Stop) -> Exit {
        self.stopped = Some(stop);
        Exit::Stopped(stop)
    }

    /// Carries out an instruction, unless it must exit or traps.
    #[inline(always)]
    fn step(&mut self, instruction: Instruction) -> Result<(), Result<Exit, Trap>> {
        let Instruction { operation, a, b, c, imm } = instruction;
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
            Operation::Ret | Operation::Iret => {
                next = u32::try_from(self.pop().map_err(Err)?).unwrap_or(u32::MAX);
                self.enabled |= operation == Operation::Iret;
            }
            _ => self.step_rarely(instruction)?,
        }
        self.pc = next;
        Ok(())
    }

    /// The instructions that a program runs seldom: those of devices and interrupts.
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
            Operation::Netrx => {
                let packet = std::mem::take(&mut self.packet);
                let copied = self.store(first, &packet);
                self.packet = packet;
                copied.map_err(Err)?;
            }
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

    pub(crate) fn start(&mut self, lba: u64, address: u64, write: Option<(Vec<u8>, u64)>) {
        let number = self.started_operations;
        self.started_operations += 1;
        self.operations.push(DiskOperation { number, lba, address, write });
    }
}

/// Registers and memory.
impl Machine {
    #[inline(always)]
    fn get(&self, register: u8) -> u64 {
        self.registers[usize::from(register & 15)]
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, register: u8, value: u64) {
        self.registers[usize::from(register & 15)] = value;
    }

    #[inline(always)]
    fn slice(&self, address: u64, length: u64) -> Result<&[u8], Trap> {
        let end = address.checked_add(length).ok_or(Trap::BeyondMemory)?;
        self.memory.get(address as usize..end as usize).ok_or(Trap::BeyondMemory)
    }

    #[inline(always)]
    fn load(&self, address: u64) -> Result<u64, Trap> {
        let bytes = self.slice(address, 8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("the slice has eight bytes")))
    }

    #[inline(always)]
    pub(crate) fn store(&mut self, address: u64, bytes: &[u8]) -> Result<(), Trap> {
        self.slice(address, bytes.len() as u64)?;
        let start = address as usize;
        self.memory[start..start + bytes.len()].copy_from_slice(bytes);
        let last = (start + bytes.len().max(1) - 1).min(MEMORY - 1) / PAGE;
        for page in start.min(MEMORY - 1) / PAGE..=last {
            self.dirty |= 1 << page;
            self.unhashed |= 1 << page;
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, word: u64) -> Result<(), Trap> {
        let top = self.get(STACK).wrapping_sub(8);
        self.store(top, &word.to_le_bytes())?;
        self.set(STACK, top);
        Ok(())
    }

    fn pop(&mut self) -> Result<u64, Trap> {
        let top = self.get(STACK);
        let word = self.load(top)?;
        self.set(STACK, top.wrapping_add(8));
        Ok(word)
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine(icount {}, pc {}, {:?})", self.icount, self.pc, self.stopped)
    }
}
