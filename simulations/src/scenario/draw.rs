//! Draws how long nodes stay and stay away.
//!
//! Every distribution is given by its median, which people can estimate, and a shape where it has one.
//! Session lengths in measured peer-to-peer networks are heavy-tailed and fit a Weibull distribution with a
//! shape of about 0.5 (Stutzbach and Rejaie, "Understanding Churn in Peer-to-Peer Networks", IMC 2006).
//!
//! Pure: the random numbers come from the caller, and a draw takes one or two of them. What is drawn is
//! kept between [`DRAWN_MIN`] and [`DRAWN_MAX`], which bounds how often a node can come and go.

use std::f64::consts::{LN_2, TAU};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde::Serialize;

use super::quantity;
use super::reader::{Read, Section, allowed_duration, named};

/// A distribution of times. `median` is what half of the draws stay below: range 1 ms to 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "distribution", rename_all = "lowercase")]
pub enum Draw {
    /// With a shape below 1 heavy-tailed: who has stayed long stays longer.
    Weibull {
        /// Half of the draws are below.
        #[serde(serialize_with = "quantity::duration_text")]
        median: Duration,
        /// Default 0.5; range 0.2 to 10. Lower: more draws that are very short or very long.
        shape: f64,
    },
    /// The logarithm is normally distributed.
    LogNormal {
        /// Half of the draws are below.
        #[serde(serialize_with = "quantity::duration_text")]
        median: Duration,
        /// Standard deviation of the natural logarithm. Default 1; range 0.01 to 5. Higher: wider spread.
        shape: f64,
    },
    /// Without memory: the next moment is as likely to be the end as any other.
    Exponential {
        /// Half of the draws are below.
        #[serde(serialize_with = "quantity::duration_text")]
        median: Duration,
    },
    /// Always the median.
    Fixed {
        /// Every draw.
        #[serde(serialize_with = "quantity::duration_text")]
        median: Duration,
    },
}

impl Draw {
    /// Draws one time.
    pub fn sample(&self, rng: &mut StdRng) -> Duration {
        match *self {
            Self::Weibull { median, shape } => {
                // Inverse of the distribution function; the scale follows from the median.
                let factor = (-open_unit(rng).ln() / LN_2).powf(shape.recip());
                times(median, factor)
            }
            Self::LogNormal { median, shape } => times(median, (shape * standard_normal(rng)).exp()),
            Self::Exponential { median } => times(median, -open_unit(rng).ln() / LN_2),
            Self::Fixed { median } => median.clamp(DRAWN_MIN, DRAWN_MAX),
        }
    }

    /// What half of the draws stay below.
    pub fn median(&self) -> Duration {
        match *self {
            Self::Weibull { median, .. }
            | Self::LogNormal { median, .. }
            | Self::Exponential { median }
            | Self::Fixed { median } => median,
        }
    }

    pub(super) const FIELDS: &'static [&'static str] = &["distribution", "median", "shape"];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let range = DRAWN_MIN..=super::DURATION_MAX;
        let distribution = section.name::<Distribution>("distribution")?;
        let allowed = "weibull, lognormal, exponential, fixed";
        let distribution = section.required("distribution", distribution, allowed)?;
        let median = section.duration("median", range.clone())?;
        let median = section.required("median", median, &allowed_duration(&range))?;
        match distribution {
            Distribution::Weibull => {
                let shape = section.number("shape", 0.2..=10.0)?.unwrap_or(0.5);
                return Ok(Self::Weibull { median, shape });
            }
            Distribution::LogNormal => {
                let shape = section.number("shape", 0.01..=5.0)?.unwrap_or(1.0);
                return Ok(Self::LogNormal { median, shape });
            }
            Distribution::Exponential | Distribution::Fixed => {}
        }
        if section.has("shape") {
            let words = format!("`shape` is for weibull and lognormal only, and this is {distribution}");
            return Err(section.contradiction("shape", words, "leave it out"));
        }
        if distribution == Distribution::Fixed {
            Ok(Self::Fixed { median })
        } else {
            Ok(Self::Exponential { median })
        }
    }
}

