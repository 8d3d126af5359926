//! Code that is still to be written: a body that is `todo!("2A")`. That is no failure to look into, so it
//! takes one line.

use labreport::Kind;

use crate::protocol::Report;

/// How std begins the message of `todo!`.
const TODO: &str = "not yet implemented: ";

/// What is not implemented, in the words of its `todo!`, if that is why the test failed.
pub(crate) fn unwritten(report: &Report) -> Option<&str> {
    let message = report.message.as_deref().filter(|_| report.kind == Some(Kind::Panic))?;
    let (_, what) = message.split_once(TODO)?;
    // Behind it stands the thread that panicked.
    Some(what.split(" (thread").next().unwrap_or(what).trim())
}

/// What the checkers did not see of the solution. Where nothing is written there is nothing to see, so
/// nothing is missed.
pub(crate) fn unwatched(report: &Report) -> &[String] {
    if unwritten(report).is_some() { &[] } else { &report.unwatched }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_todo_is_no_other_panic() {
        let report = |kind, message: &str| Report {
            kind: Some(kind),
            message: Some(message.to_owned()),
            unwatched: vec!["logs".to_owned()],
            ..Report::default()
        };
        let todo = "panic: not yet implemented: 2A (thread `main` of `server 0`)";
        assert_eq!(unwritten(&report(Kind::Panic, todo)), Some("2A"));
        assert_eq!(unwritten(&report(Kind::Expectation, todo)), None);
        assert_eq!(unwritten(&report(Kind::Panic, "panic: no entry 2")), None);
        assert_eq!(unwatched(&report(Kind::Panic, todo)), [""; 0]);
        assert_eq!(unwatched(&report(Kind::Expectation, todo)), ["logs"]);
    }
}
