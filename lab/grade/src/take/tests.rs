//! Hostile and broken submissions that nothing is built of: each is refused by name, or graded on its merits.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;
use crate::inspect::inspect;

const LIB: &str = "raft/src/lib.rs";

/// A folder of this test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("lab-grade-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary folder");
        Scratch(path)
    }

    fn put(&self, path: &str, text: &[u8]) -> &Scratch {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The fault's name; "none" if it would be built.
fn fault(path: &Path) -> String {
    let taken = take(path, &["raft".to_owned()]);
    let inspected = taken.and_then(|taken| inspect(&taken.sources, &Sources::new()));
    inspected.map_or_else(|refusal| refusal.fault, |_| "none".to_owned())
}

/// A tar archive of entries as a hostile hand writes them.
fn tar(entries: &[(&[u8], tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        // By hand: the library refuses `..`.
        header.as_gnu_mut().expect("a GNU header").name[..path.len()].copy_from_slice(path);
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        let is_link = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
        header.set_size(if is_link { 0 } else { content.len() as u64 });
        if is_link {
            header.set_link_name_literal(content).expect("a short name");
        }
        header.set_cksum();
        builder.append(&header, if is_link { &[][..] } else { content }).expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory")
}

/// A zip archive by hand, deflated; writers refuse hostile names.
fn zip(entries: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (path, content, mode) in entries {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).expect("memory");
        let packed = encoder.finish().expect("memory");
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let number = |value: usize| u32::try_from(value).expect("a small archive").to_le_bytes();
        // Version, flags, method, time and date; checksum, sizes, length of the name and of what follows it.
        let mut about = vec![20, 0, 0, 0, 8, 0, 0, 0, 0x21, 0];
        about.extend(crc.sum().to_le_bytes());
        about.extend(number(packed.len()));
        about.extend(number(content.len()));
        about.extend(number(path.len()));
        let offset = number(archive.len());
        archive.extend(b"PK\x03\x04");
        archive.extend(&about);
        archive.extend(path.as_bytes());
        archive.extend(packed);
        // Made on Unix, so that the mode counts.
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&about);
        directory.extend([0; 6]);
        directory.extend((mode << 16).to_le_bytes());
        directory.extend(offset);
        directory.extend(path.as_bytes());
    }
    let number = |value: usize| u32::try_from(value).expect("a small archive").to_le_bytes();
    let (begin, size, count) = (number(archive.len()), number(directory.len()), entries.len() as u16);
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(count.to_le_bytes());
    archive.extend(count.to_le_bytes());
    archive.extend(size);
    archive.extend(begin);
    archive.extend([0; 2]);
    archive
}

fn archive_fault(content: &[u8]) -> String {
    let scratch = Scratch::new(&format!("archive-{}", fault_number()));
    scratch.put("alice", content);
    fault(&scratch.0.join("alice"))
}

fn fault_number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

const FILE: tar::EntryType = tar::EntryType::Regular;
const LINK: tar::EntryType = tar::EntryType::Symlink;

#[test]
fn archives_of_all_kinds_are_read() {
    let good = tar(&[(b"a/raft/src/lib.rs", FILE, b"//")]);
    assert_eq!(archive_fault(&good), "none");
    assert_eq!(archive_fault(&gzip(&good)), "none");
    assert_eq!(archive_fault(&zip(&[("a/raft/src/lib.rs", b"//", 0o644)])), "none");
}

#[test]
fn hostile_archives_are_named() {
    let lib: (&[u8], _, &[u8]) = (LIB.as_bytes(), FILE, b"//");
    let many: Vec<(&[u8], tar::EntryType, &[u8])> =
        (0..20_001).map(|_| (b"x".as_slice(), FILE, b"".as_slice())).collect();
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("path_out", tar(&[lib, (b"../../etc/cron.d/x", FILE, b"x")])),
        ("path_out", tar(&[lib, (b"raft/src/../../../x.rs", FILE, b"x")])),
        ("absolute_path", tar(&[lib, (b"/etc/x.rs", FILE, b"x")])),
        ("link", tar(&[(b"raft/src/lib.rs", LINK, b"/etc/passwd")])),
        ("link", tar(&[lib, (b"raft/src/log.rs", LINK, b"../../tester/src/lib.rs")])),
        ("link", tar(&[lib, (b"raft/src/log.rs", tar::EntryType::Link, b"raft/src/lib.rs")])),
        ("link", tar(&[(b"raft", LINK, b"/"), (b"x.rs", FILE, b"")])),
        ("device", tar(&[lib, (b"raft/src/log.rs", tar::EntryType::Char, b"")])),
        ("device", tar(&[(b"raft/src/lib.rs", tar::EntryType::Char, b"")])),
        ("twice", tar(&[lib, lib])),
        ("too_many_files", tar(&many)),
        ("archive_bomb", gzip(&tar(&[lib, (b"junk", FILE, &vec![0; 300 << 20])]))),
        ("damaged", gzip(b"no archive at all, but long enough to be one, perhaps")),
        ("damaged", tar(&[lib, lib])[..700].to_vec()),
        ("damaged", b"PK\x03\x04 no zip".to_vec()),
        ("not_an_archive", b"#!/bin/sh\nrm -rf /".to_vec()),
        ("empty", Vec::new()),
        ("empty", tar(&[])),
        ("strange_name", tar(&[lib, (b"raft/src/\xff.rs", FILE, b"x")])),
        ("source_too_long", gzip(&tar(&[lib, (b"raft/src/x.rs", FILE, &vec![b' '; 2 << 20])]))),
        ("path_out", zip(&[(LIB, b"//", 0o644), ("../x.rs", b"x", 0o644)])),
        ("absolute_path", zip(&[(LIB, b"//", 0o644), ("/x.rs", b"x", 0o644)])),
        ("link", zip(&[(LIB, b"/etc/passwd", 0o120_777)])),
        ("source_too_long", zip(&[(LIB, &vec![b' '; 30 << 20], 0o644)])),
    ];
    for (number, (expected, content)) in table.iter().enumerate() {
        assert_eq!(archive_fault(content), *expected, "row {number}");
    }
}

