//! `meridian demo --fleet`: three nameservers that vote about health, and what clients see when
//! something fails.
//!
//! The nameservers are real ones, each a process of its own, and vote through a real NATS server. The
//! regions are those of the demo. Pretended resolvers ask all three at a steady rate and judge every
//! answer. The story breaks one thing after the other. Everything ends with this process.

mod programs;
mod relay;
mod resolvers;
mod settings;
mod stage;
mod story;
mod teller;
mod truth;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use self::resolvers::{FleetResolver, FleetTraffic, PER_SECOND};
use self::stage::FleetStage;
use self::story::FleetStory;
use self::teller::StoryTeller;
use self::truth::{TallySums, clients};
use super::arguments::DemoArgs;
use super::folder::DemoFolder;
use crate::daemon::signals::Signals;
use crate::terminal::TextStyle::{Bold, Faint, Plain};

/// Plays the demo of a fleet, until it is stopped or, with `--once`, until the tour has ended. Its exit
/// code is 0 if no query was lost and no answer wrong.
///
/// # Errors
/// A sentence: there is no NATS server, or something did not happen in time.
pub fn run(demo: &DemoArgs) -> Result<ExitCode, String> {
    let signals = Signals::of_a_terminal()?;
    let nats = programs::find_nats(demo.nats_server.as_deref())?;
    let folder = DemoFolder::make()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| format!("there are no threads for the demo: {error}"))?;
    let entered = runtime.enter();
    let teller = StoryTeller::start();
    let mut stage = FleetStage::build(Path::new(&folder.path()), &nats, demo.port)?;
    let played = play(demo, &runtime, &signals, &mut stage, &teller);
    stage.clear();
    drop(entered);
    runtime.shutdown_background();
    drop(folder);
    let code = match &played {
        Ok(Some((sums, is_whole))) => {
            let TallySums {
                asked, lost, wrong, ..
            } = sums;
            let line = format!("fleet: {asked} queries, {lost} lost, {wrong} wrong");
            teller.print(Bold, &line);
            // A signal may come before anybody has asked.
            let is_good = sums.is_clean() || sums.asked == 0;
            ExitCode::from(u8::from(!is_good || demo.once && !is_whole))
        }
        _ => ExitCode::SUCCESS,
    };
    teller.finish();
    played.map(|_| code)
}

/// Starts the programs and plays the story. Returns what clients saw, and whether the story was played
/// to its end; `None` if a signal came before anybody asked.
fn play(
    demo: &DemoArgs,
    runtime: &Runtime,
    signals: &Signals,
    stage: &mut FleetStage,
    teller: &StoryTeller,
) -> Result<Option<(TallySums, bool)>, String> {
    teller.print(Plain, "three nameservers and a NATS server are starting");
    let Some(started) = signals.unless_ended(runtime, start(stage)) else {
        return Ok(None);
    };
    started?;
    let refusal = |error| format!("nobody can ask: {error}");
    let clients = Arc::new(clients(&stage.loaded)?);
    let Some(client) = clients.first().cloned() else {
        return Err("there are no clients".to_owned());
    };
    let addresses = stage.addresses();
    let resolver = FleetResolver::new(&addresses).map_err(refusal)?;
    greet(stage, teller);
    let mut traffic = FleetTraffic::start(&addresses, &clients).map_err(refusal)?;
    let mut story = FleetStory {
        stage,
        traffic: &traffic,
        resolver: &resolver,
        client: &client,
        teller,
    };
    let played = signals.unless_ended(runtime, story.play());
    let is_whole = matches!(played, Some(Ok(())));
    if is_whole && !demo.once {
        teller.print(Plain, "");
        teller.say(Plain, "the tour is over; the fleet runs on until Ctrl-C");
        runtime.block_on(signals.end());
    }
    traffic.stop();
    let sums = traffic.tally().sums();
    played.transpose()?;
    Ok(Some((sums, is_whole)))
}

/// Starts NATS and the nameservers, and waits until they hear each other.
async fn start(stage: &mut FleetStage) -> Result<(), String> {
    stage.start_nats().await?;
    for index in 0..stage.servers.len() {
        stage.start_server(index)?;
    }
    for index in 0..stage.servers.len() {
        stage.await_ready(index).await?;
    }
    stage.await_all_votes().await
}

/// Tells what there is and how to look at it.
fn greet(stage: &FleetStage, teller: &StoryTeller) {
    teller.print(Plain, "");
    for server in &stage.servers {
        let shown = &server.shown;
        let (ip, port) = (shown.dns.ip(), shown.dns.port());
        teller.print(
            Plain,
            &format!(
                "{}  {:9}  dig @{ip} -p {port} +short www.example.com +subnet=193.0.0.0/21   \
                 console: http://{}/",
                shown.voter, shown.city, shown.admin
            ),
        );
    }
    teller.print(
        Faint,
        &format!(
            "They vote about seven regions. Resolvers all over the world ask them {PER_SECOND} times \
             a second."
        ),
    );
    teller.print(Faint, "end: Ctrl-C");
}
