//! The machine's registers, memory and stack.

use crate::machine::{MEMORY, Machine, PAGE, Trap};

/// The register that an interrupt puts its argument into.
pub(crate) const ARGUMENT: u8 = 13;
/// The stack pointer. The stack grows down from the end of memory, eight bytes a word.
pub(crate) const STACK: u8 = 15;

impl Machine {
    /// The mask is for the compiler, which then needs no check: the loader has let no higher number pass.
    #[inline(always)]
    pub(crate) fn get(&self, register: u8) -> u64 {
        self.registers[usize::from(register & 15)]
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, register: u8, value: u64) {
        self.registers[usize::from(register & 15)] = value;
    }

    /// Bytes of memory. An address near 2^64 must not wrap to a low one, hence the checked sum.
    #[inline(always)]
    pub(crate) fn slice(&self, address: u64, length: u64) -> Result<&[u8], Trap> {
        let end = address.checked_add(length).ok_or(Trap::BeyondMemory)?;
        self.memory.get(address as usize..end as usize).ok_or(Trap::BeyondMemory)
    }

    /// The word at an address.
    #[inline(always)]
    pub(crate) fn load(&self, address: u64) -> Result<u64, Trap> {
        let bytes = self.slice(address, 8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("the slice has eight bytes")))
    }

    /// Writes bytes, all or none, and notes the pages. Every change of memory comes through here: a page that
    /// was changed unnoticed would keep its old hash, and lockstep would be judged by it.
    #[inline(always)]
    pub(crate) fn store(&mut self, address: u64, bytes: &[u8]) -> Result<(), Trap> {
        self.slice(address, bytes.len() as u64)?;
        let start = address as usize;
        self.memory[start..start + bytes.len()].copy_from_slice(bytes);
        // No bytes at the very end of memory are no mistake, and touch the last page at most.
        let last = (start + bytes.len().max(1) - 1).min(MEMORY - 1) / PAGE;
        for page in start.min(MEMORY - 1) / PAGE..=last {
            self.dirty |= 1 << page;
            self.unhashed |= 1 << page;
        }
        Ok(())
    }

    /// Pushes a word. The stack pointer moves only when the word is there, so that a trap leaves no trace.
    pub(crate) fn push(&mut self, word: u64) -> Result<(), Trap> {
        let top = self.get(STACK).wrapping_sub(8);
        self.store(top, &word.to_le_bytes())?;
        self.set(STACK, top);
        Ok(())
    }

    /// Pops a word.
    pub(crate) fn pop(&mut self) -> Result<u64, Trap> {
        let top = self.get(STACK);
        let word = self.load(top)?;
        self.set(STACK, top.wrapping_add(8));
        Ok(word)
    }
}
