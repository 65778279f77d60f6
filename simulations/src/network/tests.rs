//! Tests of the network, each as a simulation of a few hosts without nodes.

mod connecting;
mod discovery;
mod faults;
mod harness;
mod streams;
mod stress;
