//! What a test binary says: a [`Report`] for each finished seed, in the order of the seeds. The type is
//! `labreport`'s, which `tester` writes and this reads.
//!
//! The reports come through a socket that is the process's standard input. Each line begins with a secret
//! that was sent through the socket first. The code under test runs in that process and may print whatever it
//! likes; it cannot print the secret.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

pub(crate) use labreport::{Kind, Report};

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

/// The report in a line of the socket, if it holds one. A report of another version is the failure of its
/// seed: no other binary of that build would be understood either.
pub(crate) fn parse(line: &[u8], secret: &Secret) -> Option<Report> {
    let json = line.strip_prefix(secret.0.as_bytes())?.strip_prefix(b" ")?;
    let report: Report = serde_json::from_slice(json).ok()?;
    if report.version == labreport::VERSION {
        return Some(report);
    }
    let (theirs, ours) = (report.version, labreport::VERSION);
    let message = format!(
        "the test binary writes reports of version {theirs}, lab reads version {ours}: build both anew"
    );
    Some(died(&report.test, report.seed, Kind::Protocol, message, String::new()))
}

/// The report of a process that did not live to write it.
pub(crate) fn died(test: &str, seed: u64, kind: Kind, message: String, output: String) -> Report {
    Report {
        version: labreport::VERSION,
        test: test.to_owned(),
        seed,
        kind: Some(kind),
        message: Some(message),
        report: Some(output),
        ..Report::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str, secret: &Secret) -> Vec<u8> {
        format!("{} {json}\n", secret.line().trim_end()).into_bytes()
    }

    #[test]
    fn a_report_needs_the_secret() {
        let secret = Secret::draw();
        let json = r#"{"version":1,"test":"x","seed":7,"ok":true,"virtual_ns":3,"warnings":["w"]}"#;
        let line = line(json, &secret);
        let report = parse(&line, &secret).expect("the line holds a report");
        assert_eq!((report.seed, report.ok, report.virtual_ns), (7, true, 3));
        assert_eq!(report.warnings, ["w"]);
        for forged in [json.to_owned(), format!("@lab {json}"), format!(" {json}"), String::new()] {
            assert_eq!(parse(forged.as_bytes(), &secret), None);
        }
        assert_eq!(parse(&line, &Secret::draw()), None);
    }

    #[test]
    fn a_pass_of_another_version_does_not_pass() {
        let secret = Secret::draw();
        let line = line(r#"{"test":"x","seed":7,"ok":true}"#, &secret);
        let report = parse(&line, &secret).expect("the line holds a report");
        assert_eq!((report.seed, report.ok, report.kind), (7, false, Some(Kind::Protocol)));
    }
}
