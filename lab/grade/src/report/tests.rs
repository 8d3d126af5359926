use std::collections::BTreeSet;

use super::*;
use crate::merge::GradedTest;
use crate::plan::{Role, VERSION};
use crate::settings::Grading;
use crate::verdict::{Class, Failing};

fn graded() -> Graded {
    let failing = Failing {
        signature: "panic: index #".to_owned(),
        kind: "panic".to_owned(),
        runs: 3,
        swarm: 1,
        first_seed: 77,
        message: "index <5> & \u{1b}[31m".to_owned(),
        story: "one_2a failed with seed 77\n</pre><script>alert(1)</script>".to_owned(),
    };
    let test = |name: &str, class, passed, failures: Vec<Failing>| GradedTest {
        name: name.to_owned(),
        part: "2A".to_owned(),
        title: "a title".to_owned(),
        class,
        hundredths: 50 * passed,
        most_hundredths: 500,
        runs: 10,
        passed,
        interval: (0.3, 0.9),
        digest: "00".to_owned(),
        cut: None,
        unequal: None,
        failures,
    };
    Graded {
        name: "=alice".to_owned(),
        role: Role::Student,
        file: "=alice.zip".to_owned(),
        class: Class::Flaky,
        sentence: "one_2a: 3 of 10 runs do not pass: x, \"y\"".to_owned(),
        fault: None,
        hundredths: 850,
        most_hundredths: 1000,
        notes: vec!["a note".to_owned()],
        tests: vec![
            test("one_2a", Class::Flaky, 7, vec![failing]),
            test("two_2a", Class::Correct, 10, Vec::new()),
        ],
    }
}

fn plan(show: Show) -> Plan {
    Plan {
        version: VERSION,
        lab: "raft".to_owned(),
        with: Vec::new(),
        workshop: String::new(),
        packages: vec!["raft".to_owned()],
        runs: 10,
        first_seed: 70,
        seeds_per_shard: 10,
        grading: Grading { show, ..Grading::default() },
        tests: Vec::new(),
        rows: Vec::new(),
    }
}

#[test]
fn gradescope_gets_scores_that_add_up() {
    let value = files::gradescope(&graded(), &Show::default());
    assert_eq!(value["score"], 8.5);
    let scores: f64 =
        value["tests"].as_array().into_iter().flatten().filter_map(|test| test["score"].as_f64()).sum();
    assert!((scores - 8.5).abs() < 1e-9, "{scores}");
    assert_eq!(value["tests"][0]["status"], "failed");
    assert_eq!(value["tests"][1]["status"], "passed");
    let output = value["tests"][0]["output"].as_str().unwrap_or_default();
    assert!(output.contains("flaky: 7 of 10 runs passed"), "{output}");
    assert!(output.contains("cargo lab replay one_2a --seed 77"), "{output}");
}

#[test]
fn what_is_hidden_is_in_no_file_of_the_student() {
    let show = Show { seeds: false, stories: false, hidden: vec!["one_2a".to_owned()] };
    let all = [
        files::gradescope(&graded(), &show).to_string(),
        files::classroom(&graded(), &show).to_string(),
        files::junit(&graded(), &show),
        page::page(&graded(), &plan(show)),
    ];
    for text in all {
        for secret in ["one_2a", "77", "index", "alert"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
        assert!(text.contains("a hidden test of part 2A"), "{text}");
    }
}

#[test]
fn a_story_can_be_told_without_its_seed() {
    let show = Show { seeds: false, ..Show::default() };
    let html = page::page(&graded(), &plan(show));
    assert!(html.contains("one_2a failed with seed …") && !html.contains("77"), "{html}");
}

#[test]
fn a_page_runs_nothing_of_a_student() {
    let html = page::page(&graded(), &plan(Show::default()));
    assert!(html.contains("&lt;/pre&gt;&lt;script&gt;"), "{html}");
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains('\u{1b}'), "{html}");
    assert!(html.contains("cargo lab replay one_2a --seed 77"), "{html}");
}

/// Of ten runs from seed 70 on, that of seed 79 is a swarm's.
#[test]
fn a_report_says_which_runs_are_a_swarms() {
    let mut swarm = graded();
    swarm.tests[0].failures[0].first_seed = 79;
    let html = page::page(&swarm, &plan(Show::default()));
    assert!(
        html.contains("10 runs of each test; of 10 runs, 1 has a seed that ends in 9, and also draws"),
        "{html}"
    );
    assert!(html.contains("cargo lab replay one_2a --seed 79 --swarm"), "{html}");
    assert!(html.contains("3 runs (1 swarm): index"), "{html}");
    let plain = page::page(&graded(), &plan(Show::default()));
    assert!(!plain.contains("--swarm"), "{plain}");
}

#[test]
fn junit_is_xml_with_a_case_for_each_test() {
    let xml = files::junit(&graded(), &Show::default());
    assert!(xml.contains("tests=\"2\" failures=\"1\" errors=\"0\""), "{xml}");
    assert!(xml.contains("index &lt;5&gt; &amp; \u{fffd}[31m"), "{xml}");
    let refused =
        Graded { class: Class::Refused, tests: Vec::new(), fault: Some("link".to_owned()), ..graded() };
    let xml = files::junit(&refused, &Show::default());
    assert!(
        xml.contains("tests=\"1\" failures=\"0\" errors=\"1\"")
            && xml.contains("<error message=\"refused\">"),
        "{xml}"
    );
}

#[test]
fn a_spreadsheet_finds_no_formula() {
    let row = files::csv_row(&graded());
    assert_eq!(row, "'=alice,'=alice.zip,8.50,10,flaky,\"one_2a: 3 of 10 runs do not pass: x, \"\"y\"\"\"\n");
}

