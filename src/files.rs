//! Reads files. Every file that this program reads from disk is read here.
//!
//! Another program may change a file at any moment, and a path may lead to something else. So a
//! file is opened without blocking (a pipe without a writer would block for ever), must be a
//! regular file, and must not be larger than its [`FileKind`] allows. It is read whole into memory
//! that was reserved before. If the file changed meanwhile, it is read again a few times and then
//! refused with [`ReadError::Changed`].
//!
//! A program that writes a file in pieces pauses between them, and then the file looks finished. A
//! server that reloads calls [`changed_since`] after it has read its files, which waits until no
//! file was written for [`QUIET`]. A longer pause goes unnoticed, so careful programs write another
//! file and rename it.
//!
//! A file system that hangs blocks the reading thread, so a caller must not hold a lock that others
//! wait for.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use zeroize::Zeroizing;

/// How often a file that changes meanwhile is read.
const ATTEMPTS: u32 = 3;
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// A file counts as finished when it was not written for so long.
pub const QUIET: Duration = Duration::from_millis(300);

/// What a file contains, which limits its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// The configuration file.
    Configuration,
    /// A zone, or a file that a zone includes.
    Zone,
    /// A database in MaxMind DB format.
    Database,
    /// A table of networks in CSV form.
    Networks,
    /// Certificates in PEM.
    Certificates,
    /// A private key in PEM.
    Key,
    /// A token, or cookie secrets.
    Secret,
    /// A file of the state directory, or a saved reply of a server.
    State,
    /// The store of DNSSEC signatures.
    Signatures,
    /// A configuration file of another server, to be imported.
    Import,
    /// The users or groups of the system.
    Accounts,
}

impl FileKind {
    /// The largest size of such a file, in octets.
    pub const fn most(self) -> u64 {
        match self {
            FileKind::Zone | FileKind::Database => 1 << 30,
            FileKind::Networks | FileKind::Signatures => 256 << 20,
            FileKind::State | FileKind::Import => 64 << 20,
            FileKind::Configuration | FileKind::Accounts => 16 << 20,
            FileKind::Certificates => 4 << 20,
            FileKind::Key => 1 << 20,
            FileKind::Secret => 8 << 10,
        }
    }
}

/// Why a file was not read. It displays as a phrase behind the file's path: `is a pipe, not a
/// regular file`.
#[derive(Debug)]
pub enum ReadError {
    /// The error of the operating system.
    Refused(io::Error),
    /// It is not a regular file but, for example, `a pipe`.
    NotRegular(&'static str),
    /// It is larger than this limit, in octets.
    TooLarge(u64),
    /// There is no memory for its size, in octets.
    NoMemory(u64),
    /// It is a secret that users besides its owner may read; its mode.
    OpenToOthers(u32),
    /// It changes while it is read.
    Changed,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Refused(error) => write!(f, "cannot be read: {error}"),
            ReadError::NotRegular(what) => write!(f, "is {what}, not a regular file"),
            ReadError::TooLarge(most) => write!(f, "is larger than {}", size_text(*most)),
            ReadError::NoMemory(octets) => {
                write!(f, "has {octets} octets, for which there is no memory")
            }
            ReadError::OpenToOthers(mode) => write!(
                f,
                "may be read by others (mode {mode:o}); take that away: chmod 600"
            ),
            ReadError::Changed => f.write_str(
                "changed while being read; write another file and rename it, or reload when it is \
                 finished",
            ),
        }
    }
}

impl std::error::Error for ReadError {}

impl ReadError {
    /// Whether the file does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, ReadError::Refused(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the error may be temporary: a lack of resources, a disk error, or a file that is
    /// being written. A caller that read the file before may keep that content.
    pub fn may_pass(&self) -> bool {
        const PASSING: [Errno; 7] = [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::IO,
            Errno::AGAIN,
            Errno::TIMEDOUT,
            Errno::STALE,
        ];
        match self {
            ReadError::Refused(error) => {
                Errno::from_io_error(error).is_some_and(|number| PASSING.contains(&number))
            }
            ReadError::NoMemory(_) | ReadError::Changed => true,
            ReadError::NotRegular(_) | ReadError::TooLarge(_) | ReadError::OpenToOthers(_) => false,
        }
    }
}

