// handout: drop classic
//! Chunks as files on a chunkserver's disk (§5.2). A file is the chunk's version, twice, and then its blocks,
//! each behind its own checksum:
//!
//! ```text
//! version (8) checksum (4) | the same | checksum (4) block 0 (64) | checksum (4) block 1 (64) | …
//! ```
//!
//! So a mutation is one write to the disk, and the length of the file tells the length of the chunk.
//!
//! Two copies of the version are never written at once, so a crash leaves one of them whole. With a single
//! one, a crash of all machines while the master raises a version could take the chunk from all of them.
//!
//! The paper keeps checksums apart from the data, in memory, with a log of their own. Here each stands beside
//! its block: a write that a crash has torn leaves a block whose checksum does not match, which is found at
//! the next read, and no log has to be brought in line with the data.
// handout: end
// handout: put classic
// //! Chunks as files on a chunkserver's disk, with checksums for their blocks (§5.2).
// handout: end

use labapi::Persister;

use crate::rpc::{Handle, Version};

// handout: drop classic
/// Bytes of a checksum: CRC-32, which finds what chance has changed, not what somebody meant to change.
const SUM: usize = 4;
/// Bytes of a copy of the version.
const COPY: usize = 8 + SUM;
/// Bytes before the first block.
const HEAD: usize = 2 * COPY;
/// Begins the names of files with chunks.
const PREFIX: &str = "chunk-";

// handout: end
/// A checksum does not match: bytes on the disk are not those that were written. Which ones were right nobody
/// here can know; the chunk is on other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// The chunks of a disk.
pub struct ChunkDisk {
    // handout: drop classic
    disk: Persister,
    block: usize,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: drop classic
fn name(handle: Handle) -> String {
    format!("{PREFIX}{handle:08}")
}

fn sum(bytes: &[u8]) -> [u8; SUM] {
    crc32fast::hash(bytes).to_le_bytes()
}

/// A copy of the version. It has a checksum of its own: with a wrong version a stale replica could pass for a
/// current one.
fn copy_of(version: Version) -> Vec<u8> {
    let version = version.to_le_bytes();
    [&version[..], &sum(&version)].concat()
}

// handout: end
// handout: bodies GA
impl ChunkDisk {
    /// The chunks on this disk, with checksums for blocks of `block` bytes. Small blocks cost room, large
    /// ones time: what a mutation overwrites in part must be read and verified.
    pub fn new(disk: Persister, block: usize) -> ChunkDisk {
        ChunkDisk { disk, block }
    }

    /// All chunks with their versions. Files that do not tell their version are of no use, and are deleted.
    pub fn load(&self) -> Vec<(Handle, Version)> {
        let mut chunks = Vec::new();
        for file in self.disk.file_names() {
            let Some(handle) = file.strip_prefix(PREFIX).and_then(|number| number.parse().ok()) else {
                continue;
            };
            match self.versions(handle) {
                [Some(one), Some(other)] if one == other => chunks.push((handle, one)),
                // The first copy is written first, so it is the newer one if both are whole.
                [Some(version), _] | [None, Some(version)] => {
                    self.set_version(handle, version);
                    chunks.push((handle, version));
                }
                [None, None] => self.delete(handle),
            }
        }
        chunks
    }

    /// Both copies of the version; None where one is damaged, or was torn by a crash.
    fn versions(&self, handle: Handle) -> [Option<Version>; 2] {
        [0, COPY].map(|at| {
            let bytes = self.disk.read_file(&name(handle), at, COPY)?;
            let version = Version::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
            (bytes == copy_of(version)).then_some(version)
        })
    }

    /// The chunk gets another version, durably when the call returns. A server that acknowledged a version
    /// and lost it would come back as a stale replica, and the chunk would have one good copy less. A crash
    /// in the middle leaves the old version or the new one.
    pub fn set_version(&self, handle: Handle, version: Version) {
        for at in [0, COPY] {
            self.disk.write_file(&name(handle), at, &copy_of(version));
            self.disk.sync();
        }
    }

    /// Length of the chunk, in bytes; 0 if there is no such chunk.
    pub fn length(&self, handle: Handle) -> usize {
        let body = self.disk.file_size(&name(handle)).unwrap_or(0).saturating_sub(HEAD);
        let stored = self.block + SUM;
        body / stored * self.block + (body % stored).saturating_sub(SUM)
    }

