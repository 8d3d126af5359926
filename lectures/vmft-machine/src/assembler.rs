//! A small assembler: programs as text, an instruction a line.
//!
//! `label:` names a position, `;` starts a comment, `r0` to `r15` are registers, and a number may be
//! decimal or hexadecimal (`0x10`). Operands are separated by blanks. For example, a guest that prints `!` at
//! each tick of its timer, and sleeps between two:
//!
//! ```text
//!     movi r1 0
//!     setvec r1 tick      ; vector 0 is the timer's
//!     movi r1 10000
//!     timer r1            ; every ten milliseconds
//! idle:
//!     wfi
//!     jmp idle            ; an interrupt that came goes back to here
//! tick:
//!     movi r2 33
//!     conout r2
//!     iret
//! ```

use std::collections::BTreeMap;

use crate::instruction::{Instruction, OPERATIONS, Program};

/// Assembles a program.
///
/// # Panics
/// If the text is no program; the message names the line. Programs are part of the source, so a mistake in
/// one is a mistake in the code.
pub fn assemble(text: &str) -> Program {
    Program::load(&assemble_bytes(text)).expect("the assembler makes instructions that the loader knows")
}

/// As [`assemble`], and returns the program's bytes.
///
/// # Panics
/// As [`assemble`].
pub fn assemble_bytes(text: &str) -> Vec<u8> {
    let lines = || text.lines().map(|line| line.split(';').next().unwrap_or("").trim());
    let lines = || lines().filter(|line| !line.is_empty());
    // Twice through the text: a jump may name a label that stands below it.
    let mut labels = BTreeMap::new();
    let mut position = 0;
    for line in lines() {
        match line.strip_suffix(':') {
            Some(label) => drop(labels.insert(label, position)),
            None => position += 1,
        }
    }
    let instructions = lines().filter(|line| !line.ends_with(':'));
    instructions.flat_map(|line| instruction(line, &labels).encode()).collect()
}

fn instruction(line: &str, labels: &BTreeMap<&str, i32>) -> Instruction {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    let Some(&(operation, _, operands)) = OPERATIONS.iter().find(|(_, known, _)| *known == name) else {
        panic!("`{line}`: there is no operation `{name}`")
    };
    let mut made = Instruction { operation, a: 0, b: 0, c: 0, imm: 0 };
    for operand in operands.chars() {
        let word = words.next().unwrap_or_else(|| panic!("`{line}`: an operand is missing"));
        match operand {
            'a' => made.a = register(word, line),
            'b' => made.b = register(word, line),
            'c' => made.c = register(word, line),
            _ => made.imm = labels.get(word).copied().unwrap_or_else(|| number(word, line)),
        }
    }
    assert!(words.next().is_none(), "`{line}`: too many operands");
    made
}

fn register(word: &str, line: &str) -> u8 {
    let number = word.strip_prefix('r').and_then(|number| number.parse().ok());
    number.filter(|&number| number < 16).unwrap_or_else(|| panic!("`{line}`: `{word}` is no register"))
}

fn number(word: &str, line: &str) -> i32 {
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => i32::from_str_radix(hex, 16),
        None => word.parse(),
    };
    parsed.unwrap_or_else(|_| panic!("`{line}`: `{word}` is neither a number nor a label"))
}
