//! Services: what a server offers, declared once for both sides.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labgob::DecodeError;
use labrt::node::{self, Node};
use labrt::runtime;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a handler gives back: the encoded reply, or what was wrong with the request's bytes.
pub type Answer = Result<Vec<u8>, DecodeError>;

/// Finds the method of the given full name and runs it on the given bytes; None if there is no such method.
type Dispatch = dyn Fn(&str, &[u8]) -> Option<Answer> + Send + Sync;

/// A set of handlers under one name. [`crate::service!`] makes the function that makes one.
#[derive(Clone)]
pub struct Service {
    name: &'static str,
    methods: &'static [&'static str],
    dispatch: Arc<Dispatch>,
}

impl Service {
    /// A service with these methods. `dispatch` gets the full name of a method (`"Service.method"`) and
    /// encoded arguments, and gives None for a method that it does not have.
    pub fn new(
        name: &'static str,
        methods: &'static [&'static str],
        dispatch: impl Fn(&str, &[u8]) -> Option<Result<Vec<u8>, DecodeError>> + Send + Sync + 'static,
    ) -> Service {
        Service { name, methods, dispatch: Arc::new(dispatch) }
    }

    /// For testers: the same service, whose handlers run inside `around`. It gets the full name of the
    /// method, the encoded arguments, and a closure that runs the handler; what it returns is the answer. It
    /// runs in the handler's thread, and only for methods that the service has.
    pub fn around(
        self,
        around: impl Fn(&str, &[u8], &dyn Fn() -> Option<Answer>) -> Option<Answer> + Send + Sync + 'static,
    ) -> Service {
        let Service { name, methods, dispatch } = self;
        // A server asks its services one after the other which of them has the method.
        let has = move |method: &str| {
            let method = method.strip_prefix(name).and_then(|method| method.strip_prefix('.'));
            method.is_some_and(|method| methods.contains(&method))
        };
        Service::new(name, methods, move |method, bytes| {
            if has(method) { around(method, bytes, &|| dispatch(method, bytes)) } else { None }
        })
    }

    /// Decodes the arguments, runs the handler, encodes its reply.
    ///
    /// # Errors
    /// If the bytes are no such arguments; the handler does not run then.
    ///
    /// # Panics
    /// At the caller's line, if the reply cannot be encoded.
    #[track_caller]
    pub fn answer<A: DeserializeOwned, R: Serialize>(
        bytes: &[u8],
        handler: impl FnOnce(A) -> R,
    ) -> Result<Vec<u8>, DecodeError> {
        let args = labgob::decode(bytes)?;
        Ok(labgob::encode(&handler(args)))
    }

    /// Runs the handler of the method with this full name in the calling thread, and gives its encoded reply;
    /// None if there is no such method. For servers that are reached by another
    /// [`Transport`](crate::Transport).
    pub fn handle(&self, method: &str, bytes: &[u8]) -> Option<Result<Vec<u8>, DecodeError>> {
        (self.dispatch)(method, bytes)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.methods)
    }
}

/// Services of one server process behind one dispatcher, with a counter of the calls that reached it. A
/// server that is restarted is a new `Server` on a new node, so that what was sent to the old one never
/// reaches the new one.
#[derive(Debug)]
pub struct Server {
    node: Node,
    services: Vec<Service>,
    count: AtomicU64,
}

impl Server {
    /// A server whose handlers run as threads of `node`, each call in its own.
    pub fn new(node: &Node) -> Server {
        Server { node: node.clone(), services: Vec::new(), count: AtomicU64::new(0) }
    }

