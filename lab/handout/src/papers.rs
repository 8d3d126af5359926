//! What a handout holds besides sources: its README, the labs' texts, and what makes it a project.

use std::path::Path;

use lab_terminal::Failure;

use crate::book::{CHAPTERS, expand};
use crate::labs::Lab;
use crate::marks::Level;
use crate::plan::{Choice, Plan, Role, cut_file, files_below};

/// Chapters that every handout has.
const FOR_ALL: [&str; 5] = ["first-hour", "from-go", "tools", "debugging", "grading"];

/// Adds everything of the handout that is no source.
pub(crate) fn add(plan: &mut Plan, root: &Path, choice: &Choice) -> Result<(), Failure> {
    plan.put(".gitignore", include_str!("../given/gitignore"), Role::Framework);
    plan.put(".devcontainer/devcontainer.json", include_str!("../given/devcontainer.json"), Role::Framework);
    plan.put(".github/workflows/tests.yml", include_str!("../given/tests.yml"), Role::Framework);
    let chapters: Vec<(String, String)> = chapters(root, choice)?;
    let contents: String =
        chapters.iter().map(|(name, text)| format!("- [{}](docs/{name}.md)\n", title(text))).collect();
    for (name, text) in chapters {
        plan.put(format!("docs/{name}.md"), text, Role::Framework);
    }
    let rules = with_rules(plan, choice);
    plan.put("README.md", readme(choice, &contents, &rules), Role::Framework);
    Ok(())
}

/// The chapters' names and texts: those of the labs first.
fn chapters(root: &Path, choice: &Choice) -> Result<Vec<(String, String)>, Failure> {
    let folder = Path::new(CHAPTERS);
    let there = files_below(root, folder)?;
    let labs = choice.labs.iter().map(|lab| lab.name);
    let mut chapters = Vec::new();
    for name in labs.chain(FOR_ALL) {
        let path = folder.join(format!("{name}.md"));
        if there.contains(&path) {
            let Some(text) = cut_file(root, &path, choice.case())?.text else { continue };
            chapters.push((name.to_owned(), without_links_to_others(&expand(root, &text)?, choice)));
        }
    }
    Ok(chapters)
}

/// The text with links to chapters that are not there replaced by their words.
fn without_links_to_others(text: &str, choice: &Choice) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find('[') {
        let (before, link) = rest.split_at(begin);
        out.push_str(before);
        let parts = link.split_once("](").and_then(|(words, rest)| Some((words, rest.split_once(')')?)));
        match parts {
            Some((words, (target, after))) if !words.contains(['\n', ']']) && is_away(target, choice) => {
                out.push_str(&words[1..]);
                rest = after;
            }
            _ => {
                out.push('[');
                rest = &link[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Whether a link leads to a chapter that the handout lacks.
fn is_away(target: &str, choice: &Choice) -> bool {
    let Some((name, _)) = target.split_once(".md") else { return false };
    !name.contains("://") && !FOR_ALL.contains(&name) && !choice.has(name)
}

/// The first heading of a chapter.
fn title(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("Untitled")
}

/// The names of the handed-out crates whose rules have tests of their own, as cargo wants them.
fn with_rules(plan: &Plan, choice: &Choice) -> Vec<&'static str> {
    let packages = choice.labs.iter().flat_map(|lab| lab.packages).copied();
    let has_rules = |package: &&str| {
        plan.files.iter().any(|(path, file)| {
            let Ok(inside) = path.strip_prefix(package) else { return false };
            let is_named = inside.starts_with("tests")
                && inside
                    .components()
                    .any(|part| Path::new(part.as_os_str()).file_stem() == Some("rules".as_ref()));
            let has_module =
                inside.starts_with("src") && String::from_utf8_lossy(&file.content).contains("#[cfg(test)]");
            is_named || has_module
        })
    };
    packages.filter(has_rules).map(|folder| folder.rsplit('/').next().unwrap_or(folder)).collect()
}

fn readme(choice: &Choice, contents: &str, rules: &[&str]) -> String {
    let list = |labs: &[&Lab]| labs.iter().flat_map(|lab| lab.packages).copied().collect::<Vec<_>>();
    let yours = list(&choice.labs).iter().map(|name| format!("`{name}/src`")).collect::<Vec<_>>().join(", ");
    let first = choice.labs.first().map_or("", |lab| lab.catalogue[0]);
    let below = if choice.has_oracle() {
        "\nConsensus comes from the crate `oracle`: it elects leaders and agrees on commands under the same faults as a \
         Raft would, and is none. So these labs need no Raft of yours.\n"
    } else if choice.needs_consensus() {
        "\n`cargo lab test kvraft --over oracle` runs the labs above Raft over the crate `oracle`, which agrees under the \
         same faults and is no Raft: then a failure is not your Raft's.\n"
    } else {
        ""
    };
    let level = match choice.level {
        Level::Classic => String::new(),
        Level::Guided => {
            let packages: String = rules.iter().map(|name| format!(" -p {name}")).collect();
            let tests = if rules.is_empty() {
                String::new()
            } else {
                format!(
                    "Rules have tests of their own, which are not graded: `cargo test{packages}` runs them, too. "
                )
            };
            format!(
                "\nThe files, types and signatures of a reference are left; \"How to read\" in a crate's `lib.rs` says where to \
                 begin. {tests}You may change whatever the tests do not name.\n"
            )
        }
    };
    let given = list(&choice.given);
    let given = if given.is_empty() {
        String::new()
    } else {
        format!("\nPut in, complete: `{}`.\n", given.join("`, `"))
    };
    include_str!("../given/README.md")
        .replace("{contents}", contents)
        .replace("{level}", &level)
        .replace("{first}", first)
        .replace("{yours}", &yours)
        .replace("{below}", &format!("{below}{given}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_what_is_not_there_become_words() {
        let choice = Choice::new(&["raft".to_owned()], &[], Level::Guided).unwrap();
        let text = "See [tools](tools.md#replay), [lab 3](kvraft.md) and [the paper](https://x.md), `a[0]`.";
        let expected = "See [tools](tools.md#replay), lab 3 and [the paper](https://x.md), `a[0]`.";
        assert_eq!(without_links_to_others(text, &choice), expected);
    }
}
