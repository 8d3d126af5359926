//! What the program's tables say of a frame, read once for each return address.
//!
//! The tables are those of DWARF (`.eh_frame`) for the registers, and Rust's for the cleanups, which have the
//! form of C++'s. What is rare in them (expressions, registers kept in others) is not understood here.

use std::ffi::{c_int, c_void};
use std::slice;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, NativeEndian, Pointer, Reader, Register,
    RegisterRule, UnwindContext, UnwindSection, UnwindTableRow, X86_64, constants,
};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;

use super::walk::{SAVED, STACK};

/// Where the return address lies, seen from the frame's base.
pub(super) const RETURN_ADDRESS: i32 = -8;

/// How to go from a frame to its caller, or where its cleanup begins.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// The address of the cleanup; 0 if there is none.
    pub(super) cleanup: usize,
    /// Bytes of arguments that were pushed for the call. The cleanup expects them to be gone.
    pub(super) pushed: u32,
    /// The base of the frame (the caller's stack pointer) is this register, by its place, plus `distance`.
    pub(super) base: u8,
    pub(super) distance: i32,
    /// Where each register was saved, seen from the base; 0: it was not.
    pub(super) saved: [i32; SAVED],
}

/// The registers that functions save, by their places.
const NAMES: [Register; SAVED] =
    [X86_64::RBX, X86_64::RBP, X86_64::R12, X86_64::R13, X86_64::R14, X86_64::R15];

type Bytes = EndianSlice<'static, NativeEndian>;

/// By return address. None: not understood.
static KNOWN: RwLock<Option<FxHashMap<usize, Option<Frame>>>> = RwLock::new(None);

/// The frame to which a call returns at this address, if it is understood.
#[inline]
pub(super) fn at(address: usize) -> Option<Frame> {
    let known = KNOWN.read().as_ref().and_then(|known| known.get(&address).copied());
    known.unwrap_or_else(|| learn(address))
}

#[cold]
fn learn(address: usize) -> Option<Frame> {
    let frame = Tables::of(address).and_then(|tables| tables.frame(address));
    KNOWN.write().get_or_insert_default().insert(address, frame);
    frame
}

/// Of how many return addresses it is known how to go on.
pub(crate) fn count() -> usize {
    let known = KNOWN.read();
    known.as_ref().map_or(0, |known| known.values().filter(|frame| frame.is_some()).count())
}

/// A piece of the program in memory.
#[derive(Clone, Copy)]
struct Piece {
    start: usize,
    length: usize,
}

impl Piece {
    fn contains(self, address: usize) -> bool {
        (self.start..self.start + self.length).contains(&address)
    }

    /// What stands from `address` on to the end of the piece.
    #[allow(unsafe_code, reason = "reads the program's own tables")]
    fn from(self, address: usize) -> Option<Bytes> {
        let length = self.length.checked_sub(address.checked_sub(self.start)?)?;
        // SAFETY: the dynamic linker has mapped the piece, and nobody writes to it or takes it away: it
        // belongs to the program, or to a library that it was linked with.
        let bytes = unsafe { slice::from_raw_parts(address as *const u8, length) };
        Some(EndianSlice::new(bytes, NativeEndian))
    }
}

/// The tables of the program or library that an address lies in.
struct Tables {
    /// The index of `.eh_frame`, sorted by address.
    index: Piece,
    pieces: Vec<Piece>,
}

impl Tables {
    #[allow(unsafe_code, reason = "std does not tell where the program lies")]
    fn of(address: usize) -> Option<Tables> {
        let mut search = (address, None);
        // SAFETY: `look` gets the address of `search`, which lives until the call returns.
        unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
        search.1
    }

    fn frame(&self, address: usize) -> Option<Frame> {
        // The call may be the last instruction of its function, or of a part with its own rules.
        let (address, call) = (address as u64, address as u64 - 1);
        debug_assert!(call < address);
        let bases = BaseAddresses::default().set_eh_frame_hdr(self.index.start as u64);
        let index = EhFrameHdr::from(self.index.from(self.index.start)?).parse(&bases, 8).ok()?;
        let start = index.eh_frame_ptr().direct().ok()?;
        let bases = bases.set_eh_frame(start);
        let section = EhFrame::from(self.bytes(start)?);
        let function =
            index.table()?.fde_for_address(&section, &bases, call, EhFrame::cie_from_offset).ok()?;
        let cleanup = match (function.lsda(), function.personality()) {
            (None, _) => 0,
            (Some(Pointer::Direct(at)), Some(Pointer::Indirect(language))) if self.is_rust(language) => {
                cleanup_in(self.bytes(at)?, function.initial_address(), call)?
            }
            _ => return None,
        };
        let mut context = UnwindContext::new();
        let row = function.unwind_info_for_address(&section, &bases, &mut context, call).ok()?;
        rules(row, cleanup as usize)
    }

