//! Traffic moves: when a nameserver is stopped, frozen or cut off, when its announcer or its router
//! ends, and when it is outvoted.

use std::time::Duration;

use crate::client::Client;
use crate::lab::{Lab, await_that};

/// The longest that clients may get no answer while traffic moves, on a busy machine. Two rounds of
/// test queries find a frozen server within 1.2 s here, and BGP a lost peer within 3 s.
const MOVED: Duration = Duration::from_secs(8);

#[track_caller]
fn moved(client: &Client, what: &str, to: &str) {
    let gap = client.await_server(to);
    println!("{what}: {to} answers, {gap:?} without an answer");
    assert!(gap < MOVED, "{what}: no answer for {gap:?}");
}

#[test]
fn traffic_leaves_a_server_that_is_stopped_frozen_or_cut_off_and_returns() {
    let mut lab = Lab::start("");
    let client = Client::start(&lab.namespace("client"));
    client.await_server("ns1");
    lab.sites[0].server.take().unwrap().stop();
    moved(&client, "ns1 is stopped", "ns2");
    lab.sites[1].server.as_ref().unwrap().signal(libc::SIGSTOP);
    moved(&client, "ns2 is frozen", "ns3");
    lab.cut(2, true);
    moved(&client, "ns3 is cut off", "ns4");
    // They return one after the other, and each takes its clients back.
    lab.cut(2, false);
    moved(&client, "ns3 is connected again", "ns3");
    lab.sites[1].server.as_ref().unwrap().signal(libc::SIGCONT);
    moved(&client, "ns2 goes on", "ns2");
    lab.start_server(0);
    moved(&client, "ns1 is started", "ns1");
    // An announcer that is stopped withdraws; the server is drained without losing a query.
    lab.sites[0].announcer.take().unwrap().stop();
    let gap = client.await_server("ns2");
    assert!(gap < Duration::from_secs(1), "no answer for {gap:?}");
}

#[test]
fn what_an_announcer_said_holds_when_it_is_killed_and_is_said_again_to_a_new_router() {
    let mut lab = Lab::start("");
    let client = Client::start(&lab.namespace("client"));
    client.await_server("ns1");
    // The announcer is killed: nothing changes, and nobody watches.
    lab.sites[0].announcer.take().unwrap().kill();
    client.stays("ns1", Duration::from_secs(2));
    // It starts again beside a server that answers: it does not withdraw first.
    lab.start_announcer(0);
    await_that("it has decided", || {
        let log = lab.sites[0].announcer.as_ref().unwrap().log();
        log.contains("announced: the server answers")
    });
    client.stays("ns1", Duration::from_secs(1));
    // The same, but meanwhile the server is frozen.
    lab.sites[0].announcer.take().unwrap().kill();
    lab.sites[0].server.as_ref().unwrap().signal(libc::SIGSTOP);
    client.await_silence();
    lab.start_announcer(0);
    client.await_server("ns2");
    // A router that is killed takes its session with it, and begins without the route.
    lab.sites[1].bird.take().unwrap().kill();
    client.await_server("ns3");
    lab.start_bird(1);
    client.await_server("ns2");
    // While the router is gone, the server says that it does not announce.
    lab.sites[1].bird.take().unwrap().kill();
    await_that("the server knows", || lab.announcement(1) == "withdrawn");
    let reason = lab.status(1)["announcement"]["reason"].to_string();
    assert!(reason.contains("BIRD cannot be reached"), "{reason}");
}

#[test]
fn a_server_that_is_outvoted_leaves_but_the_last_ones_stay() {
    let mut lab = Lab::start("keep = 2");
    let client = Client::start(&lab.namespace("client"));
    client.await_server("ns1");
    // ns4 votes and does not announce.
    lab.sites[3].announcer.take().unwrap().stop();
    await_that("ns2 hears of two others", || {
        let status = lab.status(1);
        let voters = status["fleet"]["voters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let announced = voters.iter().filter(|it| it["announcement"] == "announced");
        voters.len() == 3 && announced.count() == 2
    });
    lab.blind(0, true);
    moved(&client, "ns1 is outvoted", "ns2");
    await_that("its server knows", || lab.announcement(0) == "held");
    // ns2 is outvoted too. If it left, ns3 would be alone.
    lab.blind(1, true);
    await_that("ns2 is in doubt", || lab.announcement(1) == "doubtful");
    client.stays("ns2", Duration::from_secs(5));
    let reason = lab.status(1)["announcement"]["reason"].to_string();
    assert!(
        reason.contains("fewer than 2 others would stay"),
        "{reason}"
    );
    // ns3 leaves. ns2 alone is fewer than two, so ns1 comes back though it is outvoted.
    lab.sites[2].announcer.take().unwrap().stop();
    moved(&client, "ns3 leaves", "ns1");
    await_that("its server knows", || lab.announcement(0) == "doubtful");
    // One that does not answer leaves, whoever is left.
    lab.sites[0].server.take().unwrap().stop();
    moved(&client, "ns1 is stopped", "ns2");
    lab.blind(1, false);
    await_that("ns2 is trusted", || lab.announcement(1) == "announced");
}
