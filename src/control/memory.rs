//! Checks whether there is enough memory for a reload.
//!
//! A failed allocation ends the process, and a reload briefly holds the old and the new state. So
//! a reload first estimates the memory that it needs. It is refused if a limit leaves less: the
//! address space or data of the process (`RLIMIT_AS`, `RLIMIT_DATA`), or the memory of its control
//! group. The estimate is the memory in use now, plus more if the new input is larger. Figures are
//! in `docs/guide/capacity.md`.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use crate::config::Config;
use crate::files::{self, FileKind};

const MIB: u64 = 1 << 20;
/// What threads and whatever else goes on meanwhile may take.
const SPARE: u64 = 16 * MIB;
/// Octets for each octet of zone files: records, names and the table of all names.
const ZONE_FACTOR: u64 = 20;
/// Octets for each octet of a database while it is read.
const DATABASE_FACTOR: u64 = 4;
/// For a service where there was none before: a table of the whole address space.
const FIRST_SERVICE: u64 = 32 * MIB;
/// How deep folders of zones are looked into.
const DEEPEST: u32 = 8;

/// How much there is to read and to compile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryExtent {
    /// Octets of all files in the folder of zones.
    zones: u64,
    /// Octets of the databases.
    databases: u64,
    services: u64,
}

/// What a limit leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Room {
    octets: u64,
    /// The limit, and where it is set: `RLIMIT_AS (systemd: LimitAS=)`.
    limit: &'static str,
}

impl MemoryExtent {
    /// Looks at what a configuration names. What cannot be looked at counts as nothing: it cannot be read either.
    pub fn of(config: &Config) -> MemoryExtent {
        let databases = config
            .geo
            .databases
            .iter()
            .filter_map(|path| fs::metadata(path).ok());
        let databases = databases.map(|data| octets_read(FileKind::Database, data.len()));
        MemoryExtent {
            zones: octets_in(&config.zones_directory, DEEPEST),
            databases: databases.sum(),
            services: config.services.len() as u64,
        }
    }

    /// What taking its place may need at most, beside the `held` octets that are held now.
    fn need(&self, new: &MemoryExtent, with_databases: bool, held: u64) -> u64 {
        let each = held.checked_div(self.services).unwrap_or(FIRST_SERVICE);
        let services = new
            .services
            .saturating_sub(self.services)
            .saturating_mul(each);
        let zones = new
            .zones
            .saturating_sub(self.zones)
            .saturating_mul(ZONE_FACTOR);
        let databases = if with_databases {
            new.databases.saturating_mul(DATABASE_FACTOR)
        } else {
            0
        };
        [SPARE, services, zones, databases]
            .into_iter()
            .fold(held, u64::saturating_add)
    }
}

/// How much of a file of this length is read: one that is too large for its kind is refused unread.
fn octets_read(kind: FileKind, length: u64) -> u64 {
    if length > kind.most() { 0 } else { length }
}

/// Refuses to load `new` beside what is served, of which `old` was the extent, where there is no room for it.
///
/// # Errors
/// A sentence with what it may need and what is left.
pub fn check(old: &MemoryExtent, new: &MemoryExtent, with_databases: bool) -> Result<(), String> {
    let need = old.need(new, with_databases, status("RssAnon:").unwrap_or(0));
    if let Some(Room { octets, limit }) = tightest().filter(|room| room.octets < need) {
        return Err(format!(
            "there is no room for a reload: it may need {} MB beside what is served, and {limit} leaves {} MB; raise the \
             limit, or restart the server",
            megabytes(need),
            octets / MIB
        ));
    }
    reserve(need)
}

/// Has the system promise so much, and gives it back: limits that nobody thought of show here.
fn reserve(need: u64) -> Result<(), String> {
    let mut room: Vec<u8> = Vec::new();
    let promised = usize::try_from(need).is_ok_and(|need| room.try_reserve_exact(need).is_ok());
    // Or the compiler would see that nobody uses it.
    std::hint::black_box(&room);
    if promised {
        return Ok(());
    }
    let need = megabytes(need);
    Err(format!(
        "there is no room for a reload: it may need {need} MB beside what is served, and the system refuses them"
    ))
}

fn megabytes(octets: u64) -> u64 {
    octets.div_ceil(MIB)
}

