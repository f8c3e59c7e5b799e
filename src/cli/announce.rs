//! `meridian announce`: the process beside a server that announces its service addresses.
//!
//! Each round asks the server its test queries, tells it what is announced and hears what its fleet
//! says (`AnnouncerLoop`), takes a step of the decision, and tells the router. Every wait has an end.
//! The rounds have a thread of their own. At a signal the main thread withdraws the addresses and
//! keeps the speaker, so no late round announces them again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::arguments::{AnnounceArgs, RemoteArgs};
use super::client::AdminClient;
use crate::admin::{AnnouncementAnswer, AnnouncementRequest, FleetStanding, PlainText};
use crate::announce::decision::{AnnounceDecision, FleetFacts, RoundFacts};
use crate::announce::speaker::RouteSpeaker;
use crate::announce::test_query::TestQuery;
use crate::config::{self, AdminListen, AnnounceConfig, Config};
use crate::daemon::{log, notify, signals::Signals};
use crate::fleet::announcement::AnnounceState;
use crate::terminal::say;
use crate::text::shown;

/// Most time that the router has for an answer. At a signal, the process ends after 0.7 s.
const MOST_FOR_ROUTER: Duration = Duration::from_millis(500);
/// Most time that the server has to hear of the end.
const MOST_FOR_FAREWELL: Duration = Duration::from_millis(150);
/// How long after a call that failed the next one is made.
const NEXT_CALL: Duration = Duration::from_secs(2);
/// How long what the fleet said last counts where the server does not answer its admin port.
const FLEET_MEMORY: Duration = Duration::from_secs(10);

/// Announces until SIGTERM or SIGINT, and withdraws then; with `--withdraw`, only withdraws.
pub fn run(arguments: &AnnounceArgs) -> Result<ExitCode, String> {
    let config = load(arguments)?;
    let Some(announce) = &config.announce else {
        return Err(format!(
            "{} has no [announce], which says what is announced",
            arguments.file.config.display()
        ));
    };
    let timeout = announce.timeout.min(MOST_FOR_ROUTER);
    let mut speaker = RouteSpeaker::new(announce, timeout);
    if arguments.withdraw {
        speaker.set(false)?;
        say!("{} withdrawn", addresses(announce));
        return Ok(ExitCode::SUCCESS);
    }
    log::start("info");
    let signals = Signals::watch()?;
    let speaker = Arc::new(Mutex::new(speaker));
    let remote = remote(arguments, &config)?;
    let rounds = AnnouncerLoop::new(announce, &remote, speaker.clone())?;
    tracing::info!("announces {} while the server answers", addresses(announce));
    notify::notify("READY=1");
    wait_for_end(rounds, &signals)?;
    notify::notify("STOPPING=1");
    let mut speaker = speaker.lock().unwrap_or_else(PoisonError::into_inner);
    match speaker.set(false) {
        Ok(_) => tracing::info!("withdrew {} at the end", addresses(announce)),
        Err(sentence) => tracing::error!("cannot withdraw at the end: {sentence}"),
    }
    say_farewell(&remote);
    log::finish();
    // The thread of the rounds must not get the speaker any more.
    std::process::exit(0)
}

fn load(arguments: &AnnounceArgs) -> Result<Config, String> {
    let file = &arguments.file.config;
    let loaded = config::load(file).map_err(|mistakes| {
        let mut sentences = String::new();
        for mistake in mistakes {
            sentences += &format!("\n  {mistake}");
        }
        format!("{} cannot be used:{sentences}", file.display())
    })?;
    Ok(loaded.config)
}

fn addresses(announce: &AnnounceConfig) -> String {
    let mut texts = Vec::new();
    for address in &announce.addresses {
        texts.push(address.to_string());
    }
    texts.join(", ")
}

