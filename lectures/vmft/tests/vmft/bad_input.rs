//! Programs that are wrong, and requests that cannot be carried out: an error value or a trap, the same on
//! both hosts, and nothing is lost.

use std::time::Duration;

use labrt::thread;
use tester::{Test, run};
use vmft::assembler::assemble;
use vmft::machine::BLOCK;
use vmft::rpc::{ArbiterError, DiskError, DiskWrite};
use vmft::{DiskServer, Flag, Program, Role, Stop, Trap};

use crate::cluster::{Cluster, Setup};

/// A guest that works for a while, prints a byte, and then makes this mistake.
fn faulty(mistake: &str) -> Program {
    assemble(&format!(
        "
            movi r1 2000
            movi r2 1
        work:
            sub r1 r1 r2
            jnz r1 work
            movi r3 33
            conout r3
            {mistake}
            jmp work
        "
    ))
}

/// Each mistake traps at the same instruction on both hosts, with equal states, and the output before it
/// leaves.
#[test]
fn traps_on_both_hosts() {
    run("traps_on_both_hosts", |t: &Test| {
        let mistakes = [
            ("divu r4 r3 r9", Trap::DivisionByZero),
            ("jmp 1000", Trap::JumpOutside),
            ("movi r5 -1\n st r3 r5 0", Trap::BeyondMemory),
            ("movi r5 65529\n ld r3 r5 0", Trap::BeyondMemory),
            ("movi r5 65535\n ldb r3 r5 1", Trap::BeyondMemory),
            ("movi r15 4\n call work", Trap::BeyondMemory),
            ("movi r5 65536\n mov r15 r5\n ret", Trap::BeyondMemory),
            ("movi r5 65500\n diskrd r9 r5", Trap::BeyondMemory),
            ("movi r5 65500\n diskwr r9 r5", Trap::BeyondMemory),
            ("movi r5 9\n setvec r5 work", Trap::NoSuchVector),
            ("movi r5 1501\n nettx r9 r5", Trap::LongPacket),
        ];
        for (mistake, trap) in mistakes {
            t.scene(format!("The guest tries `{mistake}`."));
            let cluster = Cluster::new(t, Setup::new(faulty(mistake)));
            (0..2).for_each(|host| cluster.wait_for(host, Role::Off, 3000));
            let ends =
                [0, 1].map(|host| cluster.status(host).map(|end| (end.stopped, end.icount, end.state_hash)));
            assert_eq!(ends[0], ends[1], "the two guests ended differently");
            assert_eq!(ends[0].and_then(|end| end.0), Some(Stop::Trapped(trap)));
            thread::sleep(Duration::from_millis(100));
            assert_eq!(cluster.wire.console(), b"!");
            assert!(
                cluster.watch.winners().is_empty(),
                "a host has taken the flag of a machine that stopped"
            );
            cluster.finish();
        }
    });
}

/// The shared disk and the flag refuse what they cannot do.
#[test]
fn disk_and_flag_refuse() {
    run("disk_and_flag_refuse", |_: &Test| {
        let disk = DiskServer::new();
        let write = |lba, length, index, writer_epoch| DiskWrite {
            vm: 1,
            lba,
            data: vec![9; length],
            index,
            writer_epoch,
        };
        disk.with(1, |volume| {
            assert_eq!(volume.read(vmft::disk::BLOCKS), Err(DiskError::NoSuchBlock));
            assert_eq!(volume.write(write(vmft::disk::BLOCKS, BLOCK, 1, 1)), Err(DiskError::NoSuchBlock));
            assert_eq!(volume.write(write(0, 3, 1, 1)), Err(DiskError::WrongLength));
            assert_eq!(volume.write(write(0, BLOCK, 5, 1)), Ok(()));
            volume.flag().reset(2);
            assert_eq!(volume.write(write(0, BLOCK, 6, 1)), Err(DiskError::Stale));
            assert_eq!(volume.read(0), Ok(vec![9; BLOCK]));
        });
        let mut flag = Flag::default();
        assert_eq!(flag.test_and_set(2, 0), Err(ArbiterError::WrongEpoch(1)));
        assert_eq!(
            [flag.test_and_set(1, 4), flag.test_and_set(1, 5), flag.test_and_set(1, 4)],
            [Ok(false), Ok(true), Ok(false)]
        );
        flag.reset(1);
        assert_eq!(flag.test_and_set(1, 5), Ok(true), "a reset to the same epoch");
        flag.reset(3);
        assert_eq!((flag.test_and_set(1, 4), flag.epoch()), (Err(ArbiterError::WrongEpoch(3)), 3));
        assert_eq!(flag.test_and_set(3, 5), Ok(false));
    });
}