/// The limit that leaves least; `None`: there is none.
fn tightest() -> Option<Room> {
    let left = |resource, used: &str| getrlimit(resource).current?.checked_sub(status(used)?);
    let space = left(Resource::As, "VmSize:").map(|octets| Room {
        octets,
        limit: "RLIMIT_AS (systemd: LimitAS=)",
    });
    let data = left(Resource::Data, "VmData:").map(|octets| Room {
        octets,
        limit: "RLIMIT_DATA (systemd: LimitDATA=)",
    });
    let group = group_room(
        Path::new("/sys/fs/cgroup"),
        &own_group().unwrap_or_default(),
    );
    let group = group.map(|octets| Room {
        octets,
        limit: "the memory limit of its control group (systemd: MemoryMax=)",
    });
    [space, data, group]
        .into_iter()
        .flatten()
        .min_by_key(|room| room.octets)
}

/// A line of `/proc/self/status` in octets: all that is mapped (`VmSize`), private data (`VmData`), what is in memory and
/// belongs to no file (`RssAnon`).
fn status(line: &str) -> Option<u64> {
    let status = files::read_proc("/proc/self/status").ok()?;
    let value = status.lines().find_map(|found| found.strip_prefix(line))?;
    value
        .trim()
        .strip_suffix(" kB")?
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// The control group of this process (version 2), as a path below the mount.
fn own_group() -> Option<PathBuf> {
    let groups = files::read_proc("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(PathBuf::from(path))
}

/// What the limits of a group and of those that it lies in leave. What the kernel can take back at once counts as free.
fn group_room(mount: &Path, group: &Path) -> Option<u64> {
    let number = |path: PathBuf| files::read_proc(path).ok()?.trim().parse::<u64>().ok();
    let room = |group: &Path| {
        let folder = mount.join(group);
        let (most, used) = (
            number(folder.join("memory.max"))?,
            number(folder.join("memory.current"))?,
        );
        let statistics = files::read_proc(folder.join("memory.stat")).unwrap_or_default();
        let cached = statistics
            .lines()
            .find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok());
        Some(most.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
    };
    group.ancestors().filter_map(room).min()
}

fn octets_in(folder: &Path, depth: u32) -> u64 {
    let mut octets: u64 = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(data) = fs::metadata(entry.path()) else {
            continue;
        };
        octets = octets.saturating_add(match data.is_dir() {
            true if depth > 0 => octets_in(&entry.path(), depth - 1),
            true => 0,
            false => octets_read(FileKind::Zone, data.len()),
        });
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_anew_is_reckoned_by_what_is_more_than_before() {
        let old = MemoryExtent {
            zones: 10 * MIB,
            databases: 50 * MIB,
            services: 10,
        };
        let need =
            |new: MemoryExtent, with_databases| old.need(&new, with_databases, 200 * MIB) / MIB;
        assert_eq!(need(old, false), 216, "as much again");
        assert_eq!(
            need(
                MemoryExtent {
                    services: 15,
                    ..old
                },
                false
            ),
            316
        );
        assert_eq!(
            need(
                MemoryExtent {
                    zones: 11 * MIB,
                    ..old
                },
                false
            ),
            236
        );
        assert_eq!(need(MemoryExtent { zones: 0, ..old }, true), 416);
        let none = MemoryExtent { services: 0, ..old };
        assert_eq!(
            none.need(&MemoryExtent { services: 2, ..old }, false, 10 * MIB) / MIB,
            90
        );
    }

    #[test]
    fn a_control_group_leaves_what_the_tightest_above_it_does() {
        let mount = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| fs::write(mount.path().join(path), text).unwrap();
        fs::create_dir_all(mount.path().join("a/b")).unwrap();
        assert_eq!(group_room(mount.path(), Path::new("a/b")), None);
        for (group, most, used) in [("a", "1000\n", "900\n"), ("a/b", "max\n", "700\n")] {
            write(&format!("{group}/memory.max"), most);
            write(&format!("{group}/memory.current"), used);
        }
        assert_eq!(group_room(mount.path(), Path::new("a/b")), Some(100));
        write("a/memory.stat", "anon 600\ninactive_file 250\n");
        assert_eq!(group_room(mount.path(), Path::new("a/b")), Some(350));
    }

    #[test]
    fn nobody_promises_more_than_there_can_be() {
        assert_eq!(reserve(MIB), Ok(()));
        assert!(
            reserve(u64::MAX / 2)
                .unwrap_err()
                .contains("there is no room for a reload")
        );
    }
}