/// `4 KiB`, `16 MiB`, `1 GiB`.
fn size_text(octets: u64) -> String {
    match octets {
        0x4000_0000.. => format!("{} GiB", octets >> 30),
        0x10_0000.. => format!("{} MiB", octets >> 20),
        _ => format!("{} KiB", octets >> 10),
    }
}

/// Identifies a version of a file: two prints are equal if the file was neither written nor
/// replaced in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePrint {
    length: u64,
    /// When the content changed.
    modified: FileTime,
    /// When the content or the metadata changed.
    changed: FileTime,
    device: u64,
    inode: u64,
}

/// A time stamp of a file, since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileTime {
    seconds: i64,
    nanoseconds: i64,
}

impl FilePrint {
    /// The file as it is now; `None` if its metadata cannot be read.
    pub fn of(path: &Path) -> Option<FilePrint> {
        let data = std::fs::metadata(path).ok()?;
        Some(FilePrint::from(&data))
    }

    /// Whether the file had been left alone for [`QUIET`] before now. Only then does the same print
    /// later mean the same content: the clock of files ticks a few hundred times a second.
    pub fn is_settled(&self) -> bool {
        self.age(SystemTime::now()) >= QUIET
    }

    /// How long ago the file was written; zero for a time in the future.
    fn age(&self, now: SystemTime) -> Duration {
        let FileTime {
            seconds,
            nanoseconds,
        } = self.modified;
        let since = Duration::new(
            seconds.max(0).unsigned_abs(),
            nanoseconds.clamp(0, 999_999_999) as u32,
        );
        match SystemTime::UNIX_EPOCH.checked_add(since) {
            Some(written) => now.duration_since(written).unwrap_or_default(),
            None => Duration::ZERO,
        }
    }
}

impl From<&Metadata> for FilePrint {
    fn from(data: &Metadata) -> FilePrint {
        FilePrint {
            length: data.len(),
            modified: FileTime {
                seconds: data.mtime(),
                nanoseconds: data.mtime_nsec(),
            },
            changed: FileTime {
                seconds: data.ctime(),
                nanoseconds: data.ctime_nsec(),
            },
            device: data.dev(),
            inode: data.ino(),
        }
    }
}

/// A file that was read, and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRead {
    /// Its path.
    pub path: PathBuf,
    /// Its version.
    pub print: FilePrint,
}

/// The content of a file that was read.
#[derive(Debug, Clone)]
pub struct FileContent {
    /// The whole content.
    pub octets: Vec<u8>,
    /// The file and its version.
    pub read: FileRead,
}

/// Reads a whole file.
///
/// # Errors
/// See [`ReadError`].
pub fn read(path: &Path, kind: FileKind) -> Result<FileContent, ReadError> {
    let mut octets = Vec::new();
    let print = retried(|| OpenFile::open(path)?.read_into(kind, &mut octets))?;
    Ok(FileContent {
        octets,
        read: FileRead {
            path: path.to_owned(),
            print,
        },
    })
}

/// Reads a whole file that only its owner may read. The content is wiped from memory when it is
/// dropped.
///
/// # Errors
/// See [`ReadError`].
pub fn read_secret(
    path: &Path,
    kind: FileKind,
) -> Result<(Zeroizing<Vec<u8>>, FileRead), ReadError> {
    let mut octets = Zeroizing::new(Vec::new());
    let print = retried(|| {
        let file = OpenFile::open(path)?;
        let mode = file.data.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(ReadError::OpenToOthers(mode));
        }
        file.read_into(kind, &mut octets)
    })?;
    Ok((
        octets,
        FileRead {
            path: path.to_owned(),
            print,
        },
    ))
}

/// Reads again, a few times, while the file changes.
///
/// # Errors
/// The error of the last attempt.
fn retried<T>(mut read: impl FnMut() -> Result<T, ReadError>) -> Result<T, ReadError> {
    for _ in 1..ATTEMPTS {
        match read() {
            Err(ReadError::Changed) => std::thread::sleep(PAUSE),
            result => return result,
        }
    }
    read()
}

