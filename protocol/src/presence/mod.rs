//! RFC 2778's PRESENCE SERVICE: the document, its record, the table of all, their agreement.
pub mod access_rules;
pub mod accusations;
pub mod change;
pub mod delegates;
pub mod information;
pub mod liveness;
pub mod publication;
pub mod reconciliation;
pub mod record;
pub mod rumors;
pub mod sealing;
pub mod service;
pub mod suspicion;
pub mod user_input;
pub mod views;
