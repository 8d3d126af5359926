//! Random numbers: the functions of the `rand` crate. In the simulation they are drawn from the seed.

use rand::distr::uniform::{SampleRange, SampleUniform};
use rand::distr::{Distribution, StandardUniform};

use crate::context::{Mode, mode};
use crate::sim;
pub use rand::{Rng, RngExt};
use std::convert::Infallible;

use rand::{TryRng, rngs::SmallRng};

/// The run's random number generator. In the simulation all tasks share one stream.
#[derive(Debug, Clone, Copy)]
pub struct RunRng(());

/// The generator of the current run; outside of runs, the one of the `rand` crate.
pub fn rng() -> RunRng {
    RunRng(())
}

impl RunRng {
    fn draw<R>(f: impl FnOnce(&mut SmallRng) -> R, outside: impl FnOnce() -> R) -> R {
        match mode() {
            Mode::Simulated => sim::with(|sim| f(sim.user_rng())),
            Mode::Threads | Mode::Outside => outside(),
        }
    }
}

impl TryRng for RunRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(Self::draw(|rng| rng.next_u32(), || rand::rng().next_u32()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(Self::draw(|rng| rng.next_u64(), || rand::rng().next_u64()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        match mode() {
            Mode::Simulated => sim::with(|sim| sim.user_rng().fill_bytes(bytes)),
            Mode::Threads | Mode::Outside => rand::rng().fill_bytes(bytes),
        }
        Ok(())
    }
}

/// A random value of a type that has a natural uniform distribution.
pub fn random<T>() -> T
where
    StandardUniform: Distribution<T>,
{
    rng().random()
}

/// A random value of a range, with equal chances.
///
/// # Panics
/// If the range is empty.
#[track_caller]
pub fn random_range<T: SampleUniform>(range: impl SampleRange<T>) -> T {
    rng().random_range(range)
}

/// True with probability `p`.
///
/// # Panics
/// Unless `p` is in [0, 1].
#[track_caller]
pub fn random_bool(p: f64) -> bool {
    rng().random_bool(p)
}

/// Fills the slice with random bytes.
pub fn fill_bytes(bytes: &mut [u8]) {
    rng().fill_bytes(bytes);
}
