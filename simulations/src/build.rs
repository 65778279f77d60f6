//! Which code runs, and what it takes.

use crate::report::Build;

/// This build, so that a seed can be run again with the same one.
pub fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("HERE_SIM_COMMIT").to_owned(),
        lock_hash: env!("HERE_SIM_LOCK_HASH").to_owned(),
        rustc: env!("HERE_SIM_RUSTC").to_owned(),
    }
}

/// The most memory that the process has held so far, in bytes; 0 if the system does not say.
pub fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map_or(0, |kibibytes| kibibytes * 1024)
}
