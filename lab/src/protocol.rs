//! What a test binary says: a line for each finished seed, in the order of the seeds.
//!
//! The lines come through a socket that is the process's standard input, and each begins with a secret that was sent through
//! it first. The code under test runs in that process and may print whatever it likes; it cannot print the secret.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use serde::{Deserialize, Serialize};

/// What begins each report of one process.
#[derive(Clone, Debug)]
pub(crate) struct Secret(String);

impl Secret {
    /// A new one, from the randomness that std draws for its hash maps: two times 64 bits.
    pub(crate) fn draw() -> Secret {
        let draw = || RandomState::new().build_hasher().finish();
        Secret(format!("{:016x}{:016x}", draw(), draw()))
    }

    /// The line that tells it to the process.
    pub(crate) fn line(&self) -> String {
        format!("{}\n", self.0)
    }
}

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
    /// The report in a line of the socket, if it holds one.
    pub(crate) fn parse(line: &[u8], secret: &Secret) -> Option<Report> {
        let report = line.strip_prefix(secret.0.as_bytes())?.strip_prefix(b" ")?;
        serde_json::from_slice(report).ok()
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
    fn a_report_needs_the_secret() {
        let secret = Secret::draw();
        let json = r#"{"test":"x","seed":7,"ok":true,"virtual_ns":3,"hash":"89ab","warnings":["w"]}"#;
        let line = format!("{} {json}\n", secret.line().trim_end());
        let report = Report::parse(line.as_bytes(), &secret).expect("the line holds a report");
        assert_eq!((report.seed, report.ok, report.virtual_ns), (7, true, 3));
        assert_eq!(report.warnings, ["w"]);
        for forged in [json.to_owned(), format!("@lab {json}"), format!(" {json}"), String::new()] {
            assert_eq!(Report::parse(forged.as_bytes(), &secret), None);
        }
        assert_eq!(Report::parse(line.as_bytes(), &Secret::draw()), None);
    }

    #[test]
    fn the_invariant_explains_better_than_the_kind() {
        let mut report = Report::died("x", 1, "panic", "two leaders".into(), String::new());
        assert_eq!(report.reason(), "panic: two leaders");
        report.invariant = Some("ElectionSafety".into());
        assert_eq!(report.reason(), "ElectionSafety: two leaders");
    }
}
