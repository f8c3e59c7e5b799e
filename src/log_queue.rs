//! A bounded queue of lines in front of an output stream.
//!
//! Logging a line never waits, never fails and never panics: the line goes into a queue, and one
//! thread writes it. A pipe without a reader, a full disk or a closed stream blocks that thread
//! alone.
//!
//! Lines that do not fit into the queue, or that the stream refuses, are counted. The count is
//! logged as soon as the stream accepts lines again, and it is a metric. There are two queues:
//! [`STDERR`] for the log and [`STDOUT`] for the ready line.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Most octets in the queue: some ten thousand lines.
const ROOM: usize = 4 << 20;
/// Octets that a line takes besides its text.
const LINE_OVERHEAD: usize = 64;
/// The time between attempts to write to a stream that accepts nothing.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// The least time between two notices of lost lines, and between two attempts to start the thread.
const PAUSE: Duration = Duration::from_secs(1);
/// Most octets of a client's text in one line of the log.
const CLIENT_TEXT: usize = 300;

/// Octets that a pipe accepts whole or not at all (POSIX: at least 512; Linux: 4096).
const PIPE_ATOMIC: usize = 4096;

/// The queue of the log.
pub static STDERR: LogQueue = LogQueue::new(
    "log",
    |octets| Ok(rustix::io::write(io::stderr(), octets)?),
    || is_ready(io::stderr()),
);
/// The queue of the ready line.
pub static STDOUT: LogQueue = LogQueue::new(
    "stdout",
    |octets| Ok(rustix::io::write(io::stdout(), octets)?),
    || is_ready(io::stdout()),
);

/// Whether a write to the stream would return at once, with or without success.
fn is_ready(stream: impl AsFd) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(&stream, PollFlags::OUT)], Some(&now)).is_ok_and(|ready| ready > 0)
}

/// A bounded queue of lines, and the thread that writes them.
pub struct LogQueue {
    /// The name of the thread.
    name: &'static str,
    /// Makes one attempt to write; returns how many octets were accepted.
    write: fn(&[u8]) -> io::Result<usize>,
    /// Whether a write would return at once.
    is_ready: fn() -> bool,
    lines: Mutex<Lines>,
    changed: Condvar,
    lost: AtomicU64,
    /// Makes the notice of this many lost lines; unset: there are no notices.
    notice: OnceLock<fn(u64) -> String>,
}

struct Lines {
    waiting: VecDeque<Vec<u8>>,
    /// The room that the waiting lines take.
    octets: usize,
    /// The thread is writing a line.
    is_writing: bool,
    /// The thread is running.
    has_thread: bool,
    /// The last time that the thread could not be started.
    failed_at: Option<Instant>,
}

impl Lines {
    /// Whether the thread still has something to write.
    fn is_busy(&self) -> bool {
        self.has_thread && (self.is_writing || !self.waiting.is_empty())
    }

    /// Takes the next line from the queue.
    fn pop(&mut self) -> Option<Vec<u8>> {
        let line = self.waiting.pop_front()?;
        self.octets -= line.len() + LINE_OVERHEAD;
        Some(line)
    }
}

impl LogQueue {
    const fn new(
        name: &'static str,
        write: fn(&[u8]) -> io::Result<usize>,
        is_ready: fn() -> bool,
    ) -> LogQueue {
        let waiting = VecDeque::new();
        let lines = Lines {
            waiting,
            octets: 0,
            is_writing: false,
            has_thread: false,
            failed_at: None,
        };
        let changed = Condvar::new();
        LogQueue {
            name,
            write,
            is_ready,
            lines: Mutex::new(lines),
            changed,
            lost: AtomicU64::new(0),
            notice: OnceLock::new(),
        }
    }

    /// Starts the thread. `notice` makes the notice of lost lines, with its line end.
    pub fn start(&'static self, notice: fn(u64) -> String) {
        // Only tests start a queue twice.
        let _ = self.notice.set(notice);
        self.ensure_thread();
    }

    /// Whether the queue was started.
    pub fn is_started(&self) -> bool {
        self.notice.get().is_some()
    }

    /// Queues a line, which includes its line end. A line that does not fit is counted as lost.
    pub fn put(&'static self, line: Vec<u8>) {
        let mut lines = self.lines();
        let octets = line.len() + LINE_OVERHEAD;
        if lines.octets + octets > ROOM {
            self.lost.fetch_add(1, Ordering::Relaxed);
        } else {
            lines.octets += octets;
            lines.waiting.push_back(line);
        }
        let has_thread = lines.has_thread;
        drop(lines);
        self.changed.notify_all();
        if !has_thread {
            self.ensure_thread();
            self.write_without_thread();
        }
    }

