// handout: file guided
//! The log on its way to shadows (§2.6.3, §5.1.3). A shadow is a mirror that is a little late: it has the
//! same records in the same order, so it goes through the same states, and hears of places from the
//! chunkservers themselves. What it answers was true some time ago.

use labrt::thread;
use labrt::time::Instant;

use crate::master::Master;
use crate::namespace::Namespace;
use crate::rpc::Shipment;

// handout: bodies GC
impl Master {
    /// Ships the log to one shadow, as it grows: at once if changes wait for copies, and otherwise in
    /// intervals, for then nothing but the shadow's age depends on it.
    pub(crate) fn run_shipper(&self, shadow: usize) {
        let mut known = 0;
        loop {
            let shipment = self.shipment(known);
            let position = shipment.position + shipment.records.len() as u64;
            let answer = self.shadows[shadow].ship_log(&shipment);
            if let Ok(holds) = answer {
                known = holds;
                let mut state = self.lock();
                state.shipped.insert(shadow, holds);
                state.has_shipped = true;
            }
            if self.settings.remote_copies == 0 || answer.is_err() {
                thread::sleep(self.settings.ship);
            } else if answer == Ok(position) {
                let deadline = Instant::now() + self.settings.ship;
                let mut state = self.lock();
                while state.namespace().position() == position && Instant::now() < deadline {
                    state.wait_until(|on| &on.grown, deadline);
                }
            }
        }
    }

    /// What a shadow lacks that holds so many records.
    fn shipment(&self, known: u64) -> Shipment {
        let state = self.lock();
        match state.log.records_from(known) {
            Some(records) => Shipment { position: known, checkpoint: None, records },
            None => {
                let checkpoint = Some(labgob::encode(state.namespace()));
                Shipment { position: state.namespace().position(), checkpoint, records: Vec::new() }
            }
        }
    }

    /// At a shadow: takes what is new of a shipment, and tells how far it is. Shipments may come late and
    /// twice. One that begins behind what the shadow holds has a gap: nothing of it is taken, and the answer
    /// tells the master where to begin.
    pub(crate) fn follow(&self, shipment: &Shipment) -> u64 {
        let mut state = self.lock();
        let decode = |bytes: &Vec<u8>| labgob::decode::<Namespace>(bytes).ok();
        if let Some(namespace) = shipment.checkpoint.as_ref().and_then(decode)
            && namespace.position() > state.namespace().position()
        {
            state.log.install(namespace);
        }
        let known = state.namespace().position();
        let new = known.checked_sub(shipment.position).and_then(|known| usize::try_from(known).ok());
        for bytes in new.into_iter().flat_map(|new| shipment.records.iter().skip(new)) {
            match labgob::decode(bytes) {
                Ok(record) => drop(state.log.append(&record)),
                Err(_) => break,
            }
        }
        state.namespace().position()
    }
}
