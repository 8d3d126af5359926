//! Which runs also draw delays, scheduler, clocks and pauses from their seeds (`LAB_SWARM`).

/// Which seeds do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Swarm {
    /// None.
    #[default]
    None,
    /// One seed in ten: those whose last digit is [`LAST_DIGIT`]. This depends on the seed alone, so that
    /// whoever runs a seed again, with whatever others, comes to the same.
    Tenth,
    /// All.
    All,
}

/// Of the seeds that [`Swarm::Tenth`] chooses.
pub const LAST_DIGIT: u64 = 9;

/// The value of `LAB_SWARM` for [`Swarm::Tenth`].
pub const TENTH: &str = "tenth";

impl Swarm {
    /// What `LAB_SWARM` asks for; None if the value means nothing.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Swarm> {
        match text {
            "" | "0" => Some(Swarm::None),
            "1" => Some(Swarm::All),
            TENTH => Some(Swarm::Tenth),
            _ => None,
        }
    }

    /// Whether this seed draws.
    #[must_use]
    pub fn has(self, seed: u64) -> bool {
        match self {
            Swarm::None => false,
            Swarm::Tenth => seed % 10 == LAST_DIGIT,
            Swarm::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_ten_seeds_in_a_row_have_one_of_the_tenth() {
        for first in 0..30 {
            assert_eq!((first..first + 10).filter(|seed| Swarm::Tenth.has(*seed)).count(), 1);
        }
        assert!(Swarm::All.has(0) && !Swarm::None.has(9));
    }

    #[test]
    fn other_words_mean_nothing() {
        assert_eq!(Swarm::from_text(TENTH), Some(Swarm::Tenth));
        assert_eq!(Swarm::from_text("yes"), None);
    }
}
