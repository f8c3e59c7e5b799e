//! Clock: by what orders, leases and ramps are counted, so that setting the wall clock ends none of them and keeps none.
//!
//! What ends after a while has a [`Deadline`] on `CLOCK_BOOTTIME`: nobody can set that clock, and it goes on while the
//! machine is suspended, which the monotonic clock of the standard library does not. The wall clock is read for people, who
//! want to know that a drain ends at 14:05, and to bridge the time between two boots of a machine. A `Stamp` in a file
//! says when the file was written by both clocks; after a restart in the same boot the time between is exact, and after
//! another boot it is what the wall clock says, never less than nothing.
//!
//! Outside this file and what is only for people nothing reads the wall clock; `tests/tidy.rs` has the list.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files;

/// A step of the wall clock that is smaller than this is none: that much passes between reading one clock and the other on
/// a machine that is short of processors.
const SMALLEST_STEP: Duration = Duration::from_secs(1);

/// Time since the machine was booted, suspended or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// Reads `CLOCK_BOOTTIME`.
    pub fn now() -> BootTime {
        let time = clock_gettime(ClockId::Boottime);
        BootTime(Duration::new(
            time.tv_sec.unsigned_abs(),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        ))
    }

    /// Since the boot: the clock that regions come back by.
    pub fn elapsed(self) -> Duration {
        self.0
    }

    /// This much later.
    pub fn after(self, lasting: Duration) -> BootTime {
        BootTime(self.0.saturating_add(lasting))
    }

    /// How long ago an earlier moment was; nothing if it is yet to come.
    pub fn since(self, earlier: BootTime) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// When something ends by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(BootTime);

impl Deadline {
    /// It ends when `lasting` has passed since `now`.
    pub fn after(now: BootTime, lasting: Duration) -> Deadline {
        Deadline(now.after(lasting))
    }

    /// Whether it has ended.
    pub fn is_over(self, now: BootTime) -> bool {
        self.0 <= now
    }

    /// How long it goes on; nothing when it is over.
    pub fn left(self, now: BootTime) -> Duration {
        self.0.since(now)
    }
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// What deadlines are counted on.
    pub boot: BootTime,
    /// What people see, since 1970.
    pub wall: Duration,
}

impl ClockReading {
    /// Reads both.
    pub fn now() -> ClockReading {
        ClockReading {
            boot: BootTime::now(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// How far the wall clock was set forward (true) or back since an earlier moment; `None`: it only went on.
    pub fn step_since(&self, earlier: &ClockReading) -> Option<(bool, Duration)> {
        let expected = earlier.wall.saturating_add(self.boot.since(earlier.boot));
        let size = self.wall.abs_diff(expected);
        (size >= SMALLEST_STEP).then_some((self.wall > expected, size))
    }
}

/// When something ends, as the API and the files of the state directory say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndTime {
    /// When it ends by itself, in seconds since 1970, by the wall clock as it stands now; absent: when it is ended.
    pub until: Option<u64>,
    /// How long it goes on, in seconds; absent: until it is ended. No step of the wall clock changes this.
    #[serde(default)]
    pub seconds_left: Option<u64>,
}

impl EndTime {
    /// How a deadline looks now.
    pub fn of(deadline: Option<Deadline>, now: &ClockReading) -> EndTime {
        let Some(deadline) = deadline else {
            return EndTime::default();
        };
        let left = deadline.left(now.boot);
        let until = now.wall.saturating_add(left).as_secs();
        EndTime {
            until: Some(until),
            seconds_left: Some(rounded_up(left)),
        }
    }

    /// The deadline of something that was written down before a restart. `gap`: how long ago, as `Stamp::gap` has it.
    /// Files of before there were stamps have the time of the wall clock alone.
    pub fn deadline(&self, gap: Option<Duration>, now: &ClockReading) -> Option<Deadline> {
        let left = match (self.seconds_left, gap, self.until) {
            (Some(left), Some(gap), _) => Duration::from_secs(left).saturating_sub(gap),
            (_, _, Some(until)) => Duration::from_secs(until).saturating_sub(now.wall),
            _ => return None,
        };
        Some(Deadline::after(now.boot, left))
    }
}

fn rounded_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// When a file was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    /// Which boot of the machine it was (`/proc/sys/kernel/random/boot_id`); absent where that cannot be read.
    boot_id: Option<String>,
    /// Milliseconds since that boot.
    boot_milliseconds: u64,
    /// Milliseconds since 1970.
    wall_milliseconds: u64,
}

impl FileStamp {
    /// For a file that is written now.
    pub fn of(now: &ClockReading) -> FileStamp {
        let boot_id = files::read_proc("/proc/sys/kernel/random/boot_id").ok();
        FileStamp {
            boot_id: boot_id.map(|id| id.trim().to_owned()),
            boot_milliseconds: milliseconds(now.boot.0),
            wall_milliseconds: milliseconds(now.wall),
        }
    }

