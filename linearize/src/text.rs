//! A verdict for a terminal: in words, and the operations around it as lanes.
//!
//! ```text
//! not linearizable – key "x" – stale read
//! Get by client 2 returned "", but Put "1" by client 1 had already returned 2.0 ms before it was called.
//!
//! client 1        ╞ 1 Put "1" ══╡
//! client 2                                   ╞ 2 Get → "" ══════════════╡
//! client 4                            ├ Append "2" ────────────────────────────┄
//! crash                            ░ down server 1 ░░
//!           0.000000 ms                                             10.000000 ms
//!
//! 1  #0  client 1: Put "1", called at 1.000000 ms, returned 2.0 ms later
//! 2  #3  client 2: Get → "", called at 5.000000 ms, returned 4.0 ms later
//! ```

use crate::fault::Fault;
use crate::history::{History, OPEN, Operation, Unit};
use crate::model::Model;
use crate::verdict::Verdict;
use crate::words;

/// Narrower than this nothing can be drawn.
const LEAST_WIDTH: usize = 40;

/// More lanes than this do not fit a screen.
const MOST_LANES: usize = 16;

/// The verdict on `history` in lines of at most `width` columns (at least 40), with what happened around the
/// operations that it names. Ends with a newline.
///
/// Nothing that a value contains reaches the terminal as a control sequence.
///
/// # Panics
///
/// If `verdict` is not about `history`: if it names operations that are not there.
pub fn render<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    verdict: &Verdict,
    faults: &[Fault],
    width: usize,
) -> String {
    let width = width.max(LEAST_WIDTH);
    let mut out = String::new();
    let named: &[usize] = match verdict {
        Verdict::Linearizable(_) if !history.is_observed() => {
            wrap(&unobserved(history.len()), width, "", &mut out);
            return out;
        }
        Verdict::Linearizable(witness) => {
            let operations = words::count(history.len(), "operation");
            let text =
                format!("linearizable: {operations}, {}", words::count(witness.orders.len(), "partition"));
            wrap(&text, width, "", &mut out);
            return out;
        }
        Verdict::NotLinearizable(explanation) => {
            for line in explanation.to_string().lines() {
                wrap(line, width, "", &mut out);
            }
            &explanation.operations
        }
        Verdict::Unknown(undecided) => {
            wrap(&format!("unknown: {undecided}"), width, "", &mut out);
            std::slice::from_ref(&undecided.reached)
        }
    };
    if !named.is_empty() {
        out.push('\n');
        let view = View::new(model, history, named, width);
        view.lanes(&mut out);
        view.faults(faults, &mut out);
        view.axis(&mut out);
        view.list(&mut out);
    }
    out
}

/// What there is to say of a history of so many operations, none of which returned.
pub fn unobserved(operations: usize) -> String {
    let why = match operations {
        0 => "every operation failed, so".to_owned(),
        1 => "the one operation never returned, so".to_owned(),
        _ => format!("none of {operations} operations returned, so every order explains them and"),
    };
    format!("nothing was observed: {why} nothing was tested")
}

/// What is drawn, and where.
struct View<'a, M: Model> {
    model: &'a M,
    history: &'a History<M::Op, M::Result>,
    named: &'a [usize],
    /// Operations of the same partition that overlap the window, by client.
    lanes: Vec<(u32, Vec<usize>)>,
    hidden: usize,
    from: u64,
    to: u64,
    /// Columns of the names, and of the plot.
    margin: usize,
    columns: usize,
    width: usize,
}

