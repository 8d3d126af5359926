// handout: file guided
//! Changes that were refused (§2.6.1 says nothing of them). A copy of a refused change may come late, when
//! nothing is in its way any more. Its client was told that it failed, so it must not be carried out.

use std::collections::BTreeMap;

use crate::master::State;
use crate::rpc::{ChangeRequest, MasterError, OpId};

/// The last change that each client was refused, by its number, and why. In memory only: a copy that is later
/// than the master's restart finds nothing here.
#[derive(Default)]
pub(crate) struct Refusals(BTreeMap<u64, (u64, MasterError)>);

impl Refusals {
    fn known(&self, op: OpId) -> Option<MasterError> {
        self.0.get(&op.client).filter(|(number, _)| *number == op.number).map(|(_, why)| *why)
    }

    /// A change that may be asked for again is not refused.
    fn note(&mut self, op: OpId, why: MasterError) {
        if why != MasterError::Retry {
            self.0.insert(op.client, (op.number, why));
        }
    }
}

impl State {
    /// As [`crate::namespace::Namespace::check`]; and what was refused once is refused again.
    ///
    /// # Errors
    /// Why the change cannot be made.
    pub(crate) fn check(&mut self, request: &ChangeRequest) -> Result<Option<String>, MasterError> {
        let op = request.op;
        if let Some(why) = self.refusals.known(op) {
            return Err(why);
        }
        let checked = self.log.namespace().check(op, &request.change);
        if let Err(why) = checked {
            self.refusals.note(op, why);
        }
        checked
    }
}
