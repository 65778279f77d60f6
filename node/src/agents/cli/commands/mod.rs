//! The commands that ask something of the node here, a file each.

pub(super) mod access;
pub(super) mod api;
pub(super) mod contact;
pub(super) mod delegates;
pub(super) mod delivery;
pub(super) mod fetch;
pub(super) mod inbox;
pub(super) mod node;
pub(super) mod outbox;
pub(super) mod poll;
pub(super) mod requests;
pub(super) mod send;
pub(super) mod set;
pub(super) mod subscriptions;
pub(super) mod visibility;
pub(super) mod watch;
pub(super) mod watchers;
pub(super) mod who;