impl<'a, M: Model> View<'a, M> {
    fn new(model: &'a M, history: &'a History<M::Op, M::Result>, named: &'a [usize], width: usize) -> Self {
        let (from, to) = window(history, named);
        let partition = model.partition(&history[named[0]].op);
        let mut lanes: Vec<(u32, Vec<usize>)> = Vec::new();
        for (index, operation) in history.operations().iter().enumerate() {
            let inside = operation.call <= to && operation.end >= from;
            if !inside || model.partition(&operation.op) != partition {
                continue;
            }
            match lanes.iter_mut().find(|lane| lane.0 == operation.client) {
                Some(lane) => lane.1.push(index),
                None => lanes.push((operation.client, vec![index])),
            }
        }
        let names_one = |lane: &(u32, Vec<usize>)| lane.1.iter().any(|index| named.contains(index));
        lanes.sort_by_key(|lane| (!names_one(lane), lane.0));
        let hidden = lanes.len().saturating_sub(MOST_LANES);
        lanes.truncate(MOST_LANES);
        lanes.sort_by_key(|lane| lane.0);
        let longest = lanes.iter().map(|(client, _)| format!("client {client}").len()).max();
        let margin = longest.unwrap_or(0) + 2;
        View { model, history, named, lanes, hidden, from, to, margin, columns: width - margin, width }
    }

    /// The column of a moment; `None` outside of the window.
    fn column(&self, time: u64) -> usize {
        let (from, to) = (u128::from(self.from), u128::from(self.to));
        let time = u128::from(time).clamp(from, to);
        ((time - from) * (self.columns as u128 - 1) / (to - from).max(1)) as usize
    }

    fn lanes(&self, out: &mut String) {
        for (client, operations) in &self.lanes {
            let mut cells = vec![' '; self.columns];
            let (named, others): (Vec<usize>, Vec<usize>) =
                operations.iter().partition(|index| self.named.contains(index));
            // The named ones last, so that nothing covers them.
            for index in others.into_iter().chain(named) {
                self.draw(index, &mut cells);
            }
            self.line(&format!("client {client}"), &cells, out);
        }
        if self.hidden > 0 {
            wrap(&format!("and {}", words::count(self.hidden, "more client")), self.width, "", out);
        }
    }

    fn draw(&self, index: usize, cells: &mut [char]) {
        let operation = &self.history[index];
        let number = self.named.iter().position(|&named| named == index).map(|place| place + 1);
        let (left, line, right) =
            if number.is_some() { ('╞', '═', '╡') } else { ('├', '─', '┤') };
        let (first, last) = (self.column(operation.call), self.column(operation.end));
        cells[first..=last].fill(line);
        cells[last] = if operation.end > self.to { '┄' } else { right };
        if operation.call >= self.from {
            cells[first] = left;
        }
        let mut text = number.map_or(String::new(), |number| format!("{number} "));
        text.push_str(&self.words(operation));
        if !put(cells, first + 1, last, &text)
            && let Some(number) = number
        {
            // The number tells which operation of the list this is, which matters more than its frame.
            let digits: Vec<char> = number.to_string().chars().collect();
            let from = first.min(cells.len().saturating_sub(digits.len()));
            let shown = digits.len().min(last + 1 - first).max(1);
            cells[from..from + shown].copy_from_slice(&digits[..shown]);
        }
    }

    fn words(&self, operation: &Operation<M::Op, M::Result>) -> String {
        let mut text = self.model.describe_op(&operation.op);
        if let Some(result) = &operation.result {
            let result = self.model.describe_result(&operation.op, result);
            if !result.is_empty() {
                text.push_str(" → ");
                text.push_str(&result);
            }
        }
        clean(&text)
    }

    fn faults(&self, faults: &[Fault], out: &mut String) {
        let inside = faults.iter().filter(|fault| fault.from <= self.to && fault.to >= self.from);
        for fault in inside.take(MOST_LANES) {
            let mut cells = vec![' '; self.columns];
            let (first, last) = (self.column(fault.from), self.column(fault.to));
            cells[first..=last].fill('░');
            let text = clean(&[&fault.label, " ", &fault.targets.join(" ")].concat());
            // Beside a span that is too short for its words, where there is room.
            let (from, to) = if last - first > text.chars().count() + 2 {
                (first + 1, last)
            } else {
                (last + 1, self.columns)
            };
            put(&mut cells, from, to, text.trim_end());
            let group: String = clean(&fault.group).chars().take(self.margin - 2).collect();
            self.line(&group, &cells, out);
        }
    }

    fn axis(&self, out: &mut String) {
        let (from, to) = (self.moment(self.from), self.moment(self.to));
        let gap = self.columns.saturating_sub(from.chars().count() + to.chars().count());
        let cells: Vec<char> = format!("{from}{}{to}", " ".repeat(gap)).chars().take(self.columns).collect();
        self.line("", &cells, out);
    }

