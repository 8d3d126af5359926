//! Text for tests and benches, so that they need no books: made-up words whose frequencies are as skewed as
//! those of words in books.
//!
//! The skew matters for MapReduce: it determines how much a combiner saves, how full a map's hash table
//! becomes, and how unequal the partitions are.

use std::io::{self, Write};

/// A text of made-up words. The n-th most frequent of them has a share of about 1/n, as
/// in natural languages (Zipf's law). Equal seeds give equal texts.
pub struct Zipf {
    state: u64,
    words: Vec<String>,
    /// For each word, the sum of the shares up to it.
    cumulative: Vec<f64>,
    column: usize,
}

/// Syllables of the words; a few are not ASCII.
const SYLLABLES: [&str; 16] =
    ["ba", "ke", "mi", "no", "ru", "sha", "ti", "el", "an", "or", "us", "wen", "é", "lö", "qua", "zy"];

/// Lines end at about this many bytes.
const LINE: usize = 70;

impl Zipf {
    /// A source of text with this many different words.
    pub fn new(seed: u64, vocabulary: usize) -> Zipf {
        let mut sum = 0.0;
        let cumulative = (1..=vocabulary).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Zipf {
            state: seed,
            cumulative: cumulative.collect(),
            words: (1..=vocabulary).map(word).collect(),
            column: 0,
        }
    }

    /// Splitmix64: small, and the same on every machine.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Appends a word and what follows it.
    fn append(&mut self, text: &mut String) {
        // A random point between 0 and the sum of all shares falls into the share of one word.
        let total = self.cumulative.last().copied().unwrap_or(1.0);
        let point = (self.random() >> 11) as f64 / (1_u64 << 53) as f64 * total;
        let rank = self.cumulative.partition_point(|&sum| sum < point);
        let word = &self.words[rank.min(self.words.len() - 1)];
        text.push_str(word);
        self.column += word.len() + 1;
        if self.column > LINE {
            self.column = 0;
            text.push('\n');
            return;
        }
        text.push_str(if self.random().is_multiple_of(10) { ", " } else { " " });
    }

    /// Writes at least `length` bytes and at most a line more. The last byte is a line end.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&mut self, length: usize, to: &mut dyn Write) -> io::Result<()> {
        let mut written = 0;
        let mut text = String::new();
        while written + text.len() < length {
            self.append(&mut text);
            // Written in pieces, so that a text of gigabytes takes little memory.
            if text.len() > 1 << 16 {
                to.write_all(text.as_bytes())?;
                written += text.len();
                text.clear();
            }
        }
        text.push('\n');
        to.write_all(text.as_bytes())
    }
}

/// The n-th word: n written in the number system whose digits are the syllables.
fn word(mut number: usize) -> String {
    let mut word = String::new();
    while number > 0 {
        word.push_str(SYLLABLES[number % SYLLABLES.len()]);
        number /= SYLLABLES.len();
    }
    word
}
