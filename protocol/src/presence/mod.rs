//! RFC 2778's PRESENCE SERVICE: the document, the record it travels in, the table of all, and their agreement.
pub mod information;
pub mod publication;
pub mod reconciliation;
pub mod record;
pub mod service;
