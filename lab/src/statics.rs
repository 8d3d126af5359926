//! State in a `static`: servers of a simulation share it, it survives their crashes, and it goes on from seed
//! to seed. A real server has it alone and loses it when it crashes, so a solution that keeps state there
//! passes tests for a wrong reason, or fails them for one that no report can name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::catalogue::Test;

/// Types of which a `static` can change.
const CHANGING: [&str; 13] = [
    "Mutex",
    "RwLock",
    "Atomic",
    "Cell",
    "OnceLock",
    "LazyLock",
    "Lazy",
    "Once",
    "Condvar",
    "Sender",
    "Receiver",
    "DashMap",
    "ThreadLocal",
];

/// One such declaration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Static {
    /// File and line.
    place: String,
    declaration: String,
}

impl std::fmt::Display for Static {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: `{}` is state that all servers share, that survives their crashes and goes on from seed to seed. Keep it in \
             the server (or, for a scratch buffer, in labrt::thread_local!)",
            self.place, self.declaration
        )
    }
}

/// The declarations in the sources of the packages of these tests.
pub(crate) fn in_sources_of(root: &Path, tests: &[Test]) -> Vec<Static> {
    let mut found = Vec::new();
    for folder in sources_of(root, tests) {
        for file in rust_files(&folder) {
            // A file that cannot be read is the compiler's to complain of.
            let text = fs::read_to_string(&file).unwrap_or_default();
            let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            found.extend(in_text(&name, &text));
        }
    }
    found
}

/// The folders with the sources of the packages of these tests.
pub(crate) fn sources_of(root: &Path, tests: &[Test]) -> Vec<PathBuf> {
    // Once a package and not once a test: each look reads manifests.
    let packages: BTreeSet<(Option<&str>, &str)> =
        tests.iter().map(|test| (test.group.as_deref(), test.package.as_str())).collect();
    let folders: BTreeSet<PathBuf> =
        packages.into_iter().filter_map(|(group, package)| folder_of(root, group, package)).collect();
    folders.into_iter().map(|folder| folder.join("src")).collect()
}

/// The folder of a package: below that of its group, beside `labs.toml`'s other packages, or the one of
/// `labs.toml` itself. None if it is nowhere, of which cargo will complain.
fn folder_of(root: &Path, group: Option<&str>, package: &str) -> Option<PathBuf> {
    let of_group = group.map(|group| root.join(group).join(package));
    let others = [root.join(package), root.to_owned()];
    of_group.into_iter().chain(others).find(|folder| name_of(folder).as_deref() == Some(package))
}

/// The name of the package in a folder.
fn name_of(folder: &Path) -> Option<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let manifest: toml::Table = manifest.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

/// The Rust files in a folder and below it, sorted.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn in_text(file: &str, text: &str) -> Vec<Static> {
    let code = without_comments_and_texts(text);
    let mut found = Vec::new();
    // Those within labrt's own macro belong to one thread of one server.
    let mut in_macro = None::<i32>;
    for (index, line) in code.lines().enumerate() {
        if line.contains("thread_local!") && line.contains("labrt::") {
            in_macro = Some(0);
        }
        let of_os_thread = line.contains("thread_local!") && !line.contains("labrt::");
        let declared = declaration(line).filter(|_| in_macro.is_none() || of_os_thread);
        if let Some(declaration) = declared.or_else(|| of_os_thread.then(|| line.trim())) {
            let declaration = declaration.trim().trim_end_matches(['{', '(']).trim().to_owned();
            found.push(Static { place: format!("{file}:{}", index + 1), declaration });
        }
        if let Some(depth) = &mut in_macro {
            *depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
            if *depth <= 0 {
                in_macro = None;
            }
        }
    }
    found
}

