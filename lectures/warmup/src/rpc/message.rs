//! The two messages.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A client, distinct from all others also over restarts: its address, and a random number that it draws when
/// it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId {
    /// Where the client is.
    pub address: u64,
    /// What tells it from an earlier client at the same address.
    pub number: u64,
}

/// A call, as it travels. A call that is sent again has the same numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Who calls.
    pub client_id: ClientId,
    /// The number of the call among the client's calls, from 1.
    pub seq: u64,
    /// All calls with smaller numbers are answered at the client, or given up. It will never send them again,
    /// so their results can be forgotten.
    pub ack_below: u64,
    /// The life of the server that the client believes it talks to; 0 if it does not know any. A server of at
    /// most once runs no request with 0: it refuses it with [`Rejection::UnknownIncarnation`], and its reply
    /// names the life that the client can send the request to.
    pub incarnation: u64,
    /// What to do.
    pub method: String,
    /// And with what; the handler knows the form.
    pub args: Vec<u8>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The number of the call that it answers. A client must look: a late reply to an earlier call may come.
    pub seq: u64,
    /// The life of the server that answers.
    pub incarnation: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The handler ran, now or at an earlier copy of the request, and returned this.
    Value(Vec<u8>),
    /// The handler did not run for this copy of the request.
    Rejected(Rejection),
}

/// Why a server does not run a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// The client has said in another request that it has the answer already.
    Stale,
    /// The request was made for an earlier life of the server, which may have run it. What that life knew is
    /// lost.
    UnknownIncarnation,
    /// The number of the call is not one of the `window` numbers from the request's `ack_below` on: the
    /// client has more calls under way than the server keeps results for, or acknowledges what it asks for.
    OutsideWindow,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rejection::Stale => "the call was answered before",
            Rejection::UnknownIncarnation => "the server has restarted since the call was made",
            Rejection::OutsideWindow => "the client has too many calls under way",
        })
    }
}

labrpc::service! {
    /// The one remote procedure: it carries all others.
    pub service Rpc, client RpcClient {
        /// Runs a request, or not, as the server guarantees.
        fn call(request: Request) -> Reply;
    }
}
