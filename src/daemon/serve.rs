//! `meridian serve`

use std::net::SocketAddr;
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
use crate::control::guard::ConfirmedRisks;
use crate::control::state_directory::StateDirectory;
use crate::control::succession::{HandedState, Predecessor, Succession};
use crate::control::worker::NotDone;
use crate::control::{ConfigOrigin, Control, LoadedState, process, start};
use crate::server::{ListenAddresses, PassedSockets, Server};
use crate::terminal;

/// How often database files and the certificate are looked at for a change.
const WATCH: Duration = Duration::from_secs(2);
/// How long the end waits for what some task is still doing.
const LEFT_BEHIND: Duration = Duration::from_millis(200);

/// Runs the nameserver until SIGTERM or SIGINT.
pub fn run(serve: &ServeArgs) -> Result<ExitCode, String> {
    confine::give_up_rights()?;
    super::log::start("info");
    // Before anything that may take its time.
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

/// What a server begins with.
#[derive(Default)]
pub struct InheritedState {
    passed: PassedSockets,
    predecessor: Option<Predecessor>,
}

/// Asks the running server for its sockets. Whatever goes wrong here, or later before this one answers, that one serves on.
fn take_over(config: &Config) -> Result<InheritedState, String> {
    let directory = config.state_directory.as_ref();
    let directory = directory
        .ok_or("--take-over needs a state directory; name one: [state] directory = \"...\"")?;
    let Some(mut predecessor) = Predecessor::ask(directory)? else {
        tracing::warn!(
            "no server that could be taken over uses {}; starting as usual",
            directory.display()
        );
        return Ok(InheritedState::default());
    };
    Ok(InheritedState {
        passed: std::mem::take(&mut predecessor.passed),
        predecessor: Some(predecessor),
    })
}

/// Reads everything, looks at all else that a start needs, and tells the warnings.
pub fn load(origin: &ConfigOrigin) -> Result<LoadedState, String> {
    let refusal =
        |mistakes: Vec<String>| format!("{origin} cannot be served:\n  {}", mistakes.join("\n  "));
    let loaded = progress::during("reading configuration, zones and databases", || {
        origin.load(None).map_err(&refusal)
    })?;
    let found = start::examine(&loaded.config, &loaded.prints);
    loaded
        .warnings
        .iter()
        .chain(&found.warnings)
        .for_each(|warning| tracing::warn!("{warning}"));
    if found.refusals.is_empty() {
        Ok(loaded)
    } else {
        Err(refusal(found.refusals))
    }
}

/// Serves what was loaded on the sockets of `config`; `greet` is called once after the ready line.
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
    // Before anybody is answered: nobody is sent to an endpoint that was not seen to serve.
    if !prepare(&control, &runtime, &signals)? {
        return Ok(end_early(runtime));
    }
    process::keep_time()?;
    // From here on every part must turn, whatever happens before it is started.
    control.watchdog().begin();
    let entered = runtime.enter();
    let (server, admin) = open(config, &control, &mut passed)?;
    match (passed.expect_none(), &predecessor) {
        (Err(left), Some(_)) => tracing::warn!("{left}"),
        (left, _) => left?,
    }
    if let Some(predecessor) = predecessor {
        server.stats().count_on(&predecessor.legacy.counted);
        predecessor.relieve()?;
        control
            .state_directory()
            .iter()
            .for_each(|directory| directory.take_charge());
    }
    let tasks = go_on(&control, &runtime, &mut signals)?;
    announce(&server, &admin);
    notify::tell("READY=1");
    greet(&server, &admin, &control);
    let succession = control
        .state_directory()
        .and_then(|directory| succession(&directory));
    let end = runtime.block_on(serve_until(
        &control,
        &server,
        &admin,
        succession.as_ref(),
        &signals,
    ));
    tasks.iter().for_each(JoinHandle::abort);
    notify::tell("STOPPING=1");
    match end {
        End::Asked => {
            succession.into_iter().for_each(Succession::close);
            server.stop();
            drop(admin);
            control.finish_keeping();
        }
        // What is kept is the other server's to write, and so are the sockets in the file system.
        End::Succeeded => {
            control.watchdog().rest();
            tracing::info!(
                "another server has taken over; leaving when the last connections have ended"
            );
            admin.leave();
            signals.unless_ended(&runtime, server.drain());
        }
    }
    drop(entered);
    runtime.shutdown_timeout(LEFT_BEHIND);
    super::log::finish();
    Ok(ExitCode::SUCCESS)
}