    /// How much time has passed since: exact within a boot, else what the wall clock makes of it, and nothing if that was
    /// set back. A machine that was restored from a snapshot may find a stamp of its own boot that is yet to come.
    pub fn gap(&self, now: &FileStamp) -> Duration {
        let same_boot = self.boot_id.is_some() && self.boot_id == now.boot_id;
        let within = now
            .boot_milliseconds
            .checked_sub(self.boot_milliseconds)
            .filter(|_| same_boot);
        let bridged = now.wall_milliseconds.saturating_sub(self.wall_milliseconds);
        Duration::from_millis(within.unwrap_or(bridged))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn clocks(boot: u64, wall: u64) -> ClockReading {
        ClockReading {
            boot: BootTime(Duration::from_secs(boot)),
            wall: Duration::from_secs(wall),
        }
    }

    fn stamp(boot_id: &str, boot: u64, wall: u64) -> FileStamp {
        FileStamp {
            boot_id: Some(boot_id.to_owned()),
            ..FileStamp::of(&clocks(boot, wall))
        }
    }

    #[test]
    fn a_deadline_is_the_same_whatever_the_wall_clock_says() {
        let deadline = Deadline::after(clocks(100, 0).boot, Duration::from_secs(7200));
        for (wall, until) in [
            (20 * DAY, 20 * DAY + 7190),
            (21 * DAY, 21 * DAY + 7190),
            (0, 7190),
        ] {
            let now = clocks(110, wall);
            assert_eq!(
                EndTime::of(Some(deadline), &now),
                EndTime {
                    until: Some(until),
                    seconds_left: Some(7190)
                }
            );
        }
        assert!(!deadline.is_over(clocks(7299, 0).boot));
        assert!(deadline.is_over(clocks(7300, 0).boot));
        assert_eq!(EndTime::of(None, &clocks(1, 1)), EndTime::default());
    }

    #[test]
    fn a_restart_is_bridged_exactly_in_the_same_boot_and_by_the_wall_clock_after_another() {
        let written = stamp("a", 1000, 20 * DAY);
        let gap = |now: FileStamp| written.gap(&now).as_secs();
        for wall in [0, 20 * DAY, 21 * DAY] {
            assert_eq!(
                gap(stamp("a", 1060, wall)),
                60,
                "the same boot: the wall clock does not count"
            );
        }
        assert_eq!(gap(stamp("b", 5, 20 * DAY + 90)), 90);
        assert_eq!(gap(stamp("b", 5, 19 * DAY)), 0, "set back");
        assert_eq!(
            gap(stamp("a", 900, 20 * DAY + 90)),
            90,
            "its own boot, and yet to come"
        );
        let unknown = FileStamp {
            boot_id: None,
            ..written.clone()
        };
        assert_eq!(
            unknown
                .gap(&FileStamp {
                    boot_id: None,
                    ..stamp("", 1060, 20 * DAY + 90)
                })
                .as_secs(),
            90
        );
    }

    #[test]
    fn never_more_is_bridged_than_was_left() {
        let ending = EndTime {
            until: Some(20 * DAY),
            seconds_left: Some(600),
        };
        let left = |gap: Option<u64>, now: &ClockReading| {
            ending
                .deadline(gap.map(Duration::from_secs), now)
                .map(|deadline| deadline.left(now.boot).as_secs())
        };
        let now = clocks(50, 30 * DAY);
        assert_eq!(
            [
                left(Some(0), &now),
                left(Some(100), &now),
                left(Some(DAY), &now)
            ],
            [600, 500, 0].map(Some)
        );
        assert_eq!(
            left(None, &clocks(50, 20 * DAY - 7)),
            Some(7),
            "a file of before there were stamps"
        );
        assert_eq!(left(None, &now), Some(0));
        assert_eq!(EndTime::default().deadline(None, &now), None);
    }

    #[test]
    fn a_step_is_told_from_time_that_passes() {
        let before = clocks(100, 20 * DAY);
        assert_eq!(clocks(200, 20 * DAY + 100).step_since(&before), None);
        assert_eq!(
            clocks(101, 21 * DAY + 1).step_since(&before),
            Some((true, Duration::from_secs(DAY)))
        );
        assert_eq!(
            clocks(101, 19 * DAY + 1).step_since(&before),
            Some((false, Duration::from_secs(DAY)))
        );
    }
}
