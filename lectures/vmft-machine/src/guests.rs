//! Sample guests. Servers take requests of words (client, number, operation, arguments) and answer with three
//! (client, number, result). They carry each request out once: a repeated one gets the first answer again.
//!
//! None of them knows that it is replicated. That a server recognises repetitions is for its clients' sake:
//! they ask again when an answer is late, as they would if the network had lost it, and a host that dies
//! looks like that.
//!
//! | guest | what it is for |
//! |---|---|
//! | [`counter`] | the output rule: 11 must not come twice for two increments |
//! | [`key_value`] | histories that are checked for linearizability |
//! | [`echo`] | nothing but network |
//! | [`clock`] | values that no replay could guess |
//! | [`file_writer`], [`disk_spinner`] | the disk: interrupts that bring data |
//! | [`sorter`], [`sort_server`] | instructions without events; many pages to ship |
//! | [`timing`] | a control flow that depends on where an interrupt comes |

use crate::assembler::assemble;
use crate::instruction::Program;

/// A server: `body` computes the result in `r10`, from the operation in `r4` and the packet at `r1`, and may
/// jump to `keep`. It has `r7` to `r11` to itself. The timer ticks every `period` microseconds; 0: never.
///
/// | address | content |
/// |---|---|
/// | `0x0100` | the packet: client, number, operation, arguments; later the answer |
/// | `0x0800` | the counter |
/// | `0x1000` | 64 rows of 32 bytes, by client modulo 64: number of the last request, its result |
/// | `0x2000` | 256 words: the values of the keys |
/// | `0x4000` | what `sort_server` sorts |
///
/// The request is carried out in the packet's handler, where interrupts are disabled. So no second request
/// can come between the look at the row and the note in it.
fn server(period: u32, body: &str) -> Program {
    assemble(&format!(
        "
            movi r1 1
            setvec r1 packet
            movi r1 0
            setvec r1 tick
            movi r1 {period}
            timer r1
        idle:
            wfi
            jmp idle
        tick:
            iret
        packet:
            movi r1 0x100
            netrx r1
            ld r2 r1 0          ; client
            ld r3 r1 8          ; number of the request
            ld r4 r1 16         ; operation
            movi r5 63
            and r6 r2 r5
            movi r5 5
            shl r6 r6 r5        ; the client's place in the table: last number, its result
            ld r8 r6 0x1000
            cmplt r9 r3 r8
            jnz r9 done         ; a late copy
            cmpeq r9 r3 r8
            jnz r9 answer       ; a copy of the last request
            {body}
        keep:
            st r3 r6 0x1000
            st r10 r6 0x1008
        answer:
            ld r10 r6 0x1008
            st r10 r1 16
            movi r11 24
            nettx r1 r11
        done:
            iret
        "
    ))
}

/// Operation 0 returns the counter, any other adds 1 and returns the sum.
///
/// Its answers tell how often it has counted: an increment that is lost, or carried out by both hosts, shows
/// in the next answer.
pub fn counter(period: u32) -> Program {
    server(
        period,
        "
            movi r7 0x800
            ld r10 r7 0
            jz r4 keep
            movi r9 1
            add r10 r10 r9
            st r10 r7 0
        ",
    )
}

/// Operation 0 returns the value of key `argument 1` (below 256); any other sets it to `argument 2`, and
/// returns that. A key that was never set has the value 0.
pub fn key_value(period: u32) -> Program {
    server(
        period,
        "
            ld r7 r1 24
            movi r9 255
            and r7 r7 r9
            movi r9 3
            shl r7 r7 r9
            ld r10 r7 0x2000
            jz r4 keep
            ld r10 r1 32
            st r10 r7 0x2000
        ",
    )
}

/// Returns a mixture of the time, a random number and the host's number.
///
/// A backup that executed any of the three itself would come to another answer, and the hashes of the two
/// hosts would differ from that instruction on.
pub fn clock(period: u32) -> Program {
    server(
        period,
        "
            rdtime r10
            rdrand r9
            xor r10 r10 r9
            rdhost r9
            add r10 r10 r9
        ",
    )
}

/// Sorts 32 numbers for each request, over several pages; the result is the smallest.
///
/// The numbers stand 256 bytes apart, on eight pages. So a request changes eight kilobytes of state and needs
/// a few dozen bytes of log: here replication of the input pays most.
pub fn sort_server(period: u32) -> Program {
    server(
        period,
        "
            movi r7 0           ; fills 32 words, 256 bytes apart
        fill:
            movi r9 73
            mul r10 r7 r9
            add r10 r10 r3
            movi r9 127
            and r10 r10 r9
            movi r9 8
            shl r11 r7 r9
            st r10 r11 0x4000
            movi r9 1
            add r7 r7 r9
            movi r9 32
            cmplt r9 r7 r9
            jnz r9 fill
        pass:
            movi r8 0           ; bubble sort: r8 tells whether a pass has changed anything
            movi r7 0
        pair:
            ld r10 r7 0x4000
            ld r11 r7 0x4100
            cmplt r9 r11 r10
            jz r9 sorted
            st r11 r7 0x4000
            st r10 r7 0x4100
            movi r8 1
        sorted:
            movi r9 256
            add r7 r7 r9
            movi r9 7936
            cmplt r9 r7 r9
            jnz r9 pair
            jnz r8 pass
            movi r7 0
            ld r10 r7 0x4000
        ",
    )
}

