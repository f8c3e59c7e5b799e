//! Parses the TTLs of gdnsd's zone files: units, and the ranges of dynamic records.

/// The TTLs of a dynamic record, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct TtlRange {
    /// The TTL while health is stable.
    pub max: u32,
    /// The lowest TTL, while a change of health is near.
    pub min: u32,
}

/// Parses `MAX[/MIN]`; the default of MIN is half of MAX.
pub fn range(text: &str) -> Option<TtlRange> {
    if let Some((max, min)) = text.split_once('/') {
        return Some(TtlRange {
            max: seconds(max)?,
            min: seconds(min)?,
        });
    }
    let max = seconds(text)?;
    Some(TtlRange { max, min: max / 2 })
}

/// Parses `1h30m`, or a plain number of seconds.
pub fn seconds(text: &str) -> Option<u32> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (mut total, mut number) = (0u32, String::new());
    for c in text.chars() {
        let unit = match c.to_ascii_lowercase() {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u32>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    number.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, is) in [
            ("300", Some(300)),
            ("1h30M", Some(5400)),
            ("2w", Some(1_209_600)),
            ("5x", None),
            ("99999999w", None),
        ] {
            assert_eq!(seconds(text), is, "{text}");
        }
    }
}