/// The state directory, with the lock of the server before if it has one; `None`: nothing is kept.
///
/// # Errors
/// A sentence: another server owns it.
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

/// Looks names up and makes the first probes; false: the server is to end before that is done.
fn prepare(control: &Control, runtime: &Runtime, signals: &Signals) -> Result<bool, String> {
    let prepared = signals.unless_ended(runtime, async {
        control.start_names().await;
        control.start_health().await
    });
    prepared.transpose().map(|prepared| prepared.is_some())
}

/// Starts everything that goes on beside the answers; what comes back are tasks.
fn go_on(
    control: &Arc<Control>,
    runtime: &Runtime,
    signals: &mut Signals,
) -> Result<Vec<JoinHandle<()>>, String> {
    let mut tasks = vec![
        runtime.spawn(control.clone().keep_monitor()),
        runtime.spawn(control.clone().keep_health()),
        runtime.spawn(control.clone().keep_names()),
        runtime.spawn(control.clone().keep_demands()),
        runtime.spawn(control.clone().deliver_events()),
    ];
    if let Some(hangups) = signals.take_hangups() {
        tasks.push(runtime.spawn(reload_on_demand(control.clone(), hangups)));
    }
    notify::watch(control.clone())?;
    Ok(tasks)
}

/// Ends a server that has not answered anybody yet.
fn end_early(runtime: Runtime) -> ExitCode {
    tracing::info!("ended before the first answer");
    runtime.shutdown_timeout(LEFT_BEHIND);
    super::log::finish();
    ExitCode::SUCCESS
}

/// Where this server waits for the one that takes its place; `None`: nowhere.
fn succession(directory: &StateDirectory) -> Option<Succession> {
    let opened = Succession::open(directory.path());
    opened
        .inspect_err(|sentence| tracing::warn!("{sentence}"))
        .ok()
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

/// Why a server ends.
enum End {
    /// A signal asked for it.
    Asked,
    /// Another server has taken over.
    Succeeded,
}

async fn serve_until(
    control: &Arc<Control>,
    server: &Server,
    admin: &AdminServer,
    succession: Option<&Succession>,
    signals: &Signals,
) -> End {
    let give = || {
        let mut sockets = server.sockets()?;
        sockets.push(admin.socket()?);
        Ok((
            sockets,
            HandedState {
                counted: server.stats().counted(),
                ..HandedState::default()
            },
        ))
    };
    let succeeded = async {
        match succession {
            Some(succession) => succession.wait(control, give).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signals.end() => End::Asked,
        () = succeeded => End::Succeeded,
    }
}

/// The one line that says that every listener is up.
fn announce(server: &Server, admin: &AdminServer) {
    let ListenAddresses {
        dns,
        tls,
        https,
        quic,
    } = server.addresses();
    let text = |list: &[SocketAddr]| {
        list.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    let listed = |(word, list): (&str, &Vec<_>)| {
        (!list.is_empty()).then(|| format!(" {word}={}", text(list)))
    };
    let encrypted: String = [("tls", tls), ("https", https), ("quic", quic)]
        .into_iter()
        .filter_map(listed)
        .collect();
    terminal::announce(format_args!(
        "ready dns={} admin={}{encrypted}",
        text(dns),
        admin.address()
    ));
}

/// Reloads at SIGHUP, and when a database file has changed; shows a certificate that has changed.
async fn reload_on_demand(control: Arc<Control>, mut hangups: Receiver<()>) {
    let mut tick = tokio::time::interval(WATCH);
    loop {
        let demanded = tokio::select! {
            Some(()) = hangups.recv() => true,
            _ = tick.tick() => false,
        };
        // What hangs there holds up nobody else. Where it is busy, it looks at files itself, or the next turn does.
        if !demanded {
            let _ = control.look_at_files().await;
            continue;
        }
        while let Err(not_done) = reload(&control).await {
            tracing::warn!("the reload waits for the one that is under way: {not_done}");
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
