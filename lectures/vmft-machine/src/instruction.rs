//! The guest's instructions: eight bytes each, as a program holds them and as the machine runs them.
//!
//! ```text
//! byte     0           1   2   3   4 5 6 7
//!          operation   a   b   c   imm, little-endian, signed
//! ```
//!
//! Nearly every instruction is a function of the machine's state: two hosts carry it out alike and need not
//! talk about it. The few others decide what replication costs. [`Operation::is_nondeterministic`] names
//! those whose result must come from outside, and [`Operation::is_output`] those whose effect goes outside.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Length of an instruction in bytes: operation, three registers, and a number of 32 bits.
pub const LENGTH: usize = 8;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident $text:literal $operands:literal)*) => {
        /// What an instruction does. `a`, `b` and `c` are its registers, and `imm` is its number.
        ///
        /// Words have 64 bits and no sign; sums, differences and products wrap. Memory is little-endian, and
        /// needs no alignment. An address is `b + imm`, which wraps as well, so a negative `imm` reaches
        /// below `b`. A position counts instructions, not bytes, from 0.
        ///
        /// An instruction that traps ([`Trap`](crate::Trap)) changes nothing and is not retired: the machine
        /// stops in front of it. Both hosts stop there alike, so a trap needs no entry in the log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Operation { $($(#[$doc])* $name),* }

        /// Every operation, its name in programs, and its operands: `a`, `b`, `c`, `i` (a number or a label).
        /// An operation's place in this list is its first byte in a program: new ones go to the end.
        pub(crate) const OPERATIONS: &[(Operation, &str, &str)] =
            &[$((Operation::$name, $text, $operands)),*];
    };
}

operations! {
    /// `a` becomes `imm`, extended to 64 bits with its sign.
    Movi "movi" "ai"
    /// `a` becomes `b`.
    Mov "mov" "ab"
    /// `a` becomes `b + c`.
    Add "add" "abc"
    /// `a` becomes `b - c`.
    Sub "sub" "abc"
    /// `a` becomes `b * c`, of which the lower 64 bits stay.
    Mul "mul" "abc"
    /// `a` becomes `b / c`, rounded down. Traps if `c` is 0: processors differ there, and a guest must not.
    Divu "divu" "abc"
    /// `a` becomes the bits that `b` and `c` have in common.
    And "and" "abc"
    /// `a` becomes the bits of `b` and `c` together.
    Or "or" "abc"
    /// `a` becomes the bits in which `b` and `c` differ.
    Xor "xor" "abc"
    /// `a` becomes `b`, shifted left by the lower six bits of `c`. So a shift by 64 shifts by 0.
    Shl "shl" "abc"
    /// `a` becomes `b`, shifted right by the lower six bits of `c`; zeros come in.
    Shr "shr" "abc"
    /// `a` becomes 1 if `b < c`, and otherwise 0. A negative number is a large one here.
    Cmplt "cmplt" "abc"
    /// `a` becomes 1 if `b` equals `c`, and otherwise 0.
    Cmpeq "cmpeq" "abc"
    /// `a` becomes the word at the address. Traps beyond memory, as the next three do.
    Ld "ld" "abi"
    /// The word at the address becomes `a`.
    St "st" "abi"
    /// `a` becomes the byte at the address; the upper 56 bits become 0.
    Ldb "ldb" "abi"
    /// The byte at the address becomes the lowest eight bits of `a`.
    Stb "stb" "abi"
    /// Goes on at position `imm`. A position outside of the program traps when its turn comes, not here.
    Jmp "jmp" "i"
    /// As `jmp` if `a` is 0.
    Jz "jz" "ai"
    /// As `jmp` unless `a` is 0.
    Jnz "jnz" "ai"
    /// Pushes the position of the next instruction, and jumps. Traps if the stack is beyond memory.
    Call "call" "i"
    /// Pops a position and jumps there. Traps if the stack is beyond memory.
    Ret "ret" ""
    /// Vector `a` gets the handler at position `imm`. Traps if `a` is above 7. 0: timer, 1: packet, 2: disk.
    Setvec "setvec" "ai"
    /// Interrupts are enabled: they may come from in front of the next instruction on.
    Ei "ei" ""
    /// Interrupts are disabled. Those that come wait in the hypervisor.
    Di "di" ""
    /// The end of a handler: as `ret`, and interrupts are enabled in the same step. With `ei` and `ret` an
    /// interrupt could come between the two, and a guest that is flooded would overflow its stack.
    Iret "iret" ""
    /// The machine has ended, and the instruction is not retired.
    Halt "halt" ""
    /// Enables interrupts and waits for one, in one step; it is retired when the wait begins. Without waiting
    /// guests the primary would run, and log, as fast as it can for nothing.
    Wfi "wfi" ""
    /// `a` becomes the host's time in microseconds. Not deterministic.
    Rdtime "rdtime" "a"
    /// `a` becomes a random number. Not deterministic.
    Rdrand "rdrand" "a"
    /// `a` becomes the host's number. Not deterministic, so the hypervisor gives every host the same number:
    /// the guest must not notice that it has moved.
    Rdhost "rdhost" "a"
    /// Sends the packet of `b` bytes at address `a`. An output. Traps beyond memory, or if it is too long.
    Nettx "nettx" "ab"
    /// Copies the packet of the newest packet interrupt to address `a`; its length was in `r13` when the
    /// handler began. Traps beyond memory. The packet came with its interrupt, so this is deterministic.
    Netrx "netrx" "a"
    /// Starts to read block `a` into the 512 bytes at address `b`, and goes on at once. The data arrive with
    /// the disk's interrupt, and not before. Traps beyond memory.
    Diskrd "diskrd" "ab"
    /// Starts to write the 512 bytes at address `b` to block `a`, as they are now. An output: the disk is
    /// shared, and survives the host. The end comes as an interrupt. Traps beyond memory.
    Diskwr "diskwr" "ab"
    /// Prints the lowest eight bits of `a`. An output.
    Conout "conout" "a"
    /// An interrupt is due every `a` microseconds from now on; 0 switches the timer off. *When* they come the
    /// hypervisor decides, and logs.
    Timer "timer" "a"
}