/// Returns the first of these files that changed since it was read.
///
/// Before that, waits until no file was written for `quiet`, and never longer than `quiet`.
pub fn changed_since(files: &[FileRead], quiet: Duration) -> Option<&Path> {
    let now = SystemTime::now();
    if let Some(age) = files.iter().map(|file| file.print.age(now)).min() {
        std::thread::sleep(quiet.saturating_sub(age));
    }
    for file in files {
        if FilePrint::of(&file.path).as_ref() != Some(&file.print) {
            return Some(&file.path);
        }
    }
    None
}

/// A regular file that is open for reading.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    data: Metadata,
}

impl OpenFile {
    /// Opens a file without blocking.
    ///
    /// # Errors
    /// It cannot be opened, or is not a regular file.
    pub fn open(path: &Path) -> Result<OpenFile, ReadError> {
        // The standard library adds O_CLOEXEC. A terminal must not become the controlling one.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = opened.map_err(|error| open_error(path, error))?;
        let data = file.metadata().map_err(ReadError::Refused)?;
        match other_file_type(&data) {
            Some(what) => Err(ReadError::NotRegular(what)),
            None => Ok(OpenFile { file, data }),
        }
    }

    /// Replaces `octets` by the content of the file. No part of it is copied a second time, so that
    /// secrets can be wiped.
    ///
    /// # Errors
    /// See [`ReadError`]; `octets` then holds a part of the file or nothing.
    pub fn read_into(&self, kind: FileKind, octets: &mut Vec<u8>) -> Result<FilePrint, ReadError> {
        let (before, length) = (FilePrint::from(&self.data), self.data.len());
        if length > kind.most() {
            return Err(ReadError::TooLarge(kind.most()));
        }
        octets.clear();
        // One octet more shows whether the file has grown, without growing the vector.
        let max_read = length.saturating_add(1);
        let room = usize::try_from(max_read).map_err(|_| ReadError::NoMemory(length))?;
        octets
            .try_reserve_exact(room)
            .map_err(|_| ReadError::NoMemory(length))?;
        (&self.file)
            .take(max_read)
            .read_to_end(octets)
            .map_err(ReadError::Refused)?;
        let after = FilePrint::from(&self.file.metadata().map_err(ReadError::Refused)?);
        if after != before || octets.len() as u64 != length {
            Err(ReadError::Changed)
        } else {
            Ok(before)
        }
    }
}

/// The error of a file that cannot be opened. A socket cannot, so its type is found here.
fn open_error(path: &Path, error: io::Error) -> ReadError {
    if error.raw_os_error() == Some(libc::ENXIO)
        && let Ok(data) = std::fs::metadata(path)
        && data.file_type().is_socket()
    {
        return ReadError::NotRegular("a socket");
    }
    ReadError::Refused(error)
}

