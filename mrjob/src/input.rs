//! The input of a job: files cut into splits, and small files joined.
//!
//! The lab has at least one map for each file, as in the course. With 10,000 small files it would take longer
//! to hand out a map than to run it, so here small files share a split. A job of few files keeps one map for
//! each file.

use mapreduce::app::Records;
use mapreduce::split::{Piece, Split, split_inputs};
use mapreduce::store::{Store, StoreError};

/// A job with at most this many splits keeps them as they are.
const FEW_SPLITS: usize = 32;

/// Opening a file costs about as much as reading this many bytes.
const COST_OF_A_FILE: u64 = 8 << 10;

/// The splits of a job over these files.
///
/// # Errors
/// If a file cannot be opened, is not a regular file, or has a length that does not match its content.
pub(crate) fn splits(
    store: &dyn Store,
    files: &[String],
    records: Records,
    split_size: u64,
) -> Result<Vec<Split>, StoreError> {
    Ok(join_small(split_inputs(store, files, records, split_size)?, split_size))
}

/// Joins neighbouring splits that are small together. At least [`FEW_SPLITS`] remain, so many workers have
/// work.
fn join_small(splits: Vec<Split>, split_size: u64) -> Vec<Split> {
    if splits.len() <= FEW_SPLITS {
        return splits;
    }
    let cost = |piece: &Piece| piece.length + COST_OF_A_FILE;
    let pieces: Vec<Piece> = splits.into_iter().flat_map(|split| split.pieces).collect();
    let longest = split_size.min(pieces.iter().map(cost).sum::<u64>() / FEW_SPLITS as u64);
    let mut joined: Vec<Split> = Vec::new();
    let mut room = 0;
    for piece in pieces {
        if cost(&piece) <= room
            && let Some(last) = joined.last_mut()
        {
            room -= cost(&piece);
            last.pieces.push(piece);
        } else {
            room = longest.saturating_sub(cost(&piece));
            joined.push(Split { pieces: vec![piece] });
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use mapreduce::store::FileVersion;

    use super::*;

    fn splits_of(lengths: impl IntoIterator<Item = u64>) -> Vec<Split> {
        let piece = |(number, length)| {
            let version = FileVersion { length, ..FileVersion::default() };
            Piece { file: format!("file-{number}"), offset: 0, length, version }
        };
        lengths.into_iter().enumerate().map(|file| Split { pieces: vec![piece(file)] }).collect()
    }

    #[test]
    fn many_small_files_share_splits_and_few_files_do_not() {
        let few = splits_of([10; FEW_SPLITS]);
        assert_eq!(join_small(few.clone(), 16 << 20), few);
        let many = splits_of([33_000; 10_000]);
        let joined = join_small(many.clone(), 16 << 20);
        assert!((32..=40).contains(&joined.len()), "{}", joined.len());
        let flat = |splits: Vec<Split>| splits.into_iter().flat_map(|split| split.pieces).collect::<Vec<_>>();
        assert_eq!(flat(joined), flat(many));
        // Large files among small ones stay alone, and no split becomes longer than asked for.
        let mixed = splits_of((0..1000).map(|number| if number % 10 == 0 { 5 << 20 } else { 100 }));
        for split in join_small(mixed, 8 << 20) {
            assert!(split.length() <= 8 << 20);
        }
    }
}