/// Python's reader of tables refuses a zero, and a terminal obeys what begins with an escape.
#[test]
fn a_table_has_no_character_that_a_program_obeys() {
    let sentence = "one: \0\u{1b}]0;x\u{7}\t\u{202e}\r=x\n=y".to_owned();
    let row = files::csv_row(&Graded { sentence, ..graded() });
    assert_eq!(row.matches(char::is_control).count(), 1, "{row:?}");
    assert!(row.ends_with("flaky,one: \u{fffd}\u{fffd}]0;x\u{fffd}\u{fffd}\u{fffd}\u{fffd}=x\n"), "{row:?}");
}

#[test]
fn a_long_line_does_not_fill_a_table() {
    let long = Graded { sentence: "\u{1f600}<".repeat(10_000), ..graded() };
    let mut dashboard = Dashboard::default();
    dashboard.add(&long);
    let html = dashboard.page(&plan(Show::default()), &Summary::default());
    for text in [files::csv_row(&long), html] {
        assert!(text.contains("\u{1f600}") && text.len() < 10_000, "{}", text.len());
    }
}

#[test]
fn the_class_is_on_one_page() {
    let mut dashboard = Dashboard::default();
    dashboard.add(&graded());
    dashboard.add(&Graded { name: "bob".to_owned(), ..graded() });
    let summary = Summary { faults: vec!["the canary passes".to_owned()], ..Summary::default() };
    let html = dashboard.page(&plan(Show::default()), &summary);
    assert!(html.contains("Not to be trusted: the canary passes"), "{html}");
    assert!(html.contains("2: =alice, bob"), "failures that look alike are one row: {html}");
    assert!(html.contains("Nobody passes: one_2a"), "{html}");
    let names: BTreeSet<&str> = ["students/=alice/index.html", "students/bob/index.html"].into();
    assert!(names.iter().all(|name| html.contains(name)), "{html}");
}

/// Whether the value has all that the schema requires, and nothing that it does not know.
fn check(schema: &serde_json::Value, definition: &str, value: &serde_json::Value) {
    let definition = &schema["$defs"][definition];
    let properties = definition["properties"].as_object().expect("properties");
    let fields = value.as_object().expect("an object");
    for field in fields.keys() {
        assert!(properties.contains_key(field), "the schema does not know {field}");
    }
    for required in definition["required"].as_array().into_iter().flatten() {
        assert!(fields.contains_key(required.as_str().unwrap_or_default()), "{required} is missing");
    }
}

#[test]
fn the_published_schema_is_that_of_the_results() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../schema/results.json")).expect("the schema is JSON");
    let mut full = graded();
    full.fault = Some("x".to_owned());
    full.tests[0].cut = Some("x".to_owned());
    full.tests[0].unequal = Some((1, "x".to_owned()));
    let row = serde_json::to_value(&full).expect("it has an encoding");
    check(&schema, "row", &row);
    check(&schema, "test", &row["tests"][0]);
    check(&schema, "failure", &row["tests"][0]["failures"][0]);
    check(&schema, "batch", &serde_json::to_value(Summary::default()).expect("it has an encoding"));
    let classes = schema["$defs"]["class"]["enum"].as_array().map_or(0, Vec::len);
    assert_eq!(classes, Class::TesterError as usize + 1, "every class has its name in the schema");
    assert_eq!(row["class"], schema["$defs"]["class"]["enum"][Class::Flaky as usize]);
}

/// What a browser makes of a page. None if there is no browser and none is required.
fn in_browser(html: &str) -> Option<String> {
    let file = std::env::temp_dir().join(format!("lab-grade-page-{}.html", std::process::id()));
    std::fs::write(&file, html).expect("a temporary file");
    let output = std::process::Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output();
    let _ = std::fs::remove_file(&file);
    let required = std::env::var("LINEARIZE_BROWSER").is_ok_and(|value| value == "required");
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            assert!(!required, "a browser is required: {error}");
            eprintln!("skipped, since there is no chromium: {error}");
            None
        }
    }
}

#[test]
fn a_browser_shows_a_students_texts_and_runs_none_of_them() {
    let mut hostile = graded();
    let script =
        "<img src=x onerror=\"document.title='run'\"></pre></details><script>document.title='run'</script>";
    hostile.name = script.to_owned();
    hostile.sentence = format!("one_2a: {script}");
    hostile.tests[0].failures[0].message = script.to_owned();
    hostile.tests[0].failures[0].signature = script.to_owned();
    hostile.tests[0].failures[0].story = script.to_owned();
    hostile.notes = vec![script.to_owned()];
    let mut dashboard = Dashboard::default();
    dashboard.add(&hostile);
    let plan = plan(Show::default());
    for html in [page::page(&hostile, &plan), dashboard.page(&plan, &Summary::default())] {
        let Some(shown) = in_browser(&html) else { return };
        assert!(shown.contains("</table>") && shown.contains("flaky"), "{shown}");
        assert!(
            !shown.contains("<title>run") && !shown.contains("<img") && !shown.contains("<script"),
            "{shown}"
        );
    }
}

/// A submission that fails a test without points has all its points, and is told of it.
#[test]
fn a_mistake_that_costs_no_points_is_told() {
    let mut all = graded();
    all.class = Class::Correct;
    all.tests.iter_mut().for_each(|test| test.class = Class::Correct);
    assert_eq!(all.verdict(), "correct");
    for class in [Class::Wrong, Class::Flaky] {
        all.tests[0].class = class;
        assert_eq!(all.verdict(), "correct, but for 1 test without points");
    }
    // What the reference fails is the tests' fault.
    all.tests[0].class = Class::TesterError;
    assert_eq!(all.verdict(), "correct");
}
