//! Pictures of failed runs: where they go, how many, and what is on them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use labreport::Report;
use tester::{Test, run};
use tester_kv::{KvCluster, KvSetup};

use crate::fake::{FakeKv, KvWrong};

/// Set where this binary was started by one of its own tests.
const CHILD: &str = "TESTER_CHILD";

/// Plays the test [`stale`] in a process of its own.
fn child(environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("a test binary knows where it is"));
    command.args(["--exact", "pictures::stale", "--nocapture", "--test-threads", "1"]);
    let outer = std::env::vars_os().map(|(name, _)| name);
    for name in outer.filter(|name| name.to_string_lossy().starts_with("LAB_")) {
        command.env_remove(name);
    }
    // So that no sentence that a test looks for is broken into lines.
    command.env("LAB_COLUMNS", "1000").env(CHILD, "1").envs(environment.iter().copied());
    command.output().expect("a test binary can start itself")
}

fn reports(output: &Output) -> Vec<Report> {
    let lines = output.stdout.split(|&byte| byte == b'\n').filter_map(labreport::json_of);
    lines.map(|json| serde_json::from_slice(json).expect("a report is JSON")).collect()
}

/// Reads what is stale, while a server is cut off and another one crashes.
#[test]
fn stale() {
    if std::env::var_os(CHILD).is_some() {
        run("stale", |t: &Test| {
            FakeKv::will_be(KvWrong::ReadsStale);
            let cluster = KvCluster::<FakeKv>::new(t, KvSetup::servers(3));
            let (mut writer, mut reader) = (cluster.make_client(&[0]), cluster.make_client(&[2]));
            cluster.disconnect(2);
            writer.put("x", "1");
            cluster.crash(1);
            reader.get("x");
        });
    }
}

/// An empty folder for the pictures of one test.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tester-pictures-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<_> =
        files.map(|file| file.expect("it can be read").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The bytes that the page's scripts unpack, as text: blocks, each with its number.
fn data(page: &str) -> String {
    let (_, behind) = page.split_once("id=\"data\">").expect("a page has its data");
    let (text, _) = behind.split_once('<').expect("the data end");
    let blocks = text.split_whitespace().map(|block| {
        let (_, letters) = block.split_once(':').expect("a block has a number");
        let mut data = Vec::new();
        GzDecoder::new(&*bytes(letters))
            .read_to_end(&mut data)
            .map(|_| String::from_utf8_lossy(&data).into_owned())
    });
    blocks.collect::<std::io::Result<String>>().expect("it is compressed")
}

/// What these letters mean in base64.
fn bytes(text: &str) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.bytes().filter(|&letter| letter != b'=') {
        let value = letters.iter().position(|&other| other == letter).expect("it is base64");
        (bits, count) = (bits << 6 | value as u32, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

#[test]
fn the_picture_has_the_operations_and_the_faults() {
    let folder = folder("faults");
    let output = child(&[("LAB_SEED", "7"), ("LAB_PICTURES", &folder.to_string_lossy())]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{text}");
    assert_eq!(names(&folder), ["stale-seed-7.html"]);
    let path = folder.canonicalize().expect("it is there").join("stale-seed-7.html");
    assert!(text.contains(&format!("picture: {}", path.display())), "{text}");
    let page = std::fs::read_to_string(&path).expect("it can be read");
    assert!(page.contains("stale read"));
    let data = data(&page);
    for word in ["down", "server-1", "disconnected", "server-2", "crash", "links"] {
        assert!(data.contains(word), "no {word:?} in {data}");
    }
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn of_many_failures_a_few_have_a_picture() {
    let folder = folder("few");
    let pictures = folder.to_string_lossy();
    let output = child(&[("LAB_SEEDS", "0..8"), ("LAB_REPORT", "1"), ("LAB_PICTURES", &pictures)]);
    // Another process of the same campaign finds them there.
    let later = child(&[("LAB_SEEDS", "8..10"), ("LAB_REPORT", "1"), ("LAB_PICTURES", &pictures)]);
    assert!(reports(&later).iter().all(|report| report.picture.is_none()));
    let reports = reports(&output);
    assert_eq!(reports.len(), 8);
    let with: Vec<bool> = reports.iter().map(|report| report.picture.is_some()).collect();
    assert_eq!(with, [true, true, true, false, false, false, false, false]);
    assert_eq!(names(&folder), ["stale-seed-0.html", "stale-seed-1.html", "stale-seed-2.html"]);
    for report in reports {
        assert_eq!(report.kind, Some(labreport::Kind::History), "{report:?}");
        assert!(report.reason().contains("stale read: Get by client 1"), "{}", report.reason());
    }
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn options_are_part_of_the_name() {
    let folder = folder("options");
    let pictures = folder.to_string_lossy();
    child(&[("LAB_SEED", "3"), ("LAB_SWARM", "1"), ("LAB_PICTURES", &pictures)]);
    assert_eq!(names(&folder), ["stale-seed-3-swarm.html"]);
    let _ = std::fs::remove_dir_all(folder);
}
