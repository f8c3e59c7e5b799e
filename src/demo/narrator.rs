//! Tells what happens while the demo runs: what is broken and mended, what the checks find, and who is sent where.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::region::DemoRegion;
use super::tour::{TourStep, steps};
use crate::answer::Snapshot;
use crate::control::Control;
use crate::terminal::{TextOutput, TextStyle, ask_to_end_when_unread};

/// How often what is served is compared with before.
const GLANCE: Duration = Duration::from_millis(50);
/// What the show breaks and mends, in seconds after its start.
const BREAK: Duration = Duration::from_secs(5);
const MEND: Duration = Duration::from_secs(15);

/// Greets and begins to tell, on a thread that ends with the process; with `show`, the first region is broken and mended
/// once.
pub fn start(
    control: Arc<Control>,
    regions: Vec<Arc<DemoRegion>>,
    show: bool,
    greet: impl FnOnce() + Send + 'static,
) {
    let mut narrator = Narrator::new(control);
    let mut show = show
        .then(|| regions.first().cloned())
        .flatten()
        .map(Show::new);
    let tell = move || {
        // The server has a folder to remove.
        ask_to_end_when_unread();
        greet();
        loop {
            if let Some(sentence) = show.as_mut().and_then(|show| show.step(narrator.elapsed())) {
                narrator.say(TextStyle::Plain, &sentence);
            }
            narrator.glance();
            std::thread::sleep(GLANCE);
        }
    };
    // Without it nothing is told, and everything else goes on.
    let _ = std::thread::Builder::new()
        .name("demo-narrator".to_owned())
        .spawn(tell);
}

/// One region that dies and comes back.
struct Show {
    region: Arc<DemoRegion>,
    done: usize,
}

impl Show {
    fn new(region: Arc<DemoRegion>) -> Show {
        Show { region, done: 0 }
    }

    /// Does what is due; returns what it was.
    fn step(&mut self, elapsed: Duration) -> Option<String> {
        let city = &self.region.shown.city;
        let sentence = match self.done {
            0 if elapsed >= BREAK => {
                self.region.break_down();
                format!("{city} breaks: GET /health there says 503 from now on")
            }
            1 if elapsed >= MEND => {
                self.region.mend();
                format!("{city} is mended: GET /health there says 200 again")
            }
            _ => return None,
        };
        self.done += 1;
        Some(sentence)
    }
}

struct Narrator {
    control: Arc<Control>,
    started: Instant,
    told: u64,
    /// What is served, and what it answers, as of the last glance.
    seen: Arc<Snapshot>,
    before: Vec<TourStep>,
    paper: TextOutput,
}

impl Narrator {
    fn new(control: Arc<Control>) -> Narrator {
        let seen = control.published().load_full();
        let (told, before) = (control.events().count(), steps(&seen));
        Narrator {
            control,
            started: Instant::now(),
            told,
            seen,
            before,
            paper: TextOutput::stdout(),
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn say(&self, style: TextStyle, sentence: &str) {
        let time = format!("{:7.2} s  ", self.elapsed().as_secs_f64());
        self.paper
            .line(&[(TextStyle::Plain, &time), (style, sentence)]);
    }

    /// Tells the events that are new, and whose answers are others than before.
    fn glance(&mut self) {
        while let Some(event) = self.control.events().next_after(self.told) {
            self.told = event.number;
            let cause = event
                .news
                .cause
                .as_ref()
                .map_or(String::new(), |cause| format!(": {cause}"));
            self.say(TextStyle::Plain, &format!("{}{cause}", event.news.sentence));
        }
        let snapshot = self.control.published().load_full();
        if Arc::ptr_eq(&snapshot, &self.seen) {
            return;
        }
        let now = steps(&snapshot);
        let moved: Vec<String> = self
            .before
            .iter()
            .zip(&now)
            .filter_map(|(before, now)| moved(before, now))
            .collect();
        moved
            .iter()
            .for_each(|sentence| self.say(TextStyle::Bold, sentence));
        (self.before, self.seen) = (now, snapshot);
    }
}

/// Who is sent elsewhere now.
fn moved(before: &TourStep, now: &TourStep) -> Option<String> {
    let question = before
        .question
        .split(" +")
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>();
    (before.answer != now.answer).then(|| {
        let TourStep { who, .. } = now;
        format!(
            "{who}: {} was {}, is {}",
            question.join(" "),
            before.answer,
            now.answer
        )
    })
}
