//! The warm-up lab: what every later lab takes for granted.
//!
// handout: drop
//! This crate is the reference solution of three parts, each with its own tests. The first two are
// handout: end
// handout: put
// //! This crate is yours: three parts, each with its own tests. The first two are
// handout: end
//! about threads in one process, the third about calls between two.
//!
//! # 0A: a crawler
//!
//! A crawler fetches every page that a first page leads to, each once. Pages link to each other in circles,
//! so it keeps a set of the pages that it has visited. With one thread that is simple ([`crawler::serial`]),
//! and slow: a page takes time, and the pages of a level could be fetched together. There are two ways to
//! share the set, and the choice between them comes back in every lab.
//!
//! - **A lock** ([`crawler::mutex`]): a thread for each page, one set, one lock. A thread marks a page in the
//!   same step in which it finds it unmarked, and before it fetches it. The lock is not held while a thread
//!   waits for the network.
//! - **Messages** ([`crawler::channel`]): one thread owns the set, and workers send it what they find.
//!   Nothing is shared, so no lock can be forgotten. The end takes care: the coordinator counts the workers
//!   from which it has not heard.
//!
//! # 0B: threads
//!
//! Eight exercises. In each a thread waits for what another one does, and there is a wrong way that works
//! most of the time: an update that is lost, a sum that is seen half changed, a signal that comes before the
//! wait, a thread that outlives its purpose. The simulation tries many schedules, so the wrong ways fail.
//!
//! # 0C: what a call promises
//!
//! A reply did not come. Was the request lost, did the server crash before it ran or after, was the reply
//! lost, is it on its way? The caller cannot know (Birrell and Nelson, *Implementing remote procedure calls*,
//! 1984; Saltzer, Reed and Clark, *End-to-end arguments in system design*, 1984). It can only choose what to
//! do about it, and what the server must remember for that:
//!
//! | mode | client | server | a call that returned has run |
//! |---|---|---|---|
//! | best effort | sends once | remembers nothing | once, or more often if the network repeats messages |
//! | at least once | sends until a reply comes | remembers nothing | once or more often |
//! | at most once | sends up to k times, with the same number | remembers results, until the client has them | once; after an error: once or never |
//! | exactly once | sends until a reply comes, with the same number | writes results and effects together, before the reply | once, across crashes of the server |
//!
//! An example of the last row. The server adds 1, writes the new sum and the result of the call in one step,
//! and crashes before it replies. The client sends the call again. The next life of the server finds the
//! result on the disk and repeats it. If the sum and the result were two writes, a crash between them would
//! leave a sum without its result, and the call would add 1 again.
//!
//! TCP gives none of this by itself. It drops repeated segments within one connection. When the connection
//! breaks, the application connects again and sends its request again, and for TCP that is a new request.
//!
//! # How to read
//!
//! | file | content |
//! |---|---|
//! | `crawler/mod.rs` | pages, fetchers, reports |
//! | `crawler/serial.rs`, `mutex.rs`, `channel.rs` | the three crawlers |
//! | `threads/parallel_sum.rs` to `deadlock_finder.rs` | the exercises, one a file |
//! | `rpc/message.rs` | request and reply |
//! | `rpc/cache.rs` | the rules: which request runs, which is answered from memory, which is refused |
//! | `rpc/dispatcher.rs` | the server: handlers, waiting duplicates, the disk |
//! | `rpc/stub.rs` | the client: numbers, windows, attempts |
//! | `rpc/wire.rs` | values as bytes |
//! | `rpc/key_value.rs` | a service on top |
//!
//! # What is left out on purpose
//!
//! - **Robots, redirects, politeness.** A page is a name with links.
//! - **Weak memory.** The simulation runs one thread at a time; see `labrt`.
//! - **Adaptive timeouts.** A client sends again after [`rpc::RESEND`], whatever the network does.
//! - **Forgetting clients.** A client's last results stay until it acknowledges them, and its entry stays for
//!   ever. To forget it safely takes a lease.

// handout: put
// // Take this line away when no body is `todo!` any more: the compiler then names what nobody uses.
// #![expect(unused)]
//
// handout: end
pub mod crawler;
pub mod rpc;
pub mod threads;
