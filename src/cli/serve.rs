//! `meridian serve`

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::arguments::Serve;
use super::notify;
use crate::config::Config;
use crate::control::admin::{Admin, Context};
use crate::control::{Control, Loaded, Origin, process};
use crate::server::{Addresses, Inherited, Server};

/// How often database files and the certificate are looked at for a change.
const WATCH: Duration = Duration::from_secs(2);

/// Runs the nameserver until SIGTERM or SIGINT.
pub fn run(serve: &Serve) -> Result<ExitCode, String> {
    super::log::start("info");
    let origin = Origin::File(serve.file.config.clone());
    let loaded = load(&origin)?;
    let config = loaded.config.clone();
    run_loaded(origin, loaded, &config, |_, _, _| {})
}

/// Reads everything and tells the warnings.
pub fn load(origin: &Origin) -> Result<Loaded, String> {
    let refusal = |mistakes: Vec<String>| format!("{origin} cannot be served:\n  {}", mistakes.join("\n  "));
    let loaded = origin.load(None).map_err(refusal)?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(loaded)
}

/// Serves what was loaded on the sockets of `config`; `greet` is called once after the ready line.
pub fn run_loaded(
    origin: Origin,
    loaded: Loaded,
    config: &Config,
    greet: impl FnOnce(&Server, &Admin, &Arc<Control>),
) -> Result<ExitCode, String> {
    let control = Arc::new(Control::new(origin, loaded));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    // Before the ready line: whoever has read it may send a signal.
    let signals = runtime.block_on(async { Signals::watch() })?;
    // Before anybody is answered: nobody is sent to an endpoint that was not seen to serve.
    runtime.block_on(control.start_names());
    runtime.block_on(control.start_health())?;
    let (server, admin) = {
        let _entered = runtime.enter();
        start(config, &control)?
    };
    announce(&server, &admin);
    notify::tell("READY=1");
    greet(&server, &admin, &control);
    runtime.block_on(serve_until_stopped(&control, server, signals))?;
    drop(admin);
    control.finish_keeping();
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(ExitCode::SUCCESS)
}

/// Opens every socket. Needs a tokio runtime.
fn start(config: &Config, control: &Arc<Control>) -> Result<(Server, Admin), String> {
    let inherited = Inherited::of_environment().map_err(|error| error.to_string())?;
    let server = Server::start(&config.server, inherited, control.identity(), control.published(), process::beats())
        .map_err(|error| error.to_string())?;
    let context = Context {
        control: control.clone(),
        tallies: server.tallies(),
        addresses: server.addresses().clone(),
        started: Instant::now(),
    };
    let admin = Admin::start(&config.admin, context)?;
    Ok((server, admin))
}

/// The signals that mean something here.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn watch() -> Result<Signals, String> {
        let on = |kind| signal(kind).map_err(|error| format!("cannot watch for signals: {error}"));
        Ok(Signals {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }
}

async fn serve_until_stopped(control: &Arc<Control>, server: Server, signals: Signals) -> Result<(), String> {
    let Signals { mut terminate, mut interrupt, hangup } = signals;
    let reloads = tokio::spawn(reload_on_demand(control.clone(), hangup));
    let health = tokio::spawn(control.clone().keep_health());
    let names = tokio::spawn(control.clone().keep_names());
    let demands = tokio::spawn(control.clone().keep_demands());
    let events = tokio::spawn(control.clone().deliver_events());
    let clock = tokio::spawn(keep_time());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    notify::tell("STOPPING=1");
    reloads.abort();
    health.abort();
    names.abort();
    demands.abort();
    events.abort();
    clock.abort();
    tokio::task::spawn_blocking(move || server.stop()).await.map_err(|error| error.to_string())
}

/// Keeps the clocks of the query path.
async fn keep_time() {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        process::tick();
    }
}

/// The one line that says that every listener is up.
fn announce(server: &Server, admin: &Admin) {
    let Addresses { dns, tls, https, quic } = server.addresses();
    let text = |list: &[SocketAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let listed = |(word, list): (&str, &Vec<_>)| (!list.is_empty()).then(|| format!(" {word}={}", text(list)));
    let encrypted: String = [("tls", tls), ("https", https), ("quic", quic)].into_iter().filter_map(listed).collect();
    // Whoever started us may have closed our output; that is no reason to stop.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "ready dns={} admin={}{encrypted}", text(dns), admin.address());
    let _ = out.flush();
}

/// Reloads at SIGHUP, and when a database file has changed; shows a certificate that has changed.
async fn reload_on_demand(control: Arc<Control>, mut hangup: Signal) {
    let mut tick = tokio::time::interval(WATCH);
    loop {
        let demanded = tokio::select! {
            _ = hangup.recv() => true,
            _ = tick.tick() => false,
        };
        let control = control.clone();
        // Reading and compiling would hold up the runtime.
        let done = tokio::task::spawn_blocking(move || {
            if demanded || control.databases_changed() {
                control.reload().log();
            } else {
                control.renew_identity();
            }
        });
        let _ = done.await;
    }
}