/// A tar archive whose second entry has its path in an entry of its own before it: pax's or GNU's.
fn tar_with_a_path_of_its_own(is_pax: bool, path: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let header = |kind, size: usize| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(0o644);
        header.set_path("raft/src/x.rs").expect("a short name");
        header.set_cksum();
        header
    };
    builder.append_data(&mut header(FILE, 2), LIB, &b"//"[..]).expect("memory");
    if is_pax {
        builder.append_pax_extensions([("path", path.as_bytes())]).expect("memory");
    } else {
        builder.append(&header(tar::EntryType::GNULongName, path.len()), path.as_bytes()).expect("memory");
    }
    builder.append(&header(FILE, 1), &b"x"[..]).expect("memory");
    builder.into_inner().expect("memory")
}

#[test]
fn siblings_of_hostile_archives_are_named() {
    let lib: (&[u8], _, &[u8]) = (LIB.as_bytes(), FILE, b"//");
    let long = format!("raft/src/{}.rs", "x".repeat(250));
    let deep = format!("raft/src/{}x.rs", "d/".repeat(600));
    let zeros = vec![0; 2 << 20];
    let names: Vec<String> = (0..300).map(|number| format!("raft/src/x{number}.rs")).collect();
    let many_long: Vec<(&str, &[u8], u32)> =
        names.iter().map(|name| (name.as_str(), &zeros[..], 0o644)).collect();
    let mut wrong_sum = zip(&[(LIB, b"fn main() {}", 0o644)]);
    wrong_sum[14] ^= 1;
    let directory = wrong_sum.windows(4).position(|bytes| bytes == b"PK\x01\x02").expect("it is there");
    wrong_sum[directory + 16] ^= 1;
    let mut huge = tar(&[lib, (b"junk.bin", FILE, b"x")]);
    let size = 1024 + 124;
    huge[size..size + 12].copy_from_slice(b"77777777777\0");
    let mut no_size = tar(&[lib]);
    no_size[124..136].copy_from_slice(b"not a number");
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("path_out", tar_with_a_path_of_its_own(true, "raft/src/../../../x.rs")),
        ("path_out", tar_with_a_path_of_its_own(false, "../../../../../etc/cron.d/x.rs")),
        ("absolute_path", tar_with_a_path_of_its_own(true, "/etc/x.rs")),
        ("name_too_long", tar_with_a_path_of_its_own(true, &long)),
        ("name_too_long", tar_with_a_path_of_its_own(false, &deep)),
        ("name_too_long", zip(&[(LIB, b"//", 0o644), (&long, b"", 0o644)])),
        ("twice", tar(&[lib, (b"./raft//src/./lib.rs", FILE, b"//")])),
        ("file_and_folder", tar(&[lib, (b"raft/src/lib.rs/x.rs", FILE, b"")])),
        (
            "file_and_folder",
            zip(&[(LIB, b"//", 0o644), ("raft/src/a.rs", b"", 0o644), ("raft/src/a.rs/b/c.rs", b"", 0o644)]),
        ),
        ("archive_bomb", zip(&many_long)),
        ("path_out", zip(&[(LIB, b"//", 0o644), ("..\\..\\x.rs", b"", 0o644)])),
        ("none", zip(&[("a\\raft\\src\\lib.rs", b"//", 0o644)])),
        ("damaged", wrong_sum),
        ("damaged", huge),
        ("damaged", no_size),
        ("damaged", gzip(&gzip(&tar(&[lib])))),
        ("damaged", gzip(&tar(&[lib]))[..40].to_vec()),
        ("device", tar(&[lib, (b"raft/src/log.rs", tar::EntryType::Fifo, b"")])),
        ("device", tar(&[lib, (b"raft/src/log.rs", tar::EntryType::Block, b"")])),
        ("link", zip(&[(LIB, b"//", 0o644), ("raft/src", b"/", 0o120_777)])),
        ("empty", tar(&[(b"RAFT/SRC/LIB.RS", FILE, b"//")])),
        ("not_an_archive", b"\xfd7zXZ\0 and more".to_vec()),
        ("not_an_archive", b"BZh91AY&SY and more".to_vec()),
        ("not_an_archive", b"7z\xbc\xaf\x27\x1c and more".to_vec()),
        ("not_an_archive", b"Rar!\x1a\x07 and more".to_vec()),
        ("not_an_archive", vec![b'x'; 1 << 20]),
    ];
    for (number, (expected, content)) in table.iter().enumerate() {
        assert_eq!(archive_fault(content), *expected, "row {number}");
    }
}

