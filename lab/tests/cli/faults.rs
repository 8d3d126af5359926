//! What `lab` says when it cannot do what is asked.

use std::fs;

use crate::{lab, scratch};

#[test]
fn an_unknown_name_is_answered_with_the_nearest_ones() {
    for verb in ["test", "stress", "list"] {
        let said = lab(&[verb, "overflow_1c"]).ended(2);
        assert!(said.err.contains("there is no lab, part or test called overflow_1c"), "{}", said.err);
        assert!(said.err.contains("the nearest: overflows_1c"), "{}", said.err);
    }
    let said = lab(&["replay", "1E", "--seed", "1"]).ended(2);
    assert!(said.err.contains("the nearest: 1A, 1B, 1C"), "{}", said.err);
    assert!(lab(&["zoo", "mini", "--bug", "M3"]).ended(2).err.contains("there are M1, M1b, M2, M10"));
}

#[test]
fn a_test_that_the_binary_does_not_have_is_no_failed_test() {
    let output = scratch().join("campaign").display().to_string();
    let calls: [&[&str]; 2] = [&["test", "missing_1d"], &["stress", "missing_1d", "--output", &output]];
    for arguments in calls {
        let said = lab(arguments).ended(2);
        assert!(said.err.contains("has no test part_1d::missing_1d"), "{}", said.err);
    }
}

#[test]
fn code_that_does_not_compile_is_answered_with_the_compilers_words() {
    let folder = scratch();
    let catalogue = fs::read_to_string(crate::fixture().join("labs.toml")).expect("the fixture is there");
    fs::write(folder.join("labs.toml"), catalogue).expect("the folder can be written");
    let manifest = fs::read_to_string(crate::fixture().join("Cargo.toml")).expect("the fixture is there");
    fs::write(folder.join("Cargo.toml"), manifest).expect("the folder can be written");
    fs::create_dir_all(folder.join("src")).expect("the folder can be written");
    fs::create_dir_all(folder.join("tests")).expect("the folder can be written");
    fs::write(folder.join("src/lib.rs"), "").expect("the folder can be written");
    fs::write(folder.join("tests/mini.rs"), "#[test] fn answer() { let x: u64 = \"no number\"; }")
        .expect("as above");
    let output = crate::binary()
        .args(["test", "1A"])
        .env("LAB_LABS", folder.join("labs.toml"))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output();
    let said = crate::Said::new(output.expect("lab can be run")).ended(2);
    assert!(said.err.contains("mismatched types") && said.err.contains("no number"), "{}", said.err);
    assert!(said.err.contains("the tests do not compile"), "{}", said.err);
}

#[test]
fn a_labs_toml_that_is_wrong_is_named_with_its_line() {
    let path = scratch().join("labs.toml");
    fs::write(&path, "[limits]\nvirtual_s = \"long\"\n").expect("the folder can be written");
    let output = crate::binary().arg("--labs").arg(&path).arg("list").output();
    let said = crate::Said::new(output.expect("lab can be run")).ended(2);
    assert!(said.err.contains("labs.toml") && said.err.contains("line 2"), "{}", said.err);
}