    /// The number of lines lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until every line is written or lost, `patience` at most.
    pub fn flush(&self, patience: Duration) {
        drop(
            self.changed
                .wait_timeout_while(self.lines(), patience, |lines| lines.is_busy()),
        );
        self.write_without_thread();
    }

    /// If there is no thread, writes the waiting lines as far as the stream accepts them at once.
    /// So the ready line is not lost, nor is the last error of a process that cannot start threads.
    fn write_without_thread(&self) {
        while let Some(line) = self.next_without_thread() {
            self.write_at_once(&line);
        }
    }

    fn next_without_thread(&self) -> Option<Vec<u8>> {
        let mut lines = self.lines();
        if lines.has_thread || !(self.is_ready)() {
            return None;
        }
        lines.pop()
    }

    /// Writes a line as far as the stream accepts it at once.
    fn write_at_once(&self, line: &[u8]) {
        for part in line.chunks(PIPE_ATOMIC) {
            if !(self.is_ready)() || !(self.write)(part).is_ok_and(|taken| taken == part.len()) {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread if there is none. If that fails, a later line tries again.
    fn ensure_thread(&'static self) {
        let mut lines = self.lines();
        let is_too_soon = lines.failed_at.is_some_and(|at| at.elapsed() < PAUSE);
        if lines.has_thread || is_too_soon {
            return;
        }
        let started = std::thread::Builder::new()
            .name(self.name.to_owned())
            .spawn(|| self.work());
        lines.has_thread = started.is_ok();
        lines.failed_at = match started {
            Ok(_) => None,
            Err(_) => Some(Instant::now()),
        };
    }

    /// Writes lines until the process ends.
    fn work(&self) {
        let mut stream = Stream {
            write: self.write,
            is_inside_line: false,
        };
        let mut last_notice = LostNotice {
            lost: 0,
            not_before: Instant::now(),
        };
        loop {
            let line = self.next(last_notice.lost);
            self.report_lost(&mut stream, &mut last_notice);
            if let Some(line) = line
                && stream.put(&line).is_err()
            {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            self.lines().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for the next line; `None`: there is none, but it is time for a notice of more than
    /// `reported` lost lines.
    fn next(&self, reported: u64) -> Option<Vec<u8>> {
        let mut lines = if self.lost() > reported {
            let waited = self
                .changed
                .wait_timeout_while(self.lines(), PAUSE, |lines| lines.waiting.is_empty());
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            self.changed
                .wait_while(self.lines(), |lines| lines.waiting.is_empty())
                .unwrap_or_else(PoisonError::into_inner)
        };
        let line = lines.pop()?;
        lines.is_writing = true;
        Some(line)
    }

    /// Writes a notice of the lines that were lost since the last one, if the stream accepts it.
    fn report_lost(&self, stream: &mut Stream, last: &mut LostNotice) {
        let lost = self.lost();
        let Some(notice) = self.notice.get() else {
            return;
        };
        if lost > last.lost
            && Instant::now() >= last.not_before
            && stream.put(notice(lost - last.lost).as_bytes()).is_ok()
        {
            *last = LostNotice {
                lost,
                not_before: Instant::now() + PAUSE,
            };
        }
    }
}

/// The last notice of lost lines.
struct LostNotice {
    /// The number of lines lost until then.
    lost: u64,
    not_before: Instant,
}

/// The stream that lines are written to.
struct Stream {
    write: fn(&[u8]) -> io::Result<usize>,
    /// The last line was cut off, so the next one starts with a line end.
    is_inside_line: bool,
}

impl Stream {
    /// Writes a whole line, however long the stream takes.
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_inside_line {
            self.put_all(b"\n")?;
        }
        self.put_all(line)
    }

    fn put_all(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            match (self.write)(octets) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    self.is_inside_line = octets[..taken.min(octets.len())].last() != Some(&b'\n');
                    octets = octets.get(taken..).unwrap_or_default();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The process that started us made the stream non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(RETRY_INTERVAL)
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The text of a client as a line of the log repeats it: some hundred octets at most. Every text of
/// a client passes this function before it is logged.
pub fn client_text(text: &str) -> Cow<'_, str> {
    if text.len() <= CLIENT_TEXT {
        return Cow::Borrowed(text);
    }
    let mut end = CLIENT_TEXT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}... ({} octets)", &text[..end], text.len()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn notice(lost: u64) -> String {
        format!("{lost} lost\n")
    }

    /// What a test's stream has taken.
    type Taken = Mutex<Vec<u8>>;

    #[track_caller]
    fn expect(taken: &'static Taken, is_enough: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
            if is_enough(&text) {
                return text;
            }
            assert!(start.elapsed() < LONG, "it took {text:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_blocked_stream_delays_no_caller_and_lost_lines_are_counted() {
        static IS_STUCK: Mutex<()> = Mutex::new(());
        static IS_TAKING: AtomicUsize = AtomicUsize::new(0);
        static TAKEN: Taken = Mutex::new(Vec::new());
        fn take(octets: &[u8]) -> io::Result<usize> {
            IS_TAKING.store(1, Ordering::SeqCst);
            drop(IS_STUCK.lock());
            TAKEN.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }
        static QUEUE: LogQueue = LogQueue::new("test", take, || true);
        let stuck = IS_STUCK.lock().unwrap();
        QUEUE.start(notice);
        let line = [vec![b'x'; 1000], vec![b'\n']].concat();
        let count = 2 * ROOM / line.len();
        QUEUE.put(line.clone());
        // Lines that are lost before the stream is stuck would be reported before it is.
        let start = Instant::now();
        while IS_TAKING.load(Ordering::SeqCst) == 0 {
            assert!(start.elapsed() < LONG, "nothing is taken");
            std::thread::yield_now();
        }
        (1..count).for_each(|_| QUEUE.put(line.clone()));
        let lost = QUEUE.lost();
        assert!(lost as usize > count / 3, "{lost} of {count}");
        assert!(QUEUE.lines().octets <= ROOM);
        QUEUE.flush(Duration::from_millis(1));
        drop(stuck);
        QUEUE.flush(LONG);
        let text = expect(&TAKEN, |text| text.contains("lost\n"));
        assert!(
            text.contains(&format!("\n{lost} lost\n")),
            "the count is reported once"
        );
        assert_eq!(text.matches('x').count(), 1000 * (count - lost as usize));
    }

    #[test]
    fn a_failing_stream_loses_lines_and_later_reports_how_many() {
        static FAILURES: AtomicUsize = AtomicUsize::new(3);
        static TAKEN: Taken = Mutex::new(Vec::new());
        fn take(octets: &[u8]) -> io::Result<usize> {
            let fails = FAILURES
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
            if fails {
                return Err(ErrorKind::StorageFull.into());
            }
            TAKEN.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }
        static QUEUE: LogQueue = LogQueue::new("test", take, || true);
        QUEUE.start(notice);
        // The first line is lost, and so is the second, because not even the count can be
        // written. No third line follows.
        QUEUE.put(b"one\n".to_vec());
        QUEUE.put(b"two\n".to_vec());
        assert_eq!(expect(&TAKEN, |text| text.contains("lost")), "2 lost\n");
        QUEUE.put(b"three\n".to_vec());
        assert_eq!(
            expect(&TAKEN, |text| text.contains("three")),
            "2 lost\nthree\n"
        );
        assert_eq!(QUEUE.lost(), 2);
    }

    #[test]
    fn a_truncated_line_is_ended_and_a_line_written_in_pieces_is_whole() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        static TAKEN: Taken = Mutex::new(Vec::new());
        let mut stream = Stream {
            write: |octets| match CALLS.fetch_add(1, Ordering::SeqCst) {
                1 => Err(ErrorKind::BrokenPipe.into()),
                2 | 5 => Err(ErrorKind::WouldBlock.into()),
                3 => Err(ErrorKind::Interrupted.into()),
                _ => {
                    TAKEN.lock().unwrap().extend_from_slice(&octets[..1]);
                    Ok(1)
                }
            },
            is_inside_line: false,
        };
        assert!(stream.put(b"one\n").is_err());
        stream.put(b"two\n").unwrap();
        assert_eq!(*TAKEN.lock().unwrap(), b"o\ntwo\n");
    }

    #[test]
    fn text_from_a_client_is_cut_between_characters() {
        assert_eq!(client_text("short"), "short");
        let long = format!("x{}", "ä".repeat(4000));
        let cut = client_text(&long);
        assert!(
            cut.len() < CLIENT_TEXT + 30 && cut.ends_with("ä... (8001 octets)"),
            "{cut}"
        );
    }
}