/// The type of a file that is not a regular one.
fn other_file_type(data: &Metadata) -> Option<&'static str> {
    let kind = data.file_type();
    match kind {
        _ if kind.is_file() => None,
        _ if kind.is_dir() => Some("a folder"),
        _ if kind.is_fifo() => Some("a pipe"),
        _ if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

/// Reads a file that the kernel makes on reading, as in proc(5), and that has no length to compare;
/// a mebibyte at most.
///
/// # Errors
/// The file cannot be read, or is not UTF-8.
pub fn read_proc(path: impl AsRef<Path>) -> io::Result<String> {
    const MOST: u64 = 1 << 20;
    let mut text = String::new();
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?
        .take(MOST)
        .read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Seek, SeekFrom, Write};
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::*;

    fn told(path: &Path, kind: FileKind) -> String {
        let start = Instant::now();
        let error = read(path, kind).expect_err("it is refused").to_string();
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{error} after {:?}",
            start.elapsed()
        );
        error
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        for kind in [
            FileKind::Configuration,
            FileKind::Zone,
            FileKind::Database,
            FileKind::Secret,
        ] {
            assert_eq!(told(&pipe, kind), "is a pipe, not a regular file");
            assert_eq!(told(&socket, kind), "is a socket, not a regular file");
            assert_eq!(told(folder.path(), kind), "is a folder, not a regular file");
            assert_eq!(
                told(Path::new("/dev/zero"), kind),
                "is a device, not a regular file"
            );
            assert!(
                told(&folder.path().join("none"), kind).starts_with("cannot be read: No such file")
            );
        }
    }

    #[test]
    fn every_kind_has_a_bound_that_is_looked_at_before_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        let file = File::create(&path).unwrap();
        file.set_len(2 << 30).unwrap();
        for (kind, most) in [
            (FileKind::Configuration, "16 MiB"),
            (FileKind::Zone, "1 GiB"),
            (FileKind::Database, "1 GiB"),
            (FileKind::Networks, "256 MiB"),
            (FileKind::Certificates, "4 MiB"),
            (FileKind::Key, "1 MiB"),
            (FileKind::Secret, "8 KiB"),
            (FileKind::State, "64 MiB"),
            (FileKind::Signatures, "256 MiB"),
            (FileKind::Import, "64 MiB"),
        ] {
            assert_eq!(told(&path, kind), format!("is larger than {most}"));
        }
        file.set_len(8192).unwrap();
        assert_eq!(read(&path, FileKind::Secret).unwrap().octets, [0; 8192]);
        file.set_len(8193).unwrap();
        assert_eq!(told(&path, FileKind::Secret), "is larger than 8 KiB");
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_never_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "before").unwrap();
        for spoil in [
            |file: &mut File| file.set_len(3),
            |file: &mut File| file.write_all(b"after!"),
        ] {
            let opened = OpenFile::open(&path).unwrap();
            let mut file = OpenOptions::new().write(true).open(&path).unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            spoil(&mut file).unwrap();
            // The clock of files moves a few hundred times a second.
            std::thread::sleep(Duration::from_millis(20));
            file.write_all(b"x").unwrap();
            let error = opened
                .read_into(FileKind::Zone, &mut Vec::new())
                .expect_err("changed");
            assert!(matches!(error, ReadError::Changed), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_meanwhile_is_the_old_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("file"), folder.path().join("beside"));
        fs::write(&path, vec![b'a'; 100_000]).unwrap();
        let stop = AtomicBool::new(false);
        // Nothing is asserted before the writer has stopped: it would go on for ever.
        let reads = std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in [0, 1_u8].into_iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    fs::write(&beside, vec![b'a' + turn; 100_000 + usize::from(turn)]).unwrap();
                    fs::rename(&beside, &path).unwrap();
                }
            });
            let reads: Vec<_> = (0..200).map(|_| read_at_last(&path)).collect();
            stop.store(true, Ordering::Relaxed);
            reads
        });
        for read in reads {
            let octets = read.unwrap().octets;
            assert!(
                octets.iter().all(|octet| *octet == octets[0]),
                "half of one and half of the other"
            );
        }
    }

    /// Reads a file that is replaced so often that a read may meet it at each of its attempts.
    fn read_at_last(path: &Path) -> Result<FileContent, ReadError> {
        for _ in 0..50 {
            match read(path, FileKind::Zone) {
                Err(ReadError::Changed) => {}
                result => return result,
            }
        }
        Err(ReadError::Changed)
    }

    #[test]
    fn files_that_are_being_written_are_seen_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "half").unwrap();
        let files = [read(&path, FileKind::Zone).unwrap().read];
        assert_eq!(changed_since(&files, Duration::from_millis(50)), None);
        assert_eq!(changed_since(&[], QUIET), None);
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                fs::write(&path, "half and half").unwrap();
            });
            // Long enough that the writer comes within it on any machine.
            assert_eq!(changed_since(&files, Duration::from_secs(10)), Some(&*path));
        });
        assert!(
            start.elapsed() >= Duration::from_secs(9),
            "an old file needs no wait, a young one does"
        );
        fs::remove_file(&path).unwrap();
        assert_eq!(
            changed_since(&files, Duration::ZERO),
            Some(&*path),
            "what is gone is another, too"
        );
    }
}
