//! Checks whether there is enough memory for a reload.
//!
//! A failed allocation ends the process, and a reload briefly holds the old and the new state. So
//! a reload first estimates the memory that it needs. It is refused if a limit leaves less: the
//! address space or data of the process (`RLIMIT_AS`, `RLIMIT_DATA`), the memory of its control
//! group, or `[limits] memory`. The estimate is the memory in use now, plus more if the new input
//! is larger. Whatever was estimated, a state that exceeds `[limits] memory` once it is loaded is
//! dropped again, at a start too. Figures are in `docs/guide/capacity.md`.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use super::process;
use crate::catalog::catchments::rule_sets;
use crate::config::Config;
use crate::files::{self, FileKind};
use crate::geo::builtin;

const MIB: u64 = 1 << 20;
/// Memory for threads and other work that goes on during a reload.
const SPARE: u64 = 16 * MIB;
/// Octets of memory for each octet of zone files: records, names and the table of all names.
const ZONE_FACTOR: u64 = 20;
/// Octets of memory for each octet of a database while it is read.
const DATABASE_FACTOR: u64 = 4;
/// Octets for each service, whose rules others share.
const EACH_SERVICE: u64 = 16 << 10;
/// Octets for each set of rules: its table over a map of a city database.
const EACH_RULE_SET: u64 = 640 << 10;
/// Octets for the first set of rules: the map of the address space.
const FIRST_RULE_SET: u64 = 32 * MIB;
/// Octets that a server holds beside what it has loaded: threads, sockets, limits. Measured with
/// one service and with 300,000 records.
const SERVING: u64 = 9_000_000;
/// Octets for each service in the views and metrics of a server. Measured with 5,000 and 20,000.
const SERVING_EACH_SERVICE: u64 = 3300;
/// Octets of the largest pages of common systems.
const PAGE: usize = 64 << 10;
/// How deep subfolders of the zones folder are measured.
const DEEPEST: u32 = 8;

/// The size of what a configuration has to read and compile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryExtent {
    /// Octets of all files in the zones folder.
    zones: u64,
    /// Octets of the databases.
    databases: u64,
    /// The number of services.
    services: u64,
    /// The number of rule sets.
    rule_sets: u64,
}

/// The memory that a limit leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Room {
    octets: u64,
    /// The limit, and where it is set: `RLIMIT_AS (systemd: LimitAS=)`.
    limit: &'static str,
}

impl MemoryExtent {
    /// Measures the files that a configuration names. A file that cannot be opened counts as empty,
    /// because it cannot be loaded either.
    pub fn of(config: &Config) -> MemoryExtent {
        MemoryExtent {
            zones: octets_in(&config.zones_directory, DEEPEST),
            databases: octets_of(&config.geo.databases),
            services: config.services.len() as u64,
            rule_sets: rule_sets(config) as u64,
        }
    }

    /// The most memory that a change to `new` may need, in octets. `held`: the memory in use now.
    fn need(&self, new: &MemoryExtent, with_databases: bool, held: u64) -> u64 {
        let services = new.services.saturating_sub(self.services);
        let rule_sets = new.rule_sets.saturating_sub(self.rule_sets);
        let first = if self.rule_sets == 0 && rule_sets > 0 {
            FIRST_RULE_SET
        } else {
            0
        };
        let zones = new.zones.saturating_sub(self.zones);
        let databases = if with_databases { new.databases } else { 0 };
        held.saturating_add(SPARE)
            .saturating_add(services.saturating_mul(EACH_SERVICE))
            .saturating_add(rule_sets.saturating_mul(EACH_RULE_SET))
            .saturating_add(first)
            .saturating_add(zones.saturating_mul(ZONE_FACTOR))
            .saturating_add(databases.saturating_mul(DATABASE_FACTOR))
    }
}

/// How many octets of a file are read. A file that is too large for its kind is refused unread.
fn octets_read(kind: FileKind, length: u64) -> u64 {
    if length > kind.most() { 0 } else { length }
}

