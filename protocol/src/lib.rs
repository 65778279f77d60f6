//! What Hereabouts nodes say and what it means: RFC 2778's model as values and state machines.
//!
//! Nothing here reads a clock, draws a random number, opens a file or a socket. Every state machine has one
//! shape: it is fed with `handle_*(now, …)`, drained with `poll_output()`, and called again at the time that
//! `poll_timeout()` names; [`node::Node`] is the whole of them behind one such face, and states the
//! contract. Whoever drives it owns time, randomness, keys, streams and the disk, so the same decisions run
//! on a machine and, thousands at a time, in a simulator.
//!
//! | module | RFC 2778's terms |
//! |---|---|
//! | [`identity`] | PRESENTITY, DOMAIN (a realm), INSTANT INBOX ADDRESS |
//! | [`presence`] | PRESENCE INFORMATION, PRESENCE TUPLE, STATUS, COMMUNICATION ADDRESS, PRESENCE SERVICE |
//! | [`watcher`] | WATCHER, SUBSCRIBER, FETCHER, SUBSCRIPTION, NOTIFICATION |
//! | [`message`] | INSTANT MESSAGE, INSTANT INBOX, SENDER, INSTANT MESSAGE SERVICE |
//! | [`wire`] | PRESENCE PROTOCOL, INSTANT MESSAGE PROTOCOL |
//! | [`overlay`] | none: the serverless shape's own, which peers a node links with and dials |
//! | [`formats`] | none: how the values are written for other programs |
//! | [`durable`] | what must outlive the process |
//! | [`node`] | one node: the machines together |

pub mod durable;
pub mod formats;
pub mod identity;
pub mod message;
pub mod node;
pub mod overlay;
pub mod presence;
#[cfg(test)]
mod testing;
pub mod time;
pub mod watcher;
pub mod wire;
