//! The trace of a run: everything that happened, in order, as one hash and, if wanted, as text.
//!
//! Two runs of one seed have one trace, event by event and to the nanosecond. What goes in: every step of the
//! clock with the number of polls so far, every chunk that arrives, with its bytes, every connection, and
//! everything that a node told its PRINCIPAL.

use std::{
    fmt,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{network::traffic::Class, virtual_machine::HostId};

/// A trace; clones are handles of the same one.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lanes: [u64; 2],
    events: u64,
    text: Option<Box<dyn Write + Send>>,
}

/// Something that happened.
#[derive(Debug)]
pub enum TraceEvent<'a> {
    /// The clock moved on.
    Step {
        /// To here, in nanoseconds since the start.
        at: u64,
        /// Tasks polled so far.
        polls: u64,
    },
    /// A connection stands.
    Connected {
        /// When, in nanoseconds since the start.
        at: u64,
        /// The host whose end is ready.
        from: HostId,
        /// The other.
        to: HostId,
    },
    /// A chunk of a stream arrived.
    Arrived {
        /// When, in nanoseconds since the start.
        at: u64,
        /// From here.
        from: HostId,
        /// There.
        to: HostId,
        /// What for.
        class: Class,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A node told its PRINCIPAL something, or something was done to it.
    Told {
        /// When, in nanoseconds since the start.
        at: u64,
        /// The node.
        host: HostId,
        /// What.
        what: &'a str,
    },
}

impl Trace {
    /// A trace that is also written to `text`, a line for each event.
    pub fn with_text(text: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(State { text: Some(text), ..State::default() })))
    }

    /// Adds an event.
    pub fn add(&self, event: &TraceEvent<'_>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.events += 1;
        match event {
            TraceEvent::Step { at, polls } => state.mix(&[1, *at, *polls]),
            TraceEvent::Connected { at, from, to } => {
                state.mix(&[2, *at, u64::from(*from), u64::from(*to)]);
            }
            TraceEvent::Arrived { at, from, to, bytes, .. } => {
                state.mix(&[3, *at, u64::from(*from), u64::from(*to)]);
                state.mix_bytes(bytes);
            }
            TraceEvent::Told { at, host, what } => {
                state.mix(&[4, *at, u64::from(*host)]);
                state.mix_bytes(what.as_bytes());
            }
        }
        if let Some(text) = &mut state.text {
            // Whoever reads it may have seen enough.
            let _ = writeln!(text, "{event}");
        }
    }

    /// 128 bits in hexadecimal digits that stand for everything so far.
    pub fn hash(&self) -> String {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [first, second] = state.lanes;
        format!("{first:016x}{second:016x}")
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).events
    }
}

impl State {
    fn mix(&mut self, words: &[u64]) {
        let [first, second] = &mut self.lanes;
        for word in words {
            *first = (first.rotate_left(5) ^ word).wrapping_mul(MULTIPLIERS[0]);
            *second = (second.rotate_left(23) ^ word).wrapping_mul(MULTIPLIERS[1]);
        }
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in words.by_ref() {
            self.mix(&[word.try_into().map_or(0, u64::from_le_bytes)]);
        }
        let rest = words.remainder().iter().fold(1, |word, byte| word << 8 | u64::from(*byte));
        self.mix(&[rest, u64::try_from(bytes.len()).unwrap_or(u64::MAX)]);
    }
}

impl fmt::Display for TraceEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { at, polls } => write!(f, "{} step, {polls} polls", Nanoseconds(*at)),
            Self::Connected { at, from, to } => write!(f, "{} {from} connected with {to}", Nanoseconds(*at)),
            Self::Arrived { at, from, to, class, bytes } => {
                let (at, class, length) = (Nanoseconds(*at), class.name(), bytes.len());
                let shown = bytes.iter().rev().take(SHOWN_BYTES).rev().map(|byte| format!("{byte:02x}"));
                let shown = shown.collect::<String>();
                write!(f, "{at} {from} to {to}: {length} bytes of {class} ending in {shown}")
            }
            Self::Told { at, host, what } => write!(f, "{} {host}: {what}", Nanoseconds(*at)),
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.hash()).finish()
    }
}

/// Seconds with nine digits after the point.
struct Nanoseconds(u64);

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// Odd, with bits all over; the first is 2^64 divided by the golden ratio.
const MULTIPLIERS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];
/// A signature ends a record, so that the end tells records apart.
const SHOWN_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_every_byte_and_on_the_order() {
        let hash_of = |chunks: &[&[u8]]| {
            let trace = Trace::default();
            for bytes in chunks {
                trace.add(&TraceEvent::Arrived { at: 1, from: 2, to: 3, class: Class::Gossip, bytes });
            }
            trace.hash()
        };
        let hashes = [
            hash_of(&[b"abcdefgh", b"i"]),
            hash_of(&[b"i", b"abcdefgh"]),
            hash_of(&[b"abcdefghi"]),
            hash_of(&[b"abcdefgh", b"j"]),
            hash_of(&[b"abcdefgh", b"i\0"]),
        ];
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(hash), "{hashes:?}");
        }
    }
}
