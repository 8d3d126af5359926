//! What a test binary says: lines that begin with `@lab`, one for each finished seed, in the order of the seeds.

use serde::{Deserialize, Serialize};

/// What marks a report among whatever else the binary prints.
const MARK: &[u8] = b"@lab {";

/// How one run of a test with one seed ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The test's name, as in `labs.toml`.
    pub(crate) test: String,
    pub(crate) seed: u64,
    pub(crate) ok: bool,
    /// How long the run lasted for the servers, in nanoseconds.
    #[serde(default)]
    pub(crate) virtual_ns: u64,
    /// How long it lasted for the user, in nanoseconds.
    #[serde(default)]
    pub(crate) real_ns: u64,
    #[serde(default)]
    pub(crate) peers: u64,
    #[serde(default)]
    pub(crate) rpcs: u64,
    #[serde(default)]
    pub(crate) bytes: u64,
    #[serde(default)]
    pub(crate) commands: u64,
    /// Remarks about a run that passed, such as that it never came to the situation that it is about.
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    /// What kind of failure: `panic`, `expectation`, `invariant`, `deadlock`, …, or one of [`Report::died`].
    #[serde(default)]
    pub(crate) kind: Option<String>,
    /// The failure in one line.
    #[serde(default)]
    pub(crate) message: Option<String>,
    /// The rule of the paper's Figure 3 that was broken, if one was.
    #[serde(default)]
    pub(crate) invariant: Option<String>,
    /// The whole story of the failure, for a human.
    #[serde(default)]
    pub(crate) report: Option<String>,
}

impl Report {
    /// The report in a line of output, if it holds one. libtest begins the line of a test's first output with
    /// `test NAME ... `, and a student's `print!` may have begun it too, so the mark is looked for everywhere.
    pub(crate) fn parse(line: &[u8]) -> Option<Report> {
        let at = line.windows(MARK.len()).position(|window| window == MARK)?;
        serde_json::from_slice(&line[at + MARK.len() - 1..]).ok()
    }

    /// The report of a process that did not live to write it.
    pub(crate) fn died(test: &str, seed: u64, kind: &str, message: String, output: String) -> Report {
        Report {
            test: test.to_owned(),
            seed,
            ok: false,
            virtual_ns: 0,
            real_ns: 0,
            peers: 0,
            rpcs: 0,
            bytes: 0,
            commands: 0,
            warnings: Vec::new(),
            kind: Some(kind.to_owned()),
            message: Some(message),
            invariant: None,
            report: Some(output),
        }
    }

    /// Why it failed, in one line: the broken invariant first, if there is one.
    pub(crate) fn reason(&self) -> String {
        let message = self.message.as_deref().unwrap_or("no reason given");
        match (&self.invariant, &self.kind) {
            (Some(invariant), _) => format!("{invariant}: {message}"),
            (None, Some(kind)) => format!("{kind}: {message}"),
            (None, None) => message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_found_behind_other_output() {
        let line = br#"test part_2a::x ... @lab {"test":"x","seed":7,"ok":true,"virtual_ns":3,"hash":"89ab","warnings":["w"]}"#;
        let report = Report::parse(line).expect("the line holds a report");
        assert_eq!((report.seed, report.ok, report.virtual_ns), (7, true, 3));
        assert_eq!(report.warnings, ["w"]);
    }

    #[test]
    fn other_lines_are_no_reports() {
        assert_eq!(Report::parse(b"running 1 test"), None);
        assert_eq!(Report::parse(b"@lab {\"seed\":"), None);
        assert_eq!(Report::parse(b""), None);
    }

    #[test]
    fn the_invariant_explains_better_than_the_kind() {
        let mut report = Report::died("x", 1, "panic", "two leaders".into(), String::new());
        assert_eq!(report.reason(), "panic: two leaders");
        report.invariant = Some("ElectionSafety".into());
        assert_eq!(report.reason(), "ElectionSafety: two leaders");
    }
}
