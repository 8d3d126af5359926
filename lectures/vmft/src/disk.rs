//! The shared disk: the blocks of every machine, and a flag for each (R7).

use std::collections::BTreeMap;

use labrpc::Service;
use labrt::sync::{Arc, Mutex};

use crate::arbiter::Flag;
use crate::machine::BLOCK;
use crate::rpc::{ArbiterError, DiskError, DiskRpc, DiskWrite, TestAndSet};

/// How many blocks a machine has.
pub const BLOCKS: u64 = 1024;

/// What the disk holds of one machine.
#[derive(Clone, Debug, Default)]
pub struct Volume {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    flag: Flag,
    /// Each block that was written, and the number of the output that wrote it.
    blocks: BTreeMap<u64, (u64, Vec<u8>)>,
    // handout: end
}

// handout: bodies VB
impl Volume {
    /// The machine's flag.
    pub fn flag(&mut self) -> &mut Flag {
        &mut self.flag
    }

    /// A block; zeros if it was never written.
    ///
    /// # Errors
    /// [`DiskError::NoSuchBlock`].
    pub fn read(&self, lba: u64) -> Result<Vec<u8>, DiskError> {
        if lba >= BLOCKS {
            return Err(DiskError::NoSuchBlock);
        }
        Ok(self.blocks.get(&lba).map_or_else(|| vec![0; BLOCK], |(_, data)| data.clone()))
    }

    /// Writes a block. A write that a later output has overtaken succeeds and changes nothing: it may come
    /// twice, from two hosts, and late, and the block must hold what the guest wrote last.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn write(&mut self, write: DiskWrite) -> Result<(), DiskError> {
        if write.lba >= BLOCKS {
            return Err(DiskError::NoSuchBlock);
        }
        if write.data.len() != BLOCK {
            return Err(DiskError::WrongLength);
        }
        if write.writer_epoch < self.flag.epoch() {
            return Err(DiskError::Stale);
        }
        let block = self.blocks.entry(write.lba).or_default();
        if block.0 <= write.index {
            *block = (write.index, write.data);
        }
        Ok(())
    }

    /// The blocks that were written.
    pub fn blocks(&self) -> BTreeMap<u64, Vec<u8>> {
        self.blocks.iter().map(|(&lba, (_, data))| (lba, data.clone())).collect()
    }
}

/// The disk's server.
#[derive(Default)]
pub struct DiskServer {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    volumes: Mutex<BTreeMap<u64, Volume>>,
    // handout: end
}

impl DiskServer {
    /// An empty disk.
    pub fn new() -> Arc<DiskServer> {
        Arc::new(DiskServer::default())
    }

    /// What the disk offers on the network.
    pub fn service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }

    /// Does something with what the disk holds of a machine.
    pub fn with<T>(&self, vm: u64, f: impl FnOnce(&mut Volume) -> T) -> T {
        f(self.volumes.lock().entry(vm).or_default())
    }
}

impl DiskRpc for DiskServer {
    fn test_and_set(&self, question: TestAndSet) -> Result<bool, ArbiterError> {
        self.with(question.vm, |volume| volume.flag().test_and_set(question.epoch, question.host))
    }

    fn reset_flag(&self, (vm, epoch): (u64, u64)) {
        self.with(vm, |volume| volume.flag().reset(epoch));
    }

    fn read(&self, (vm, lba): (u64, u64)) -> Result<Vec<u8>, DiskError> {
        self.with(vm, |volume| volume.read(lba))
    }

    fn write(&self, write: DiskWrite) -> Result<(), DiskError> {
        self.with(write.vm, |volume| volume.write(write))
    }
}
