//! Codes of subdivisions that a database knows by name only.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Code;

/// Lines of country, ISO 3166-2 code without the country, and the English name as DB-IP writes it.
const NAMES: &str = include_str!("subdivisions.txt");

static CODES: LazyLock<HashMap<(Code, &str), Code>> = LazyLock::new(|| NAMES.lines().filter_map(entry).collect());

/// The ISO 3166-2 code (without the country) of a subdivision by its English name. Known for the states of the United
/// States, Canada, Australia, Brazil, India and Mexico.
pub fn subdivision_code(country: Code, name: &str) -> Option<Code> {
    CODES.get(&(country, name)).copied()
}

fn entry(line: &'static str) -> Option<((Code, &'static str), Code)> {
    let (country, rest) = line.split_once(' ')?;
    let (code, name) = rest.split_once(' ')?;
    Some(((country.parse().ok()?, name), code.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_codes() {
        let code = |country: &str, name| subdivision_code(country.parse().unwrap(), name).map(|code| code.to_string());
        assert_eq!(code("US", "California").as_deref(), Some("CA"));
        assert_eq!(code("AU", "New South Wales").as_deref(), Some("NSW"));
        assert_eq!(code("US", "Ontario"), None);
        assert_eq!(CODES.len(), NAMES.lines().count());
    }
}