/// Sends each packet back: `r13` is its length when the handler begins. Two requests that come while one is
/// answered wait in the hypervisor, since interrupts are disabled in a handler.
pub fn echo() -> Program {
    assemble(
        "
            movi r1 1
            setvec r1 packet
        idle:
            wfi
            jmp idle
        packet:
            movi r1 0x100
            netrx r1
            nettx r1 r13
            iret
        ",
    )
}

/// Writes `count` blocks to eight places in turn, reads each back, prints `.` if it is the same and `x` if
/// not, and halts.
///
/// Its console is a row of dots whatever happens to its hosts. An `x` would mean that a write was lost
/// (started by a host that died, and not started again by the other one), or that a late copy of an earlier
/// write to the place came behind it.
pub fn file_writer(count: u32) -> Program {
    assemble(&format!(
        "
            movi r1 2
            setvec r1 done
            movi r2 0           ; number of the round
            movi r3 0x400
            movi r4 0x800
            movi r6 {count}
        next:
            st r2 r3 0
            movi r9 7
            and r11 r2 r9       ; block
            di                  ; the interrupt must not come before the wait
            movi r5 0
            diskwr r11 r3
        written:
            wfi
            jz r5 written
            di
            movi r5 0
            diskrd r11 r4
        read:
            wfi
            jz r5 read
            ld r7 r4 0
            cmpeq r8 r7 r2
            movi r9 120
            jz r8 print
            movi r9 46
        print:
            conout r9
            movi r9 1
            add r2 r2 r9
            cmpeq r8 r2 r6
            jz r8 next
            halt
        done:
            movi r5 1
            iret
        "
    ))
}

/// Sorts 64 numbers again and again, and prints a byte after each sort. The timer only interrupts it.
///
/// Thousands of instructions run between two events, so what limits it is how fast the machine runs, and how
/// far behind a backup may be that must stop at the newest entry (rule R2 of the lab).
pub fn sorter(period: u32) -> Program {
    assemble(&format!(
        "
            movi r1 0
            setvec r1 tick
            movi r1 {period}
            timer r1
            ei
            movi r12 1
        again:
            movi r7 0
        fill:
            movi r9 1103515245
            mul r12 r12 r9
            movi r9 12345
            add r12 r12 r9
            st r12 r7 0x4000
            movi r9 8
            add r7 r7 r9
            movi r9 512
            cmplt r9 r7 r9
            jnz r9 fill
        pass:
            movi r8 0
            movi r7 0
        pair:
            ld r10 r7 0x4000
            ld r11 r7 0x4008
            cmplt r9 r11 r10
            jz r9 sorted
            st r11 r7 0x4000
            st r10 r7 0x4008
            movi r8 1
        sorted:
            movi r9 8
            add r7 r7 r9
            movi r9 504
            cmplt r9 r7 r9
            jnz r9 pair
            jnz r8 pass
            movi r7 0
            ld r10 r7 0x4000
            conout r10
            jmp again
        tick:
            iret
        "
    ))
}

/// Counts, and takes another path at each tick, by where the tick found it: the handler notes the `pc` that
/// the interrupt pushed, and the main loop's count. Every sixteenth tick it prints what it has mixed.
///
/// An interrupt that is delivered one instruction too late pushes another `pc`, and everything that the guest
/// does from then on is different. No guest of real use is so touchy, and that is the point: a test with this
/// one notices what an ordinary guest would forgive for hours.
pub fn timing(period: u32) -> Program {
    assemble(&format!(
        "
            movi r1 0
            setvec r1 tick
            movi r1 {period}
            timer r1
            ei
            movi r3 17
        count:
            movi r9 1
            add r2 r2 r9
            xor r6 r6 r2
            jmp count
        tick:
            ld r4 r15 0         ; where the interrupt came
            movi r8 31
            mul r3 r3 r8
            add r3 r3 r4
            add r3 r3 r2
            movi r8 1
            and r10 r4 r8
            jz r10 even
            add r2 r2 r3        ; the count goes on from elsewhere
        even:
            add r5 r5 r8
            movi r8 15
            and r10 r5 r8
            movi r8 3
            shl r11 r10 r8
            st r3 r11 0x600
            jnz r10 back
            conout r3
        back:
            iret
        "
    ))
}

/// Starts a read of block 3 and counts how often it looks at the target before that changes; prints the
/// count. Twenty times, and then it halts. Block 3 must not begin with eight zeros.
///
/// Without bounce buffers the data would come in the middle of the loop, at a moment that only the primary's
/// hardware knows, and the backup would count to another number (§3.4).
pub fn disk_spinner() -> Program {
    assemble(
        "
            movi r1 2
            setvec r1 done
            ei
        again:
            movi r3 0x400
            movi r4 0
            st r4 r3 0
            movi r2 3
            diskrd r2 r3
        spin:
            movi r9 1
            add r5 r5 r9
            ld r4 r3 0
            jz r4 spin
            conout r5
            add r6 r6 r9
            movi r9 20
            cmplt r9 r6 r9
            jnz r9 again
            halt
        done:
            iret
        ",
    )
}