    /// The same server with one more service.
    pub fn with(mut self, service: Service) -> Server {
        self.services.push(service);
        self
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Counts an incoming call and starts its handler.
    pub(crate) fn spawn(&self, method: &'static str, handler: impl FnOnce() + Send + 'static) {
        self.count.fetch_add(1, Ordering::Relaxed);
        runtime::spawn_detached(&self.node, method, handler);
    }

    /// Drops a reference to a server, in a task if it is the last one: a message to a crashed server may have
    /// it, and arrives outside of all tasks. There the server's destructors, which are foreign code, could
    /// not wait.
    pub(crate) fn let_go(server: Arc<Server>) {
        if Arc::strong_count(&server) == 1 {
            runtime::spawn_detached(&node::root(), "the end of a server", move || drop(server));
        }
    }

    /// Runs the handler of `method` here.
    ///
    /// # Panics
    /// If there is no such method, which is a mistake in the program: the run fails.
    pub(crate) fn dispatch(
        &self,
        method: &'static str,
        bytes: &[u8],
        place: &'static Location<'static>,
    ) -> Answer {
        let answer = self.services.iter().find_map(|service| service.handle(method, bytes));
        answer.unwrap_or_else(|| {
            let (server, offers) = (self.node.name(), &self.services);
            panic!("unknown RPC `{method}`, called at {place}: `{server}` offers {offers:?}")
        })
    }
}

/// Declares a service once and gives both of its sides: a trait for the server to implement, and a client
/// whose methods are remote calls.
///
/// ```
/// labrpc::service! {
///     /// A number that can grow.
///     pub service Counter, client CounterClient {
///         /// Adds and gives the sum.
///         fn add(amount: u64) -> u64;
///     }
/// }
/// ```
///
/// gives
///
/// * `trait Counter: Send + Sync + 'static` with `fn add(&self, amount: u64) -> u64` and
///   `fn into_service(self: Arc<Self>) -> Service`. Handlers run concurrently, each in a thread of its own.
/// * `struct CounterClient` (`Clone`) with `new(end: ClientEnd)`,
///   `fn add(&self, amount: &u64) -> Result<u64, RpcError>`, which blocks until there is a reply or none will
///   come, and `timeout(Duration)`, a client whose calls end with
///   [`RpcError::TimedOut`](crate::RpcError::TimedOut) after that long, and `late(closure)`, a client that
///   gives the closure the encoded reply of a call that came after the limit.
///
/// Each method takes one argument and gives one reply, both of which serde can encode.
#[macro_export]
macro_rules! service {
    (
        $(#[$service_meta:meta])*
        $visibility:vis service $service:ident, client $client:ident {
            $(
                $(#[$method_meta:meta])*
                fn $method:ident($argument:ident: $args:ty) -> $reply:ty;
            )*
        }
    ) => {
        $(#[$service_meta])*
        $visibility trait $service: ::core::marker::Send + ::core::marker::Sync + 'static {
            $(
                $(#[$method_meta])*
                fn $method(&self, $argument: $args) -> $reply;
            )*

            /// The handlers, ready to be put into a [`Server`]($crate::Server).
            fn into_service(self: ::std::sync::Arc<Self>) -> $crate::Service
            where
                Self: ::core::marker::Sized,
            {
                let methods = &[$(::core::stringify!($method)),*];
                $crate::Service::new(::core::stringify!($service), methods, move |method, bytes| {
                    $(
                        if method == ::core::concat!(::core::stringify!($service), ".", ::core::stringify!($method)) {
                            let handler = |args: $args| -> $reply {
                                let reply = self.$method(args);
                                const METHOD: &str = ::core::concat!(
                                    ::core::stringify!($service),
                                    ".",
                                    ::core::stringify!($method)
                                );
                                $crate::trace_reply(METHOD, || {
                                    #[allow(unused_imports, reason = "one of the two, by the type of the reply")]
                                    use $crate::words::{Name as _, Words as _};
                                    (&&$crate::words::Shown(&reply)).words()
                                });
                                reply
                            };
                            return ::core::option::Option::Some($crate::Service::answer(bytes, handler));
                        }
                    )*
                    ::core::option::Option::None
                })
            }
        }

        #[doc = ::core::concat!("Client side of [`", ::core::stringify!($service), "`]: its methods are remote calls.")]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        $visibility struct $client {
            caller: $crate::Caller,
        }

        impl $client {
            /// A client that calls on this end of the network.
            $visibility fn new(end: $crate::ClientEnd) -> Self {
                Self { caller: $crate::Caller::new(end) }
            }

            /// The same client with a limit for each call, after which it ends with `RpcError::TimedOut`.
            #[allow(dead_code, reason = "not every user of a service needs a limit")]
            $visibility fn timeout(&self, limit: ::core::time::Duration) -> Self {
                Self { caller: self.caller.timeout(limit) }
            }

            /// The same client, which gives `late` the encoded reply of a call that came after the limit.
            #[allow(dead_code, reason = "not every user of a service wants late replies")]
            $visibility fn late(
                &self,
                late: impl ::core::ops::Fn(::std::vec::Vec<u8>)
                    + ::core::marker::Send
                    + ::core::marker::Sync
                    + 'static,
            ) -> Self {
                Self { caller: self.caller.late(late) }
            }

            $(
                $(#[$method_meta])*
                ///
                /// A remote call: blocks the thread, so that no lock should be held.
                ///
                /// # Errors
                /// If there is no reply; see [`RpcError`]($crate::RpcError).
                #[track_caller]
                #[allow(dead_code, reason = "not every user of a service calls each of its methods")]
                $visibility fn $method(
                    &self,
                    $argument: &$args,
                ) -> ::core::result::Result<$reply, $crate::RpcError> {
                    const METHOD: &str =
                        ::core::concat!(::core::stringify!($service), ".", ::core::stringify!($method));
                    $crate::trace_call(METHOD, || {
                        #[allow(unused_imports, reason = "one of the two, by the type of the arguments")]
                        use $crate::words::{Name as _, Words as _};
                        (&&$crate::words::Shown($argument)).words()
                    });
                    self.caller.call(METHOD, $argument)
                }
            )*
        }
    };
}
