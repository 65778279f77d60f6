//! How records spread: every gossiped copy, who got it first from whom, and over how many hops.
//!
//! Seen from outside, on the wire: gossipsub's frames are looked into as they arrive at a host. A record is
//! told by a hash of its bytes. At most [`RECORDS_MAX`] (record, host) pairs are followed; of records beyond
//! that only copies are counted.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// How every record spread so far.
#[derive(Debug, Default)]
pub struct Spread {
    records: HashMap<u64, Record>,
    hosts: usize,
    copies: u64,
    bytes: u64,
    unfollowed: u64,
    /// The host whose next record is drawn as a tree.
    awaited: Option<u32>,
    /// Whether what is first sent from now on is a change, and not from a start.
    changing: bool,
    tree: Option<(u64, Tree)>,
}

#[derive(Debug)]
struct Record {
    /// Hops from the origin plus one, by host; 0 where it has not been.
    hops: Vec<u8>,
    receivers: u64,
    copies: u64,
    is_change: bool,
}

/// Who got one record from whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Host, whom it got it from, when in nanoseconds since the start, hops. The origin comes first.
    pub edges: Vec<(u32, Option<u32>, u64, u8)>,
}

impl Spread {
    pub(super) fn new(hosts: usize) -> Self {
        Self { hosts, ..Self::default() }
    }

    /// Follows the next record that `host` sends as a tree.
    pub fn follow_next_of(&mut self, host: u32) {
        self.awaited = Some(host);
    }

    /// The record that was followed, if one was sent.
    pub fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref().map(|(_, tree)| tree)
    }

    /// Records that are first sent from now on are changes.
    pub fn begin_changes(&mut self) {
        self.changing = true;
    }

    /// Copies received of all records, for each first receipt.
    pub fn copies_per_receipt(&self) -> Option<f64> {
        copies_per_receipt(self.records.values())
    }

    /// The same of changes alone, without the records of those that started.
    pub fn copies_per_change(&self) -> Option<f64> {
        copies_per_receipt(self.records.values().filter(|record| record.is_change))
    }

    /// Copies received beyond the first of each record and host.
    pub fn duplicates(&self) -> u64 {
        self.records.values().map(|record| record.copies - record.receivers).sum()
    }

    /// Copies received in all.
    pub fn copies(&self) -> u64 {
        self.copies
    }

    /// Bytes of a record, the mean over all copies.
    pub fn record_bytes(&self) -> Option<f64> {
        (self.copies > 0).then(|| self.bytes as f64 / self.copies as f64)
    }

    /// The mean and the largest number of hops of first receipts.
    pub fn hops(&self) -> Option<(f64, u8)> {
        let hops = self.records.values().flat_map(|record| record.hops.iter().filter(|hops| **hops > 1));
        let (sum, count, most) = hops.fold((0_u64, 0_u64, 0), |(sum, count, most), hops| {
            (sum + u64::from(*hops - 1), count + 1, most.max(*hops - 1))
        });
        (count > 0).then(|| (sum as f64 / count as f64, most))
    }

    /// A chunk of a gossip stream arrived.
    pub(super) fn handle_chunk(&mut self, now: u64, from: u32, to: u32, chunk: &[u8]) {
        let mut rest = chunk;
        // A negotiation is no frame.
        if chunk.windows(NEGOTIATION.len()).any(|window| window == NEGOTIATION) {
            return;
        }
        while let Some((frame, after)) = delimited(rest) {
            for data in published(frame) {
                self.handle_copy(now, from, to, data);
            }
            rest = after;
        }
    }

    fn handle_copy(&mut self, now: u64, from: u32, to: u32, data: &[u8]) {
        self.copies += 1;
        self.bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
        let mut hasher = DefaultHasher::new();
        data.hash(&mut hasher);
        let id = hasher.finish();
        let room = (self.records.len() + 1).saturating_mul(self.hosts) <= RECORDS_MAX;
        let (hosts, changing) = (self.hosts, self.changing);
        let record = match self.records.get_mut(&id) {
            Some(record) => record,
            None if room => self.records.entry(id).or_insert_with(|| Record::new(hosts, from, changing)),
            None => {
                self.unfollowed += 1;
                return;
            }
        };
        if self.awaited == Some(from) && record.copies == 0 && record.hops_of(from) == 1 {
            self.awaited = None;
            self.tree = Some((id, Tree { edges: vec![(from, None, now, 0)] }));
        }
        record.copies += 1;
        if record.hops_of(to) == 0 {
            record.receivers += 1;
            let hops = record.hops_of(from).max(1).saturating_add(1);
            record.set_hops(to, hops);
            if let Some((followed, tree)) = &mut self.tree
                && *followed == id
            {
                tree.edges.push((to, Some(from), now, hops - 1));
            }
        }
    }
}

