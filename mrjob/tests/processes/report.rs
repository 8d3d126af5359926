//! The page that `--report` writes, and the counters at the end.

use std::fs;

use super::stage::{Stage, verdict};

/// The value in the table's row of this name.
fn row<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("<tr><td>{name}<td class=\"n\">"))
        .unwrap_or_else(|| panic!("no row {name}"));
    rest.split("</tr>").next().unwrap()
}

#[test]
fn a_picture_of_a_job() {
    let stage = Stage::with_large_text(24);
    let books = ["large.txt"];
    let job = [
        "run",
        "--workers",
        "2",
        "--split",
        "3",
        "--app",
        "sort",
        "--local-disks",
        "--memory",
        "1",
        "--report",
        "job.html",
    ];
    let output = stage.run(&[&job[..], &books].concat());
    assert_eq!(verdict(&output), (0, String::new()));
    let page = fs::read_to_string(stage.path().join("job.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for outside in ["http:", "https:", "src=", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "the page needs nothing from outside: {outside}");
    }
    assert!(page.contains("<b>finished</b>"));
    assert_eq!(
        page.matches("<rect class=\"map").count(),
        9,
        "a bar for each map: 24 MiB and a line, in pieces of 3"
    );
    assert_eq!(page.matches("<rect class=\"reduce").count(), 10, "and one for each reduce");
    let bytes: u64 = books.iter().map(|book| fs::metadata(stage.path().join(book)).unwrap().len()).sum();
    assert_eq!(row(&page, "bytes read by maps"), format!("{:.1} MB", bytes as f64 / 1e6));
    assert_ne!(row(&page, "bytes fetched from other machines"), "0 B");
    assert_ne!(row(&page, "bytes spilled"), "0 B", "a megabyte is not enough for the pairs of three");
    // The same counters at the end, on standard output.
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(&format!("{} keys", row(&page, "different keys"))), "{said}");
    assert!(said.contains("fetched") && said.contains("spilled"), "{said}");
    let quiet = stage.run(&[&["run", "--quiet", "--app", "wc"][..], &books].concat());
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty());
}

#[test]
fn a_picture_of_failures() {
    let stage = Stage::with_books();
    let books = stage.names(".", "pg-");
    let books: Vec<&str> = books.iter().map(String::as_str).collect();
    let job = [
        "run",
        "--app",
        "crash",
        "--parameter",
        "100",
        "--timeout",
        "300",
        "--workers",
        "3",
        "--report",
        "job.html",
    ];
    let output = stage.run(&[&job[..], &books].concat());
    assert_eq!(verdict(&output).0, 0);
    let page = fs::read_to_string(stage.path().join("job.html")).unwrap();
    assert!(page.contains("given up: no progress for the time-out"));
    assert!(page.contains("<rect class=\"bad"));
    // A job that fails has a page, too, and what it says cannot break out of it.
    stage.write("<b>&'\"", b"x");
    let failed = stage.run(&[
        "run",
        "--app",
        "wc",
        "--report",
        "job.html",
        "--reduces",
        "2",
        "--out",
        "text",
        "<b>&'\"",
    ]);
    assert_eq!(verdict(&failed).0, 0);
    let page = fs::read_to_string(stage.path().join("job.html")).unwrap();
    assert!(!page.contains("<b>&'"), "names are escaped");
}

#[test]
fn a_report_that_has_no_place_is_refused_before_the_job() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    for place in ["missing/job.html", "."] {
        let (code, reason) = verdict(&stage.run(&["run", "--app", "wc", "--report", place, "text"]));
        assert_eq!((code, reason.contains("--report")), (2, true), "{reason}");
        assert_eq!(stage.names(".", "mr-out"), Vec::<String>::new());
        stage.is_clean();
    }
}