    /// What stands from an address on.
    fn bytes(&self, address: u64) -> Option<Bytes> {
        let address = address as usize;
        self.pieces.iter().find(|piece| piece.contains(address))?.from(address)
    }

    /// Whether the pointer at this address leads to the function that knows Rust's cleanups.
    fn is_rust(&self, address: u64) -> bool {
        let language = self.bytes(address).and_then(|mut bytes| bytes.read_u64().ok());
        language.is_some_and(|language| language != 0 && language as usize == rust())
    }
}

/// The address of the function that knows Rust's cleanups; 0 if the compiler calls it otherwise by now.
#[allow(unsafe_code, reason = "std does not show it")]
fn rust() -> usize {
    let address: usize;
    // SAFETY: the instruction reads an entry of the program's table of addresses, which the linker makes.
    unsafe {
        std::arch::asm!(
            ".weak rust_eh_personality",
            "mov {}, [rip + rust_eh_personality@GOTPCREL]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    address
}

/// Keeps the tables of the object that the address lies in.
///
/// # Safety
/// As `dl_iterate_phdr` calls it, with the address of `(usize, Option<Tables>)` as `search`.
#[allow(unsafe_code, reason = "called back by the C library")]
unsafe extern "C" fn look(object: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: the C library passes a valid object, and `Tables::of` the other pointer.
    let (object, (address, found)) = unsafe { (&*object, &mut *search.cast::<(usize, Option<Tables>)>()) };
    // SAFETY: the object has so many headers, which live as long as it.
    let headers = unsafe { slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    let of_kind = |kind: u32| {
        headers.iter().filter(move |header| header.p_type == kind).map(|header| Piece {
            start: (object.dlpi_addr + header.p_vaddr) as usize,
            length: header.p_memsz as usize,
        })
    };
    let pieces: Vec<Piece> = of_kind(libc::PT_LOAD).collect();
    if !pieces.iter().any(|piece| piece.contains(*address)) {
        return 0;
    }
    *found = of_kind(libc::PT_GNU_EH_FRAME).next().map(|index| Tables { index, pieces });
    1
}

/// The address of the cleanup for this call, 0 if there is none; None if the table does not mention the call,
/// or is of another form than rustc's.
fn cleanup_in(mut table: Bytes, function: u64, call: u64) -> Option<u64> {
    let is_omitted = |form: u8| form == constants::DW_EH_PE_omit.0;
    if !is_omitted(table.read_u8().ok()?) {
        return None;
    }
    if !is_omitted(table.read_u8().ok()?) {
        table.read_uleb128().ok()?;
    }
    let form = constants::DwEhPe(table.read_u8().ok()?);
    let length = table.read_uleb128().ok()?;
    let mut calls = table.split(length as usize).ok()?;
    while !calls.is_empty() {
        let mut number = || match form {
            constants::DW_EH_PE_uleb128 => calls.read_uleb128().ok(),
            constants::DW_EH_PE_udata4 => calls.read_u32().ok().map(u64::from),
            _ => None,
        };
        let (start, length, cleanup) = (number()?, number()?, number()?);
        calls.read_uleb128().ok()?;
        if (function + start..function + start + length).contains(&call) {
            return Some(if cleanup == 0 { 0 } else { function + cleanup });
        }
    }
    None
}

/// The rules of the row, if all are of the usual kind.
fn rules(row: &UnwindTableRow<usize>, cleanup: usize) -> Option<Frame> {
    let &CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { return None };
    let place = |register: Register| NAMES.iter().position(|&name| name == register);
    let base = if register == X86_64::RSP { STACK } else { place(register)? };
    let mut frame = Frame {
        cleanup,
        pushed: u32::try_from(row.saved_args_size()).ok()?,
        base: base as u8,
        distance: i32::try_from(offset).ok()?,
        saved: [0; SAVED],
    };
    let mut returns = false;
    for &(register, ref rule) in row.registers() {
        let &RegisterRule::Offset(offset) = rule else { return None };
        let offset = i32::try_from(offset).ok().filter(|&offset| offset < 0)?;
        if register == X86_64::RA {
            returns = offset == RETURN_ADDRESS;
        } else {
            frame.saved[place(register)?] = offset;
        }
    }
    returns.then_some(frame)
}
