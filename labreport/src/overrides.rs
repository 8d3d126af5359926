//! What a run does otherwise than its seed says: the file that `cargo lab shrink` writes and `cargo lab
//! replay --shrunk FILE` runs, and what `lab` tells test binaries with `LAB_VARIANTS`.
//!
//! A line each; `#` begins a comment. Things are named by what they are and by their number among their like
//! (the third `crash` of the test), so that a file outlives edits of code that has nothing to do with it.
//!
//! ```text
//! test figure_8_2c
//! seed 317
//! rule LeaderCompleteness
//! streams 5                    # each server draws random numbers from a stream of its own
//! calm                         # threads run in a fixed order
//! blind                        # the tester does not ask servers for their state now and then
//! steady 5000                  # each message takes 5,000 µs, and none is lost
//! skip crash 1-3 7             # these of the test's verbs do nothing
//! servers 3                    # the cluster has so many servers, and none of these knows of more
//! without server-4             # it never starts
//! lose server-1 server-2 4-9   # these requests from one to the other are lost
//! reseed 1234567 12            # from this nanosecond on another seed decides
//! lossy                        # and half of all requests are lost
//! until 2000000                # the run ends at this nanosecond
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Numbers, as ranges that include both ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(pub Vec<(u64, u64)>);

impl Ranges {
    /// Of numbers in ascending order.
    pub fn of(numbers: impl IntoIterator<Item = u64>) -> Ranges {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some((_, last)) if number <= last.saturating_add(1) => *last = number.max(*last),
                _ => ranges.push((number, number)),
            }
        }
        Ranges(ranges)
    }

    /// Whether the number is one of them.
    pub fn contains(&self, number: u64) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&number))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.0.iter().enumerate() {
            let gap = if place > 0 { " " } else { "" };
            match first == last {
                true => write!(f, "{gap}{first}")?,
                false => write!(f, "{gap}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// How a run differs from what its seed says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The test.
    pub test: String,
    /// The seed.
    pub seed: u64,
    /// Options of the command line that the run needs besides: `--swarm`.
    pub options: String,
    /// What broke in the run that this was made from: a rule, or a kind of failure.
    pub rule: String,
    /// Random numbers come from a stream for each node, made of this number.
    pub streams: Option<u64>,
    /// Threads run in a fixed order.
    pub calm: bool,
    /// The tester does not ask servers for term and role now and then.
    pub blind: bool,
    /// Each message takes so many microseconds, and none is lost by chance.
    pub steady: Option<u64>,
    /// From this nanosecond on, this seed decides.
    pub reseed: Option<(u64, u64)>,
    /// From the moment of `reseed` on half of all requests are lost.
    pub lossy: bool,
    /// The nanosecond at which the run ends, as one that took too long.
    pub until: Option<u64>,
    /// By verb (`crash`, `start`, `wait`, …): which of the test's do nothing.
    pub skip: BTreeMap<String, Ranges>,
    /// A cluster that would have more has so many servers.
    pub servers: Option<u64>,
    /// Servers that never start.
    pub without: BTreeSet<String>,
    /// By calling node and called server: which requests are lost.
    pub lose: BTreeMap<(String, String), Ranges>,
}

/// A line that makes no sense; its `Display` is a sentence with the line's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line, from 1.
    pub number: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.what)
    }
}

impl std::error::Error for BadLine {}

/// What stands between two variants in one file.
pub const BETWEEN: &str = "---";