/// The server beside this process, as its configuration says.
fn remote(arguments: &AnnounceArgs, config: &Config) -> Result<RemoteArgs, String> {
    let admin = match (&arguments.admin, &config.admin.listen) {
        (Some(admin), _) => admin.clone(),
        (None, AdminListen::Unix(path)) => format!("unix:{}", path.display()),
        (None, AdminListen::Tcp(address)) if address.port() == 0 => {
            return Err("[admin] listen has no fixed port; state --admin".to_owned());
        }
        (None, AdminListen::Tcp(address)) => {
            let address = reachable(*address);
            let scheme = if config.admin.tls.is_some() {
                "https"
            } else {
                "http"
            };
            format!("{scheme}://{address}")
        }
    };
    let token_file: Option<PathBuf> = config.admin.token_file.clone();
    Ok(RemoteArgs {
        admin,
        token_file,
        ca_file: arguments.ca_file.clone(),
    })
}

/// Where a server that listens everywhere is reached from its own machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Tells the server, and so its fleet, that nothing is announced any more. It matters little if the
/// server does not hear it: without an announcer it forgets what was said.
fn say_farewell(remote: &RemoteArgs) {
    let said = AnnouncementRequest {
        state: AnnounceState::Withdrawn,
        reason: PlainText::cut("the announcer was stopped"),
    };
    if let Ok(server) = AdminClient::new(remote) {
        let _: Result<AnnouncementAnswer, String> =
            server.put_within("/v1/announcement", &said, MOST_FOR_FAREWELL);
    }
}

/// Runs the rounds until a signal ends the process.
///
/// # Errors
/// A sentence: the system has no thread, or the rounds have ended, which would be a bug.
fn wait_for_end(mut rounds: AnnouncerLoop, signals: &Signals) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let (lives, ended) = oneshot::channel::<()>();
    let started = thread::Builder::new()
        .name("rounds".to_owned())
        .spawn(move || {
            let _lives = lives;
            rounds.run()
        });
    started.map_err(|error| format!("cannot start the thread \"rounds\": {error}"))?;
    runtime.block_on(async {
        tokio::select! {
            () = signals.end() => Ok(()),
            _ = ended => Err("the rounds have ended".to_owned()),
        }
    })
}

/// The rounds, one after the other.
struct AnnouncerLoop {
    query: TestQuery,
    interval: Duration,
    decision: AnnounceDecision,
    speaker: Arc<Mutex<RouteSpeaker>>,
    server: AdminClient,
    /// The longest that the server may take for the call.
    timeout: Duration,
    /// What the fleet said last, and when.
    heard: Option<(Option<FleetFacts>, Instant)>,
    /// What the router cannot be told, if it cannot.
    unspoken: Option<String>,
    /// Why the server could not be told what is announced, and when, if it could not.
    untold: Option<(String, Instant)>,
    addresses: String,
    started: Instant,
    has_watchdog: bool,
}

impl AnnouncerLoop {
    fn new(
        announce: &AnnounceConfig,
        remote: &RemoteArgs,
        speaker: Arc<Mutex<RouteSpeaker>>,
    ) -> Result<AnnouncerLoop, String> {
        Ok(AnnouncerLoop {
            query: TestQuery {
                addresses: announce.addresses.clone(),
                port: announce.port,
                name: announce.query.clone(),
                rtype: announce.query_type,
                timeout: announce.timeout,
            },
            interval: announce.interval,
            decision: AnnounceDecision::new(announce.rules),
            speaker,
            server: AdminClient::new(remote)?,
            timeout: announce.timeout,
            heard: None,
            unspoken: None,
            untold: None,
            addresses: addresses(announce),
            started: Instant::now(),
            has_watchdog: std::env::var_os("WATCHDOG_USEC").is_some(),
        })
    }

    fn run(&mut self) -> ! {
        loop {
            let began = Instant::now();
            self.round();
            if self.has_watchdog {
                notify::notify("WATCHDOG=1");
            }
            thread::sleep(self.interval.saturating_sub(began.elapsed()));
        }
    }

