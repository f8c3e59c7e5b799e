//! Prints the story, on a thread of its own.
//!
//! A terminal that blocks must not hold up what happens on the stage, and one that is closed must end
//! the demo regularly, so that its folder is removed.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::terminal::{TextOutput, TextStyle, ask_to_end_when_unread};

/// How long the end of the demo waits for a terminal.
const PATIENCE: Duration = Duration::from_millis(200);

/// The sender of lines.
#[derive(Debug)]
pub struct StoryTeller {
    lines: Sender<(TextStyle, String)>,
    written: Receiver<()>,
    started: Instant,
}

impl StoryTeller {
    /// Starts the thread. Without one, nothing is told.
    pub fn start() -> StoryTeller {
        let (lines, told) = channel::<(TextStyle, String)>();
        let (done, written) = channel();
        let _ = std::thread::Builder::new()
            .name("demo-teller".to_owned())
            .spawn(move || {
                ask_to_end_when_unread();
                let output = TextOutput::stdout();
                while let Ok((style, line)) = told.recv() {
                    output.line(&[(style, &line)]);
                }
                let _ = done.send(());
            });
        StoryTeller {
            lines,
            written,
            started: Instant::now(),
        }
    }

    /// Prints a line as it is.
    pub fn print(&self, style: TextStyle, line: &str) {
        let _ = self.lines.send((style, line.to_owned()));
    }

    /// Prints a line with the seconds since the start before it.
    pub fn say(&self, style: TextStyle, sentence: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.print(style, &format!("{seconds:7.2} s  {sentence}"));
    }

    /// Waits until everything is written, or until the terminal has had its time.
    pub fn finish(self) {
        drop(self.lines);
        let _ = self.written.recv_timeout(PATIENCE);
    }
}
