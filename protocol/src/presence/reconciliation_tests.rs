use proptest::prelude::*;

use super::*;

/// A table as it is in memory: a version and a fingerprint for each presentity. Of two records of one
/// version the higher fingerprint stands for the greater bytes.
type Table = BTreeMap<Presentity, (Version, u64)>;

fn who(number: u64) -> Presentity {
    // Spread over all ranges, as keys are.
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&mixed(number).to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    Presentity::from_public_key_bytes(bytes)
}

fn entry(sequence: u64, fingerprint: u64) -> (Version, u64) {
    (Version { incarnation: 1, sequence }, fingerprint)
}

fn table(entries: impl IntoIterator<Item = u64>) -> Table {
    entries.into_iter().map(|number| (who(number), entry(1, mixed(number)))).collect()
}

fn lines(table: &Table) -> Vec<Line> {
    table
        .iter()
        .map(|(presentity, (version, fingerprint))| (*presentity, *version, *fingerprint, false))
        .collect()
}

fn merge(table: &mut Table, presentity: Presentity, new: (Version, u64)) {
    let known = table.entry(presentity).or_insert(new);
    *known = (*known).max(new);
}

/// One round between two tables of which either frame holds `records_max` records. Whether there was
/// something to exchange.
fn round(initiator: &mut Table, responder: &mut Table, records_max: usize) -> bool {
    let digest = Digest::of(&lines(initiator));
    assert!(digest.is_well_formed());
    let difference = difference(&lines(responder), &digest);
    assert!(difference.versions.len() <= VERSIONS_PER_FRAME);
    let plan = plan(&lines(initiator), &digest, &difference);
    assert!(plan.wanted.len() <= WANTED_PER_FRAME);
    let records = |table: &Table, whose: &[Presentity]| -> Vec<_> {
        whose.iter().filter_map(|who| Some((*who, *table.get(who)?))).take(records_max).collect()
    };
    let (given, got) = (records(initiator, &plan.offered), records(responder, &plan.wanted));
    for (presentity, new) in got {
        merge(initiator, presentity, new);
    }
    for (presentity, new) in given {
        merge(responder, presentity, new);
    }
    !plan.is_empty()
}

/// Rounds until there is nothing to exchange; how many.
fn reconcile(initiator: &mut Table, responder: &mut Table, records_max: usize) -> usize {
    (0..10_000).find(|_| !round(initiator, responder, records_max)).expect("the rounds come to an end")
}

#[test]
fn equal_tables_differ_nowhere() {
    for size in [0, 1, 40, 5000] {
        let table = table(0..size);
        let digest = Digest::of(&lines(&table));
        assert_eq!(
            difference(&lines(&table), &digest),
            Difference { ranges: Vec::new(), versions: Vec::new() }
        );
    }
}

#[test]
fn a_digest_is_as_fine_as_its_table_deserves() {
    let bits = |size| Digest::of(&lines(&table(0..size))).bits;
    assert_eq!([0, 31, 32, 47, 48, 64, 1000].map(bits), [0, 0, 1, 1, 2, 2, 6]);
    assert_eq!(bits(40_000), DIGEST_BITS_MAX);
}

#[test]
fn ranges_are_the_first_bits_of_the_key() {
    let key = |first, second| {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&[first, second]);
        Presentity::from_public_key_bytes(bytes)
    };
    assert_eq!(range(&key(0xff, 0xff), 0), 0);
    assert_eq!(range(&key(0x80, 0), 1), 1);
    assert_eq!(range(&key(0b1010_0000, 0), 3), 0b101);
    assert_eq!(range(&key(0xff, 0b1100_0000), 10), 0b11_1111_1111);
    assert_eq!(range(&key(0xff, 0b0011_1111), 10), 0b11_1111_1100);
}

#[test]
fn sums_are_taken_modulo_two_to_the_64() {
    let table = Table::from([(who(1), entry(1, u64::MAX)), (who(2), entry(1, 3))]);
    assert_eq!(Digest::of(&lines(&table)), Digest { bits: 0, sums: vec![2] });
}

#[test]
fn an_ill_formed_digest_differs_nowhere() {
    let table = lines(&table(0..100));
    for digest in [
        Digest { bits: 2, sums: vec![0; 3] },
        Digest { bits: DIGEST_BITS_MAX + 1, sums: vec![0; 1 << (DIGEST_BITS_MAX + 1)] },
        Digest { bits: 255, sums: Vec::new() },
        Digest { bits: 64, sums: vec![0] },
    ] {
        assert!(!digest.is_well_formed());
        assert_eq!(difference(&table, &digest).ranges, []);
    }
}

#[test]
fn only_what_differs_is_exchanged() {
    let mut ours = table(0..100);
    let mut theirs = ours.clone();
    ours.insert(who(7), entry(2, 70));
    theirs.insert(who(9), entry(3, 90));
    theirs.insert(who(500), entry(1, 5));
    let digest = Digest::of(&lines(&ours));
    let plan = plan(&lines(&ours), &digest, &difference(&lines(&theirs), &digest));
    let mut wanted = vec![who(9), who(500)];
    wanted.sort();
    assert_eq!(plan, Plan { wanted, offered: vec![who(7)] });
}

