//! `meridian serve`: starts the server, runs it and stops it.
//!
//! The start loads and checks the configuration, makes the first probes, opens the sockets or takes
//! them over from a running server, and prints the ready line. No query is answered before the
//! first probes are done, so no client is sent to an endpoint that was not seen healthy. The server
//! runs until a signal or a successor ends it. The demo runs the same code with a built-in
//! configuration.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;

use super::arguments::ServeArgs;
use super::signals::Signals;
use super::{confine, notify, progress, runtime};
use crate::admin::{AdminContext, AdminServer};
use crate::config::Config;
use crate::control::fleet_status::ReportSource;
use crate::control::guard::ConfirmedRisks;
use crate::control::signing::LoadPurpose;
use crate::control::state_directory::StateDirectory;
use crate::control::succession::{HandedState, Predecessor, Succession};
use crate::control::worker::NotDone;
use crate::control::{ConfigOrigin, Control, LoadedState, process, start};
use crate::server::{ListenAddresses, PassedSockets, Server};
use crate::terminal;

/// How often database files and the certificate are checked for changes.
const WATCH: Duration = Duration::from_secs(2);
/// How long the end of the process waits for running tasks.
const TASK_TIMEOUT: Duration = Duration::from_millis(200);

/// Runs the nameserver until SIGTERM or SIGINT.
pub fn run(serve: &ServeArgs) -> Result<ExitCode, String> {
    confine::drop_privileges()?;
    super::log::start("info");
    // Signals must work while everything else is loaded.
    let signals = Signals::watch()?;
    let passed = PassedSockets::by_systemd()?;
    let origin = ConfigOrigin::File(serve.file.config.clone());
    let loaded = load(&origin)?;
    let config = loaded.config.clone();
    let inheritance = if serve.take_over {
        take_over(&config)?
    } else {
        InheritedState {
            passed,
            predecessor: None,
        }
    };
    run_loaded(origin, loaded, &config, inheritance, signals, |_, _, _| {})
}

/// What the server gets from systemd or from the server that it replaces.
#[derive(Default)]
pub struct InheritedState {
    passed: PassedSockets,
    predecessor: Option<Predecessor>,
}

/// Asks the running server for its sockets. That server continues if the takeover fails.
fn take_over(config: &Config) -> Result<InheritedState, String> {
    let Some(directory) = &config.state_directory else {
        return Err(
            "--take-over needs a state directory; set one: [state] directory = \"...\"".to_owned(),
        );
    };
    let Some(mut predecessor) = Predecessor::ask(directory)? else {
        tracing::warn!(
            "no running server uses {}, so there is nothing to take over; starting normally",
            directory.display()
        );
        return Ok(InheritedState::default());
    };
    Ok(InheritedState {
        passed: std::mem::take(&mut predecessor.passed),
        predecessor: Some(predecessor),
    })
}

/// Loads the configuration, checks what else a start needs, and logs the warnings.
pub fn load(origin: &ConfigOrigin) -> Result<LoadedState, String> {
    let loaded = progress::during("reading configuration, zones and databases", || {
        origin.load_for(LoadPurpose::Serve, None)
    });
    let loaded = loaded.map_err(|mistakes| refusal(origin, &mistakes))?;
    let found = start::examine(&loaded.config, &loaded.prints);
    for warning in loaded.warnings.iter().chain(&found.warnings) {
        tracing::warn!("{warning}");
    }
    if found.refusals.is_empty() {
        Ok(loaded)
    } else {
        Err(refusal(origin, &found.refusals))
    }
}

fn refusal(origin: &ConfigOrigin, mistakes: &[String]) -> String {
    format!("{origin} cannot be served:\n  {}", mistakes.join("\n  "))
}