impl Overrides {
    /// Reads a file.
    ///
    /// # Errors
    /// With the first line that makes no sense.
    pub fn parse(text: &str) -> Result<Overrides, BadLine> {
        let mut overrides = Overrides::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                overrides.take(line).map_err(|what| BadLine { number, what })?;
            }
        }
        Ok(overrides)
    }

    /// Reads several, with a line [`BETWEEN`] each two.
    ///
    /// # Errors
    /// As [`Overrides::parse`].
    pub fn parse_all(text: &str) -> Result<Vec<Overrides>, BadLine> {
        let lines: Vec<&str> = text.lines().collect();
        lines.split(|line| *line == BETWEEN).map(|lines| Overrides::parse(&lines.join("\n"))).collect()
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        match (key, &rest[..]) {
            ("test", [test]) => self.test = (*test).to_owned(),
            ("seed", [seed]) => self.seed = number(seed)?,
            ("options", options) => self.options = options.join(" "),
            ("rule", [rule]) => self.rule = (*rule).to_owned(),
            ("streams", [stream]) => self.streams = Some(number(stream)?),
            ("calm", []) => self.calm = true,
            ("blind", []) => self.blind = true,
            ("steady", [micros]) => self.steady = Some(number(micros)?),
            ("reseed", [at, seed]) => self.reseed = Some((number(at)?, number(seed)?)),
            ("lossy", []) => self.lossy = true,
            ("until", [at]) => self.until = Some(number(at)?),
            ("servers", [servers]) => self.servers = Some(number(servers)?),
            ("without", [server]) => drop(self.without.insert((*server).to_owned())),
            ("skip", [verb, which @ ..]) => drop(self.skip.insert((*verb).to_owned(), ranges(which)?)),
            ("lose", [from, to, which @ ..]) => {
                self.lose.insert(((*from).to_owned(), (*to).to_owned()), ranges(which)?);
            }
            _ => return Err(format!("`{line}` is nothing that can be told to a run")),
        }
        Ok(())
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

fn ranges(words: &[&str]) -> Result<Ranges, String> {
    let range = |word: &&str| match word.split_once('-') {
        None => number(word).map(|number| (number, number)),
        Some((first, last)) => match (number(first)?, number(last)?) {
            (first, last) if first <= last => Ok((first, last)),
            _ => Err(format!("`{word}` is no range")),
        },
    };
    match words {
        [] => Err("it says not which: numbers or ranges, such as 1-3 7".to_owned()),
        words => words.iter().map(range).collect::<Result<_, _>>().map(Ranges),
    }
}

impl fmt::Display for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "test {}\nseed {}", self.test, self.seed)?;
        if !self.options.trim().is_empty() {
            writeln!(f, "options {}", self.options.trim())?;
        }
        if !self.rule.is_empty() {
            writeln!(f, "rule {}", self.rule)?;
        }
        if let Some(number) = self.streams {
            writeln!(f, "streams {number}")?;
        }
        if self.calm {
            writeln!(f, "calm")?;
        }
        if self.blind {
            writeln!(f, "blind")?;
        }
        if let Some(micros) = self.steady {
            writeln!(f, "steady {micros}")?;
        }
        if let Some((at, seed)) = self.reseed {
            writeln!(f, "reseed {at} {seed}")?;
        }
        if self.lossy {
            writeln!(f, "lossy")?;
        }
        if let Some(at) = self.until {
            writeln!(f, "until {at}")?;
        }
        for (verb, which) in self.skip.iter().filter(|(_, which)| !which.is_empty()) {
            writeln!(f, "skip {verb} {which}")?;
        }
        if let Some(servers) = self.servers {
            writeln!(f, "servers {servers}")?;
        }
        for server in &self.without {
            writeln!(f, "without {server}")?;
        }
        for ((from, to), which) in self.lose.iter().filter(|(_, which)| !which.is_empty()) {
            writeln!(f, "lose {from} {to} {which}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Overrides {
        let link = ("server-1".to_owned(), "server-2".to_owned());
        Overrides {
            test: "figure_8_2c".to_owned(),
            seed: 317,
            options: "--swarm".to_owned(),
            rule: "LeaderCompleteness".to_owned(),
            streams: Some(5),
            calm: true,
            blind: true,
            steady: Some(5000),
            reseed: Some((7, 12)),
            lossy: true,
            until: Some(9),
            skip: [("crash".to_owned(), Ranges::of([1, 2, 3, 7]))].into(),
            servers: Some(3),
            without: ["server-4".to_owned()].into(),
            lose: [(link, Ranges::of([4]))].into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Overrides::parse(&sample().to_string()), Ok(sample()));
        let two = format!("{}{BETWEEN}\n# nothing\nseed 3 # three\n", sample());
        let all = Overrides::parse_all(&two).expect("both make sense");
        assert_eq!(all, [sample(), Overrides { seed: 3, ..Overrides::default() }]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let complaint = |text: &str| Overrides::parse(text).map_err(|bad| bad.to_string()).unwrap_err();
        assert_eq!(complaint("seed 1\nseed x"), "line 2: `x` is no number");
        assert_eq!(complaint("skip crash 7-3"), "line 1: `7-3` is no range");
        assert!(complaint("skip crash").contains("which"));
        assert!(complaint("\u{1b}[2J").contains("nothing that can be told"));
    }

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(Ranges::of([1, 2, 3, 7, 9, 10]).to_string(), "1-3 7 9-10");
        assert!(Ranges::of([]).is_empty() && Ranges::of([4]).contains(4) && !Ranges::of([4]).contains(5));
    }
}
