//! How far apart places on earth are: round trips measured between ten cloud regions.
//!
//! The numbers are the medians and 90th percentiles over one year of round trips between AWS regions, as
//! cloudping.co publishes them and `src/p50.json` and `src/p90.json` of the crate `commonware-estimator`
//! 2026.10.0 (MIT OR Apache-2.0) record them, rounded to microseconds. Ten regions of 33 were
//! chosen to cover the inhabited continents.
//!
//! [`one_way`] halves a round trip, since nobody measured one way alone. What a packet draws from latency and
//! spread, and the last mile, is decided in [`super::links`].

use std::time::Duration;

/// The way from one region to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The median time of one way.
    pub latency: Duration,
    /// How much it varies: the standard deviation of the normal distribution that has this median and 90th
    /// percentile.
    pub spread: Duration,
}

/// The way from one region to another, both by their place in [`REGIONS`], from which larger numbers count
/// around.
///
/// # Panics
/// Never: the table has a row and a column for each region.
pub fn one_way(from: usize, to: usize) -> Path {
    let row = ROUND_TRIPS.get(from % REGIONS.len());
    let round_trip = row.and_then(|row| row.get(to % REGIONS.len()));
    let (median, high) = round_trip.copied().expect("the table has a row and a column for each region");
    let half_nanoseconds = |microseconds: u64| microseconds * (1000 / 2);
    Path {
        latency: Duration::from_nanos(half_nanoseconds(median)),
        spread: Duration::from_nanos(half_nanoseconds(high.saturating_sub(median)) * 10_000 / P90_DEVIATIONS),
    }
}

/// The regions, in the order of their numbers: Virginia, Oregon, São Paulo, Ireland, Frankfurt, Cape Town,
/// Mumbai, Singapore, Tokyo, Sydney.
pub const REGIONS: [&str; 10] = [
    "us-east-1",
    "us-west-2",
    "sa-east-1",
    "eu-west-1",
    "eu-central-1",
    "af-south-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-northeast-1",
    "ap-southeast-2",
];

/// The 90th percentile of a normal distribution, in ten-thousandths of a standard deviation above the median.
const P90_DEVIATIONS: u64 = 12_816;

/// Median and 90th percentile of the round trip in microseconds, by the region that measured and its target.
#[rustfmt::skip]
const ROUND_TRIPS: [[(u64, u64); REGIONS.len()]; REGIONS.len()] = [
    // us-east-1
    [
        (5506, 9255), (64_419, 69_348), (115_310, 119_411), (69_622, 74_634), (93_160, 98_577),
        (227_964, 234_132), (192_506, 203_713), (219_640, 230_273), (149_684, 156_595), (199_812, 204_524),
    ],
    // us-west-2
    [
        (64_031, 66_523), (3170, 5860), (174_628, 177_613), (118_292, 121_298), (142_776, 146_117),
        (274_764, 282_005), (222_202, 233_531), (160_206, 164_025), (98_204, 101_138), (141_002, 143_472),
    ],
    // sa-east-1
    [
        (115_378, 118_082), (175_242, 177_886), (3318, 5638), (178_588, 181_272), (205_014, 207_518),
        (338_904, 345_783), (301_760, 306_251), (327_676, 332_604), (258_918, 264_115), (312_424, 315_060),
    ],
    // eu-west-1
    [
        (69_736, 72_814), (118_550, 122_043), (178_206, 181_026), (3178, 5782), (27_456, 30_543),
        (160_340, 166_464), (125_890, 133_687), (178_534, 185_890), (202_282, 208_454), (255_742, 259_042),
    ],
    // eu-central-1
    [
        (92_650, 95_263), (142_438, 145_835), (204_017, 206_330), (26_988, 29_600), (4042, 5927),
        (155_906, 162_424), (129_262, 133_045), (160_422, 164_187), (226_991, 231_050), (251_345, 254_577),
    ],
    // af-south-1
    [
        (225_892, 229_713), (273_496, 277_317), (337_226, 341_166), (158_452, 162_129), (154_744, 158_470),
        (4456, 11_911), (271_565, 302_334), (313_912, 343_744), (356_548, 390_591), (408_790, 413_076),
    ],
    // ap-south-1
    [
        (189_670, 200_932), (222_188, 233_550), (301_022, 305_340), (125_389, 132_426), (128_968, 133_245),
        (274_025, 300_705), (3167, 5436), (63_786, 66_948), (133_254, 144_838), (154_675, 157_463),
    ],
    // ap-southeast-1
    [
        (219_003, 231_077), (160_924, 164_730), (327_793, 332_531), (179_077, 186_259), (161_197, 165_209),
        (316_893, 343_728), (64_496, 67_197), (3731, 5680), (70_940, 73_645), (94_844, 97_520),
    ],
    // ap-northeast-1
    [
        (149_537, 155_874), (98_598, 101_524), (258_343, 264_346), (202_468, 208_678), (227_580, 231_552),
        (357_974, 391_514), (134_328, 145_734), (70_594, 73_567), (2750, 5880), (106_936, 114_938),
    ],
    // ap-southeast-2
    [
        (199_676, 202_948), (141_134, 144_202), (312_056, 315_058), (255_590, 259_186), (251_648, 255_632),
        (408_742, 417_233), (154_862, 157_884), (94_832, 97_959), (105_814, 116_018), (4096, 5836),
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (usize, usize)> {
        (0..REGIONS.len()).flat_map(|from| (0..REGIONS.len()).map(move |to| (from, to)))
    }

    fn place(name: &str) -> usize {
        REGIONS.iter().position(|region| *region == name).unwrap()
    }

    #[test]
    fn both_directions_take_about_as_long() {
        for (from, to) in all() {
            let (there, back) = (one_way(from, to).latency, one_way(to, from).latency);
            assert!(there.abs_diff(back) * 10 <= there.max(back), "{} {}", REGIONS[from], REGIONS[to]);
        }
    }

    #[test]
    fn every_way_takes_time_and_varies() {
        for (from, to) in all() {
            let path = one_way(from, to);
            assert!(path.latency > Duration::from_millis(1) && path.latency < Duration::from_millis(250));
            assert!(path.spread > Duration::ZERO && path.spread < Duration::from_millis(25));
            let is_longest_at_home = from != to && one_way(from, from).latency >= path.latency;
            assert!(!is_longest_at_home, "{} {}", REGIONS[from], REGIONS[to]);
        }
    }

    #[test]
    fn the_atlantic_is_as_wide_as_it_was_measured() {
        let path = one_way(place("us-east-1"), place("eu-west-1"));
        assert_eq!(path.latency, Duration::from_micros(69_622 / 2));
        // (74 634 - 69 622) / 2 / 1.2816
        assert_eq!(path.spread.as_micros(), 1955);
    }

    #[test]
    fn numbers_beyond_the_last_region_count_around() {
        assert_eq!(one_way(REGIONS.len(), 2 * REGIONS.len() + 1), one_way(0, 1));
    }
}
