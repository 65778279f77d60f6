//! The overlay: which peers a node knows by address, holds links with and dials, and its part in discovery.
pub mod address;
pub mod duty;
pub mod links;
pub mod relays;
pub mod strangers;

mod dialling;
mod given;
mod learning;
mod peer;
mod table;
