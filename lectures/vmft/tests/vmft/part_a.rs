//! Part A: one host records, another replays, without a network between them.

use labrt::rand::random_range;
use tester::{Test, run};
use vmft::guests::{clock, counter, disk_spinner, echo, file_writer, key_value, sort_server, sorter, timing};
use vmft::{Entry, EntryKind, Interrupt, Machine, Program, Replayer};

use crate::recording::{End, Recording, Replayed, read_file, record, replay};

/// Every sample guest, by name.
fn guests() -> [(&'static str, Program); 9] {
    [
        ("counter", counter(1000)),
        ("key/value", key_value(1000)),
        ("clock", clock(1000)),
        ("sort server", sort_server(1000)),
        ("echo", echo()),
        ("file writer", file_writer(20)),
        ("sorter", sorter(1000)),
        ("timing", timing(1000)),
        ("disk spinner", disk_spinner()),
    ]
}

#[track_caller]
fn expect_equal(t: &Test, guest: &str, recording: &Recording, replayed: &Replayed) {
    let differs = recording.steps.iter().zip(&replayed.steps).find(|(one, other)| one != other);
    t.expect(differs.is_none() && recording.steps.len() == replayed.steps.len(), || {
        let (ours, theirs) = (recording.steps.len(), replayed.steps.len());
        format!(
            "{guest}: {ours} events were recorded, {theirs} replayed; the first that differs: {differs:x?}"
        )
    });
    t.expect(recording.end == replayed.end, || {
        format!("{guest}: the run ended as {:x?}, the replay as {:x?}", recording.end, replayed.end)
    });
    t.expect(recording.outputs == replayed.outputs, || format!("{guest}: outputs differ"));
}

/// One run of each guest is recorded, written to a file, and replayed from there.
#[test]
fn vm_deterministic_replay() {
    run("vm_deterministic_replay", |t: &Test| {
        for (name, program) in guests() {
            t.scene(format!("The guest \"{name}\" is recorded and replayed."));
            let recording = record(&program, 120);
            let entries = read_file(&recording.file);
            t.expect(entries == recording.entries, || format!("{name}: the file holds other entries"));
            expect_equal(t, name, &recording, &replay(&program, entries));
            t.exercised(recording.steps.len() > 5, &format!("{name}: hardly any event"));
        }
    });
}

/// A thousand interrupts at random points of a guest that notes where each of them found it. One that comes
/// one instruction late makes the guest another one.
#[test]
fn vm_interrupt_position() {
    run("vm_interrupt_position", |t: &Test| {
        t.scene("A thousand interrupts are recorded and replayed.");
        let program = timing(1000);
        let mut recording = record(&program, 1700);
        while interrupts(&recording.entries).len() < 1000 {
            recording = record(&program, 5000);
        }
        expect_equal(t, "timing", &recording, &replay(&program, recording.entries.clone()));

        t.scene("The same, with one interrupt delivered one instruction late.");
        let interrupts = interrupts(&recording.entries);
        let mut chosen: Vec<usize> = (0..20).map(|_| interrupts[random_range(0..interrupts.len())]).collect();
        chosen.sort_unstable();
        // One replay comes to all of them, from the first to the last.
        let (mut replayer, mut entries) = (Replayer::new(Machine::new(program), 1), recording.entries.iter());
        for chosen in chosen {
            let before = entries.clone().take_while(|entry| entry.seq <= chosen as u64);
            replayer.receive(before.cloned().collect());
            entries = recording.entries[chosen..].iter();
            run_all(&mut replayer);
            let last = &recording.entries[chosen];
            let (on_time, late) = (state_behind(&replayer, last, 0), state_behind(&replayer, last, 1));
            t.expect(on_time.icount == late.icount && on_time.hash != late.hash, || {
                format!("interrupt {chosen} came late, and nothing differs: the test is blind")
            });
        }
    });
}

fn interrupts(entries: &[Entry]) -> Vec<usize> {
    // The guest has no handler for packets.
    let is_interrupt = |at: &usize| matches!(entries[*at].kind, EntryKind::Interrupt(Interrupt::Timer));
    (0..entries.len()).filter(is_interrupt).collect()
}

fn run_all(replayer: &mut Replayer) {
    while !replayer.is_done() {
        replayer.run(3000);
    }
}

/// The state some instructions after an entry, within the handler and before it could print, which is
/// delivered `late` instructions late. `before` has replayed all entries before it, and stays as it is.
fn state_behind(before: &Replayer, last: &Entry, late: u64) -> End {
    let mut last = last.clone();
    let end = Entry { seq: last.seq + 1, icount: last.icount + 12, kind: EntryKind::Progress, ..last };
    last.icount += late;
    let mut replayer = Replayer::new(before.machine().clone(), last.seq);
    replayer.receive(vec![last, end]);
    run_all(&mut replayer);
    End::of(replayer.machine_mut())
}

/// The guest looks at the target of a disk read until it changes, and counts how often. Data must appear
/// between the same two instructions on both hosts.
#[test]
fn vm_disk_bounce() {
    run("vm_disk_bounce", |t: &Test| {
        let program = disk_spinner();
        let mut exercised = false;
        for _ in 0..5 {
            let recording = record(&program, 300);
            expect_equal(t, "disk spinner", &recording, &replay(&program, recording.entries.clone()));
            exercised |= recording.outputs.len() >= 10;
        }
        t.exercised(exercised, "hardly any disk read ended");
    });
}