/// Runs a loaded server on the sockets of `config`; calls `greet` once after the ready line.
pub fn run_loaded(
    origin: ConfigOrigin,
    loaded: LoadedState,
    config: &Config,
    inheritance: InheritedState,
    mut signals: Signals,
    greet: impl FnOnce(&Server, &AdminServer, &Arc<Control>),
) -> Result<ExitCode, String> {
    let InheritedState {
        mut passed,
        mut predecessor,
    } = inheritance;
    let state = state_directory(config, predecessor.as_mut())?;
    let control = Arc::new(Control::new(origin, loaded, state)?);
    let runtime = runtime::make()?;
    // Probes come before the first answer, so no client is sent to an endpoint of unknown health.
    if !prepare(&control, &runtime, &signals)? {
        return Ok(end_early(runtime));
    }
    process::keep_time()?;
    // From here on the watchdog watches every part.
    control.watchdog().begin();
    let entered = runtime.enter();
    let (server, admin) = open(config, &control, &mut passed)?;
    match (passed.expect_none(), &predecessor) {
        (Err(left), Some(_)) => tracing::warn!("{left}"),
        (left, _) => left?,
    }
    if let Some(predecessor) = predecessor {
        replace(predecessor, &server, &control)?;
    }
    // After the counters of a predecessor were taken over, so that they are no rate.
    control.start_reports(ReportSource {
        stats: server.stats(),
        started: Instant::now(),
    })?;
    control.start_releases(server.stats())?;
    let tasks = spawn_tasks(&control, &runtime, &mut signals)?;
    let succession = control
        .state_directory()
        .and_then(|directory| succession(&directory));
    announce(&server, &admin);
    notify::notify("READY=1");
    greet(&server, &admin, &control);
    let end = runtime.block_on(serve_until(
        &control,
        &server,
        &admin,
        succession.as_ref(),
        &signals,
    ));
    for task in tasks {
        task.abort();
    }
    notify::notify("STOPPING=1");
    match end {
        ServeEnd::Signal => stop(succession, server, admin, &control),
        ServeEnd::Takeover => {
            control.watchdog().rest();
            tracing::info!("another server has taken over; ending after the last open connection");
            // The state directory and the Unix sockets now belong to the other server.
            admin.leave();
            signals.unless_ended(&runtime, server.drain());
        }
    }
    drop(entered);
    runtime.shutdown_timeout(TASK_TIMEOUT);
    super::log::finish();
    Ok(ExitCode::SUCCESS)
}

/// Ends the server that this one replaces, and continues its counters.
fn replace(predecessor: Predecessor, server: &Server, control: &Control) -> Result<(), String> {
    server.stats().count_on(&predecessor.state.counted);
    predecessor.relieve()?;
    if let Some(directory) = control.state_directory() {
        directory.take_charge();
    }
    Ok(())
}

/// Closes all sockets and saves the state.
fn stop(succession: Option<Succession>, server: Server, admin: AdminServer, control: &Control) {
    if let Some(succession) = succession {
        succession.close();
    }
    server.stop();
    drop(admin);
    control.finish_keeping();
}

/// The state directory, with the lock of the predecessor if there is one; `None` if none is
/// configured.
///
/// # Errors
/// A sentence: another server owns the directory.
fn state_directory(
    config: &Config,
    predecessor: Option<&mut Predecessor>,
) -> Result<Option<StateDirectory>, String> {
    let Some(path) = &config.state_directory else {
        return Ok(None);
    };
    match predecessor.and_then(|predecessor| predecessor.lock.take()) {
        Some(lock) => Ok(Some(StateDirectory::inherited(path, lock))),
        None => StateDirectory::own(path).map(Some),
    }
}

/// Resolves names, makes the first probes and reads the fleet's orders; false if a signal stops the server first.
fn prepare(control: &Arc<Control>, runtime: &Runtime, signals: &Signals) -> Result<bool, String> {
    let prepared = signals.unless_ended(runtime, async {
        control.start_names().await;
        // Leases of others arrive while the first probes and votes do.
        control.start_leases()?;
        control.start_health().await?;
        control.start_orders().await
    });
    prepared.transpose().map(|prepared| prepared.is_some())
}

/// Starts the background tasks and the watchdog thread.
fn spawn_tasks(
    control: &Arc<Control>,
    runtime: &Runtime,
    signals: &mut Signals,
) -> Result<Vec<JoinHandle<()>>, String> {
    let mut tasks = vec![
        runtime.spawn(control.clone().keep_monitor()),
        runtime.spawn(control.clone().keep_health()),
        runtime.spawn(control.clone().keep_names()),
        runtime.spawn(control.clone().keep_parents()),
        runtime.spawn(control.clone().notify_parents()),
        runtime.spawn(control.clone().keep_demands()),
        runtime.spawn(control.clone().deliver_events()),
    ];
    if let Some(hangups) = signals.take_hangups() {
        tasks.push(runtime.spawn(reload_on_demand(control.clone(), hangups)));
    }
    notify::watch(control.clone())?;
    Ok(tasks)
}

