//! Small random histories, every one compared with the definition.

use linearize::{History, Limits, Model, Operation, Verdict, check};

use crate::brute;
pub(crate) use crate::random::Random;

/// When an operation of a small history was called, took effect and returned, and whether it did return.
pub(crate) struct Times {
    pub(crate) client: u32,
    pub(crate) call: u64,
    pub(crate) effect: u64,
    pub(crate) end: Option<u64>,
    /// An open operation may also not have taken effect.
    pub(crate) happens: bool,
}

/// Times of up to eight operations of up to four clients, with many that are equal; in the order in which
/// they take effect.
pub(crate) fn times(random: &mut Random) -> Vec<Times> {
    let clients = 1 + random.below(4) as u32;
    let mut left = 1 + random.below(8);
    let stretch = 1 + random.below(6);
    let mut all = Vec::new();
    for client in 0..clients {
        let mut now = random.below(3);
        let mine = if client + 1 == clients { left } else { random.below(left + 1) };
        left -= mine;
        for _ in 0..mine {
            let call = now + random.below(2);
            let effect = call + random.below(stretch);
            let end = effect + random.below(stretch);
            now = end + random.below(2);
            let crashed = random.one_in(12);
            all.push(Times {
                client,
                call,
                effect,
                end: (!crashed).then_some(end),
                happens: !crashed || random.one_in(2),
            });
            if crashed {
                break;
            }
        }
    }
    all.sort_by_key(|times| times.effect);
    all
}

/// A model with something to generate its histories from.
pub(crate) trait Sample: Model {
    fn random_op(&self, random: &mut Random) -> Self::Op;
    /// Runs `op` and says what it returns.
    fn run(&self, state: &mut Self::State, op: &Self::Op) -> Self::Result;
    /// Some other result that `op` might have.
    fn other_result(&self, random: &mut Random, op: &Self::Op, result: &Self::Result) -> Self::Result;
}

pub(crate) fn random_history<M: Sample>(model: &M, random: &mut Random) -> History<M::Op, M::Result> {
    let mut states = std::collections::BTreeMap::new();
    let alter = random.one_in(2);
    let mut operations = Vec::new();
    for times in times(random) {
        let op = model.random_op(random);
        let state = states.entry(model.partition(&op)).or_insert_with(|| model.initial());
        let mut before = state.clone();
        let result = model.run(if times.happens { state } else { &mut before }, &op);
        operations.push(match times.end {
            Some(end) => {
                let altered = alter && random.one_in(4);
                let result = if altered { model.other_result(random, &op, &result) } else { result };
                Operation::new(times.client, op, result, times.call, end)
            }
            None => Operation::open(times.client, op, times.call),
        });
    }
    History::new(operations).unwrap()
}

/// Compares one verdict with the definition, and checks what the verdict offers as proof.
pub(crate) fn compare<M: Model>(model: &M, history: &History<M::Op, M::Result>) -> bool {
    let expected = brute::is_linearizable(model, history);
    match check(model, history, &Limits::default()) {
        Verdict::Linearizable(witness) => {
            assert!(expected, "said to be linearizable: {history:#?}");
            witness
                .replay(model, history)
                .unwrap_or_else(|error| panic!("{error:?} in {witness:?} of {history:#?}"));
        }
        Verdict::NotLinearizable(explanation) => {
            assert!(!expected, "said not to be linearizable: {history:#?}");
            assert!(explanation.minimal, "{explanation:?} names more than is needed of {history:#?}");
            assert!(explanation.holds(model, history), "{explanation:?} does not explain {history:#?}");
            assert!(!explanation.operations.is_empty(), "{explanation:?} names nothing of {history:#?}");
        }
        Verdict::Unknown(undecided) => panic!("{undecided} in {history:#?}"),
    }
    expected
}

/// How many histories of each model are compared: as many as `LINEARIZE_ROUNDS` says, or 20,000.
pub(crate) fn histories() -> u64 {
    std::env::var("LINEARIZE_ROUNDS")
        .map_or(20_000, |text| text.parse().expect("LINEARIZE_ROUNDS is a number"))
}

/// Compares random histories, on two threads, and makes sure that both answers occur often.
pub(crate) fn compare_many<M: Sample>(model: &M) {
    compare_seeds(|seed| compare(model, &random_history(model, &mut Random(seed))));
}

pub(crate) fn compare_seeds(compare: impl Fn(u64) -> bool + Sync) {
    let all = histories();
    let good = std::thread::scope(|scope| {
        let half = |from: u64, to: u64| (from..to).filter(|&seed| compare(seed)).count() as u64;
        let first = scope.spawn(move || half(0, all / 2));
        half(all / 2, all) + first.join().unwrap()
    });
    assert!(good > all / 5 && good < all * 19 / 20, "{good} of {all} are linearizable");
}
