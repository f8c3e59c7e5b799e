//! The words of a steering policy.

use std::fmt;
use std::str::FromStr;

/// How the regions that may serve a client are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RegionOrder {
    /// By great-circle distance, each region's bias applied.
    #[default]
    Nearest,
    /// As listed in the service's endpoints.
    Priority,
    /// All in one tier.
    None,
}

/// How the endpoints of a reply are picked inside the first tier with an available region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PickMethod {
    /// At random, in proportion to the weights.
    #[default]
    Weighted,
    /// Each in turn, per worker.
    RoundRobin,
    /// By weighted rendezvous hash of the client's /24 or /48: the same client keeps its endpoint.
    Sticky,
    /// Fewer answers to the endpoint that reports more load.
    LeastLoad,
}

/// What is answered when no region of a service is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AllDown {
    /// As if all were up.
    #[default]
    AnswerAll,
    /// The regions that were available last.
    LastGood,
    /// No records.
    NoData,
    /// SERVFAIL.
    ServFail,
}

/// A change of a region's attraction in per cent, -99..=99; positive draws clients from farther away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Bias(i8);

impl Bias {
    /// `None` outside -99..=99.
    pub fn new(percent: i64) -> Option<Self> {
        i8::try_from(percent)
            .ok()
            .filter(|bias| (-99..=99).contains(bias))
            .map(Bias)
    }

    /// Per cent.
    pub fn percent(self) -> i8 {
        self.0
    }

    /// The distance with this bias applied: `d * (1 - b/100)` for b > 0, `d / (1 + b/100)` for b < 0
    /// (Amazon Route 53 Developer Guide, geoproximity routing).
    pub fn apply(self, distance: f64) -> f64 {
        let bias = f64::from(self.0) / 100.0;
        if bias >= 0.0 {
            distance * (1.0 - bias)
        } else {
            distance / (1.0 + bias)
        }
    }
}

/// How much farther than the nearest a region may be and still share its clients.
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
    /// The farthest biased distance that still belongs to the tier whose nearest is `nearest`, in kilometres.
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
        let number = |digits: &str, most: f64| {
            digits
                .trim()
                .parse()
                .ok()
                .filter(|value| (0.0..=most).contains(value))
                .ok_or(BandError)
        };
        if let Some(percent) = text.strip_suffix('%') {
            number(percent, 1000.0).map(Band::Percent)
        } else if let Some(kilometres) = text.strip_suffix("km") {
            number(kilometres, 20037.0).map(Band::Kilometres)
        } else {
            Err(BandError)
        }
    }
}

/// The text is no tie band.
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
