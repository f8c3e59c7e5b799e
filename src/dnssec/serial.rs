//! The serial of a signed zone, which rises when only its signatures change.
//!
//! Secondaries fetch a zone when its serial has risen (RFC 1996, RFC 5936). A zone whose signatures are
//! made anew under the same serial would therefore expire on them. [`SerialRule::next`] gives the serial
//! for new contents: it is always after the one that was served before, in the arithmetic of serial
//! numbers (RFC 1982), whatever the file or the clock says.
//!
//! ```
//! use meridian::dnssec::SerialRule;
//!
//! assert_eq!(SerialRule::Increment.next(7, Some(9), 1_800_000_000), 10);
//! assert_eq!(SerialRule::UnixTime.next(7, Some(9), 1_800_000_000), 1_800_000_000);
//! ```

use super::validity::is_before;

/// Where the serial of a signed zone comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SerialRule {
    /// From the file; whoever edits it raises it.
    #[default]
    Keep,
    /// The seconds since 1970 when the zone or its signatures have changed.
    UnixTime,
    /// The serial of the file, or one more than the last where that is not after it.
    Increment,
}

impl SerialRule {
    /// The serial of contents that differ from those served before. `file` is the serial of the zone
    /// file, `served` the last that was served, and `now` the seconds since 1970. Where nothing was
    /// served, that of the file may be known to others, with other contents.
    pub fn next(self, file: u32, served: Option<u32>, now: u64) -> u32 {
        let wanted = match self {
            SerialRule::Keep => return file,
            // Serials and the time are both counted modulo 2^32.
            SerialRule::UnixTime => now as u32,
            SerialRule::Increment => file,
        };
        let last = served.unwrap_or(file);
        if is_before(last, wanted) {
            wanted
        } else {
            last.wrapping_add(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule() -> impl Strategy<Value = SerialRule> {
        prop::sample::select(vec![SerialRule::UnixTime, SerialRule::Increment])
    }

    proptest! {
        #[test]
        fn serials_never_go_back_whatever_the_file_and_the_clock_say(
            steps in prop::collection::vec((rule(), any::<u32>(), any::<u32>()), 1..50),
            first: u32,
        ) {
            let mut served = None;
            let mut last = first;
            for (rule, file, now) in steps {
                let file = if served.is_none() { first } else { file };
                let next = rule.next(file, served, now.into());
                prop_assert!(is_before(last, next), "{next} is not after {last}");
                served = Some(next);
                last = next;
            }
        }
    }

    #[test]
    fn the_file_and_the_clock_are_followed_where_they_are_ahead() {
        assert_eq!(SerialRule::Increment.next(20, Some(9), 0), 20);
        assert_eq!(SerialRule::Increment.next(20, None, 0), 21);
        assert_eq!(
            SerialRule::UnixTime.next(2_026_112_901, None, 1_800_000_000),
            2_026_112_902
        );
        assert_eq!(
            SerialRule::UnixTime.next(1, None, 1_800_000_000),
            1_800_000_000
        );
        assert_eq!(SerialRule::Increment.next(u32::MAX, Some(u32::MAX), 0), 0);
        assert_eq!(SerialRule::Keep.next(3, Some(9), 0), 3);
    }
}