named! {
    /// The name of a distribution, while it is read.
    enum Distribution {
        /// See [`Draw::Weibull`].
        Weibull = "weibull",
        /// See [`Draw::LogNormal`].
        LogNormal = "lognormal",
        /// See [`Draw::Exponential`].
        Exponential = "exponential",
        /// See [`Draw::Fixed`].
        Fixed = "fixed",
    }
}

/// A number above 0 and at most 1, so that its logarithm is finite.
fn open_unit(rng: &mut StdRng) -> f64 {
    1.0 - rng.random::<f64>()
}

/// A normally distributed number of mean 0 and deviation 1 (Box and Muller, 1958).
fn standard_normal(rng: &mut StdRng) -> f64 {
    let radius = (-2.0 * open_unit(rng).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}

/// The median times a factor, kept within what may be drawn.
fn times(median: Duration, factor: f64) -> Duration {
    let seconds = median.as_secs_f64() * factor;
    Duration::try_from_secs_f64(seconds).unwrap_or(DRAWN_MAX).clamp(DRAWN_MIN, DRAWN_MAX)
}

/// The shortest time that is drawn: shorter sessions are not told from none.
pub const DRAWN_MIN: Duration = Duration::from_millis(1);

/// The longest time that is drawn: a year, longer than any run.
pub const DRAWN_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    const MEDIAN: Duration = Duration::from_secs(600);

    fn sorted(draw: Draw) -> Vec<Duration> {
        let mut rng = StdRng::seed_from_u64(7);
        let mut drawn: Vec<_> = (0..10_000).map(|_| draw.sample(&mut rng)).collect();
        drawn.sort_unstable();
        drawn
    }

    fn assert_near(seconds: f64, wanted: f64, tolerance: f64) {
        assert!((seconds / wanted - 1.0).abs() < tolerance, "{seconds} s is not near {wanted} s");
    }

    #[test]
    fn the_median_of_many_draws_is_the_median() {
        for draw in [
            Draw::Weibull { median: MEDIAN, shape: 0.5 },
            Draw::Weibull { median: MEDIAN, shape: 2.0 },
            Draw::LogNormal { median: MEDIAN, shape: 1.0 },
            Draw::Exponential { median: MEDIAN },
            Draw::Fixed { median: MEDIAN },
        ] {
            assert_eq!(draw.median(), MEDIAN);
            assert_near(sorted(draw)[5_000].as_secs_f64(), 600.0, 0.05);
        }
    }

    #[test]
    fn the_tails_are_those_of_the_distribution() {
        // Quantiles: Weibull scale * (-ln(1 - q))^(1/k), lognormal median * e^(sigma z), z(0.9) = 1.2816.
        let weibull = sorted(Draw::Weibull { median: MEDIAN, shape: 0.5 });
        assert_near(weibull[9_000].as_secs_f64(), 600.0 * (10_f64.ln() / LN_2).powi(2), 0.1);
        let normal = sorted(Draw::LogNormal { median: MEDIAN, shape: 1.0 });
        assert_near(normal[9_000].as_secs_f64(), 600.0 * 1.2816_f64.exp(), 0.1);
        let exponential = sorted(Draw::Exponential { median: MEDIAN });
        assert_near(exponential[9_000].as_secs_f64(), 600.0 * 10_f64.ln() / LN_2, 0.1);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = Draw::Weibull { median: MEDIAN, shape: 0.5 };
        assert_eq!(sorted(draw), sorted(draw));
    }

    #[test]
    fn extreme_shapes_stay_within_bounds() {
        for draw in [
            Draw::Weibull { median: super::super::DURATION_MAX, shape: 0.2 },
            Draw::Weibull { median: DRAWN_MIN, shape: 0.2 },
            Draw::LogNormal { median: MEDIAN, shape: 5.0 },
        ] {
            assert!(sorted(draw).iter().all(|time| (DRAWN_MIN..=DRAWN_MAX).contains(time)));
        }
    }
}
