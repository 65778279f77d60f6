//! Reconciliation: two nodes find out in what their tables differ, and exchange only that.
//!
//! **Decides** what is compared and what is sent; **leaves** when and with whom to the aggregate (on connect,
//! by the end that dialled, and from time to time with one neighbour) and merging to the service.
//!
//! The initiator sends a [`Digest`]: the sum of the fingerprints in each of 2^bits ranges of keys. The
//! responder, which keeps no state, answers with the versions it holds in the ranges that differ, none if
//! the tables are equal. The initiator then sends the records that it has newer and asks for those that
//! the other has newer, in one exchange; so are those of one version that one of them believes lost and the
//! other does not. If a limit of a frame cut something off, another round follows as
//! long as rounds make progress. Two tables of N records that are equal cost one small round trip; a
//! newcomer costs what its records weigh.
//!
//! This is anti-entropy in the sense of Demers et al., *Epidemic Algorithms for Replicated Database
//! Maintenance* (1987), push-pull with a checksum, and the ranges of one level of a Merkle tree.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::record::{RECORD_BYTES_MAX, Version};
use crate::identity::Presentity;

/// One line of a table: a presentity, its version, the fingerprint of its record, and whether it is lost.
pub type Line = (Presentity, Version, u64, bool);

/// A table in brief: for each range of keys the sum of the fingerprints in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The ranges are the keys that share their first `bits` bits, at most [`DIGEST_BITS_MAX`].
    pub bits: u8,
    /// The sums, modulo 2^64, in the order of the ranges: 2^bits of them.
    pub sums: Vec<u64>,
}

impl Digest {
    /// The digest of a table, as fine as its size deserves: about [`LINES_PER_RANGE`] lines a range.
    pub fn of(table: &[Line]) -> Self {
        let ranges = (table.len() / LINES_PER_RANGE).max(1).next_power_of_two();
        let bits = u8::try_from(ranges.trailing_zeros()).unwrap_or(DIGEST_BITS_MAX).min(DIGEST_BITS_MAX);
        Self { bits, sums: sums(table, bits) }
    }

    /// Whether it is of the form that [`Digest::of`] makes.
    pub fn is_well_formed(&self) -> bool {
        self.bits <= DIGEST_BITS_MAX && self.sums.len() == 1 << self.bits
    }
}

/// What the responder holds where two tables differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The ranges that differ, as bits of the digest's numbering; none if the tables are equal.
    pub ranges: Vec<u16>,
    /// The responder's lines in those ranges, as many as a frame may hold: whose, which version, and whether
    /// it is lost.
    pub versions: Vec<(Presentity, Version, bool)>,
}

impl Difference {
    /// Whether there may be more: a range that no longer fits into a frame is left out whole, and is about
    /// as large as those before it.
    pub fn may_be_cut(&self) -> bool {
        self.versions.len() >= VERSIONS_PER_FRAME / 2
    }
}

/// The responder's answer to a digest. An ill-formed digest differs nowhere.
pub fn difference(table: &[Line], digest: &Digest) -> Difference {
    if !digest.is_well_formed() {
        return Difference { ranges: Vec::new(), versions: Vec::new() };
    }
    let own = sums(table, digest.bits);
    let sums = (0_u16..).zip(own.iter().zip(&digest.sums));
    let differ = sums.filter(|(_, (ours, theirs))| ours != theirs).map(|(number, _)| (number, Vec::new()));
    let mut differing: BTreeMap<u16, Vec<_>> = differ.collect();
    for (presentity, version, _, lost) in table {
        if let Some(lines) = differing.get_mut(&range(presentity, digest.bits)) {
            lines.push((*presentity, *version, *lost));
        }
    }
    let mut ranges = Vec::new();
    let mut versions = Vec::new();
    for (number, lines) in differing {
        if versions.len() + lines.len() > VERSIONS_PER_FRAME && !ranges.is_empty() {
            break;
        }
        ranges.push(number);
        versions.extend(lines.into_iter().take(VERSIONS_PER_FRAME));
    }
    Difference { ranges, versions }
}

/// What the initiator does about a difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Records that the other has newer, or this node lacks.
    pub wanted: Vec<Presentity>,
    /// Records that this node has newer, or the other lacks.
    pub offered: Vec<Presentity>,
}

impl Plan {
    /// Whether there is nothing to exchange.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.offered.is_empty()
    }
}

/// The initiator's plan. Of equal versions nothing is exchanged but that one of the two believes the
/// presentity lost, and in the one case that the records differ all the same, which only a key that signs
/// twice can bring about; then both sides send theirs, for one range at a time, so that all of it fits into
/// a frame.
pub fn plan(table: &[Line], digest: &Digest, difference: &Difference) -> Plan {
    let differing: BTreeSet<u16> = difference.ranges.iter().copied().collect();
    let lines = difference.versions.iter();
    let theirs: Lines = lines.map(|(presentity, version, lost)| (*presentity, (*version, *lost))).collect();
    let ours: Lines = table
        .iter()
        .filter(|(presentity, ..)| differing.contains(&range(presentity, digest.bits)))
        .map(|(presentity, version, _, lost)| (*presentity, (*version, *lost)))
        .collect();
    // Of one version it is news that the presentity is lost.
    let news = |of: &Lines, to: &Lines| -> Vec<Presentity> {
        of.iter().filter(|(key, line)| to.get(key) < Some(line)).map(|(key, _)| *key).collect()
    };
    let mut plan = Plan { wanted: news(&theirs, &ours), offered: news(&ours, &theirs) };
    if plan.wanted.is_empty() && plan.offered.is_empty() {
        let first = |key: &&Presentity| difference.ranges.first() == Some(&range(key, digest.bits));
        plan.wanted = theirs.keys().filter(|key| ours.contains_key(key)).filter(first).copied().collect();
        plan.offered = plan.wanted.clone();
    }
    plan.wanted.truncate(WANTED_PER_FRAME);
    plan
}

/// Versions, and who is lost.
type Lines = BTreeMap<Presentity, (Version, bool)>;

fn sums(table: &[Line], bits: u8) -> Vec<u64> {
    let mut sums = vec![0_u64; 1 << bits];
    for (presentity, _, fingerprint, lost) in table {
        if let Some(sum) = sums.get_mut(usize::from(range(presentity, bits))) {
            *sum = sum.wrapping_add(if *lost { !fingerprint } else { *fingerprint });
        }
    }
    sums
}

/// The number of the range that `presentity` is in: the first `bits` bits of its key.
fn range(presentity: &Presentity, bits: u8) -> u16 {
    let [first, second, ..] = *presentity.as_bytes();
    u16::from_be_bytes([first, second]).checked_shr(u32::from(16 - bits.min(16))).unwrap_or(0)
}

/// At most 1024 ranges: 10 kB of digest for tables of 16,384 records and more.
pub const DIGEST_BITS_MAX: u8 = 10;
/// One changed record makes so many lines travel, on average.
const LINES_PER_RANGE: usize = 16;
/// About 40 bytes each.
pub const VERSIONS_PER_FRAME: usize = 1500;
/// 32 bytes each.
pub const WANTED_PER_FRAME: usize = 1000;
/// Bytes of records that go into one frame beside its other fields.
pub const RECORDS_BYTES_PER_FRAME: usize = 56 * 1024;

const _: () = assert!(RECORDS_BYTES_PER_FRAME > RECORD_BYTES_MAX);

#[cfg(test)]
#[path = "reconciliation_tests.rs"]
mod tests;
