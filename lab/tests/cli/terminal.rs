//! `cargo lab check` with a terminal around it: colours, progress, Ctrl-C.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;

use crate::check::{file, good};
use crate::scratch;

/// `lab check` with a terminal around it, if the machine has script(1). It is ended if it hangs.
fn on_a_terminal(file: &str, variables: &[(&str, &str)]) -> Option<std::process::Child> {
    in_a_shell(&format!("timeout --foreground 60 {} check {file}", env!("CARGO_BIN_EXE_lab")), variables)
}

/// A shell with a terminal around it, which gets what is written to the child's standard input as if it were
/// typed.
pub(crate) fn in_a_shell(script: &str, variables: &[(&str, &str)]) -> Option<std::process::Child> {
    let mut command = crate::program("script");
    command.args(["-qec", script, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.env("TERM", "xterm").env_remove("NO_COLOR").envs(variables.iter().copied());
    let child = command.spawn().ok();
    if child.is_none() {
        println!("skipped: there is no script(1)");
    }
    child
}

#[test]
fn a_terminal_gets_colours_unless_they_are_unwanted() {
    let file = file("good.jsonl", good());
    for (variables, colours) in [(vec![], true), (vec![("NO_COLOR", "1")], false)] {
        let Some(child) = on_a_terminal(&file, &variables) else { return };
        let out = child.wait_with_output().expect("script ends");
        let out = String::from_utf8(out.stdout).expect("it is UTF-8");
        assert!(out.contains("linearizable"), "{out:?}");
        assert_eq!(out.contains("\u{1b}[32m"), colours, "{out:?}");
    }
}

/// A terminal that knows no orders gets words alone, also from what draws bars elsewhere.
#[test]
fn a_dumb_terminal_gets_no_orders() {
    let output = scratch().join("dumb").display().to_string();
    for arguments in [
        &["test", "1A", "fails_1c", "--seed", "10"][..],
        &["stress", "slow_1a", "-n", "20", "--first-seed", "0", "-o", &output],
        &["stress", "passes_1a", "-n", "20", "--first-seed", "0", "--rounds", "-o", &output, "--fresh"],
    ] {
        let command = crate::command(arguments);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let script = words.map(|word| format!("'{}'", word.display())).collect::<Vec<_>>().join(" ");
        let target = command.get_envs().find(|(name, _)| *name == "CARGO_TARGET_DIR");
        let target =
            target.and_then(|(_, value)| value?.to_str()).expect("the fixture has a folder of its own");
        let variables = [("TERM", "dumb"), ("CARGO_TARGET_DIR", target)];
        let Some(child) = in_a_shell(&format!("timeout --foreground 120 {script}"), &variables) else {
            return;
        };
        let out = child.wait_with_output().expect("script ends");
        let out = String::from_utf8(out.stdout).expect("it is UTF-8");
        let shown = out.contains("Passed") || out.contains("of 20 runs") || out.contains("Done ");
        assert!(shown, "{arguments:?}: {out}");
        // Every line that a terminal shows ends with these two.
        let orders = |letter: char| letter == '\u{1b}' || letter == '\r';
        assert!(!out.replace("\r\n", "\n").contains(orders), "{arguments:?}: {out:?}");
    }
}

/// The history comes through a named pipe, and only after progress was shown.
#[test]
fn a_terminal_sees_that_long_work_goes_on() {
    let pipe = scratch().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo can be run");
    assert!(made.success());
    let Some(mut child) = on_a_terminal(&pipe.display().to_string(), &[]) else { return };
    let mut input = File::options().write(true).open(&pipe).expect("lab reads it");
    let mut output = child.stdout.take().expect("it is a pipe");
    let mut seen = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&seen).contains("0 MB read") {
        assert_eq!(
            output.read(&mut byte).expect("lab lives"),
            1,
            "no progress: {:?}",
            String::from_utf8_lossy(&seen)
        );
        seen.push(byte[0]);
    }
    input.write_all(good().as_bytes()).expect("lab reads all of it");
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("it is UTF-8");
    assert!(rest.contains("4 operations"), "{rest:?}");
    assert!(child.wait().expect("script ends").success());
}

/// Reads what a shell shows until some words are there, and returns all of it so far.
fn reader(child: &mut std::process::Child) -> impl FnMut(&str) -> String + use<> {
    let mut out = child.stdout.take().expect("it is piped");
    let mut seen = String::new();
    move |until| {
        let mut buffer = [0; 4096];
        while !seen.contains(until) {
            let count = out.read(&mut buffer).expect("the terminal can be read");
            assert!(count > 0, "no {until:?} in {seen:?}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        seen.clone()
    }
}

/// Interrupted while progress is shown: the terminal is as it was, and nobody takes that for a verdict.
#[test]
fn ctrl_c_leaves_the_terminal_as_it_was() {
    let pipe = scratch().join("interrupted");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo can be run");
    assert!(made.success());
    let lab = format!("timeout --foreground 60 {} check {}", env!("CARGO_BIN_EXE_lab"), pipe.display());
    // The shell lives on; what it starts does not inherit the trap.
    let script = format!("trap : INT; {lab}; echo ended with $?; stty -a");
    let Some(mut child) = in_a_shell(&script, &[]) else { return };
    // Held open, so that the check waits for more.
    let writer = File::options().write(true).open(&pipe).expect("the check reads it");
    let mut read = reader(&mut child);
    read("0 MB read");
    child.stdin.as_mut().expect("it is piped").write_all(b"\x03").expect("it can be typed");
    let seen = read("-extproc").replace('\r', "\n");
    drop(writer);
    assert!(seen.contains("ended with 130\n"), "{seen:?}");
    let is_set = |setting: &&str| seen.split_whitespace().any(|word| word == *setting);
    let sane = ["isig", "icanon", "echo", "opost"].iter().all(is_set);
    let hidden = seen.matches("\u{1b}[?25l").count() > seen.matches("\u{1b}[?25h").count();
    assert!(sane && !hidden, "{seen:?}");
    assert!(child.wait().expect("script ends").success());
}

/// Ctrl-C in a campaign: the bars are gone, the table stands there, and the terminal is as it was. The `^C`
/// that terminals write would begin a row of its own behind the last bar, so that the bars' first row stayed.
#[test]
fn ctrl_c_leaves_no_bar_on_the_screen() {
    let output = scratch().join("bars").display().to_string();
    let command = crate::command(&["stress", "slow_1a", "-n", "100000", "--first-seed", "1", "-o", &output]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| format!("'{}'", word.display())).collect::<Vec<_>>().join(" ");
    let target = command.get_envs().find(|(name, _)| *name == "CARGO_TARGET_DIR");
    let target = target.and_then(|(_, value)| value?.to_str()).expect("the fixture has a folder of its own");
    // The shell lives on; what it starts does not inherit the trap.
    let script = format!(
        "stty rows 24 cols 80; trap : INT; timeout --foreground 120 {words}; echo ended with $?; stty -a"
    );
    let Some(mut child) = in_a_shell(&script, &[("CARGO_TARGET_DIR", target)]) else { return };
    let mut read = reader(&mut child);
    read(" left)");
    child.stdin.as_mut().expect("it is piped").write_all(b"\x03").expect("it can be typed");
    let seen = read("-extproc");
    assert!(seen.contains("ended with 130") && seen.contains("the same command goes on"), "{seen:?}");
    let (screen, settings) = seen.split_once("ended with").expect("it has ended");
    assert!(!screen.contains("^C"), "{screen:?}");
    assert!(settings.split_whitespace().any(|word| word == "echoctl"), "{settings}");
    assert!(child.wait().expect("script ends").success());
}
