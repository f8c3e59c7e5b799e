//! Where known places are (stub).

use crate::geo::Code;
use crate::steering::Point;

/// The population-weighted centre of a country.
pub fn country_point(_country: Code) -> Option<Point> {
    None
}

/// The continent of a country.
pub fn country_continent(_country: Code) -> Option<Code> {
    None
}
