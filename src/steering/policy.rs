//! The settings of a steering policy, as a service states them: order, tie band, bias, pick method,
//! and what is answered when every region is down.
//!
//! Each type accepts only values that make sense, so the code that steers checks nothing again.

use std::fmt;
use std::str::FromStr;

/// The order in which regions are tried for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RegionOrder {
    /// Nearest first, by great-circle distance with each region's bias applied.
    #[default]
    Nearest,
    /// In the order of the service's `endpoints`.
    Priority,
    /// All regions share one tier.
    None,
}

/// How the endpoints of a reply are picked inside the first tier with an available region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PickMethod {
    /// At random, in proportion to the weights.
    #[default]
    Weighted,
    /// One after the other, counted per worker.
    RoundRobin,
    /// By weighted rendezvous hash of the client's /24 or /48: the same client keeps its endpoint.
    Sticky,
    /// By weights that shrink for endpoints that report more load.
    LeastLoad,
}

/// What is answered when no region of a service is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AllDown {
    /// All regions, as if they were up.
    #[default]
    AnswerAll,
    /// The regions that were the last to be available.
    LastGood,
    /// No records.
    NoData,
    /// SERVFAIL.
    ServFail,
}

/// Shrinks or grows a region's distance, in per cent, -99..=99. A positive bias draws clients from
/// farther away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Bias(i8);

impl Bias {
    /// `None` outside -99..=99.
    pub fn new(percent: i64) -> Option<Self> {
        match i8::try_from(percent) {
            Ok(bias @ -99..=99) => Some(Bias(bias)),
            _ => None,
        }
    }

    /// Per cent.
    pub fn percent(self) -> i8 {
        self.0
    }

    /// The distance with this bias applied: `d * (1 - b/100)` for b > 0, `d / (1 + b/100)` for b <
    /// 0 (Amazon Route 53 Developer Guide, geoproximity routing).
    pub fn apply(self, distance: f64) -> f64 {
        let bias = f64::from(self.0) / 100.0;
        if bias >= 0.0 {
            distance * (1.0 - bias)
        } else {
            distance / (1.0 + bias)
        }
    }
}

/// The tie band: how much farther than the nearest region another one may be and still share its
/// tier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Band {
    /// Per cent of the nearest biased distance, 0..=1000.
    Percent(f64),
    /// Kilometres, 0..=20037 (half the Earth).
    Kilometres(f64),
}

impl Default for Band {
    fn default() -> Self {
        Band::Percent(0.0)
    }
}

impl Band {
    /// The farthest biased distance, in kilometres, inside the tier whose nearest region is at
    /// `nearest`.
    pub fn limit(self, nearest: f64) -> f64 {
        match self {
            Band::Percent(percent) => nearest * (1.0 + percent / 100.0),
            Band::Kilometres(kilometres) => nearest + kilometres,
        }
    }
}

impl FromStr for Band {
    type Err = BandError;

    /// `"5%"` or `"150km"`.
    fn from_str(text: &str) -> Result<Self, BandError> {
        if let Some(percent) = text.strip_suffix('%') {
            Ok(Band::Percent(number_up_to(percent, 1000.0)?))
        } else if let Some(kilometres) = text.strip_suffix("km") {
            Ok(Band::Kilometres(number_up_to(kilometres, 20037.0)?))
        } else {
            Err(BandError)
        }
    }
}

fn number_up_to(digits: &str, most: f64) -> Result<f64, BandError> {
    match digits.trim().parse() {
        Ok(number) if (0.0..=most).contains(&number) => Ok(number),
        _ => Err(BandError),
    }
}

/// The text is not a tie band.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BandError;

impl fmt::Display for BandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a band is a percentage up to 1000 (\"5%\") or a distance up to 20037 km (\"150km\")",
        )
    }
}

impl std::error::Error for BandError {}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Band::Percent(percent) => write!(f, "{percent}%"),
            Band::Kilometres(kilometres) => write!(f, "{kilometres}km"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bias_follows_the_published_formula() {
        assert_eq!(Bias::new(50).unwrap().apply(1000.0), 500.0);
        assert_eq!(Bias::new(-50).unwrap().apply(1000.0), 2000.0);
        assert_eq!(Bias::default().apply(1000.0), 1000.0);
        assert_eq!(Bias::new(100), None);
        assert_eq!(Bias::new(-100), None);
    }

    #[test]
    fn bands_read_and_limit() {
        assert_eq!("5%".parse(), Ok(Band::Percent(5.0)));
        assert_eq!("150km".parse::<Band>().unwrap().limit(100.0), 250.0);
        assert!(
            ["5", "-1%", "NaN%", "1e9km", ""]
                .iter()
                .all(|text| text.parse::<Band>().is_err())
        );
    }
}
