//! The way through the stack: from frame to frame, with a stop at each that has something to clean up.

use std::arch::naked_asm;
use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::frames::{self, Frame};

/// The registers that a function leaves as it found them, by their places in [`Registers`]; behind them the
/// stack pointer and the address where the function goes on.
pub(super) const SAVED: usize = 6;
pub(super) const STACK: usize = 6;
const RESUME: usize = 7;

/// rbx, rbp, r12 to r15, rsp, rip. The assembly below knows the order.
type Registers = [usize; 8];

/// The head of a panic on its way, as the C interface has it. What lies behind it is std's.
#[repr(C)]
struct Exception {
    class: u64,
    cleanup: usize,
    /// The unwinder's own: ours has [`mark`] in the first.
    private: [usize; 2],
}

thread_local! {
    static KILL_COMES: Cell<bool> = const { Cell::new(false) };
}

/// The next panic of this OS thread is a kill of the running task.
#[inline]
pub(crate) fn expect_kill() {
    KILL_COMES.set(true);
}

/// What tells a panic that is unwound here from one that the system unwinds, which has 0 or the address of a
/// function in that place.
fn mark() -> usize {
    static MARK: u64 = 0;
    &raw const MARK as usize
}

/// The body of a function of the C interface. The registers are put in memory for `$step`. If it gives an
/// address, that function gets the call as if it had come to it. Otherwise the registers are those of the
/// frame that has to clean up, which expects the panic in rax, and a number that Rust does not use in rdx.
macro_rules! change_registers {
    ($step:ident) => {
        naked_asm!(
            "sub rsp, 72",
            "mov [rsp], rbx",
            "mov [rsp + 8], rbp",
            "mov [rsp + 16], r12",
            "mov [rsp + 24], r13",
            "mov [rsp + 32], r14",
            "mov [rsp + 40], r15",
            "lea rax, [rsp + 80]",
            "mov [rsp + 48], rax",
            "mov rax, [rsp + 72]",
            "mov [rsp + 56], rax",
            "mov [rsp + 64], rdi",
            "mov rsi, rsp",
            "call {step}",
            "mov rdi, [rsp + 64]",
            "test rax, rax",
            "jnz 2f",
            "mov rax, rdi",
            "xor edx, edx",
            "mov rbx, [rsp]",
            "mov rbp, [rsp + 8]",
            "mov r12, [rsp + 16]",
            "mov r13, [rsp + 24]",
            "mov r14, [rsp + 32]",
            "mov r15, [rsp + 40]",
            "mov rcx, [rsp + 56]",
            "mov rsp, [rsp + 48]",
            "jmp rcx",
            "2:",
            "add rsp, 72",
            "jmp rax",
            step = sym $step,
        )
    };
}

/// Begins a panic: called by std, in place of the system's function.
///
/// # Safety
/// As the C interface has it: `exception` points to the head of a panic.
#[allow(unsafe_code, reason = "the C interface of unwinding, in which registers are changed")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C-unwind" fn _Unwind_RaiseException(exception: *mut Exception) -> i32 {
    change_registers!(begin)
}

/// Goes on with a panic after a frame has cleaned up: called at the end of each cleanup.
///
/// # Safety
/// As the C interface has it: `exception` points to the head of the panic that the cleanup was entered with.
#[allow(unsafe_code, reason = "the C interface of unwinding, in which registers are changed")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C-unwind" fn _Unwind_Resume(exception: *mut Exception) -> ! {
    change_registers!(go_on)
}

/// The first frame that has something to do for a panic that begins; or the system's function, if this panic
/// is left to it.
///
/// # Safety
/// `exception` as above; `registers` are those of the caller of [`_Unwind_RaiseException`].
#[allow(unsafe_code, reason = "reads frames of the stack")]
unsafe extern "C" fn begin(exception: *mut Exception, registers: *mut Registers) -> usize {
    static SYSTEMS: AtomicUsize = AtomicUsize::new(0);
    if KILL_COMES.replace(false) {
        // SAFETY: the caller vouches for both pointers.
        unsafe {
            if find_cleanup(&mut *registers) {
                (*exception).private = [mark(), 0];
                return 0;
            }
        }
    }
    systems(&SYSTEMS, c"_Unwind_RaiseException")
}

/// The next frame that has something to do; or the system's function, if the panic is left to it.
///
/// # Safety
/// As [`begin`], for [`_Unwind_Resume`].
#[allow(unsafe_code, reason = "reads frames of the stack")]
unsafe extern "C" fn go_on(exception: *mut Exception, registers: *mut Registers) -> usize {
    static SYSTEMS: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: the caller vouches for both pointers.
    unsafe {
        if (*exception).private[0] == mark() {
            if find_cleanup(&mut *registers) {
                return 0;
            }
            // As after the system's own first way, whose result Rust does not look at.
            (*exception).private = [0, 0];
        }
    }
    systems(&SYSTEMS, c"_Unwind_Resume")
}

/// The function of this name that the program would have called but for ours.
#[allow(unsafe_code, reason = "std does not look up names")]
fn systems(known: &AtomicUsize, name: &CStr) -> usize {
    let address = known.load(Ordering::Relaxed);
    if address != 0 {
        return address;
    }
    // SAFETY: the name ends with a zero byte.
    let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) } as usize;
    if address == 0 {
        // Nobody can unwind, which is what the system's function would say of a program without tables.
        std::process::abort();
    }
    known.store(address, Ordering::Relaxed);
    address
}

/// Goes from the frame of these registers to the next one outwards that has a cleanup, and makes the
/// registers those with which it begins. False if a frame is not understood; the registers are as before
/// then.
///
/// # Safety
/// The registers are those of a frame of this OS thread's stack, at a call that has not returned.
#[allow(unsafe_code, reason = "reads frames of the stack")]
unsafe fn find_cleanup(registers: &mut Registers) -> bool {
    let mut here = *registers;
    loop {
        let Some(frame) = frames::at(here[RESUME]) else { return false };
        if frame.cleanup != 0 {
            here[RESUME] = frame.cleanup;
            here[STACK] += frame.pushed as usize;
            *registers = here;
            return true;
        }
        // SAFETY: the frame's rules are those of the program's own tables for this address.
        unsafe { step_out(&mut here, &frame) };
    }
}

/// Makes the registers those of the caller, as they will be when the call returns.
///
/// # Safety
/// `frame` has the rules for these registers' address.
#[allow(unsafe_code, reason = "reads frames of the stack")]
#[inline]
unsafe fn step_out(registers: &mut Registers, frame: &Frame) {
    let base = registers[frame.base as usize].wrapping_add_signed(frame.distance as isize);
    let read = |offset: i32| {
        let address = base.wrapping_add_signed(offset as isize) as *const usize;
        // SAFETY: the tables say that the function has saved a register there, or was called from there.
        unsafe { *address }
    };
    for (register, &offset) in registers[..SAVED].iter_mut().zip(&frame.saved) {
        if offset != 0 {
            *register = read(offset);
        }
    }
    registers[RESUME] = read(frames::RETURN_ADDRESS);
    registers[STACK] = base;
}
