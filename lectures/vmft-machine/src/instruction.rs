//! The guest's instructions: eight bytes each, as a program holds them and as the machine runs them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Length of an instruction in bytes: operation, three registers, and a number of 32 bits.
pub const LENGTH: usize = 8;

macro_rules! operations {
    ($($name:ident $text:literal $operands:literal)*) => {
        /// What an instruction does. In the comments of the machine, `a`, `b` and `c` are registers and
        /// `imm` is the number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "`machine.rs` says what each one does, in the arm that does it")]
        pub enum Operation { $($name),* }

        /// Every operation, its name in programs, and its operands: `a`, `b`, `c`, `i` (a number or a label).
        pub(crate) const OPERATIONS: &[(Operation, &str, &str)] =
            &[$((Operation::$name, $text, $operands)),*];
    };
}

operations! {
    Movi "movi" "ai"  Mov "mov" "ab"
    Add "add" "abc"  Sub "sub" "abc"  Mul "mul" "abc"  Divu "divu" "abc"
    And "and" "abc"  Or "or" "abc"  Xor "xor" "abc"  Shl "shl" "abc"  Shr "shr" "abc"
    Cmplt "cmplt" "abc"  Cmpeq "cmpeq" "abc"
    Ld "ld" "abi"  St "st" "abi"  Ldb "ldb" "abi"  Stb "stb" "abi"
    Jmp "jmp" "i"  Jz "jz" "ai"  Jnz "jnz" "ai"  Call "call" "i"  Ret "ret" ""
    Setvec "setvec" "ai"  Ei "ei" ""  Di "di" ""  Iret "iret" ""  Halt "halt" ""  Wfi "wfi" ""
    Rdtime "rdtime" "a"  Rdrand "rdrand" "a"  Rdhost "rdhost" "a"
    Nettx "nettx" "ab"  Netrx "netrx" "a"  Diskrd "diskrd" "ab"  Diskwr "diskwr" "ab"
    Conout "conout" "a"  Timer "timer" "a"
}

impl Operation {
    /// Whether the result differs from run to run, so that the hypervisor must carry the instruction out.
    pub fn is_nondeterministic(self) -> bool {
        matches!(self, Operation::Rdtime | Operation::Rdrand | Operation::Rdhost)
    }

    /// Whether the instruction sends something out of the machine.
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
    /// non-determinism is left. Code is no part of the guest's memory: it cannot change later.
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