#[test]
fn what_is_not_taken_costs_nothing() {
    // 200 MB of junk, other people's tests, and build scripts.
    let junk = vec![0; 200 << 20];
    let content = tar(&[
        (b"raft/src/lib.rs", FILE, b"//"),
        (b"junk.bin", FILE, &junk),
        (b"raft/tests/raft/main.rs", FILE, b"fn main() {}"),
        (b"raft/build.rs", FILE, b"fn main() {}"),
        (b"tester/src/lib.rs", FILE, b"pub fn run() {}"),
        (b"raft/Cargo.toml", FILE, b"[dependencies]\nevil = { path = \"../evil\" }"),
        (b".cargo/config.toml", FILE, b"[build]\nrustc-wrapper = \"/bin/evil\""),
    ]);
    let scratch = Scratch::new("junk");
    scratch.put("alice.tar", &content);
    let taken = take(&scratch.0.join("alice.tar"), &["raft".to_owned()]).expect("it can be graded");
    assert_eq!(taken.sources.keys().collect::<Vec<_>>(), [LIB]);
    assert_eq!(taken.notes, ["raft/build.rs is not used: a lab is built without one."]);
}

#[test]
fn hostile_folders_are_named() {
    let scratch = Scratch::new("folders");
    let at = |name: &str| scratch.0.join(name);
    scratch.put("good/raft/src/lib.rs", b"//");
    assert_eq!(fault(&at("good")), "none");

    fs::create_dir_all(at("empty")).expect("a folder");
    assert_eq!(fault(&at("empty")), "empty");
    assert_eq!(fault(&at("nowhere")), "unreadable");

    scratch.put("link/raft/src/lib.rs", b"//");
    symlink("/etc/passwd", at("link/raft/src/log.rs")).expect("a link");
    assert_eq!(fault(&at("link")), "link");

    scratch.put("folder-link/x.rs", b"");
    symlink("/", at("folder-link/raft")).expect("a link");
    assert_eq!(fault(&at("folder-link")), "link");

    symlink(at("good"), at("link-to-another")).expect("a link");
    assert_eq!(fault(&at("link-to-another")), "not_a_file");

    scratch.put("pipe/raft/src/lib.rs", b"//");
    let made = std::process::Command::new("mkfifo").arg(at("pipe/raft/src/log.rs")).status();
    assert!(made.is_ok_and(|status| status.success()), "a pipe");
    assert_eq!(fault(&at("pipe")), "device");

    // As a submission, it would wait for a writer.
    assert_eq!(fault(&at("pipe/raft/src/log.rs")), "not_a_file");

    scratch.put("many/raft/src/lib.rs", b"//");
    for number in 0..20_001 {
        scratch.put(&format!("many/x/{number}"), b"");
    }
    assert_eq!(fault(&at("many")), "too_many_files");

    scratch.put("folder/raft/src/lib.rs/x.rs", b"//");
    assert_eq!(fault(&at("folder")), "missing_file");

    scratch.put("binary/raft/src/lib.rs", b"\xff\xfe");
    assert_eq!(fault(&at("binary")), "not_text");

    scratch.put("name/raft/src/lib.rs", b"//");
    fs::write(at("name/raft/src").join(std::ffi::OsStr::from_bytes(b"\xff.rs")), "").expect("a file");
    assert_eq!(fault(&at("name")), "strange_name");

    let deep = "d/".repeat(70);
    scratch.put(&format!("deep/{deep}x.rs"), b"");
    assert_eq!(fault(&at("deep")), "too_deep");

    scratch.put("unsafe/raft/src/lib.rs", b"fn f() { unsafe { std::hint::unreachable_unchecked() } }");
    assert_eq!(fault(&at("unsafe")), "unsafe");
}

