// handout: file never
//! Part 1A stays short enough to be read in one sitting.

use std::fs;
use std::path::Path;

/// The most lines that the files of part 1A have together.
const MOST_LINES: usize = 1_700;

/// The files in the table of `src/lib.rs` under this heading.
fn files_under(essay: &str, heading: &str) -> Vec<String> {
    let (_, section) = essay.split_once(heading).unwrap_or_else(|| panic!("no heading `{heading}`"));
    let rows = section.lines().skip_while(|line| !line.contains("|---|")).skip(1);
    let rows = rows.take_while(|line| line.starts_with("//! |"));
    rows.filter_map(|row| Some(row.split('`').nth(1)?.to_owned())).collect()
}

#[test]
fn part_1a_has_at_most_1700_lines() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let essay = fs::read_to_string(source.join("lib.rs")).expect("the essay is there");
    let files = files_under(&essay, "# How to read: part 1A");
    assert!(files.len() >= 8 && files.iter().any(|file| file == "task.rs"), "{files:?}");
    // In pieces, since this file is no mark's place.
    let mark = format!("// {}:", "handout");
    let lines = |file: &String| {
        let text = fs::read_to_string(source.join(file)).expect("a file of the table");
        // The marks of handouts, and what a mark puts into them, are for the program that cuts them.
        let mut is_put = false;
        let is_read = |line: &&str| match line.trim_start().strip_prefix(&mark) {
            Some(rest) => {
                is_put = rest.trim_start().starts_with("put");
                false
            }
            None => !is_put,
        };
        text.lines().filter(is_read).count()
    };
    let total: usize = files.iter().map(lines).sum();
    assert!(total <= MOST_LINES, "{total} lines in {files:?}");
}
