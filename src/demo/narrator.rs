//! Prints what happens while the demo runs.
//!
//! The narrator runs on its own thread. It compares the published snapshot with the one before, and
//! prints new events and every query of the tour whose answer changed. With `--show` it also
//! breaks the first region and mends it ten seconds later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::region::DemoRegion;
use super::tour::{TourStep, steps};
use crate::answer::Snapshot;
use crate::control::Control;
use crate::terminal::{TextOutput, TextStyle, ask_to_end_when_unread};

/// How often the narrator looks for changes.
const POLL: Duration = Duration::from_millis(50);
/// When the show breaks and mends its region, after the start.
const BREAK: Duration = Duration::from_secs(5);
const MEND: Duration = Duration::from_secs(15);

/// Calls `greet` and then reports changes, on a thread that ends with the process. With `show`, the
/// first region is broken and mended once.
pub fn start(
    control: Arc<Control>,
    regions: Vec<Arc<DemoRegion>>,
    show: bool,
    greet: impl FnOnce() + Send + 'static,
) {
    let mut narrator = Narrator::new(control);
    let mut region_show = None;
    if show && let Some(region) = regions.into_iter().next() {
        region_show = Some(RegionShow {
            region,
            steps_done: 0,
        });
    }
    // Without a thread, the demo runs without a narrator.
    let _ = std::thread::Builder::new()
        .name("demo-narrator".to_owned())
        .spawn(move || {
            // A closed terminal stops the server regularly, so that the folder is removed.
            ask_to_end_when_unread();
            greet();
            loop {
                if let Some(show) = &mut region_show
                    && let Some(sentence) = show.step(narrator.elapsed())
                {
                    narrator.say(TextStyle::Plain, &sentence);
                }
                narrator.report_changes();
                std::thread::sleep(POLL);
            }
        });
}

/// Breaks one region and mends it.
struct RegionShow {
    region: Arc<DemoRegion>,
    steps_done: usize,
}

impl RegionShow {
    /// Does the step that is due; returns the sentence about it.
    fn step(&mut self, elapsed: Duration) -> Option<String> {
        let city = &self.region.shown.city;
        let sentence = match self.steps_done {
            0 if elapsed >= BREAK => {
                self.region.break_down();
                format!("{city} breaks: its GET /health returns 503 from now on")
            }
            1 if elapsed >= MEND => {
                self.region.mend();
                format!("{city} is mended: its GET /health returns 200 again")
            }
            _ => return None,
        };
        self.steps_done += 1;
        Some(sentence)
    }
}

struct Narrator {
    control: Arc<Control>,
    started: Instant,
    last_event: u64,
    /// The snapshot and its answers at the last poll.
    snapshot: Arc<Snapshot>,
    steps: Vec<TourStep>,
    output: TextOutput,
}

impl Narrator {
    fn new(control: Arc<Control>) -> Narrator {
        let snapshot = control.published().load_full();
        Narrator {
            started: Instant::now(),
            last_event: control.events().count(),
            steps: steps(&snapshot),
            snapshot,
            output: TextOutput::stdout(),
            control,
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn say(&self, style: TextStyle, sentence: &str) {
        let time = format!("{:7.2} s  ", self.elapsed().as_secs_f64());
        self.output
            .line(&[(TextStyle::Plain, &time), (style, sentence)]);
    }

    /// Prints new events, and the answers that changed.
    fn report_changes(&mut self) {
        while let Some(event) = self.control.events().next_after(self.last_event) {
            self.last_event = event.number;
            let mut sentence = event.news.sentence.to_string();
            if let Some(cause) = &event.news.cause {
                sentence.push_str(&format!(": {cause}"));
            }
            self.say(TextStyle::Plain, &sentence);
        }
        let snapshot = self.control.published().load_full();
        if Arc::ptr_eq(&snapshot, &self.snapshot) {
            return;
        }
        let now = steps(&snapshot);
        for (before, now) in self.steps.iter().zip(&now) {
            if before.answer != now.answer {
                self.say(TextStyle::Bold, &changed_answer(before, now));
            }
        }
        self.steps = now;
        self.snapshot = snapshot;
    }
}

/// The sentence about a query whose answer changed.
fn changed_answer(before: &TourStep, now: &TourStep) -> String {
    let question = before.question.split(" +").next().unwrap_or_default();
    let words: Vec<&str> = question.split_whitespace().collect();
    let question = words.join(" ");
    format!(
        "{}: {question} was {}, is {}",
        now.client, before.answer, now.answer
    )
}
