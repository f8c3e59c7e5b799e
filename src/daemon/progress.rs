//! Signs of life of commands that take longer than a second, on stderr and for people only.

use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What takes less is not worth a word.
const PATIENCE: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_millis(100);

/// Does `work`, and says that it is `doing` so, and for how long, once it takes longer than a second. Says nothing where
/// stderr is no terminal.
pub fn during<T>(doing: &str, work: impl FnOnce() -> T) -> T {
    if !stderr().is_terminal() {
        return work();
    }
    let (end, ended) = channel::<()>();
    std::thread::scope(|scope| {
        let spin = move || {
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                spin_until(doing, || {
                    ended.recv_timeout(BEAT) != Err(RecvTimeoutError::Timeout)
                });
            }
        };
        // Without a thread there is no sign of life; the work is done all the same.
        let _ = std::thread::Builder::new().spawn_scoped(scope, spin);
        let done = work();
        drop(end);
        done
    })
}

fn spin_until(doing: &str, is_over: impl Fn() -> bool) {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(doing.to_owned())
        .with_elapsed(PATIENCE);
    while !is_over() {
        bar.tick();
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_comes_back() {
        assert_eq!(during("counting", || 7), 7);
    }
}