/// Checks that there is memory to load `new` beside `old`, which is being served. `most`: the limit
/// of the configuration.
///
/// # Errors
/// A sentence with the memory that the reload may need and the memory that is left.
pub fn check(
    old: &MemoryExtent,
    new: &MemoryExtent,
    with_databases: bool,
    most: Option<u64>,
) -> Result<(), String> {
    let need = old.need(
        new,
        with_databases,
        process::status("RssAnon:").unwrap_or(0),
    );
    if let Some(Room { octets, limit }) = tightest(most).filter(|room| room.octets < need) {
        return Err(format!(
            "there is no room for a reload: it may need {} MB beside what is served, and {limit} leaves \
             {} MB; raise the limit, or restart the server",
            megabytes(need),
            octets / MIB
        ));
    }
    reserve(need)
}

/// The memory in octets that a server with this configuration will hold, once everything is loaded
/// and nothing is served yet: what is resident, and what serving adds.
pub fn needed(config: &Config) -> u64 {
    let services = config.services.len() as u64;
    resident()
        .saturating_add(SERVING)
        .saturating_add(services.saturating_mul(SERVING_EACH_SERVICE))
}

/// The resident memory of this process in octets, once what is free has been given back.
fn resident() -> u64 {
    give_back();
    process::resident().unwrap_or(0)
}

/// Checks that what is loaded keeps within `[limits] memory`, at a start or beside what is served.
///
/// # Errors
/// A sentence with the memory that is needed and the limit.
pub fn check_loaded(config: &Config, is_start: bool) -> Result<(), String> {
    let Some(most) = config.max_memory else {
        return Ok(());
    };
    let held = if is_start { needed(config) } else { resident() };
    if held <= most {
        return Ok(());
    }
    Err(format!(
        "the configuration takes {} MB, and [limits] memory allows {} MB; raise it, or serve less",
        held.div_ceil(1_000_000),
        most / 1_000_000
    ))
}

/// Gives memory that only a load needs back to the system: what it has freed, and the pages of the
/// program with the built-in table.
pub fn give_back() {
    trim();
    drop_pages(builtin::TABLE);
}

/// What zones needed until they were compiled lies between blocks that stay, where the C library
/// keeps it by itself.
#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: it changes nothing but what the allocator keeps of free memory.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries have no such function.
#[cfg(not(target_env = "gnu"))]
fn trim() {}

/// Drops the whole pages of a constant from memory; the next to read them gets them from the file of
/// the program. Nothing happens if the system does not want to.
fn drop_pages(constant: &'static [u8]) {
    let before = constant.as_ptr().align_offset(PAGE);
    let whole = constant
        .get(before..)
        .map_or(0, |rest| rest.len() & !(PAGE - 1));
    let start = constant.as_ptr().wrapping_add(before).cast_mut();
    // SAFETY: they are pages of a file, mapped without the right to write, so the next access finds
    // the same octets.
    unsafe { libc::madvise(start.cast(), whole, libc::MADV_DONTNEED) };
}

/// Reserves this much memory and frees it again, which finds limits that [`tightest`] does not
/// know.
fn reserve(need: u64) -> Result<(), String> {
    let mut room: Vec<u8> = Vec::new();
    let promised = usize::try_from(need).is_ok_and(|need| room.try_reserve_exact(need).is_ok());
    // Without this the compiler removes the unused allocation.
    std::hint::black_box(&room);
    if promised {
        return Ok(());
    }
    let need = megabytes(need);
    Err(format!(
        "there is no room for a reload: it may need {need} MB beside what is served, and the system \
         refuses them"
    ))
}

/// Mebibytes, rounded up.
fn megabytes(octets: u64) -> u64 {
    octets.div_ceil(MIB)
}

