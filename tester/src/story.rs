//! The story of a test, which helps to find out why it failed: one line for each verb, scene, change of role
//! and milestone, with one column for each server.
//!
//! Noting costs a few nanoseconds, since thousands of runs pass for each one whose story is told. Only then
//! repetitions are folded, a long story is cut, and all of it is laid out for the width of the terminal.

mod layout;

use std::borrow::Cow;

use labapi::Role;
use layout::Layout;

/// How many lines of a long story are told: with the rule and what each server knew, a screen.
const TOLD: usize = 30;

/// How many of these are the last ones. The others are the most telling before them.
const LAST: usize = 16;

/// What stands where lines are missing.
pub(crate) const LEFT_OUT: &str = "left out)";

/// Starts and commits in a row are folded if there are more than so many.
const UNFOLDED: usize = 4;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// The test says what it is about to do.
    Scene(Cow<'static, str>),
    /// A verb of the test, or its result.
    Verb(Cow<'static, str>),
    /// Something happened to a server, or a verb was used on it.
    Server(Cow<'static, str>),
    /// A server has changed its role or term.
    Role(Role, u64),
    /// A leader has committed everything up to this index.
    Committed(u64),
    /// A server accepted a command at this index.
    Started(u64),
}

struct Line {
    /// Nanoseconds since the start of the run.
    at: u64,
    /// Column of a server; None for the test's own.
    server: Option<usize>,
    what: What,
}

/// A line as it is told.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    at: u64,
    server: Option<usize>,
    text: String,
    /// What a long story keeps first.
    weight: Weight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Minor,
    Usual,
    /// Faults and candidates.
    Telling,
    /// Scenes and leaders.
    Heading,
}

/// The story so far.
#[derive(Default)]
pub(crate) struct Story {
    lines: Vec<Line>,
    servers: usize,
}

impl Story {
    pub(crate) fn tell(&mut self, at: u64, server: Option<usize>, what: What) {
        if let Some(server) = server {
            self.servers = self.servers.max(server + 1);
        }
        // A leader commits one index after the other; the last one tells them all.
        if let (What::Committed(index), Some(last)) = (&what, self.lines.last_mut())
            && last.server == server
            && let What::Committed(before) = &mut last.what
        {
            *before = *index;
            return;
        }
        self.lines.push(Line { at, server, what });
    }

    /// The story as text, no wider than `width`: all of it if `whole`, else at most [`TOLD`] lines. Then
    /// scenes, leaders and faults are kept longer than anything else.
    pub(crate) fn render(&self, whole: bool, width: usize) -> String {
        let mut layout = Layout::new(self.servers, width);
        if whole {
            self.lines.iter().map(Line::told).for_each(|line| layout.line(&line));
            return layout.text();
        }
        let lines = self.folded();
        let kept = choose(&lines);
        let mut skipped = 0;
        for (line, kept) in lines.iter().zip(kept) {
            if !kept {
                skipped += 1;
                continue;
            }
            layout.gap(std::mem::take(&mut skipped));
            layout.line(line);
        }
        layout.text()
    }

    /// The lines, with long rows of starts and commits as one line for each server.
    fn folded(&self) -> Vec<Told> {
        let mut told = Vec::new();
        let is_progress = |line: &Line| matches!(line.what, What::Committed(_) | What::Started(_));
        for row in self.lines.chunk_by(|one, next| is_progress(one) && is_progress(next)) {
            if row.len() <= UNFOLDED {
                told.extend(row.iter().map(Line::told));
            } else {
                told.extend(fold(row));
            }
        }
        told
    }
}

/// One line for each server of a row of starts and commits.
fn fold(row: &[Line]) -> Vec<Told> {
    let mut servers: Vec<Option<usize>> = Vec::new();
    for line in row {
        if !servers.contains(&line.server) {
            servers.push(line.server);
        }
    }
    let of_server = |server: Option<usize>| {
        let lines = || row.iter().filter(move |line| line.server == server);
        let starts: Vec<u64> = lines()
            .filter_map(|line| if let What::Started(index) = line.what { Some(index) } else { None })
            .collect();
        let commit = lines()
            .filter_map(|line| if let What::Committed(index) = line.what { Some(index) } else { None })
            .max();
        let mut words = Vec::new();
        match starts[..] {
            [] => {}
            [one] => words.push(format!("start -> {one}")),
            [first, .., last] => words.push(format!("{} × start -> {first}…{last}", starts.len())),
        }
        words.extend(commit.map(|index| format!("commits ..{index}")));
        let at = lines().next_back().map_or(0, |line| line.at);
        Told { at, server, text: words.join(", "), weight: Weight::Minor }
    };
    let mut told: Vec<Told> = servers.into_iter().map(of_server).collect();
    told.sort_by_key(|line| line.at);
    told
}

/// Which lines of a long story are told: the last ones, then the weightiest, and of equal ones the later.
fn choose(lines: &[Told]) -> Vec<bool> {
    let mut kept = vec![true; lines.len()];
    if lines.len() <= TOLD {
        return kept;
    }
    let mut before: Vec<usize> = (0..lines.len() - LAST).collect();
    before.sort_by_key(|&index| (lines[index].weight, index));
    for index in before.into_iter().rev().skip(TOLD - LAST) {
        kept[index] = false;
    }
    kept
}

impl Line {
    fn told(&self) -> Told {
        let weight = match &self.what {
            What::Scene(_) | What::Role(Role::Leader, _) => Weight::Heading,
            What::Server(_) | What::Role(Role::Candidate, _) => Weight::Telling,
            What::Verb(_) | What::Role(Role::Follower, _) => Weight::Usual,
            What::Committed(_) | What::Started(_) => Weight::Minor,
        };
        let text = match &self.what {
            What::Verb(words) => format!("· {words}"),
            what => what.words().into_owned(),
        };
        Told { at: self.at, server: self.server, text, weight }
    }
}

impl What {
    pub(crate) fn words(&self) -> Cow<'_, str> {
        match self {
            What::Scene(scene) => format!("── {scene}").into(),
            What::Verb(words) | What::Server(words) => Cow::Borrowed(words),
            What::Role(Role::Leader, term) => format!("LEADER of {term}").into(),
            What::Role(role, term) => format!("{role} {term}").into(),
            What::Committed(index) => format!("commits ..{index}").into(),
            What::Started(index) => format!("start -> {index}").into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long() -> Story {
        let mut story = Story::default();
        story.tell(0, None, What::Scene("The beginning.".into()));
        story.tell(1, Some(4), What::Role(Role::Leader, 3));
        for index in 1..=100 {
            story.tell(index * 1000, Some(4), What::Started(index));
            story.tell(index * 1000 + 1, Some(4), What::Committed(index));
        }
        story.tell(1_000_000, Some(2), What::Server("disconnected".into()));
        story
    }

    #[test]
    fn repetitions_are_folded() {
        let text = long().render(false, 160);
        assert!(text.contains("100 × start -> 1…100, commits"), "{text}");
        assert!(text.lines().count() <= 6, "{text}");
        assert_eq!(long().render(true, 100).lines().count(), 204);
    }

    #[test]
    fn scenes_leaders_and_faults_outlast_everything_else() {
        let mut story = long();
        for number in 0..500 {
            story.tell(2_000_000 + number, None, What::Verb(format!("get {number}").into()));
        }
        let text = story.render(false, 80);
        for kept in ["The beginning.", "LEADER of 3", "disconnected", "get 499", "lines left out"] {
            assert!(text.contains(kept), "{kept} is not in {text}");
        }
        assert!(text.lines().count() <= TOLD + 10, "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut story = long();
        let long = "agree on a rather long command: RequestVoteArgs { term: 3, candidate_id: 4, last_log_index: 17 }";
        story.tell(3_000_000, Some(4), What::Server(long.into()));
        story.tell(3_000_000, None, What::Verb(long.into()));
        for width in [40, 60, 80, 100, 160] {
            for whole in [false, true] {
                let text = story.render(whole, width);
                let widest = text.lines().map(|line| line.chars().count()).max();
                assert!(widest <= Some(width), "{widest:?} at {width}: {text}");
            }
        }
    }
}
