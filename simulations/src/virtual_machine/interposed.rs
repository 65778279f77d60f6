//! The two C functions through which a process learns the time and draws random bytes, defined anew.
//!
//! std, libp2p and the random number generators ask `clock_gettime` and `getrandom`, so that defining these
//! in the program makes `Instant`, `SystemTime`, the order of hash maps, generated keys and gossipsub's
//! choices virtual and seeded, with no change to any of them. Only a thread on which a simulation runs
//! ([`enter`]) is answered so; every other one gets the kernel's answer.
//!
//! This is the one place of the workspace with `unsafe` code. Linux with glibc only. What asks the kernel
//! itself, past these symbols, would see real time; [`super::self_test`] looks for that.

#![expect(unsafe_code, reason = "C functions can be defined in no other way")]

use std::cell::Cell;

use futures_timer::virtual_time;
use nix::libc;

thread_local! {
    static ENTROPY: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Answers this thread from the simulation's clock, and with random bytes that `seed` decides.
pub(super) fn enter(seed: u64) {
    virtual_time::enter();
    ENTROPY.set(Some(seed));
}

/// Answers this thread as the kernel does.
pub(super) fn leave() {
    ENTROPY.set(None);
    virtual_time::leave();
}

/// # Safety
/// As for the C function: `time` must be null or point to memory for a `timespec`.
// SAFETY: the name and the signature are those of POSIX, and the contract is kept, see the body.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> libc::c_int {
    let nanoseconds = match clock {
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_MONOTONIC_RAW => {
            virtual_time::host_now().map(|now| now + MONOTONIC_START)
        }
        // It goes on while the host is suspended.
        libc::CLOCK_BOOTTIME => virtual_time::now().map(|now| now + MONOTONIC_START),
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => {
            virtual_time::now().map(|now| now + UNIX_START_SECONDS * SECOND)
        }
        // Processor time is measured, never decided by.
        _ => None,
    };
    let Some(nanoseconds) = nanoseconds else {
        // SAFETY: the kernel checks both arguments itself and answers EFAULT for memory that is not ours.
        let answer = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
        return if answer == 0 { 0 } else { -1 };
    };
    if !time.is_null() {
        // Both parts fit: the clock counts 584 years of nanoseconds in all.
        let value = libc::timespec {
            tv_sec: libc::time_t::try_from(nanoseconds / SECOND).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::try_from(nanoseconds % SECOND).unwrap_or(0),
        };
        // SAFETY: the caller of this C function promises that a pointer that is not null is one to a
        // timespec that may be written.
        unsafe { time.write(value) };
    }
    0
}

/// # Safety
/// As for the C function: `bytes` must point to `length` bytes that may be written.
// SAFETY: the name and the signature are those of glibc, and the contract is kept, see the body.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn getrandom(
    bytes: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    let Some(mut state) = ENTROPY.get() else {
        // SAFETY: the kernel checks the memory itself and answers EFAULT where it is not ours.
        let answer = unsafe { libc::syscall(libc::SYS_getrandom, bytes, length, flags) };
        return libc::ssize_t::try_from(answer).unwrap_or(-1);
    };
    if bytes.is_null() {
        return 0;
    }
    // SAFETY: the caller of this C function promises so many bytes there, which nobody else uses meanwhile.
    let bytes = unsafe { std::slice::from_raw_parts_mut(bytes.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        let random = next(&mut state).to_le_bytes();
        for (byte, random) in chunk.iter_mut().zip(random) {
            *byte = random;
        }
    }
    ENTROPY.set(Some(state));
    libc::ssize_t::try_from(length).unwrap_or(-1)
}

/// SplitMix64 (Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*, 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

const SECOND: u64 = 1_000_000_000;
/// What the monotonic clock shows at the start, so that a program may subtract durations from an `Instant`.
const MONOTONIC_START: u64 = 1_000_000 * SECOND;
/// What the wall clock shows at the start: 2026-01-01T00:00:00Z.
pub(super) const UNIX_START_SECONDS: u64 = 1_767_225_600;
