//! What the network does to messages in the tests of part 0C.

use labrpc::{DelayModel, Direction, Network, TapAction};
use labrt::quiet::Mutex;
use labrt::rand::{random_bool, random_range};
use labrt::time::Duration;

/// Faults of a network, besides a delay of 0 to 26 ms each way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weather {
    /// The probability that a request is lost.
    pub(crate) request_loss: f64,
    /// The probability that a reply is lost.
    pub(crate) reply_loss: f64,
    /// The probability that a request arrives twice.
    pub(crate) duplication: f64,
    /// Whether two of three replies take 200 ms to 2.2 s.
    pub(crate) reordering: bool,
    /// Whether exactly the given share of messages is lost, so that chance decides which, and not how many.
    pub(crate) is_exact: bool,
}

impl Weather {
    /// Only losses, and as many as the probabilities say.
    pub(crate) fn exact(request_loss: f64, reply_loss: f64) -> Weather {
        Weather { request_loss, reply_loss, is_exact: true, ..Weather::default() }
    }

    /// Lets the weather begin.
    pub(crate) fn over(self, network: &Network) {
        network.set_delay(DelayModel::uniform(Duration::ZERO, Duration::from_millis(26)));
        let decks = Mutex::new([Deck::new(self.request_loss), Deck::new(self.reply_loss)]);
        network.set_tap(move |event| {
            let is_reply = event.direction == Direction::Reply;
            let loss = if is_reply { self.reply_loss } else { self.request_loss };
            let is_lost =
                if self.is_exact { decks.lock()[usize::from(is_reply)].draw() } else { random_bool(loss) };
            if is_lost {
                return TapAction::Drop;
            }
            if is_reply && self.reordering && random_range(0..3) < 2 {
                return TapAction::Delay(Duration::from_millis(random_range(200..2_200)));
            }
            let is_doubled = !is_reply && self.duplication > 0.0 && random_bool(self.duplication);
            if is_doubled { TapAction::Duplicate } else { TapAction::Deliver }
        });
    }
}

/// Draws without replacement: of each hundred draws, in a random order, the given share is true.
struct Deck {
    share: f64,
    cards: Vec<bool>,
}

impl Deck {
    fn new(share: f64) -> Deck {
        Deck { share, cards: Vec::new() }
    }

    fn draw(&mut self) -> bool {
        if self.cards.is_empty() {
            const CARDS: u32 = 100;
            let losing = (self.share * f64::from(CARDS)).round() as u32;
            self.cards = (0..CARDS).map(|card| card < losing).collect();
        }
        let card = random_range(0..self.cards.len());
        self.cards.swap_remove(card)
    }
}
