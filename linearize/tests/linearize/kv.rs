//! Keys with texts against the definition.

use linearize::{KvBuilder, KvHistory, Limits, Progress, Verdict, check_by_search};

use crate::brute;
use crate::small::{Random, compare, compare_seeds, times};

/// Which texts are written, and how.
#[derive(Clone, Copy)]
struct Flavour {
    /// Texts to draw from; if there are none, each write has one of its own.
    texts: &'static [&'static str],
    puts: u64,
    appends: u64,
    keys: u64,
}

fn history(flavour: Flavour, random: &mut Random) -> KvHistory {
    let mut builder = KvBuilder::new();
    let mut values = vec![String::new(); flavour.keys as usize];
    let mut all_seen = vec![String::new(), "phantom;".to_owned(), "a".to_owned()];
    let alter = random.one_in(2);
    for (number, times) in times(random).into_iter().enumerate() {
        let key = random.below(flavour.keys) as usize;
        let name = format!("k{key}");
        let own = format!("{number};");
        let text = if flavour.texts.is_empty() { own } else { random.pick(flavour.texts).to_owned() };
        let kind = random.below(10);
        if kind < flavour.puts + flavour.appends {
            let put = kind < flavour.puts;
            if times.happens && put {
                values[key].clone_from(&text);
            } else if times.happens {
                values[key].push_str(&text);
            }
            all_seen.push(values[key].clone());
            match put {
                true => builder.put(times.client, &name, &text, times.call, times.end),
                false => builder.append(times.client, &name, &text, times.call, times.end),
            }
        } else {
            let mut output = values[key].clone();
            if alter && random.one_in(4) {
                output = random.pick(&all_seen);
                if random.one_in(3) {
                    output.push_str(&text);
                }
            }
            builder.get(times.client, &name, times.call, times.end.map(|end| (output.as_str(), end)));
        }
    }
    builder.finish().unwrap()
}

fn compare_flavour(flavour: Flavour) {
    compare_seeds(|seed| {
        let history = history(flavour, &mut Random(seed));
        compare(&history.model(), history.history())
    });
}

#[test]
fn unique_puts() {
    compare_flavour(Flavour { texts: &[], puts: 5, appends: 0, keys: 1 });
}

#[test]
fn unique_appends() {
    compare_flavour(Flavour { texts: &[], puts: 0, appends: 5, keys: 1 });
}

#[test]
fn unique_puts_and_appends() {
    compare_flavour(Flavour { texts: &[], puts: 2, appends: 4, keys: 2 });
}

#[test]
fn repeated_puts() {
    compare_flavour(Flavour { texts: &["a", "b", ""], puts: 5, appends: 0, keys: 1 });
}

#[test]
fn repeated_appends() {
    compare_flavour(Flavour { texts: &["a;", "b;"], puts: 0, appends: 5, keys: 1 });
}

#[test]
fn repeated_puts_and_appends() {
    compare_flavour(Flavour { texts: &["a;", "b;", ""], puts: 2, appends: 3, keys: 1 });
}

#[test]
fn texts_that_can_be_cut_in_several_ways() {
    compare_flavour(Flavour { texts: &["a", "aa", "ab", "b", ""], puts: 2, appends: 4, keys: 1 });
}

/// The general search on keys with texts, which [`linearize::check()`] never uses for them.
fn search_alone(flavour: Flavour) {
    compare_seeds(|seed| {
        let history = history(flavour, &mut Random(seed));
        let (model, limits) = (history.model(), Limits::default());
        let expected = brute::is_linearizable(&model, history.history());
        match check_by_search(&model, history.history(), &limits, &Progress::default()) {
            Verdict::Linearizable(witness) => {
                assert!(expected, "said to be linearizable: {history:#?}");
                witness.replay(&model, history.history()).unwrap();
            }
            Verdict::NotLinearizable(_) => assert!(!expected, "said not to be linearizable: {history:#?}"),
            Verdict::Unknown(undecided) => panic!("{undecided} in {history:#?}"),
        }
        expected
    });
}

#[test]
fn search_alone_with_unique_texts() {
    search_alone(Flavour { texts: &[], puts: 2, appends: 4, keys: 2 });
}

#[test]
fn search_alone_with_repeated_texts() {
    search_alone(Flavour { texts: &["a;", "b;", ""], puts: 2, appends: 3, keys: 1 });
}
