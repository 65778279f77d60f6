//! What is in the memory of a running process, and with whom it is connected, read from `/proc`.
//!
//! With it a test shows what a node learns that keeps nothing on disk. Every page that can be read is looked
//! at, freed ones included, so that what was there for a moment is mostly found too.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    os::unix::fs::FileExt,
};

/// Whether the memory of a process holds these bytes.
///
/// # Panics
///
/// If it cannot be read.
pub(crate) fn holds(pid: u32, wanted: &[u8]) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process runs");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("the process is this one's child");
    let mut looked_at = 0;
    let found = maps.lines().filter_map(readable).any(|(mut from, to)| {
        let mut bytes = vec![0; CHUNK + wanted.len()];
        while from < to {
            // Some of what is mapped has no pages behind it.
            let Ok(length @ 1..) = memory.read_at(&mut bytes, from) else { return false };
            looked_at += length;
            let read = bytes.get(..length).unwrap_or_default();
            if read.windows(wanted.len()).any(|window| window == wanted) {
                return true;
            }
            from += u64::try_from(length.min(CHUNK)).expect("a chunk is short");
        }
        false
    });
    assert!(looked_at > 0, "no memory of {pid} can be read");
    found
}

/// Whether a process, or another on the same host, has a TCP connection with this one.
///
/// # Panics
///
/// If the process does not run.
pub(crate) fn is_connected_with(pid: u32, ip: Ipv4Addr) -> bool {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("the process runs");
    // `man 5 proc_pid_net`: number, local and remote address, each as eight hexadecimal digits and a port.
    let wanted = format!("{:08X}:", u32::from_ne_bytes(ip.octets()));
    table.lines().filter_map(|line| line.split_whitespace().nth(2)).any(|remote| remote.starts_with(&wanted))
}

/// From where to where a line of `/proc/PID/maps` reaches, if it is memory that the process has written.
fn readable(line: &str) -> Option<(u64, u64)> {
    let mut columns = line.split_whitespace();
    let (from, to) = columns.next()?.split_once('-')?;
    columns.next()?.starts_with("rw").then_some(())?;
    Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
}

const CHUNK: usize = 1024 * 1024;
