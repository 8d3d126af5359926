//! Input: words of a Zipf distribution, as in books, or slices of real books where they are at hand.

use std::path::Path;
use std::sync::OnceLock;

use labrt::rand::random_range;

/// Different words of the generated text.
const VOCABULARY: usize = 400;

/// This many files "text-0" and so on, of about this many bytes.
pub(crate) fn zipf_files(files: usize, bytes: usize) -> Vec<(String, Vec<u8>)> {
    (0..files).map(|file| (format!("text-{file}"), zipf_text(bytes))).collect()
}

/// Lines of words, the word of rank r with a probability in proportion to 1/r.
fn zipf_text(bytes: usize) -> Vec<u8> {
    let sums: Vec<f64> = (1..=VOCABULARY)
        .scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        })
        .collect();
    let mut text = Vec::with_capacity(bytes + 32);
    while text.len() < bytes {
        for _ in 0..random_range(4..12) {
            let draw = random_range(0.0..sums[VOCABULARY - 1]);
            let rank = sums.partition_point(|&sum| sum < draw);
            text.extend_from_slice(word(rank).as_bytes());
            text.push(b' ');
        }
        text.pop();
        text.push(b'\n');
    }
    text
}

/// A word for each rank, short for the frequent ones.
fn word(rank: usize) -> String {
    let mut letters = String::new();
    let mut rest = rank + 1;
    while rest > 0 {
        letters.push((b'a' + (rest % 26) as u8) as char);
        letters.push(['a', 'e', 'i', 'o', 'u'][rest % 5]);
        rest /= 26;
    }
    letters
}

/// A slice of about this many bytes of each of the eight books, other ones for each seed; generated text
/// where there are no books.
pub(crate) fn book_files(bytes: usize) -> Vec<(String, Vec<u8>)> {
    let books = books();
    if books.is_empty() {
        return zipf_files(8, bytes);
    }
    books.iter().map(|(name, text)| (name.clone(), slice(text, bytes))).collect()
}

/// Whole lines from a random place on.
fn slice(text: &[u8], bytes: usize) -> Vec<u8> {
    let start = random_range(0..text.len().saturating_sub(bytes).max(1));
    let line = |from: usize| {
        text[from..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |n| from + n + 1)
    };
    let start = line(start);
    text[start..line((start + bytes).min(text.len()))].to_vec()
}

/// The books of `../shared/data/text`, seen from the repository, in the order of their names.
fn books() -> &'static [(String, Vec<u8>)] {
    static BOOKS: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    BOOKS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/text");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".txt")).collect();
        names.sort();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/text");
        names
            .into_iter()
            .filter_map(|name| Some((name.clone(), std::fs::read(folder.join(&name)).ok()?)))
            .collect()
    })
}
