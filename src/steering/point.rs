//! Points on the Earth and the great-circle distance between them.
//!
//! A [`Point`] is what people write: degrees north and east, checked once. Distances are measured
//! between [`UnitVector`]s, because steering compares one client with many regions.

use std::fmt;
use std::num::NonZeroU32;

/// Mean Earth radius in kilometres (IUGG, 6371.0088).
pub const EARTH_RADIUS_KM: f64 = 6371.0088;

/// A place on the Earth, in degrees; latitude -90..=90, longitude -180..=180. It is kept to seven
/// decimals, about a centimetre, in eight octets: a city database has a hundred thousand of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Steps from one step south of the South Pole. It is never 0, so an optional point is no larger.
    north: NonZeroU32,
    /// Steps east.
    east: i32,
}

/// Steps of a degree.
const STEPS: f64 = 1e7;

/// [`Point::north`] of the equator.
const EQUATOR: u32 = 900_000_001;

/// The coordinates are not on the Earth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PointError {
    /// Latitude outside -90..=90, or not a number.
    Latitude(f64),
    /// Longitude outside -180..=180, or not a number.
    Longitude(f64),
}

impl fmt::Display for PointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PointError::Latitude(value) => {
                write!(f, "latitude {value} lies outside -90..90 degrees")
            }
            PointError::Longitude(value) => {
                write!(f, "longitude {value} lies outside -180..180 degrees")
            }
        }
    }
}

impl std::error::Error for PointError {}

impl Point {
    /// A point from degrees north and degrees east.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, PointError> {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(PointError::Latitude(latitude));
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(PointError::Longitude(longitude));
        }
        Ok(Point::rounded(latitude, longitude))
    }

    /// The nearest point to coordinates on the Earth.
    fn rounded(latitude: f64, longitude: f64) -> Self {
        let north = (latitude * STEPS).round() as i32;
        let north = EQUATOR.saturating_add_signed(north);
        Point {
            north: NonZeroU32::new(north).unwrap_or(NonZeroU32::MIN),
            east: (longitude * STEPS).round() as i32,
        }
    }

    /// The middle of the square around the point, on a grid of squares of this many degrees.
    pub fn middle_of_square(self, degrees: f64) -> Self {
        Point::rounded(
            middle_of_step(self.latitude(), degrees).clamp(-90.0, 90.0),
            middle_of_step(self.longitude(), degrees).clamp(-180.0, 180.0),
        )
    }

    /// Degrees north.
    pub fn latitude(self) -> f64 {
        (f64::from(self.north.get()) - f64::from(EQUATOR)) / STEPS
    }

    /// Degrees east.
    pub fn longitude(self) -> f64 {
        f64::from(self.east) / STEPS
    }

    /// A number of the point's own; it is never 0.
    pub fn bits(self) -> u64 {
        u64::from(self.north.get()) << 32 | u64::from(self.east as u32)
    }

    /// The same point on the unit sphere.
    pub fn unit_vector(self) -> UnitVector {
        let (sin_latitude, cos_latitude) = self.latitude().to_radians().sin_cos();
        let (sin_longitude, cos_longitude) = self.longitude().to_radians().sin_cos();
        UnitVector([
            cos_latitude * cos_longitude,
            cos_latitude * sin_longitude,
            sin_latitude,
        ])
    }
}

/// The middle of the step that a coordinate lies in.
fn middle_of_step(coordinate: f64, step: f64) -> f64 {
    ((coordinate / step).floor() + 0.5) * step
}

/// A point on the unit sphere. The distance between two costs six multiplications and one arc sine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitVector(pub [f64; 3]);

impl UnitVector {
    /// Great-circle distance in kilometres, from the chord. Like haversine, it is accurate for near
    /// points too.
    pub fn distance_km(&self, other: &UnitVector) -> f64 {
        let ([x1, y1, z1], [x2, y2, z2]) = (self.0, other.0);
        let squared = (x1 - x2) * (x1 - x2) + (y1 - y2) * (y1 - y2) + (z1 - z2) * (z1 - z2);
        2.0 * EARTH_RADIUS_KM * (squared.sqrt() / 2.0).min(1.0).asin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn haversine_km(a: Point, b: Point) -> f64 {
        let (dlat, dlon) = (
            (b.latitude() - a.latitude()).to_radians(),
            (b.longitude() - a.longitude()).to_radians(),
        );
        let h = (dlat / 2.0).sin().powi(2)
            + a.latitude().to_radians().cos()
                * b.latitude().to_radians().cos()
                * (dlon / 2.0).sin().powi(2);
        2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
    }

    #[test]
    fn known_distances() {
        let frankfurt = Point::new(50.11, 8.68).unwrap();
        let mumbai = Point::new(19.08, 72.88).unwrap();
        let distance = frankfurt.unit_vector().distance_km(&mumbai.unit_vector());
        assert!((6560.0..6600.0).contains(&distance), "{distance}");
        assert_eq!(
            frankfurt
                .unit_vector()
                .distance_km(&frankfurt.unit_vector()),
            0.0
        );
    }

    #[test]
    fn places_off_the_earth_are_refused() {
        assert_eq!(Point::new(90.1, 0.0), Err(PointError::Latitude(90.1)));
        assert_eq!(Point::new(0.0, -180.5), Err(PointError::Longitude(-180.5)));
        assert!(Point::new(f64::NAN, 0.0).is_err());
    }

    #[test]
    fn a_point_takes_eight_octets_and_is_never_0() {
        assert_eq!(size_of::<Option<Point>>(), 8);
        let pole = Point::new(-90.0, -180.0).unwrap();
        assert_eq!((pole.latitude(), pole.longitude()), (-90.0, -180.0));
        assert_ne!(pole.bits(), 0);
        let pole = Point::new(90.0, 180.0).unwrap();
        assert_eq!((pole.latitude(), pole.longitude()), (90.0, 180.0));
    }

    proptest::proptest! {
        #[test]
        fn seven_decimals_are_kept(north in -900_000_000..=900_000_000i32, east in -1_800_000_000..=1_800_000_000i32) {
            // As people write them.
            let written = |steps: i32| {
                let (sign, steps) = (if steps < 0 { "-" } else { "" }, steps.unsigned_abs());
                format!("{sign}{}.{:07}", steps / 10_000_000, steps % 10_000_000).parse::<f64>().unwrap()
            };
            let point = Point::new(written(north), written(east)).unwrap();
            proptest::prop_assert_eq!((point.latitude(), point.longitude()), (written(north), written(east)));
        }

        #[test]
        fn chord_and_haversine_agree(a in -90.0..90.0f64, b in -180.0..180.0f64, c in -90.0..90.0f64, d in -180.0..180.0f64) {
            let (from, to) = (Point::new(a, b).unwrap(), Point::new(c, d).unwrap());
            let difference = from.unit_vector().distance_km(&to.unit_vector()) - haversine_km(from, to);
            proptest::prop_assert!(difference.abs() < 1e-3, "{difference}");
        }
    }
}