/// What systems, editors and those who collect submissions leave in an honest one.
#[test]
fn what_others_leave_in_a_submission_does_no_harm() {
    const FORK: &[u8] = b"\0\x05\x16\x07\0\x02\0\0Mac OS X";
    let lib: (&[u8], _, &[u8]) = (LIB.as_bytes(), FILE, b"//");
    let forked = tar(&[(b"._raft", FILE, FORK), lib, (b"raft/src/._lib.rs", FILE, FORK)]);
    assert_eq!(archive_fault(&forked), "none");
    let zipped = zip(&[(LIB, b"//", 0o644), ("__MACOSX/raft/src/._lib.rs", FORK, 0o644)]);
    assert_eq!(archive_fault(&zipped), "none");

    let scratch = Scratch::new("others");
    let at = |name: &str| scratch.0.join(name);
    scratch
        .put("edited/raft/src/lib.rs", "\u{feff}//\r\n".as_bytes())
        .put("edited/raft/src/lib.rs~", b"\xff");
    symlink("alice@host.1", at("edited/raft/src/.#lib.rs")).expect("a link");
    assert_eq!(fault(&at("edited")), "none");

    let library = vec![b' '; 1 << 20];
    scratch.put("edited/raft/src/lib.rs", b"//");
    for number in 0..17 {
        scratch.put(&format!("edited/vendor/a/src/x{number}.rs"), &library);
    }
    assert_eq!(fault(&at("edited")), "none");

    scratch.put("modules/raft/src/lib.rs", b"mod vendor;").put("modules/raft/src/vendor/mod.rs", b"//");
    scratch.put("modules/raft/target/x.rs", b"\xff").put("modules/vendor/raft/src/lib.rs", b"\xff");
    let taken = take(&at("modules"), &["raft".to_owned()]).expect("a module called vendor");
    assert_eq!(taken.sources.keys().collect::<Vec<_>>(), [LIB, "raft/src/vendor/mod.rs"]);

    scratch.put("collected_1/report.pdf", b"\xff").put("collected_1/My Raft.ZIP", &zipped);
    assert_eq!(fault(&at("collected_1")), "none");
    scratch.put("collected_2/a.tgz", &gzip(&tar(&[lib]))).put("collected_2/b.zip", &zipped);
    assert_eq!(fault(&at("collected_2")), "empty");
    scratch.put("collected_3/a.tgz", &gzip(&tar(&[(b"raft.tar.gz", FILE, b"x")])));
    let refusal = take(&at("collected_3"), &["raft".to_owned()]).expect_err("an archive in an archive");
    assert_eq!(
        refusal.sentence,
        "It has 1 file, and no Rust source is among them. `raft.tar.gz` in it is an archive: hand in what is in that."
    );

    scratch.put("wide/raft/src/lib.rs", b"\xff\xfe/\0/\0");
    assert_eq!(fault(&at("wide")), "not_text");
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2\n";
    scratch.put("pointer/raft/src/lib.rs", pointer);
    assert_eq!(fault(&at("pointer")), "lfs_pointer");
}