    fn round(&mut self) {
        let answers = self.query.ask();
        let mut fleet = None;
        if answers.is_ok() {
            self.tell();
            fleet = self.fleet();
        }
        let before = self.decision.state();
        let was_decided = self.decision.is_announcing().is_some();
        let facts = RoundFacts { answers, fleet };
        self.decision.step(self.started.elapsed(), &facts);
        let state = self.decision.state();
        let is_decided = self.decision.is_announcing().is_some();
        if state != before || is_decided != was_decided {
            self.note_change();
        }
        self.speak();
        if facts.answers.is_err() && !state.is_announcing() {
            // The server may still speak to its fleet.
            self.tell();
        }
    }

    fn note_change(&self) {
        let state = self.decision.state();
        let (addresses, word) = (&self.addresses, state.word());
        let reason = shown(self.decision.reason());
        if state == AnnounceState::Announced {
            tracing::info!("{addresses}: {word}: {reason}");
        } else {
            tracing::warn!("{addresses}: {word}: {reason}");
        }
    }

    /// Tells the router what holds.
    fn speak(&mut self) {
        let Some(is_announcing) = self.decision.is_announcing() else {
            return;
        };
        let mut speaker = self.speaker.lock().unwrap_or_else(PoisonError::into_inner);
        let spoken = speaker.set(is_announcing);
        drop(speaker);
        match spoken {
            Ok(has_changed) => self.note_spoken(is_announcing, has_changed),
            Err(sentence) => self.note_unspoken(sentence),
        }
    }

    fn note_spoken(&mut self, is_announcing: bool, has_changed: bool) {
        let was_unspoken = self.unspoken.take().is_some();
        if has_changed || was_unspoken {
            let done = done_word(is_announcing);
            tracing::info!("{} {done} by the router", self.addresses);
        }
    }

    fn note_unspoken(&mut self, sentence: String) {
        if self.unspoken.as_ref() != Some(&sentence) {
            tracing::error!("{}", shown(&sentence));
        }
        self.unspoken = Some(sentence);
    }

    /// Tells the server what is announced, and hears what its fleet says.
    fn tell(&mut self) {
        if let Some((_, at)) = &self.untold
            && at.elapsed() < NEXT_CALL
        {
            return;
        }
        let (state, reason) = match &self.unspoken {
            Some(sentence) => (AnnounceState::Withdrawn, sentence.as_str()),
            None => (self.decision.state(), self.decision.reason()),
        };
        let said = AnnouncementRequest {
            state,
            reason: PlainText::cut(&shown(reason).to_string()),
        };
        let timeout = self.timeout;
        let answer = self.server.put_within("/v1/announcement", &said, timeout);
        match answer {
            Ok(answer) => self.note_heard(&answer),
            Err(sentence) => self.note_untold(sentence),
        }
    }

    fn note_heard(&mut self, answer: &AnnouncementAnswer) {
        self.heard = Some((answer.fleet.map(facts_of), Instant::now()));
        self.untold = None;
    }

    fn note_untold(&mut self, sentence: String) {
        if self.untold.is_none() {
            let sentence = shown(&sentence);
            tracing::warn!("the fleet does not hear of this announcer: {sentence}");
        }
        self.untold = Some((sentence, Instant::now()));
    }

    fn fleet(&self) -> Option<FleetFacts> {
        let (fleet, at) = self.heard?;
        fleet.filter(|_| at.elapsed() < FLEET_MEMORY)
    }
}

fn done_word(is_announcing: bool) -> &'static str {
    if is_announcing {
        "announced"
    } else {
        "withdrawn"
    }
}

fn facts_of(standing: FleetStanding) -> FleetFacts {
    FleetFacts {
        checks: standing.checks,
        outvoted: standing.outvoted,
        announcing: standing.announcing,
        staying: standing.staying,
    }
}
