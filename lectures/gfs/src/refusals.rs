// handout: file guided
//! Changes that come again, and changes that are refused (§2.6.1 says nothing of either).

use crate::master::State;
use crate::namespace::Record;
use crate::rpc::{ChangeRequest, MasterError};

impl State {
    /// The answer to a change that was made already; None if it can be made now.
    ///
    /// A refusal is a step of the state, as a change is: it stands in the log before its client hears of it,
    /// so that no later life of the master carries out a late copy. A name that is no path is refused
    /// whenever it comes, and that a client shall ask again is no refusal.
    ///
    /// # Errors
    /// Why the change cannot be made.
    pub(crate) fn check(&mut self, request: &ChangeRequest) -> Result<Option<String>, MasterError> {
        let ChangeRequest { op, change } = request;
        if let Some(answer) = self.namespace().earlier_answer(*op) {
            return answer.map(Some);
        }
        let checked = self.namespace().check(change);
        if let Err(why @ (MasterError::NoFile | MasterError::Exists)) = checked {
            self.log.append(&Record::Refused(*op, why));
        }
        checked.map(|()| None)
    }
}
