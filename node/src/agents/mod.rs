//! RFC 2778's user agents: how people and scripts meet a node.
//!
//! [`cli`] is the command line `here`. It speaks to the node through the local API alone, as any other
//! program of the same person may. [`daemon`] puts a node together and runs it, for `here up`. [`demo`] runs
//! three of them in one process and lets the commands play a session.

pub mod cli;
pub mod daemon;
pub mod demo;

#[cfg(test)]
mod tests;
