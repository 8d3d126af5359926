//! What lab code prints is in the report, beside the thread that printed it.

use labrt::node::Node;
use labrt::time::Duration;
use labrt::{Config, run, thread};

use crate::child::{is_child, run_as_child};

fn prints() {
    let node = Node::new("server-1");
    let thread = node.spawn("apply_loop", || {
        thread::sleep(Duration::from_millis(2));
        println!("applies {}", 4);
        print!("in two ");
        println!("pieces");
        let index = 7;
        dbg!(index);
        eprintln!("to standard error");
    });
    thread.join().unwrap();
    panic!("and then it fails");
}

#[test]
fn a_report_shows_what_was_printed_and_by_whom() {
    const NAME: &str = "printed::a_report_shows_what_was_printed_and_by_whom";
    if is_child() {
        for config in [Config::simulated(1), Config::threads(1)] {
            let outcome = run(config.trace(true), prints);
            let printed = outcome.events.iter().filter(|event| event.kind == "print");
            let columns: Vec<_> = printed.map(|event| (&*event.node, event.text.as_str())).collect();
            assert!(columns.contains(&("server-1", "applies 4")), "{columns:?}");
            // Not to standard output: it would be one more line that was printed.
            eprintln!("REPORT {}", outcome.result.unwrap_err());
        }
        return;
    }
    let ended = run_as_child(NAME);
    assert!(ended.success, "{}", ended.text);
    let reports = ended.text.split("REPORT").skip(1);
    assert_eq!(reports.clone().count(), 2);
    for report in reports {
        for line in ["applies 4", "in two pieces", "index = 7", "to standard error"] {
            let found = report.lines().find(|text| text.contains(line));
            let found = found.unwrap_or_else(|| panic!("{line} is missing in {report}"));
            assert!(found.contains(" s server-1 / apply_loop: "), "{found}");
        }
    }
    // It is still printed, at once.
    assert!(ended.text.lines().any(|line| line.ends_with("applies 4") && !line.contains("server-1")));
}

#[test]
fn a_run_shows_only_its_own_lines() {
    const NAME: &str = "printed::a_run_shows_only_its_own_lines";
    if is_child() {
        run(Config::simulated(1), || println!("of the first run")).result.unwrap();
        let failure = run(Config::simulated(2), || panic!("fails")).result.unwrap_err();
        assert!(failure.printed.is_empty(), "{failure}");
        return;
    }
    let ended = run_as_child(NAME);
    assert!(ended.success, "{}", ended.text);
}

#[test]
fn the_last_lines_are_kept() {
    const NAME: &str = "printed::the_last_lines_are_kept";
    if is_child() {
        let outcome = run(Config::simulated(1), || {
            (0..1000).for_each(|line| println!("line {line}"));
            panic!("fails")
        });
        let failure = outcome.result.unwrap_err();
        assert_eq!(failure.printed.last().unwrap().text, "line 999");
        assert!(failure.printed.len() < 100);
        return;
    }
    let ended = run_as_child(NAME);
    assert!(ended.success, "{}", ended.text);
}