impl Operation {
    /// Whether the result differs from run to run, so that the hypervisor must carry the instruction out. The
    /// primary's does and logs the result; the backup's takes the result from the log (§2.1 of the paper).
    pub fn is_nondeterministic(self) -> bool {
        matches!(self, Operation::Rdtime | Operation::Rdrand | Operation::Rdhost)
    }

    /// Whether the instruction sends something out of the machine. Such an output must be held back until the
    /// backup has the log up to here (§2.2, the output rule). A read of the disk is none: it can be repeated.
    pub fn is_output(self) -> bool {
        matches!(self, Operation::Nettx | Operation::Conout | Operation::Diskwr)
    }
}

/// An instruction as the machine runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// What it does.
    pub operation: Operation,
    /// The first register: mostly that of the result.
    pub a: u8,
    /// The second register.
    pub b: u8,
    /// The third register.
    pub c: u8,
    /// A number, an offset, or an instruction's position.
    pub imm: i32,
}

impl Instruction {
    /// The instruction as a program holds it.
    pub fn encode(self) -> [u8; LENGTH] {
        let mut bytes = [self.operation as u8, self.a, self.b, self.c, 0, 0, 0, 0];
        bytes[4..].copy_from_slice(&self.imm.to_le_bytes());
        bytes
    }

    /// None if there is no such operation or register. Registers that an operation does not use are looked at
    /// as well: so each instruction has one spelling only, and the machine may trust all three numbers.
    fn decode(bytes: [u8; LENGTH]) -> Option<Instruction> {
        let [operation, a, b, c, imm @ ..] = bytes;
        let (operation, ..) = *OPERATIONS.get(usize::from(operation))?;
        let are_registers = [a, b, c].iter().all(|&register| register < 16);
        are_registers.then(|| Instruction { operation, a, b, c, imm: i32::from_le_bytes(imm) })
    }
}

/// Why a program cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// Its length is no multiple of [`LENGTH`].
    Cut,
    /// The instruction at this position is none.
    BadInstruction(usize),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Cut => f.write_str("the program ends within an instruction"),
            LoadError::BadInstruction(at) => write!(f, "no instruction at position {at}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// A program that the loader has looked through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub(crate) instructions: Vec<Instruction>,
    /// Positions of the instructions that the hypervisor carries out: non-deterministic ones and outputs.
    trapped: Vec<u32>,
}

impl Program {
    /// Decodes a program and finds every instruction that must trap, so that no hidden source of
    /// non-determinism is left. Code is no part of the guest's memory: it cannot change later, and what the
    /// loader has found is all that there will ever be. (The paper's hypervisor needs binary translation to
    /// be as sure of an x86 guest.)
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(bytes: &[u8]) -> Result<Program, LoadError> {
        let (chunks, rest) = bytes.as_chunks::<LENGTH>();
        if !rest.is_empty() {
            return Err(LoadError::Cut);
        }
        let decode = |(at, &chunk)| Instruction::decode(chunk).ok_or(LoadError::BadInstruction(at));
        let instructions = chunks.iter().enumerate().map(decode).collect::<Result<Vec<_>, _>>()?;
        let traps = |operation: Operation| operation.is_nondeterministic() || operation.is_output();
        let trapped = (0..).zip(&instructions).filter(|(_, found)| traps(found.operation));
        Ok(Program { trapped: trapped.map(|(at, _)| at).collect(), instructions })
    }

    /// Positions of the instructions that the hypervisor carries out.
    pub fn trapped(&self) -> &[u32] {
        &self.trapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assembler::assemble_bytes;

    #[test]
    fn what_is_no_program_is_refused() {
        assert_eq!(Program::load(&[0; 9]), Err(LoadError::Cut));
        let second = [0, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Program::load(&second), Err(LoadError::BadInstruction(1)));
        assert_eq!(
            Program::load(&[0, 16, 0, 0, 0, 0, 0, 0]),
            Err(LoadError::BadInstruction(0)),
            "register 16"
        );
    }

    #[test]
    fn the_loader_finds_every_instruction_that_traps() {
        let text = "movi r1 7\n rdtime r1\n ei\n nettx r1 r1\n rdrand r2\n halt\n conout r1\n rdhost r3";
        let program = Program::load(&assemble_bytes(text)).expect("a program");
        assert_eq!(program.trapped(), [1, 3, 4, 6, 7]);
    }

    #[test]
    fn every_operation_survives_its_encoding() {
        for (at, &(operation, name, _)) in OPERATIONS.iter().enumerate() {
            let instruction = Instruction { operation, a: 1, b: 2, c: 15, imm: -7 };
            assert_eq!(Instruction::decode(instruction.encode()), Some(instruction), "{name}, number {at}");
        }
    }
}
