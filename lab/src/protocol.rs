//! What a test binary says: a [`Report`] for each finished seed, in the order of the seeds. The type is
//! `labreport`'s, which `tester` writes and this reads.

pub(crate) use labreport::{Kind, Report};

/// The report in a line of output, if it holds one. A report of another version is the failure of its seed:
/// no other binary of that build would be understood either.
pub(crate) fn parse(line: &[u8]) -> Option<Report> {
    let report: Report = serde_json::from_slice(labreport::json_of(line)?).ok()?;
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

    #[test]
    fn a_report_is_found_behind_other_output() {
        let line = br#"test part_2a::x ... @lab {"version":1,"test":"x","seed":7,"ok":true,"virtual_ns":3,"warnings":["w"]}"#;
        let report = parse(line).expect("the line holds a report");
        assert_eq!((report.seed, report.ok, report.virtual_ns), (7, true, 3));
        assert_eq!(report.warnings, ["w"]);
    }

    #[test]
    fn other_lines_are_no_reports() {
        assert_eq!(parse(b"running 1 test"), None);
        assert_eq!(parse(b"@lab {\"seed\":"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn a_pass_of_another_version_does_not_pass() {
        let report = parse(br#"@lab {"test":"x","seed":7,"ok":true}"#).expect("the line holds a report");
        assert_eq!((report.seed, report.ok, report.kind), (7, false, Some(Kind::Protocol)));
    }
}
