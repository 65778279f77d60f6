//! RFC 2778's INSTANT MESSAGE SERVICE: the message, the INBOX that takes it, the OUTBOX that brings it.
pub mod delivery_rules;
pub mod inbox;
pub mod instant_message;
pub mod outbox;
