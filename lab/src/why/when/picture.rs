//! What `cargo lab when` shows: the plot in the terminal, and the same as a picture.

use std::fmt::Write as _;

use console::style;

use super::{Decided, Jump, Moment, at, seconds};
use crate::statistics::wilson;

/// How wide a bar of the plot is at most, and at least.
const BARS: (usize, usize) = (40, 10);

/// How wide the rest of a bar's line is: the moment, the probability, and its interval.
const BESIDE: usize = 35;

/// A line for each moment, with a bar as long as the probability, and the interval that holds it with a
/// confidence of 95 %.
pub(super) fn plot(moments: &[Moment], decided: Decided, room: Option<usize>) -> String {
    let wide = room.map_or(BARS.0, |room| room.saturating_sub(BESIDE).clamp(BARS.1, BARS.0));
    let mut text = format!("{:>14}  {:<wide$}  fails\n", "forked at", "");
    for moment in moments {
        let length = (moment.share() * wide as f64).round() as usize;
        let same = ((moment.part(moment.same) * wide as f64).round() as usize).min(length);
        let bar = format!("{}{}{}", "█".repeat(same), "▒".repeat(length - same), "·".repeat(wide - length));
        let (low, high) = wilson(u64::from(moment.failed), u64::from(moment.runs));
        let is_jump = decided.jumps().any(|jump| moment.at == jump.to.at);
        let bar = if is_jump { style(bar).red() } else { style(bar) };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{:>14}  {bar}  {:3.0} % ({:.0}–{:.0} %)",
            at(moment.at),
            100.0 * moment.share(),
            100.0 * low,
            100.0 * high
        );
    }
    text + "    █ ends with this very failure, ▒ breaks the same rule\n"
}

/// The same as a picture.
pub(super) fn svg(moments: &[Moment], decided: Decided, end: u64, test: &str, seed: u64) -> String {
    let (width, height, left, top) = (720.0, 300.0, 60.0, 40.0);
    let x = |at: u64| left + (width - left - 20.0) * at as f64 / end.max(1) as f64;
    let y = |share: f64| top + (height - top - 50.0) * (1.0 - share);
    let points: Vec<String> =
        moments.iter().map(|moment| format!("{:.1},{:.1}", x(moment.at), y(moment.share()))).collect();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"{left}\" y=\"20\" font-size=\"14\">{test}, seed {seed}: how many futures fail, by the moment of the fork</text>\n"
    );
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let at = y(share);
        let _ = writeln!(
            text,
            "<path d=\"M{left} {at:.1}H{}\" stroke=\"#ddd\"/><text x=\"20\" y=\"{:.1}\">{:.0} %</text>",
            width - 20.0,
            at + 4.0,
            share * 100.0
        );
    }
    for Jump { from, to } in decided.jumps() {
        let (from, to) = (x(from.at), x(to.at));
        let _ = writeln!(
            text,
            "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#ffe0cc\"/>",
            (to - from).max(2.0),
            height - top - 50.0
        );
    }
    for moment in moments {
        let (low, high) = wilson(u64::from(moment.failed), u64::from(moment.runs));
        let _ = writeln!(
            text,
            "<path d=\"M{0:.1} {1:.1}V{2:.1}\" stroke=\"#0072b2\" opacity=\".5\"/>",
            x(moment.at),
            y(low),
            y(high)
        );
    }
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#0072b2\" stroke-width=\"2\"/>",
        points.join(" ")
    );
    let very: Vec<String> = moments
        .iter()
        .map(|moment| format!("{:.1},{:.1}", x(moment.at), y(moment.part(moment.same))))
        .collect();
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#d55e00\" stroke-dasharray=\"5 3\"/>\n\
         <text x=\"{left}\" y=\"{:.1}\">solid: the rule breaks; dashed: with this very failure</text>",
        very.join(" "),
        height - 8.0
    );
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let moment = (end as f64 * part) as u64;
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.2} s</text>",
            x(moment),
            height - 25.0,
            seconds(moment)
        );
    }
    text + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::super::decided;
    use super::super::tests::moments;
    use super::*;

    #[test]
    fn the_plot_has_a_line_for_each_moment() {
        let text = plot(&moments(&[(0, 0), (50, 25)]), Decided::default(), None);
        assert!(text.contains("1.000000 s") && text.contains("100 % (93–100 %)"), "{text}");
        assert!(text.contains(&format!("{}{}  ", "█".repeat(20), "▒".repeat(20))), "{text}");
        for room in [50, 60, 80, 160] {
            let text = plot(&moments(&[(0, 0), (50, 25), (50, 50)]), Decided::default(), Some(room));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(room.max(57)), "{widest:?} at {room}:\n{text}");
        }
        let moments = moments(&[(0, 0), (50, 50)]);
        let picture = svg(&moments, decided(&moments), 1_000_000_000, "t", 7);
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    }
}