impl Record {
    fn new(hosts: usize, origin: u32, is_change: bool) -> Self {
        let mut record = Self { hops: vec![0; hosts], receivers: 0, copies: 0, is_change };
        record.set_hops(origin, 1);
        record
    }

    fn hops_of(&self, host: u32) -> u8 {
        usize::try_from(host).ok().and_then(|host| self.hops.get(host)).copied().unwrap_or(0)
    }

    fn set_hops(&mut self, host: u32, hops: u8) {
        if let Some(place) = usize::try_from(host).ok().and_then(|host| self.hops.get_mut(host)) {
            *place = hops;
        }
    }
}

fn copies_per_receipt<'a>(records: impl Iterator<Item = &'a Record>) -> Option<f64> {
    let (copies, receivers) = records.fold((0, 0), |sum, one| (sum.0 + one.copies, sum.1 + one.receivers));
    (receivers > 0).then(|| copies as f64 / receivers as f64)
}

/// The data of each message that a frame of gossipsub publishes.
pub(super) fn published(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    fields(frame, PUBLISH_FIELD).into_iter().flat_map(|message| fields(message, DATA_FIELD))
}

/// Splits off what a length in Protocol Buffers' variable form stands before.
pub(super) fn delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(index * 7).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

/// The contents of every field `number` of a Protocol Buffers message that is of the length-delimited kind.
fn fields(message: &[u8], number: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = message;
    while let Some((key, after)) = varint(rest) {
        let next = match key & 7 {
            0 => varint(after).map(|(_, after)| after),
            1 => after.get(8..),
            5 => after.get(4..),
            2 => delimited(after).map(|(content, after)| {
                if key >> 3 == number {
                    found.push(content);
                }
                after
            }),
            _ => None,
        };
        let Some(next) = next else { break };
        rest = next;
    }
    found
}

const NEGOTIATION: &[u8] = b"/multistream/1.0.0\n";
/// `publish` of gossipsub's `RPC`.
const PUBLISH_FIELD: u64 = 2;
/// `data` of gossipsub's `Message`.
const DATA_FIELD: u64 = 2;
/// (record, host) pairs that are followed; a byte each.
const RECORDS_MAX: usize = 128 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_receipts_make_a_tree_and_further_ones_are_copies() {
        let mut spread = Spread::new(4);
        spread.follow_next_of(2);
        // An RPC of one publish (field 2) whose data (field 2) is "ab", with a topic (field 4) behind it.
        let frame = [9, 0x12, 7, 0x12, 2, b'a', b'b', 0x22, 1, b't'];
        spread.handle_chunk(5, 2, 0, &frame);
        spread.handle_chunk(6, 0, 1, &[&frame[..], &frame[..]].concat());
        spread.handle_chunk(7, 1, 0, &frame);
        assert_eq!(spread.tree().unwrap().edges, [(2, None, 5, 0), (0, Some(2), 5, 1), (1, Some(0), 6, 2)]);
        assert_eq!(spread.copies(), 4);
        assert_eq!(spread.copies_per_receipt(), Some(2.0));
        assert_eq!(spread.hops(), Some((1.5, 2)));
    }

    #[test]
    fn changes_are_told_from_the_records_of_a_start() {
        let mut spread = Spread::new(3);
        let frame = |data: u8| [5, 0x12, 3, 0x12, 1, data];
        spread.handle_chunk(0, 0, 1, &frame(b'a'));
        assert_eq!(spread.copies_per_change(), None);
        spread.begin_changes();
        // A late copy of what was there before is none of a change.
        spread.handle_chunk(1, 0, 1, &frame(b'a'));
        spread.handle_chunk(2, 0, 1, &frame(b'b'));
        spread.handle_chunk(2, 0, 2, &frame(b'b'));
        spread.handle_chunk(2, 2, 1, &frame(b'b'));
        assert_eq!(spread.copies_per_change(), Some(1.5));
        assert_eq!(spread.copies_per_receipt(), Some(5.0 / 3.0));
    }

    #[test]
    fn what_is_no_frame_is_passed_over() {
        let mut spread = Spread::new(2);
        spread.handle_chunk(0, 0, 1, b"\x13/multistream/1.0.0\n");
        spread.handle_chunk(0, 0, 1, &[200, 1, 2]);
        spread.handle_chunk(0, 0, 1, &[0xff; 20]);
        assert_eq!(spread.copies(), 0);
    }
}
