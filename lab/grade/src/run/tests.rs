use super::*;

/// What lab code prints and how it ends is the submission's fault, whatever it looks like.
#[test]
fn no_submission_can_look_like_a_broken_grader() {
    let end = |code, output: &str| End { cause: Cause::Exit(code), output: output.to_owned() };
    let begun = "\nrunning 1 test\n";
    assert!(is_broken(&end(99, "lab-grade: the sandbox cannot be made: seccomp: x\n")));
    assert!(is_broken(&end(1, "bwrap: No such file\n")));
    assert!(!is_broken(&end(99, begun)));
    assert!(!is_broken(&end(99, &format!("{begun}lab-grade: the sandbox cannot be made: x\n"))));
    assert!(!is_broken(&end(1, &format!("{begun}bwrap: x\n"))));
    assert!(has_no_test(&end(0, "\nrunning 0 tests\n")));
    assert!(!has_no_test(&end(0, &format!("{begun}\nrunning 0 tests\n"))));
}
