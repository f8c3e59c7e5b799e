//! The times of a key, as BIND's dnssec-settime keeps them in a key's files.
//!
//! They say when a key is in the zone and when it signs. A time is written as `YYYYMMDDHHMMSS` in
//! UTC. Lines that are not understood, such as `Predecessor`, are kept as they are.

/// The times of a key, in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyTimes {
    /// When it was made.
    pub created: Option<u64>,
    /// When its DNSKEY record comes into the zone.
    pub publish: Option<u64>,
    /// When it begins to sign.
    pub activate: Option<u64>,
    /// When it is revoked (RFC 5011).
    pub revoke: Option<u64>,
    /// When it ceases to sign.
    pub inactive: Option<u64>,
    /// When its DNSKEY record leaves the zone.
    pub delete: Option<u64>,
    /// When its CDS and CDNSKEY records come into the zone.
    pub sync_publish: Option<u64>,
    /// When those leave the zone.
    pub sync_delete: Option<u64>,
    /// Other lines: their word and their value.
    pub others: Vec<(String, String)>,
}

/// The words of the lines, in the order in which they are written.
const WORDS: [&str; 8] = [
    "Created",
    "Publish",
    "Activate",
    "Revoke",
    "Inactive",
    "Delete",
    "SyncPublish",
    "SyncDelete",
];

impl KeyTimes {
    /// The times of a key that is published and signs from now on.
    pub fn from_now(now: u64) -> KeyTimes {
        KeyTimes {
            created: Some(now),
            publish: Some(now),
            activate: Some(now),
            ..KeyTimes::default()
        }
    }

    /// Whether the DNSKEY record is in the zone. A key without `Publish` is there from `Activate`
    /// on. One without either is there always if it has no `Created`, and else never: files are
    /// older than these lines, or the key was made to be published later.
    pub fn is_published(&self, now: u64) -> bool {
        let from = self.publish.or(self.activate);
        has_come(from, now, self.created.is_none()) && !has_come(self.delete, now, false)
    }

    /// Whether the key signs. A key without `Activate` signs only if it has no `Publish` either,
    /// as files older than these lines.
    pub fn is_active(&self, now: u64) -> bool {
        self.is_published(now)
            && has_come(self.activate, now, self.publish.is_none())
            && !has_come(self.inactive, now, false)
    }

    /// Whether CDS and CDNSKEY records of it are in the zone, which only `SyncPublish` asks for.
    pub fn is_synced(&self, now: u64) -> bool {
        has_come(self.sync_publish, now, false) && !has_come(self.sync_delete, now, false)
    }

    /// The next time after `now` at which something changes.
    pub fn next_change(&self, now: u64) -> Option<u64> {
        let times = self.by_word();
        let later = times.into_iter().flatten().filter(|time| *time > now);
        later.min()
    }

    /// The times in the order of the words.
    fn by_word(&self) -> [Option<u64>; 8] {
        [
            self.created,
            self.publish,
            self.activate,
            self.revoke,
            self.inactive,
            self.delete,
            self.sync_publish,
            self.sync_delete,
        ]
    }

    fn place(&mut self, word: &str) -> Option<&mut Option<u64>> {
        Some(match word {
            "Created" => &mut self.created,
            "Publish" => &mut self.publish,
            "Activate" => &mut self.activate,
            "Revoke" => &mut self.revoke,
            "Inactive" => &mut self.inactive,
            "Delete" => &mut self.delete,
            "SyncPublish" => &mut self.sync_publish,
            "SyncDelete" => &mut self.sync_delete,
            _ => return None,
        })
    }

    /// Takes in a line that is not one of the key itself.
    ///
    /// # Errors
    /// A sentence: its value is no time.
    pub(super) fn read_line(&mut self, word: &str, value: &str) -> Result<(), String> {
        let Some(place) = self.place(word) else {
            self.others.push((word.to_owned(), value.to_owned()));
            return Ok(());
        };
        let time = parse_time(value).ok_or_else(|| {
            format!("{word} is \"{value}\"; write the time in UTC as YYYYMMDDHHMMSS")
        })?;
        *place = Some(time);
        Ok(())
    }