/// `static NAME: TYPE` in this line, if the type can change.
fn declaration(line: &str) -> Option<&str> {
    let starts = line.match_indices("static ").map(|(at, _)| at);
    let at = starts
        .into_iter()
        .find(|&at| !line[..at].ends_with(|c: char| c == '\'' || c == '_' || c.is_alphanumeric()))?;
    let rest = &line[at..];
    let (declared, _) = rest.split_once('=').unwrap_or((rest, ""));
    let (name, kind) = declared.split_once(':')?;
    let changes = name.contains("static mut ") || CHANGING.iter().any(|changing| kind.contains(changing));
    changes.then_some(declared)
}

/// The text with comments and string literals blanked, line for line.
pub(crate) fn without_comments_and_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let (mut in_comment, mut in_text) = (false, false);
    for line in text.lines() {
        let mut rest = line;
        while !rest.is_empty() {
            let end = if in_comment { "*/" } else { "\"" };
            if in_comment || in_text {
                let Some(at) = rest.find(end) else { break };
                let escaped =
                    in_text && rest[..at].bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1;
                rest = &rest[at + end.len()..];
                (in_comment, in_text) = (false, in_text && escaped);
                continue;
            }
            let next = ["//", "/*", "\""].iter().filter_map(|start| Some((rest.find(start)?, *start))).min();
            let Some((at, start)) = next else {
                code.push_str(rest);
                break;
            };
            code.push_str(&rest[..at]);
            rest = &rest[at + start.len()..];
            match start {
                "//" => break,
                "/*" => in_comment = true,
                _ => in_text = !rest_is_quote(&code),
            }
        }
        code.push('\n');
    }
    code
}

/// Whether the quotation mark that follows is the character `'"'`.
fn rest_is_quote(code: &str) -> bool {
    code.ends_with('\'') || code.ends_with("'\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        in_text("x.rs", text)
            .into_iter()
            .map(|found| format!("{} {}", found.place, found.declaration))
            .collect()
    }

    #[test]
    fn state_that_can_change_is_named_with_its_line() {
        let text = "use a;\nstatic CACHE: Mutex<Vec<u8>> = Mutex::new(Vec::new());\n  pub static mut N: u64 = 0;\n\
                    pub(crate) static SEEN: std::sync::LazyLock<HashSet<u64>> = x();\nstatic A: AtomicU64 = y;";
        let expected = [
            "x.rs:2 static CACHE: Mutex<Vec<u8>>",
            "x.rs:3 static mut N: u64",
            "x.rs:4 static SEEN: std::sync::LazyLock<HashSet<u64>>",
            "x.rs:5 static A: AtomicU64",
        ];
        assert_eq!(names(text), expected);
    }

    #[test]
    fn constants_lifetimes_comments_and_texts_are_not() {
        let text = "static NAMES: [&str; 2] = [\"a\", \"static X: Mutex<u8> = 1\"];\nfn f(x: &'static Mutex<u8>) {}\n\
                    // static X: Mutex<u8>\n/* static Y:\nAtomicU8 static Z: AtomicU8 = 1; */\n\
                    let q = '\"'; let name: &'static str = \"\\\"static Q: Cell<u8> = \";";
        assert_eq!(names(text), Vec::<String>::new());
        assert_eq!(names("let q = '\"';\nstatic X: Mutex<u8> = y;"), ["x.rs:2 static X: Mutex<u8>"]);
    }

    #[test]
    fn only_labrts_own_thread_locals_belong_to_a_server() {
        let ours = "labrt::thread_local! {\n    static B: RefCell<u8> = const { x };\n}\nfn f() {}\n";
        assert_eq!(names(ours), Vec::<String>::new());
        assert_eq!(names(&format!("{ours}static C: Cell<u8> = x;")), ["x.rs:5 static C: Cell<u8>"]);
        let of_std = "thread_local! {\n    static B: RefCell<u8> = const { x };\n}";
        assert_eq!(names(of_std), ["x.rs:1 thread_local!", "x.rs:2 static B: RefCell<u8>"]);
    }
}
