//! `meridian serve`

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::arguments::Serve;
use crate::config::Config;
use crate::control::{Control, Loaded, Refused, load};
use crate::server::{Server, TcpLimits};

/// How often database files are looked at for a change.
const WATCH: Duration = Duration::from_secs(2);

/// Runs the nameserver until SIGTERM or SIGINT.
pub fn run(serve: &Serve) -> Result<ExitCode, String> {
    super::log::start();
    let file = &serve.file.config;
    let loaded = load(file, None).map_err(|mistakes| refusal(file, &mistakes))?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    run_loaded(file, loaded)
}

/// All mistakes and what they mean.
fn refusal(file: &Path, mistakes: &[String]) -> String {
    format!("{} cannot be served:\n  {}", file.display(), mistakes.join("\n  "))
}

/// Serves what was loaded.
pub fn run_loaded(file: &Path, loaded: Loaded) -> Result<ExitCode, String> {
    let config = loaded.config.clone();
    let control = Arc::new(Control::new(file, loaded));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(serve_until_stopped(&config, &control))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(ExitCode::SUCCESS)
}

async fn serve_until_stopped(config: &Config, control: &Arc<Control>) -> Result<(), String> {
    let on = |kind| signal(kind).map_err(|error| format!("cannot watch for signals: {error}"));
    let (mut terminate, mut interrupt, hangup) =
        (on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::hangup())?);
    let limits = TcpLimits {
        connections: config.server.tcp_connections,
        connections_per_client: config.server.tcp_connections_per_client,
        idle: config.server.tcp_idle,
    };
    let server = Server::start(&config.server.listen, config.server.workers, limits, control.published())
        .map_err(|error| error.to_string())?;
    announce(&server);
    let reloads = tokio::spawn(reload_on_demand(control.clone(), hangup));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    reloads.abort();
    tokio::task::spawn_blocking(move || server.stop()).await.map_err(|error| error.to_string())
}

/// The one line that says that every listener is up.
fn announce(server: &Server) {
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    println!("ready dns={}", addresses.join(","));
    let _ = std::io::stdout().flush();
}

/// Reloads at SIGHUP, and when a database file has changed.
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
                reload(&control);
            }
        });
        let _ = done.await;
    }
}

fn reload(control: &Control) {
    let start = std::time::Instant::now();
    match control.reload() {
        Ok(warnings) => {
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            tracing::info!(milliseconds = start.elapsed().as_millis() as u64, "reloaded");
        }
        Err(Refused(mistakes)) => {
            control.note_databases();
            tracing::error!("reload refused, what was served before is served still:\n  {}", mistakes.join("\n  "));
        }
    }
}
