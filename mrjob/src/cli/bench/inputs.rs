//! The inputs of the benches, and the checks of their outputs.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mapreduce::names;
use mapreduce_engine::zipf::Zipf;

use crate::cli::{Done, Problem};

/// Length of a record of the sort, including its line end.
const RECORD: usize = 100;

/// Length of a record's random beginning, which decides its place.
const KEY: usize = 10;

/// Writes a text of at least this many bytes, which repeats the given files, and returns its length. Without
/// files it repeats the books of `../shared/data/text` (or below `LAB_SHARED`), or made-up text if there are
/// no books.
pub(super) fn text(path: &Path, length: u64, given: &[PathBuf]) -> Result<u64, Problem> {
    let files = if given.is_empty() { books() } else { given.to_vec() };
    let mut piece = Vec::new();
    for file in &files {
        piece
            .extend(fs::read(file).map_err(|error| Problem::Failed(format!("{}: {error}", file.display())))?);
    }
    if piece.is_empty() {
        Zipf::new(1, 30_000).write(3_300_000, &mut piece).map_err(Problem::failed)?;
    }
    let copies = length.div_ceil(piece.len() as u64);
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        (0..copies).try_for_each(|_| file.write_all(&piece))
    };
    write().map_err(Problem::failed)?;
    let what = if files.is_empty() { "made-up text".to_owned() } else { format!("{} files", files.len()) };
    println!("{what}, {copies} times: {} MB", copies * piece.len() as u64 / 1_000_000);
    Ok(copies * piece.len() as u64)
}

/// Cuts a text into this many files of about equal length, at line ends.
pub(super) fn pieces(text: &Path, directory: &Path, count: usize) -> Result<Vec<PathBuf>, Problem> {
    fs::create_dir_all(directory).map_err(Problem::failed)?;
    let file = File::open(text).map_err(Problem::failed)?;
    let length = file.metadata().map_err(Problem::failed)?.len();
    // Read in pieces, so that this process stays small: a child's peak memory starts with its parent's.
    let mut text = BufReader::new(file);
    let (mut paths, mut start) = (Vec::new(), 0);
    for number in 1..=count as u64 {
        let mut piece = Vec::new();
        let wanted = (length * number / count as u64).saturating_sub(start);
        let read = (&mut text).take(wanted).read_to_end(&mut piece);
        read.and_then(|_| text.read_until(b'\n', &mut piece)).map_err(Problem::failed)?;
        start += piece.len() as u64;
        let path = directory.join(format!("{number:05}"));
        fs::write(&path, &piece).map_err(Problem::failed)?;
        paths.push(path);
    }
    println!("in {count} files");
    Ok(paths)
}

/// Fails unless the output files of a job together have as many lines as this file.
pub(super) fn same_number_of_lines(expected: &Path, out: &Path, reduces: usize) -> Done {
    let count = |path: &Path| -> Result<usize, Problem> {
        Ok(memchr::memchr_iter(b'\n', &fs::read(path).map_err(Problem::failed)?).count())
    };
    let mut ours = 0;
    for name in (0..reduces).map(names::output) {
        ours += count(&out.join(name))?;
    }
    let theirs = count(expected)?;
    println!("{theirs} lines");
    if ours == theirs {
        Ok(())
    } else {
        Err(Problem::Failed(format!("{ours} lines, and grep finds {theirs}")))
    }
}

/// The books, in the order of their names.
fn books() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join("shared");
    let shared = std::env::var_os("LAB_SHARED").map_or(root, PathBuf::from);
    let entries = fs::read_dir(shared.join("data/text")).into_iter().flatten().flatten();
    let mut books: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    books.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    books.sort_unstable();
    books
}

/// Writes this many bytes of records: lines of 100 bytes that begin with ten random ones,
/// after the sort benchmark of the paper's §5.3.
pub(super) fn records(path: &Path, length: u64) -> Result<u64, Problem> {
    let count = length / RECORD as u64;
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut state = 1_u64;
        for number in 0..count {
            let mut record = [b'.'; RECORD];
            for byte in &mut record[..KEY] {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = b'!' + (state >> 33) as u8 % 94;
            }
            write!(&mut record[KEY + 2..KEY + 22], "{number:020}")?;
            record[RECORD - 1] = b'\n';
            file.write_all(&record)?;
        }
        file.flush()
    };
    write().map_err(Problem::failed)?;
    println!("{count} records of {RECORD} bytes");
    Ok(count * RECORD as u64)
}

/// Bytes per second that one thread reads from a piece of memory of this size; the best of three.
pub(super) fn memory_bandwidth(bytes: u64) -> f64 {
    let memory = vec![1_u64; bytes as usize / size_of::<u64>()];
    let read = |_| {
        let start = Instant::now();
        black_box(memory.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)));
        bytes as f64 / start.elapsed().as_secs_f64()
    };
    (0..3).map(read).fold(0.0, f64::max)
}

/// Fails unless the concatenated output files of a job are this file.
pub(super) fn same_bytes(expected: &Path, out: &Path, reduces: usize) -> Done {
    let mut expected = BufReader::new(File::open(expected).map_err(Problem::failed)?);
    for name in (0..reduces).map(names::output) {
        let mut file = File::open(out.join(&name)).map_err(Problem::failed)?;
        let mut ours = vec![0; 1 << 20];
        let mut theirs = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut ours).map_err(Problem::failed)?;
            if count == 0 {
                break;
            }
            expected.read_exact(&mut theirs[..count]).map_err(Problem::failed)?;
            if ours[..count] != theirs[..count] {
                return Err(Problem::Failed(format!("{name} differs from the output of sort")));
            }
        }
    }
    match expected.read(&mut [0]) {
        Ok(0) => Ok(()),
        _ => Err(Problem::Failed("records are missing".to_owned())),
    }
}
