//! Population by country and square of one degree.
//!
//! `geodata/rebuild-people.py` makes the embedded table. It is parsed on first use.

use std::sync::LazyLock;

use super::PlaceCode;
use crate::steering::Point;

/// One row for each country and square, without quotes. The parser skips a row that it cannot read;
/// a test checks that there is none.
const ROWS: &str = include_str!("../../geodata/people.csv");

/// The people of one country in one square of one degree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PopulationCell {
    /// Their country.
    pub country: PlaceCode,
    /// The middle of the square.
    pub point: Point,
    /// The number of people.
    pub count: f64,
}

/// All cells, by country.
pub fn people() -> &'static [PopulationCell] {
    static ALL: LazyLock<Vec<PopulationCell>> =
        LazyLock::new(|| ROWS.lines().filter_map(row).collect());
    &ALL
}

fn row(line: &str) -> Option<PopulationCell> {
    let mut fields = line.split(',');
    let country = fields.next()?.parse().ok()?;
    let latitude: f64 = fields.next()?.parse().ok()?;
    let longitude: f64 = fields.next()?.parse().ok()?;
    let thousands: f64 = fields.next()?.parse().ok()?;
    Some(PopulationCell {
        country,
        point: Point::new(latitude + 0.5, longitude + 0.5).ok()?,
        count: thousands * 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read_and_the_world_has_its_people() {
        assert_eq!(people().len(), ROWS.lines().count());
        let all: f64 = people().iter().map(|square| square.count).sum();
        assert!((7.0e9..8.5e9).contains(&all), "{all}");
        let germany: f64 = people()
            .iter()
            .filter(|it| it.country.as_str() == "DE")
            .map(|it| it.count)
            .sum();
        assert!((82.0e6..84.0e6).contains(&germany), "{germany}");
    }
}