/// The limit that leaves the least memory; `None`: there is no limit. `most`: the limit of the
/// configuration.
fn tightest(most: Option<u64>) -> Option<Room> {
    let group = own_group().unwrap_or_default();
    let limits = [
        (
            resource_room(Resource::As, "VmSize:"),
            "RLIMIT_AS (systemd: LimitAS=)",
        ),
        (
            resource_room(Resource::Data, "VmData:"),
            "RLIMIT_DATA (systemd: LimitDATA=)",
        ),
        (
            group_room(Path::new("/sys/fs/cgroup"), &group),
            "the memory limit of its control group (systemd: MemoryMax=)",
        ),
        (
            most.map(|most| most.saturating_sub(resident())),
            "[limits] memory",
        ),
    ];
    let mut tightest: Option<Room> = None;
    for (room, limit) in limits {
        if let Some(octets) = room
            && tightest.as_ref().is_none_or(|known| octets < known.octets)
        {
            tightest = Some(Room { octets, limit });
        }
    }
    tightest
}

/// The octets that a resource limit leaves, given the line of [`process::status`] that it limits.
fn resource_room(resource: Resource, used: &str) -> Option<u64> {
    getrlimit(resource)
        .current?
        .checked_sub(process::status(used)?)
}

/// The control group of this process (version 2), as a path below the mount.
fn own_group() -> Option<PathBuf> {
    let groups = files::read_proc("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(PathBuf::from(path))
}

/// The octets that the limits of a control group and its ancestors leave.
fn group_room(mount: &Path, group: &Path) -> Option<u64> {
    let groups = group.ancestors();
    let rooms = groups.filter_map(|group| own_room(&mount.join(group)));
    rooms.min()
}

/// The octets that are left below the limit of one control group. File cache that the kernel can
/// drop at once counts as free.
fn own_room(folder: &Path) -> Option<u64> {
    let most = read_number(folder.join("memory.max"))?;
    let used = read_number(folder.join("memory.current"))?;
    let statistics = files::read_proc(folder.join("memory.stat")).unwrap_or_default();
    let cached = statistics
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok());
    Some(most.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
}

fn read_number(path: PathBuf) -> Option<u64> {
    files::read_proc(path).ok()?.trim().parse().ok()
}

fn octets_of(databases: &[PathBuf]) -> u64 {
    let mut octets = 0;
    for path in databases {
        if let Ok(data) = fs::metadata(path) {
            octets += octets_read(FileKind::Database, data.len());
        }
    }
    octets
}

fn metadata(entry: &DirEntry) -> io::Result<Metadata> {
    // The entry finds its own metadata faster, but not that of what a link leads to.
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => fs::metadata(entry.path()),
        _ => entry.metadata(),
    }
}

/// Octets of all files in a folder and in its subfolders down to this depth.
fn octets_in(folder: &Path, depth: u32) -> u64 {
    let mut octets: u64 = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(data) = metadata(&entry) else {
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
    fn only_growth_of_the_input_adds_to_the_estimate() {
        let old = MemoryExtent {
            zones: 10 * MIB,
            databases: 50 * MIB,
            services: 10,
            rule_sets: 4,
        };
        let need =
            |new: MemoryExtent, with_databases| old.need(&new, with_databases, 200 * MIB) / MIB;
        assert_eq!(need(old, false), 216, "as much again");
        let services = 10 + 64 * 5;
        assert_eq!(need(MemoryExtent { services, ..old }, false), 221);
        let rule_sets = 4 + 16;
        assert_eq!(need(MemoryExtent { rule_sets, ..old }, false), 226);
        let zones = 11 * MIB;
        assert_eq!(need(MemoryExtent { zones, ..old }, false), 236);
        assert_eq!(need(MemoryExtent { zones: 0, ..old }, true), 416);
        let none = MemoryExtent {
            services: 0,
            rule_sets: 0,
            ..old
        };
        let first = MemoryExtent {
            services: 64,
            rule_sets: 16,
            ..old
        };
        assert_eq!(none.need(&first, false, 10 * MIB) / MIB, 69);
    }

    #[test]
    fn the_tightest_limit_of_a_control_group_and_its_ancestors_counts() {
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
    fn a_reservation_beyond_the_address_space_is_refused() {
        assert_eq!(reserve(MIB), Ok(()));
        assert!(
            reserve(u64::MAX / 2)
                .unwrap_err()
                .contains("there is no room for a reload")
        );
    }
}
