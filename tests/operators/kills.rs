//! Kills in the middle of writing: what was said to be kept is kept, and no file is ever half written.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::ScopedJoinHandle;

use crate::harness::Server;
use crate::world::{self, TOKEN, call};

const ROUNDS: u32 = 8;

#[test]
fn a_kill_during_a_write_loses_nothing_that_was_kept() {
    let mut server = world::start(
        "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n",
    );
    for round in 1..=ROUNDS {
        let told = AtomicU32::new(0);
        let admin = server.admin.expect("it has one");
        server = std::thread::scope(|scope| {
            let orders = scope.spawn(|| order_until_it_dies(admin, &told));
            wait_for_orders(&orders, &told, round);
            let server = server.kill_and_start_again();
            orders.join().expect("it ends with the server");
            server
        });
        let told = told.into_inner();
        let weight = weight_in_force(&server);
        assert!(
            weight == told || weight == told + 1,
            "round {round}: {told} was kept, {weight} is in force"
        );
        assert_no_file_is_put_aside(&server);
    }
}

/// Gives `fra` the weights 1, 2, 3 and so on, one after the other; `told` is the last one that was said to be kept.
fn order_until_it_dies(admin: SocketAddr, told: &AtomicU32) {
    for weight in 1..10_000 {
        match order(admin, weight) {
            Ok(reply) if reply.contains("\"kept\":true") => told.store(weight, Ordering::Release),
            // Not even the whole reply came: it may or may not be in force.
            Ok(_) | Err(_) => return,
        }
    }
}

fn order(admin: SocketAddr, weight: u32) -> std::io::Result<String> {
    let body = format!("{{\"weight\": {weight}}}");
    let mut stream = TcpStream::connect(admin)?;
    write!(
        stream,
        "PUT /v1/regions/fra/weight HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

/// Some orders are kept, and the next one is somewhere on its way, another step of it in every round.
fn wait_for_orders(orders: &ScopedJoinHandle<'_, ()>, told: &AtomicU32, round: u32) {
    while told.load(Ordering::Acquire) < 3 + round && !orders.is_finished() {
        std::thread::yield_now();
    }
    for _ in 0..round * 2_000 {
        std::hint::spin_loop();
    }
}

fn weight_in_force(server: &Server) -> u32 {
    let (_, status) = call(server, "GET", "/v1/status", "", "");
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let weight = status["orders"][0]["weight"].as_u64();
    weight
        .and_then(|weight| weight.try_into().ok())
        .unwrap_or_else(|| panic!("no weight: {status}"))
}

fn assert_no_file_is_put_aside(server: &Server) {
    for entry in fs::read_dir(server.folder().join("state")).expect("it is there") {
        let name = entry.expect("it can be read").file_name();
        assert!(
            !name.to_string_lossy().ends_with(".unusable"),
            "{}",
            server.log()
        );
    }
}
