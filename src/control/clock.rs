//! The clocks of overrides, leases and ramps.
//!
//! Everything that ends by itself has a [`Deadline`] on `CLOCK_BOOTTIME`. That clock cannot be
//! set, and unlike the monotonic clock of the standard library it goes on while the machine is
//! suspended. So setting the wall clock neither ends nor extends a drain. The wall clock is used to
//! show people when something ends, and to bridge the time between two boots. A [`FileStamp`] has
//! both times: after a restart in the same boot the gap is exact, and after another boot it comes
//! from the wall clock.
//!
//! Only this file and code that shows times to people may read the wall clock; `tests/tidy.rs` has
//! the list.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files;

/// Smaller steps of the wall clock are ignored: on a busy machine this much time may pass between
/// the readings of the two clocks.
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

    /// The time since the boot. Ramps are measured by it.
    pub fn elapsed(self) -> Duration {
        self.0
    }

    /// This much later.
    pub fn after(self, lasting: Duration) -> BootTime {
        BootTime(self.0.saturating_add(lasting))
    }

    /// How long ago an earlier moment was; zero if it is in the future.
    pub fn since(self, earlier: BootTime) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The time at which something ends by itself.
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

    /// The time that is left; zero when it is over.
    pub fn left(self, now: BootTime) -> Duration {
        self.0.since(now)
    }
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// The time since the boot, which deadlines use.
    pub boot: BootTime,
    /// The wall clock, as the time since 1970. It is only shown to people.
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

    /// How far the wall clock was set forward (true) or back since an earlier reading; `None`: it
    /// was not set.
    pub fn step_since(&self, earlier: &ClockReading) -> Option<(bool, Duration)> {
        let expected = earlier.wall.saturating_add(self.boot.since(earlier.boot));
        let size = self.wall.abs_diff(expected);
        if size < SMALLEST_STEP {
            return None;
        }
        Some((self.wall > expected, size))
    }
}

/// When something ends, as the API and the files of the state directory say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndTime {
    /// When it ends by itself, in seconds since 1970, by the present wall clock; absent:
    /// when it is ended.
    pub until: Option<u64>,
    /// How long it goes on, in seconds; absent: until it is ended. No step of the wall clock
    /// changes this.
    #[serde(default)]
    pub seconds_left: Option<u64>,
}

impl EndTime {
    /// A deadline as it is shown now.
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

    /// The deadline of something that was saved before a restart. `gap` is the time since it was
    /// saved, from [`FileStamp::gap`]. Files without a stamp only have the time of the wall clock.
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
    /// The boot of the machine (`/proc/sys/kernel/random/boot_id`); absent if that cannot be read.
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

    /// The time from this stamp to `now`. Within a boot it is exact. Otherwise it comes from the
    /// wall clock, and is zero if that was set back. A machine that was restored from a snapshot
    /// may find a stamp of its own boot that is in the future; then the wall clock decides too.
    pub fn gap(&self, now: &FileStamp) -> Duration {
        let same_boot = self.boot_id.is_some() && self.boot_id == now.boot_id;
        if same_boot && now.boot_milliseconds >= self.boot_milliseconds {
            return Duration::from_millis(now.boot_milliseconds - self.boot_milliseconds);
        }
        Duration::from_millis(now.wall_milliseconds.saturating_sub(self.wall_milliseconds))
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
    fn a_step_of_the_wall_clock_is_distinguished_from_passing_time() {
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