#[test]
fn a_newcomer_learns_everything_from_its_first_neighbour() {
    let (mut newcomer, mut neighbour) = (table([10_000]), table(0..3000));
    // 56 KiB of records of about 300 bytes.
    let rounds = reconcile(&mut newcomer, &mut neighbour, 190);
    assert_eq!(newcomer, neighbour);
    assert_eq!(newcomer.len(), 3001);
    assert!(rounds <= 24, "{rounds} rounds");
}

#[test]
fn a_difference_that_a_frame_cut_says_so() {
    let (large, small) = (table(0..4000), table(0..40));
    let digest = Digest::of(&lines(&small));
    assert!(difference(&lines(&large), &digest).may_be_cut());
    let digest = Digest::of(&lines(&table(0..3999)));
    assert!(!difference(&lines(&large), &digest).may_be_cut());
}

#[test]
fn a_frame_lists_fifteen_hundred_lines_and_not_one_more() {
    let of_range = |first: u8, count: u16| {
        (0..count).map(move |number| {
            let mut bytes = [first; 32];
            bytes[1..3].copy_from_slice(&number.to_be_bytes());
            (Presentity::from_public_key_bytes(bytes), Version::default(), 1, false)
        })
    };
    let listed = |of_each: [u16; 2]| {
        let table: Vec<_> = of_range(0, of_each[0]).chain(of_range(0x80, of_each[1])).collect();
        let difference = difference(&table, &Digest { bits: 1, sums: vec![0, 0] });
        (difference.ranges, difference.versions.len())
    };
    assert_eq!(listed([700, 800]), (vec![0, 1], 1500));
    assert_eq!(listed([700, 801]), (vec![0], 700));
    assert_eq!(listed([1501, 1]), (vec![0], 1500));
}

#[test]
fn two_records_of_one_version_are_exchanged_both_ways() {
    let mut ours = table(0..50);
    let mut theirs = ours.clone();
    ours.insert(who(3), entry(1, 1));
    theirs.insert(who(3), entry(1, 2));
    assert!(round(&mut ours, &mut theirs, 200));
    assert_eq!(ours, theirs);
    assert!(!round(&mut ours, &mut theirs, 200));
}

/// A number that looks as random as the beginning of a hash (splitmix64), so that sums cancel as rarely.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Tables of up to `size` entries that share most of them, with any versions.
fn two_tables(size: u64) -> impl Strategy<Value = (Table, Table)> {
    let entries =
        prop::collection::vec((0..size, 1_u64..3, 0_u64..3, 0_u8..4), 0..usize::try_from(size).unwrap());
    entries.prop_map(|entries| {
        let (mut one, mut other) = (Table::new(), Table::new());
        for (number, sequence, fingerprint, whose) in entries {
            let new = entry(sequence, mixed(mixed(number) ^ (sequence << 8) ^ fingerprint));
            if whose != 0 {
                merge(&mut one, who(number), new);
            }
            if whose != 1 {
                merge(&mut other, who(number), new);
            }
        }
        (one, other)
    })
}

fn merged(one: &Table, other: &Table) -> Table {
    let mut merged = one.clone();
    for (presentity, new) in other {
        merge(&mut merged, *presentity, *new);
    }
    merged
}

#[test]
fn who_believes_somebody_lost_tells_so_whoever_does_not_and_is_told() {
    let line = |number: u64, lost: bool| {
        let (version, fingerprint) = entry(1, mixed(number));
        (who(number), version, fingerprint, lost)
    };
    let (ours, theirs) =
        ([line(1, true), line(2, false), line(3, true)], [line(1, false), line(2, true), line(3, true)]);
    let digest = Digest::of(&ours);
    let plan = plan(&ours, &digest, &difference(&theirs, &digest));
    assert_eq!((plan.wanted, plan.offered), (vec![who(2)], vec![who(1)]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Also when a frame holds few records, as long as it holds those of one range that clash.
    #[test]
    fn any_two_tables_become_their_union_and_then_differ_nowhere(
        (mut one, mut other) in two_tables(300),
        many: bool,
    ) {
        let expected = merged(&one, &other);
        reconcile(&mut one, &mut other, if many { 1000 } else { 60 });
        prop_assert_eq!(&one, &expected);
        prop_assert_eq!(&other, &expected);
        prop_assert_eq!(difference(&lines(&one), &Digest::of(&lines(&other))).ranges, Vec::<u16>::new());
    }

    #[test]
    fn nothing_that_a_peer_answers_panics(
        bits: u8,
        sums in prop::collection::vec(any::<u64>(), 0..40),
        ranges in prop::collection::vec(any::<u16>(), 0..20),
        versions in prop::collection::vec((0_u64..400, 0_u64..4), 0..20),
    ) {
        let table = lines(&table(0..300));
        let digest = Digest { bits, sums };
        difference(&table, &digest);
        let line = |(number, sequence)| (who(number), entry(sequence, 0).0, sequence % 2 == 0);
        let versions = versions.into_iter().map(line).collect();
        let plan = plan(&table, &digest, &Difference { ranges, versions });
        prop_assert!(plan.wanted.len() <= WANTED_PER_FRAME);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn tables_that_frames_cut_many_times_become_one(
        ours in prop::collection::btree_set(0_u64..6000, 0..4000),
        theirs in prop::collection::btree_set(0_u64..6000, 0..4000),
    ) {
        let (mut one, mut other) = (table(ours), table(theirs));
        let expected = merged(&one, &other);
        reconcile(&mut one, &mut other, 190);
        prop_assert_eq!(&one, &expected);
        prop_assert_eq!(&other, &expected);
    }
}