    /// Reads up to `length` bytes, and verifies each block that they are in.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn read(&self, handle: Handle, offset: usize, length: usize) -> Result<Vec<u8>, Damaged> {
        let end = offset.saturating_add(length).min(self.length(handle));
        if offset >= end {
            return Ok(Vec::new());
        }
        // Whole blocks are read, since a checksum covers a whole block; then the ends are cut off.
        let first = offset / self.block;
        let mut bytes = self.blocks(handle, first, end.div_ceil(self.block))?;
        bytes.truncate(end - first * self.block);
        bytes.drain(..offset - first * self.block);
        Ok(bytes)
    }

    /// The bytes of the blocks from `first` to before `end`.
    fn blocks(&self, handle: Handle, first: usize, end: usize) -> Result<Vec<u8>, Damaged> {
        let stored = self.block + SUM;
        let file = self.disk.read_file(&name(handle), HEAD + first * stored, (end - first) * stored);
        let mut bytes = Vec::with_capacity((end - first) * self.block);
        for stored in file.unwrap_or_default().chunks(stored) {
            let (checksum, block) = stored.split_at_checked(SUM).ok_or(Damaged)?;
            if sum(block) != checksum {
                return Err(Damaged);
            }
            bytes.extend_from_slice(block);
        }
        Ok(bytes)
    }

    /// Writes bytes, durably when the call returns; a gap behind the chunk's end becomes zeros. Blocks that
    /// are overwritten in part are verified first: a new checksum must not cover damaged bytes, which would
    /// pass for good ones from then on (§5.2). An append never overwrites, so it reads the last block at
    /// most.
    ///
    /// # Errors
    /// [`Damaged`]; nothing was written.
    pub fn write(&self, handle: Handle, offset: usize, new: &[u8]) -> Result<(), Damaged> {
        let (length, end) = (self.length(handle), offset + new.len());
        let start = offset.min(length) / self.block * self.block;
        // What stands before and behind the new bytes, in the first and the last block.
        let mut bytes = self.read(handle, start, offset.min(length) - start)?;
        bytes.resize(offset - start, 0);
        bytes.extend_from_slice(new);
        let rest = end.next_multiple_of(self.block).min(length);
        if rest > end {
            bytes.extend(self.read(handle, end, rest - end)?);
        }
        let file: Vec<u8> =
            bytes.chunks(self.block).flat_map(|block| [&sum(block)[..], block].concat()).collect();
        self.disk.write_file(&name(handle), HEAD + start / self.block * (self.block + SUM), &file);
        self.disk.sync();
        Ok(())
    }

    /// Makes a chunk of these bytes, in place of the one that there may be, durably when the call returns. A
    /// crash in the middle leaves the old chunk, none, or the new one whole.
    ///
    /// The old file goes first: it may be longer than the new one, and its end would seem to belong to it.
    /// The version comes last: a file that has one and only the first of its blocks would pass for a shorter
    /// chunk.
    pub fn put(&self, handle: Handle, version: Version, bytes: &[u8]) {
        let blocks = bytes.chunks(self.block).flat_map(|block| [&sum(block)[..], block].concat());
        self.disk.delete_file(&name(handle));
        self.disk.write_file(&name(handle), HEAD, &blocks.collect::<Vec<u8>>());
        self.disk.sync();
        self.set_version(handle, version);
    }

    // handout: body GD
    /// Verifies a chunk of this version: both copies of the version, and every block. For chunks that nobody
    /// reads, of which damage could otherwise spread to all replicas before anyone looks (§5.2).
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn verify(&self, handle: Handle, version: Version) -> Result<(), Damaged> {
        if self.versions(handle) != [Some(version); 2] {
            return Err(Damaged);
        }
        self.read(handle, 0, usize::MAX).map(|_| ())
    }

    /// Deletes a chunk, durably when the call returns: it must not come back after a crash. A chunk that does
    /// not exist is no mistake.
    pub fn delete(&self, handle: Handle) {
        self.disk.delete_file(&name(handle));
        self.disk.sync();
    }
}
