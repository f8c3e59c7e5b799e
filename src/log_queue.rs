//! The queue between whoever has a line to say and the stream that takes it.
//!
//! Writing a line never waits, never fails and never panics: the line is put into a bounded queue, and one thread writes
//! it. A pipe that nobody reads, a full disk or a closed stream holds up that thread alone. Lines that do not fit into the
//! queue, or that the stream refuses, are counted. The count is told in one line as soon as the stream takes something
//! again, and it is in the metrics. There are two queues: [`STDERR`] for the log and [`STDOUT`] for the ready line.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Most octets that wait: some ten thousand lines.
const ROOM: usize = 4 << 20;
/// What a line takes beside its text.
const LINE: usize = 64;
/// How often a stream that takes nothing at the moment is tried again.
const AGAIN: Duration = Duration::from_millis(50);
/// The least time between two lines about lost ones, and between two attempts to start the thread.
const PAUSE: Duration = Duration::from_secs(1);
/// Most octets of what a client sent that one line of the log repeats.
const CLIENT_TEXT: usize = 300;

/// Octets that a pipe takes whole or not at all (POSIX: at least 512; Linux: 4096).
const PIPE: usize = 4096;

/// The log.
pub static STDERR: LogQueue = LogQueue::new(
    "log",
    |octets| Ok(rustix::io::write(io::stderr(), octets)?),
    || is_ready(io::stderr()),
);
/// The ready line.
pub static STDOUT: LogQueue = LogQueue::new(
    "stdout",
    |octets| Ok(rustix::io::write(io::stdout(), octets)?),
    || is_ready(io::stdout()),
);

/// Whether a stream takes something, or refuses it, without waiting.
fn is_ready(stream: impl AsFd) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(&stream, PollFlags::OUT)], Some(&now)).is_ok_and(|ready| ready > 0)
}

/// A bounded queue of lines, and the thread that writes them.
pub struct LogQueue {
    /// Of the thread.
    name: &'static str,
    /// One attempt to write; returns how many octets were taken.
    write: fn(&[u8]) -> io::Result<usize>,
    /// Whether that would not wait.
    is_ready: fn() -> bool,
    lines: Mutex<Lines>,
    changed: Condvar,
    lost: AtomicU64,
    /// How the line about so many lost ones reads; absent: nothing is told.
    notice: OnceLock<fn(u64) -> String>,
}

struct Lines {
    waiting: VecDeque<Vec<u8>>,
    /// What waits takes so much room.
    octets: usize,
    /// The thread is at work on a line.
    is_writing: bool,
    /// There is a thread.
    has_thread: bool,
    /// When the thread could not be started last.
    failed_at: Option<Instant>,
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

    /// Starts the thread; `notice` makes the line that says how many were lost, with its line end.
    pub fn start(&'static self, notice: fn(u64) -> String) {
        // A second start in one process is a test's business.
        let _ = self.notice.set(notice);
        self.ensure_thread();
    }

    /// Whether somebody writes, or will.
    pub fn is_started(&self) -> bool {
        self.notice.get().is_some()
    }

    /// Leaves a line, with its line end, to be written. What does not fit is counted.
    pub fn put(&'static self, line: Vec<u8>) {
        let mut lines = self.lines();
        let octets = line.len() + LINE;
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

    /// How many lines were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until every line is written or lost, or `patience` is over.
    pub fn flush(&self, patience: Duration) {
        let is_busy =
            |lines: &mut Lines| lines.has_thread && (lines.is_writing || !lines.waiting.is_empty());
        drop(
            self.changed
                .wait_timeout_while(self.lines(), patience, is_busy),
        );
        self.write_without_thread();
    }

    /// Where there is no thread: writes what waits, as far as the stream takes it without waiting. So the ready line, and
    /// the last words of a process that ends for want of threads, are not lost.
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
        let line = lines.waiting.pop_front()?;
        lines.octets -= line.len() + LINE;
        Some(line)
    }

