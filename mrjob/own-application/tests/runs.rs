//! The crate's program is a whole command, with its own application and the others.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "it starts a real process")]

use std::fs;
use std::process::Command;

#[test]
fn the_program_runs_its_own_application_on_workers_of_its_own() {
    let folder = std::env::temp_dir().join(format!("own-application-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("poem"), "a b\nbut\nall in all\n").unwrap();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_own-application"))
            .args(arguments)
            .current_dir(&folder)
            .output()
            .unwrap()
    };
    let output = run(&["run", "--app", "line-lengths", "--workers", "2", "--reduces", "1", "poem"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(folder.join("mr-out-0")).unwrap(), "10 1\n3 2\n");
    assert!(run(&["run", "--app", "wc", "poem"]).status.success(), "the others are there, too");
    let unknown = run(&["run", "--app", "nothing", "poem"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("line-lengths"), "{unknown:?}");
    fs::remove_dir_all(&folder).unwrap();
}