    /// The lines, without line ends.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.time_lines();
        for (word, value) in &self.others {
            lines.push(format!("{word}: {value}"));
        }
        lines
    }

    /// The lines that have a time.
    pub(super) fn time_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (word, time) in WORDS.into_iter().zip(self.by_word()) {
            if let Some(time) = time {
                lines.push(format!("{word}: {}", time_text(time)));
            }
        }
        lines
    }
}

/// Whether a time has come; `missing` for none.
fn has_come(time: Option<u64>, now: u64, missing: bool) -> bool {
    match time {
        Some(time) => time <= now,
        None => missing,
    }
}

/// Reads `YYYYMMDDHHMMSS`, of the years from 1970 to 9999.
pub fn parse_time(text: &str) -> Option<u64> {
    if text.len() != 14 || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let (year, month) = (number_at(text, 0, 4)?, number_at(text, 4, 2)?);
    let (day, hour) = (number_at(text, 6, 2)?, number_at(text, 8, 2)?);
    let (minute, second) = (number_at(text, 10, 2)?, number_at(text, 12, 2)?);
    let is_time = year >= 1970
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_time {
        return None;
    }
    let mut days = days_before(year) + day - 1;
    for earlier in 1..month {
        days += days_in(year, earlier);
    }
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn number_at(text: &str, start: usize, length: usize) -> Option<u64> {
    text.get(start..start + length)?.parse().ok()
}

/// A time as `YYYYMMDDHHMMSS`.
pub fn time_text(time: u64) -> String {
    let (days, rest) = (time / 86_400, time % 86_400);
    // No year is longer than 366 days, so this one is at most a few too early.
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    let (mut day, mut month) = (days - days_before(year), 1);
    while day >= days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "{year:04}{month:02}{:02}{hour:02}{minute:02}{second:02}",
        day + 1
    )
}

/// A time for people, to the minute: `12 December 2026 10:00 UTC`.
pub fn time_for_people(time: u64) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let text = time_text(time);
    let part = |start: usize, end: usize| text.get(start..end).unwrap_or_default();
    let month = part(4, 6).parse().unwrap_or(0_usize).wrapping_sub(1);
    let month = MONTHS.get(month).copied().unwrap_or_default();
    let day = part(6, 8).trim_start_matches('0');
    format!(
        "{day} {month} {} {}:{} UTC",
        part(0, 4),
        part(8, 10),
        part(10, 12)
    )
}

/// Days from 1970 to the start of a year.
fn days_before(year: u64) -> u64 {
    (year - 1970) * 365 + leap_days_before(year) - leap_days_before(1970)
}

/// Leap days from the year 1 to the start of a year.
fn leap_days_before(year: u64) -> u64 {
    (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400
}

fn days_in(year: u64, month: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times() {
        for (text, time) in [
            ("19700101000000", 0),
            ("20000229120000", 951_825_600),
            ("20261129091539", 1_795_943_739),
            ("21000301000000", 4_107_542_400),
        ] {
            assert_eq!(parse_time(text), Some(time));
            assert_eq!(time_text(time), text);
        }
        for bad in [
            "20261301000000",
            "21000229000000",
            "2026",
            "2026112909153x",
            "19691231235959",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_read_as_it_is_written(time in 0..250_000_000_000_u64) {
            prop_assert_eq!(parse_time(&time_text(time)), Some(time));
        }
    }

    #[test]
    fn a_key_comes_signs_ceases_and_goes() {
        let times = KeyTimes {
            publish: Some(10),
            activate: Some(20),
            inactive: Some(30),
            delete: Some(40),
            ..KeyTimes::default()
        };
        let states: Vec<(bool, bool)> = [5, 10, 20, 30, 40]
            .map(|now| (times.is_published(now), times.is_active(now)))
            .into();
        assert_eq!(
            states,
            [
                (false, false),
                (true, false),
                (true, true),
                (true, false),
                (false, false)
            ]
        );
        assert_eq!(times.next_change(10), Some(20));
        assert_eq!(times.next_change(40), None);
        let old = KeyTimes::default();
        assert!(old.is_published(0) && old.is_active(0) && !old.is_synced(0));
        let ahead = KeyTimes {
            publish: Some(10),
            ..KeyTimes::default()
        };
        assert!(ahead.is_published(10) && !ahead.is_active(10));
    }
}