    /// Writes a line as far as the stream takes it without waiting.
    fn write_at_once(&self, line: &[u8]) {
        for part in line.chunks(PIPE) {
            if !(self.is_ready)() || !(self.write)(part).is_ok_and(|taken| taken == part.len()) {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread if there is none. Where the system has no thread left, a later line tries again.
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
        lines.failed_at = started.is_err().then(Instant::now);
    }

    /// Writes lines as long as the process lives.
    fn work(&self) {
        let mut stream = Stream {
            write: self.write,
            is_inside_line: false,
        };
        let mut told = Told {
            lost: 0,
            not_before: Instant::now(),
        };
        loop {
            let line = self.next(told.lost);
            self.tell_lost(&mut stream, &mut told);
            if line.is_some_and(|line| stream.put(&line).is_err()) {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            self.lines().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// The next line; `None`: there is none, and it is time to tell of more than the `told` lost ones.
    fn next(&self, told: u64) -> Option<Vec<u8>> {
        let is_idle = |lines: &mut Lines| lines.waiting.is_empty();
        let mut lines = if self.lost() > told {
            let waited = self
                .changed
                .wait_timeout_while(self.lines(), PAUSE, is_idle);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            self.changed
                .wait_while(self.lines(), is_idle)
                .unwrap_or_else(PoisonError::into_inner)
        };
        let line = lines.waiting.pop_front()?;
        lines.octets -= line.len() + LINE;
        lines.is_writing = true;
        Some(line)
    }

    /// Says how many lines were lost since this was said last, if the stream takes it.
    fn tell_lost(&self, stream: &mut Stream, told: &mut Told) {
        let lost = self.lost();
        let Some(notice) = self.notice.get() else {
            return;
        };
        if lost > told.lost
            && Instant::now() >= told.not_before
            && stream.put(notice(lost - told.lost).as_bytes()).is_ok()
        {
            *told = Told {
                lost,
                not_before: Instant::now() + PAUSE,
            };
        }
    }
}

/// What was said of lost lines.
struct Told {
    lost: u64,
    not_before: Instant,
}

/// Where lines go.
struct Stream {
    write: fn(&[u8]) -> io::Result<usize>,
    /// A line was cut off: the next one begins with a line end.
    is_inside_line: bool,
}

impl Stream {
    /// Writes a line whole, however long the stream takes.
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
                // Whoever gave us the stream told it not to wait.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What a client sent, as a line of the log repeats it: no more than some hundred octets. Every text of a client passes
/// here before it is logged.
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
    fn a_stream_that_takes_nothing_holds_up_nobody_and_what_was_lost_is_told() {
        static IS_STUCK: Mutex<()> = Mutex::new(());
        static TAKEN: Taken = Mutex::new(Vec::new());
        fn take(octets: &[u8]) -> io::Result<usize> {
            drop(IS_STUCK.lock());
            TAKEN.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }
        static QUEUE: LogQueue = LogQueue::new("test", take, || true);
        let stuck = IS_STUCK.lock().unwrap();
        QUEUE.start(notice);
        let line = [vec![b'x'; 1000], vec![b'\n']].concat();
        let count = 2 * ROOM / line.len();
        (0..count).for_each(|_| QUEUE.put(line.clone()));
        let lost = QUEUE.lost();
        assert!(lost as usize > count / 3, "{lost} of {count}");
        assert!(QUEUE.lines().octets <= ROOM);
        QUEUE.flush(Duration::from_millis(1));
        drop(stuck);
        QUEUE.flush(LONG);
        let text = expect(&TAKEN, |text| text.contains("lost\n"));
        assert!(
            text.contains(&format!("\n{lost} lost\n")),
            "the count is told, and once"
        );
        assert_eq!(text.matches('x').count(), 1000 * (count - lost as usize));
    }

    #[test]
    fn a_stream_that_fails_loses_lines_and_tells_when_it_works_again() {
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
        // The first line is lost; the second finds no room for the count either; nobody says a third.
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
    fn a_line_that_was_cut_off_is_ended_and_one_that_is_taken_piece_by_piece_is_whole() {
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
    fn what_a_client_sent_is_cut_between_characters() {
        assert_eq!(client_text("short"), "short");
        let long = format!("x{}", "ä".repeat(4000));
        let cut = client_text(&long);
        assert!(
            cut.len() < CLIENT_TEXT + 30 && cut.ends_with("ä... (8001 octets)"),
            "{cut}"
        );
    }
}