    /// A moment in milliseconds, as precise as the clock, or by the number of the event.
    fn moment(&self, time: u64) -> String {
        match self.history.unit() {
            Unit::Nanoseconds => {
                let time = self.history.recorded_time(time);
                let sign = if time < 0 { "-" } else { "" };
                let time = time.unsigned_abs();
                format!("{sign}{}.{:06} ms", time / 1_000_000, time % 1_000_000)
            }
            Unit::Events => format!("event {time}"),
        }
    }

    fn line(&self, name: &str, cells: &[char], out: &mut String) {
        let mut line: String = name.to_owned();
        line.extend(std::iter::repeat_n(' ', self.margin.saturating_sub(name.chars().count())));
        line.extend(cells);
        out.push_str(line.trim_end());
        out.push('\n');
    }

    fn list(&self, out: &mut String) {
        out.push('\n');
        for (place, &index) in self.named.iter().enumerate() {
            let operation = &self.history[index];
            let returned = operation.returned().map_or("never returned".to_owned(), |end| {
                format!("returned {} later", self.history.span(end - operation.call))
            });
            let text = format!(
                "{}  #{index}  client {}: {}, called at {}, {returned}",
                place + 1,
                operation.client,
                self.words(operation),
                self.moment(operation.call)
            );
            wrap(&text, self.width, "   ", out);
        }
    }
}

/// From a little before the first of `named` to a little after the last.
fn window<O, R>(history: &History<O, R>, named: &[usize]) -> (u64, u64) {
    let from = named.iter().map(|&index| history[index].call).min().unwrap_or(0);
    let ends = named.iter().map(|&index| match history[index].end {
        OPEN => history[index].call,
        end => end,
    });
    let to = ends.max().unwrap_or(from).max(from);
    let margin = ((to - from) / 8).max(1);
    (from.saturating_sub(margin), to.saturating_add(margin).min(OPEN - 1))
}

/// Writes ` text ` into cells[from..to] if a useful part of it fits. Returns whether it did.
fn put(cells: &mut [char], from: usize, to: usize, text: &str) -> bool {
    const USEFUL: usize = 3;
    let room = to.saturating_sub(from).saturating_sub(2);
    let count = text.chars().count();
    if room < USEFUL.min(count) || count == 0 {
        return false;
    }
    // One cell is one column, so what may take two is shown as a dot.
    let narrow = text.chars().map(|character| if columns(character) == 1 { character } else { '·' });
    let mut shown: Vec<char> = narrow.take(room).collect();
    if count > room {
        shown[room - 1] = '…';
    }
    cells[from] = ' ';
    cells[from + 1..from + 1 + shown.len()].copy_from_slice(&shown);
    cells[from + 1 + shown.len()] = ' ';
    true
}

/// `text` with everything escaped that could steer a terminal. What is escaped already stays as it is.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if words::steers(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// How many columns a character takes at most.
fn columns(character: char) -> usize {
    // Wide characters begin with Hangul Jamo; of the narrow ones behind it the drawing needs these.
    let narrow = character < '\u{1100}' || matches!(character, '\u{2010}'..='\u{2027}' | '→');
    if narrow { 1 } else { 2 }
}

/// Appends `text` in lines of at most `width` columns, broken at spaces if possible; later lines begin with
/// `indent`.
fn wrap(text: &str, width: usize, indent: &str, out: &mut String) {
    let (mut line, mut used) = (String::new(), 0);
    let mut finish = |line: &mut String, used: &mut usize| {
        out.push_str(line.trim_end());
        out.push('\n');
        line.clear();
        line.push_str(indent);
        *used = indent.len();
    };
    for word in clean(text).split_inclusive(' ') {
        let size: usize = word.trim_end().chars().map(columns).sum();
        if used + size > width && size + indent.len() <= width {
            finish(&mut line, &mut used);
        }
        for character in word.chars() {
            if used + columns(character) > width && character != ' ' {
                finish(&mut line, &mut used);
            }
            line.push(character);
            used += columns(character);
        }
    }
    finish(&mut line, &mut used);
}
