//! Tests that no part names: whoever runs `cargo test` runs them, too, and a right solution must pass them.

use std::path::Path;

use crate::plan::Plan;

/// Tests that are in no part and that every solution passes: they ask for what the texts demand, or test the
/// tests' own checkers.
const ANY_SOLUTION: [&str; 4] = [
    "each_step_is_seen_before_its_reply",
    "a_copy_may_go_once_the_owner_after_a_gap_has_it",
    "a_copy_may_not_go_before_its_next_owner_has_it",
    "the_same_owner_may_begin_a_new_tenure_with_its_copy",
];

/// Every test of a classic handout is one of a part in `labs.toml`, or known to suit any solution. A guided
/// one also has tests of the given structure.
pub(crate) fn none_but_known(plan: &Plan) -> Result<String, String> {
    let labs = plan.text("labs.toml").unwrap_or_default();
    let is_known = |name: &str| ANY_SOLUTION.contains(&name) || labs.contains(&format!("name = \"{name}\""));
    for (path, file) in plan.files.iter().filter(|(path, _)| is_test(path)) {
        let text = String::from_utf8_lossy(&file.content);
        if let Some(name) = tests_in(&text).find(|name| !is_known(name)) {
            return Err(format!(
                "{}: the test {name} is in no part of labs.toml; leave it out, or list it as one for any solution",
                path.display()
            ));
        }
    }
    Ok("no test without a part".to_owned())
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        && path.extension().is_some_and(|end| end == "rs")
}

/// The names of the tests in a source. Those that a macro makes have none here.
fn tests_in(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|rest| {
        let name = rest.split_once("fn ")?.1.split('(').next()?;
        (!name.starts_with('$')).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_their_attribute() {
        let source =
            "#[test]\nfn one_2a() {}\nfn helper() {}\n#[test]\n#[ignore]\nfn two() {}\n#[test] fn $made() {}";
        assert_eq!(tests_in(source).collect::<Vec<_>>(), ["one_2a", "two"]);
    }
}
