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
//! argument into `r13` (timer: 0; packet: its length; disk: 0 if it went well, else 1). `iret` undoes the
//! first two. No other register is saved: a handler that changes one must put it back, or have it to itself.
//!
//! A second core is left out on purpose. Two cores that share memory race for it, and the outcome of a race
//! is no function of how many instructions each has retired, so it cannot be replayed by counting.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};

use crate::instruction::{Operation, Program};
use crate::memory::STACK;

/// Size of the guest's memory in bytes.
pub const MEMORY: usize = 64 << 10;
/// Size of a page in bytes: the unit in which changes of memory are noted. There are 64 pages, so that a word
/// has a bit for each.
pub const PAGE: usize = 1 << 10;
/// Size of a disk block in bytes.
pub const BLOCK: usize = 512;
/// The longest packet in bytes: Ethernet's.
pub const MAX_PACKET: usize = 1500;

/// Why a guest cannot go on. On a real machine these would be exceptions with handlers of the guest's; here
/// they end it, which is as deterministic and shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trap {
    /// `divu` by zero.
    DivisionByZero,
    /// `pc` is beyond the program.
    JumpOutside,
    /// A load, store, push, pop or transfer beyond memory. A transfer is refused when it is started.
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

/// Something that comes from a device. Whoever delivers it must have it whole: the log carries packets and
/// blocks of data, since the backup has neither the network nor, perhaps, the disk.
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
        /// What a read found, or None if the operation failed. A write has an empty block. A failure is what
        /// the disk said, not that the host lost touch with it: then nobody knows, and the operation is
        /// started again.
        data: Option<Vec<u8>>,
    },
}

/// Something that leaves the machine. Its number is [`Machine::outputs`] when it has been made, the same on
/// both hosts: so an output that is sent twice, once by either, can be known as one.
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
    /// A hash of its content, for comparing what two hosts would send. Eight bytes in the log instead of the
    /// whole packet: the backup makes the packet itself.
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
    /// Of a write: the data as they were when it started, and the number of the output. The data are needed
    /// when a new host starts the write again, and the number when the disk has to know a late copy of it.
    pub write: Option<(Vec<u8>, u64)>,
}

/// Why [`Machine::run`] returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As many instructions as asked for are retired: perhaps in the middle of a handler. If the last of them
    /// lets the guest wait, [`Exit::Waiting`] is returned instead.
    Limit,
    /// The guest waits for an interrupt. Nothing but [`Machine::interrupt`] will move it.
    Waiting,
    /// The guest has ended.
    Stopped(Stop),
    /// The next instruction needs a value from outside: [`Machine::finish_nondeterministic`].
    Nondeterministic(Operation),
    /// The next instruction is this output: [`Machine::finish_output`].
    Output(Output),
}

/// Called after each event, for tests: the number of events so far, `icount`, and the state's hash. The tests
/// compare the hashes of two hosts at equal numbers of events. It is no part of the machine's state, and is
/// not encoded with it.
pub type Probe = Arc<dyn Fn(u64, u64, u64) + Send + Sync>;

/// A guest machine. Encoded, it is the whole state that a new backup needs (§3.1): a backup is made from a
/// copy of the running machine, and follows by its log from then on.
#[derive(Clone, Serialize, Deserialize)]
pub struct Machine {
    pub(crate) program: Program,
    pub(crate) registers: [u64; 16],
    /// Position of the next instruction.
    pub(crate) pc: u32,
    /// Whether interrupts are enabled.
    pub(crate) enabled: bool,
    pub(crate) waiting: bool,
    pub(crate) stopped: Option<Stop>,
    pub(crate) vectors: [Option<u32>; 8],
    #[serde(with = "labgob::bytes")]
    pub(crate) memory: Vec<u8>,
    /// Retired instructions: the clock by which both hosts tell when an event took place.
    pub(crate) icount: u64,
    /// Events so far: interrupts, values from outside, outputs.
    pub(crate) events: u64,
    /// Outputs so far.
    pub(crate) outputs: u64,
    /// Microseconds; 0 while the timer is off.
    pub(crate) timer: u64,
    /// What `netrx` copies: the newest packet. A guest that is too slow to copy one loses it, as with a card
    /// that has one buffer.
    pub(crate) packet: Vec<u8>,
    pub(crate) operations: Vec<DiskOperation>,
    pub(crate) started_operations: u64,
    /// A hash of each page as it was when its bit in `unhashed` was cleared. An idle guest changes a page or
    /// two between two events, so a test that hashes at each event need not read all 64.
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

    /// Retired instructions. The guest cannot see this number: it would be a clock that runs backward when a
    /// host is slow, and every program that looked at it would depend on how it is counted.
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

    /// Whether an interrupt can be taken now. If not, the hypervisor keeps it until the guest enables them,
    /// and logs the point at which it was delivered, not the one at which it came.
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
    /// since the last call are not read again. Two machines whose hashes are equal will do the same from here
    /// on, given the same events; what only one host knows (which pages are dirty, the probe) is left out.
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

    /// A bit for each page that was written since the last call, or ever; page 0 has the lowest bit. What
    /// would be shipped if replicas were kept alike by their state and not by their input: the comparison at
    /// the end of the lab is about how much that is.
    pub fn take_dirty_pages(&mut self) -> u64 {
        std::mem::take(&mut self.dirty)
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine(icount {}, pc {}, {:?})", self.icount, self.pc, self.stopped)
    }
}