/// Ends the process before it has answered a query.
fn end_early(runtime: Runtime) -> ExitCode {
    tracing::info!("ended before the server was ready");
    runtime.shutdown_timeout(TASK_TIMEOUT);
    super::log::finish();
    ExitCode::SUCCESS
}

/// The socket on which a successor can ask to take over; `None`, with a warning, if it cannot be
/// opened.
fn succession(directory: &StateDirectory) -> Option<Succession> {
    match Succession::open(directory.path()) {
        Ok(succession) => Some(succession),
        Err(sentence) => {
            tracing::warn!("{sentence}");
            None
        }
    }
}

/// Opens every socket that was not passed. Needs a tokio runtime.
fn open(
    config: &Config,
    control: &Arc<Control>,
    passed: &mut PassedSockets,
) -> Result<(Server, AdminServer), String> {
    let server = Server::start(
        &config.server,
        control.identity().dns,
        control.published(),
        process::beats(),
        passed,
    )
    .map_err(|error| error.to_string())?;
    let context = AdminContext {
        control: control.clone(),
        stats: server.stats(),
        addresses: server.addresses().clone(),
        started: Instant::now(),
    };
    let admin = AdminServer::start(&config.admin, context, passed)?;
    Ok((server, admin))
}

/// Why the server ends.
enum ServeEnd {
    /// A signal stops the server.
    Signal,
    /// Another server has taken over.
    Takeover,
}

async fn serve_until(
    control: &Arc<Control>,
    server: &Server,
    admin: &AdminServer,
    succession: Option<&Succession>,
    signals: &Signals,
) -> ServeEnd {
    let succeeded = async {
        match succession {
            Some(succession) => succession.wait(control, || hand_over(server, admin)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signals.end() => ServeEnd::Signal,
        () = succeeded => ServeEnd::Takeover,
    }
}

/// The sockets and the state for the successor.
fn hand_over(server: &Server, admin: &AdminServer) -> io::Result<(Vec<OwnedFd>, HandedState)> {
    let mut sockets = server.sockets()?;
    sockets.push(admin.socket()?);
    let counted = server.stats().counted();
    Ok((
        sockets,
        HandedState {
            counted,
            ..HandedState::default()
        },
    ))
}

/// Prints the ready line with the addresses of every listener.
fn announce(server: &Server, admin: &AdminServer) {
    let ListenAddresses {
        dns,
        tls,
        https,
        quic,
    } = server.addresses();
    let mut line = "ready".to_owned();
    // A server that only checks has none.
    if !dns.is_empty() {
        line.push_str(&format!(" dns={}", join_addresses(dns)));
    }
    line.push_str(&format!(" admin={}", admin.address()));
    for (word, addresses) in [("tls", tls), ("https", https), ("quic", quic)] {
        if !addresses.is_empty() {
            line.push_str(&format!(" {word}={}", join_addresses(addresses)));
        }
    }
    terminal::announce(line);
}

fn join_addresses(addresses: &[SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(",")
}

/// Reloads at SIGHUP, and picks up changed database files and certificates.
async fn reload_on_demand(control: Arc<Control>, mut hangups: Receiver<()>) {
    let mut tick = tokio::time::interval(WATCH);
    loop {
        let demanded = tokio::select! {
            Some(()) = hangups.recv() => true,
            _ = tick.tick() => false,
        };
        // An error means that a reload is under way. It reads the files itself, or the next round
        // does.
        if !demanded {
            let _ = control.look_at_files().await;
            continue;
        }
        while let Err(not_done) = reload(&control).await {
            tracing::warn!("the reload waits for another one: {not_done}");
            tokio::time::sleep(WATCH).await;
        }
    }
}

async fn reload(control: &Arc<Control>) -> Result<(), NotDone> {
    control
        .reload(ConfirmedRisks::default())
        .await
        .map(|done| done.log())
}