/// A bare repository `alice.git` in this folder.
fn bare_repository(scratch: &Scratch) -> PathBuf {
    let git = |folder: &Path, arguments: &[&str]| {
        let status = std::process::Command::new("git")
            .args(["-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "init.defaultBranch=main"])
            .args(arguments)
            .current_dir(folder)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        assert!(status.is_ok_and(|status| status.success()), "git {arguments:?}");
    };
    scratch.put("work/raft/src/lib.rs", b"//").put("work/.gitattributes", b"*.rs filter=slow\n");
    git(&scratch.0.join("work"), &["init"]);
    git(&scratch.0.join("work"), &["add", "."]);
    git(&scratch.0.join("work"), &["commit", "-m", "x"]);
    git(&scratch.0, &["clone", "--bare", "work", "alice.git"]);
    scratch.0.join("alice.git")
}

/// What becomes of a bare repository: this, where there are namespaces to read it in.
fn of_repository(fault: &str) -> &str {
    if crate::sandbox::git(Path::new("/")).is_some() { fault } else { "no_namespaces" }
}

/// An instructor's repositories name a branch that the student has not pushed to.
#[test]
fn the_only_branch_of_a_repository_is_taken() {
    let scratch = Scratch::new("git-branch");
    let path = bare_repository(&scratch);
    fs::write(path.join("HEAD"), "ref: refs/heads/master\n").expect("a file");
    assert_eq!(fault(&path), of_repository("none"));
    let commit = fs::read_to_string(scratch.0.join("work/.git/refs/heads/main")).expect("a commit");
    fs::write(path.join("refs/heads/other"), commit).expect("a file");
    assert_eq!(fault(&path), of_repository("empty"));
}

#[test]
fn git_does_not_wait_for_ever() {
    let scratch = Scratch::new("git-waits");
    let path = bare_repository(&scratch);
    let config = fs::read_to_string(path.join("config")).expect("a configuration");
    fs::write(path.join("config"), config + "[filter \"slow\"]\n\tsmudge = sleep 100000\n").expect("a file");
    let mut gather = Gather::default();
    let read = archive::read_repository(&path, &mut gather, std::time::Duration::from_secs(1));
    assert_eq!(read.map_err(|refusal| refusal.fault), Err(of_repository("too_slow").to_owned()));
}

#[test]
fn a_bare_repository_is_read_without_its_configuration() {
    let scratch = Scratch::new("git");
    let _ = bare_repository(&scratch);
    let trap = scratch.0.join("trap");
    let config =
        format!("[core]\n\tfsmonitor = touch {0}\n[tar \"tar\"]\n\tcommand = touch {0}\n", trap.display());
    let path = scratch.0.join("alice.git/config");
    let old = fs::read_to_string(&path).expect("a configuration");
    fs::write(&path, old + &config).expect("a configuration");
    assert_eq!(fault(&scratch.0.join("alice.git")), of_repository("none"));
    assert!(!trap.exists(), "the repository's configuration ran a program");
}

/// What git cannot read, or not within its bounds, is not called empty.
#[test]
fn a_repository_that_git_fails_at_is_not_called_empty() {
    let scratch = Scratch::new("git-broken");
    let path = bare_repository(&scratch);
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").args(arguments).current_dir(&path).output();
        String::from_utf8(output.expect("git is there").stdout).expect("a name").trim().to_owned()
    };
    let tree = git(&["rev-parse", "HEAD^{tree}"]);
    fs::remove_file(path.join("objects").join(&tree[..2]).join(&tree[2..])).expect("it was there");
    assert_eq!(fault(&path), of_repository("unreadable"));
}
