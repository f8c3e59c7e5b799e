//! What is told of what happens: the stream of events, and the webhook.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Region, Server};
use crate::world::{self, say};

const PATIENCE: Duration = Duration::from_secs(30);

/// Watches the events; the first line of the answer comes first.
fn watch(server: &Server, head: &str) -> (String, BufReader<TcpStream>) {
    watch_from("127.0.0.1", server, head)
}

/// The same from this address.
fn watch_from(address: &str, server: &Server, head: &str) -> (String, BufReader<TcpStream>) {
    let mut stream = world::connect_from(address, server.admin.expect("it has one"));
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is not zero");
    write!(
        stream,
        "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{head}\r\n"
    )
    .expect("it reads");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("it answers");
    (line.trim().to_owned(), reader)
}

/// The next event whose sentence holds this text.
#[track_caller]
fn next(reader: &mut BufReader<TcpStream>, text: &str) -> Value {
    loop {
        let mut line = String::new();
        let length = reader
            .read_line(&mut line)
            .unwrap_or_else(|error| panic!("nothing of {text:?}: {error}"));
        assert!(length > 0, "the stream ended before {text:?}");
        let Some(data) = line.strip_prefix("data: ") else {
            continue;
        };
        let event: Value = serde_json::from_str(data).expect("JSON");
        if event["sentence"]
            .as_str()
            .is_some_and(|sentence| sentence.contains(text))
        {
            return event;
        }
    }
}

#[test]
fn who_watches_sees_flips_orders_leases_and_reloads() {
    let (fra, iad) = (Region::start("127.0.1.1", 0), Region::start("127.0.2.1", 0));
    let server = world::start_checked(&fra, &iad, "");
    let (status, mut reader) = watch(&server, "");
    assert_eq!(status, "HTTP/1.1 200 OK");
    // The first comment says that it watches from now on.
    let mut line = String::new();
    while !line.contains(": these are the events") {
        line.clear();
        assert!(reader.read_line(&mut line).expect("it goes on") > 0);
    }
    fra.set_broken(true);
    let flip = next(&mut reader, "up -> down");
    assert_eq!(flip["topic"], "health");
    assert!(
        flip["cause"]
            .as_str()
            .is_some_and(|cause| cause.contains("503")),
        "{flip}"
    );
    let parts = ["services", "regions", "endpoint", "from", "to"].map(|key| flip[key].clone());
    let wanted = serde_json::json!([["www.example.test"], ["fra"], "127.0.1.1", "up", "down"]);
    assert_eq!(Value::from(parts.to_vec()), wanted);
    assert!(
        flip["server"]
            .as_str()
            .is_some_and(|server| !server.is_empty()),
        "{flip}"
    );
    assert!(flip.get("by").is_none(), "nobody ordered it: {flip}");
    say(
        &server,
        &["drain", "iad", "--reason", "new kernel", "--yes"],
    );
    let drain = next(&mut reader, "iad is drained by somebody: new kernel");
    assert_eq!(
        (&drain["topic"], &drain["cause"]),
        (&Value::from("order"), &Value::from("new kernel"))
    );
    let parts = ["regions", "to", "by"].map(|key| drain[key].clone());
    assert_eq!(
        Value::from(parts.to_vec()),
        serde_json::json!([["iad"], "drained", "somebody"])
    );
    server.reload();
    assert_eq!(next(&mut reader, "reloaded")["topic"], "reload");
    // Whoever comes again with the last number misses nothing.
    let number = flip["number"].as_u64().expect("a number");
    let (_, mut again) = watch(&server, &format!("Last-Event-ID: {number}\r\n"));
    assert_eq!(
        next(&mut again, "iad is drained")["number"],
        drain["number"]
    );
}

#[test]
fn only_so_many_watch_and_who_leaves_makes_room() {
    let (fra, iad) = (Region::start("127.0.1.1", 0), Region::start("127.0.2.1", 0));
    let server = world::start_checked(&fra, &iad, "");
    let mut watching: Vec<_> = (0..8).map(|_| watch(&server, "")).collect();
    assert_eq!(
        watch(&server, "").0,
        "HTTP/1.1 503 Service Unavailable",
        "half of the places are one address's share"
    );
    watching.extend((0..8).map(|_| watch_from("127.0.0.2", &server, "")));
    assert!(
        watching
            .iter()
            .all(|(status, _)| status == "HTTP/1.1 200 OK")
    );
    assert_eq!(
        watch_from("127.0.0.3", &server, "").0,
        "HTTP/1.1 503 Service Unavailable"
    );
    watching.clear();
    world::eventually(&server, PATIENCE, "there is room", || {
        watch(&server, "").0 == "HTTP/1.1 200 OK"
    });
}

/// A server that answers 500 so many times, then 200; what it was sent comes back: head and body.
fn fails_at_first(times: usize) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            stream
                .set_read_timeout(Some(Duration::from_millis(500)))
                .expect("it is not zero");
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            // A whole request ends with the body's brace.
            while !text.ends_with(b"}") {
                match stream.read(&mut buffer) {
                    Ok(length) if length > 0 => text.extend_from_slice(&buffer[..length]),
                    _ => break,
                }
            }
            let line = if number < times { "500 Oh" } else { "200 OK" };
            let _ = write!(
                stream,
                "HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = send.send(String::from_utf8_lossy(&text).into_owned());
        }
    });
    (port, receive)
}

#[test]
fn the_webhook_is_tried_again_until_it_takes_the_event() {
    let (fra, iad) = (Region::start("127.0.1.1", 0), Region::start("127.0.2.1", 0));
    let (port, received) = fails_at_first(2);
    let hook =
        format!("[events]\nwebhook = \"http://127.0.0.1:{port}/hook\"\ntoken_file = \"token\"\n");
    let server = world::start_checked(&fra, &iad, &hook);
    say(&server, &["drain", "fra", "--reason", "first"]);
    say(&server, &["undrain", "fra"]);
    let bodies: Vec<Value> = (0..4)
        .map(|_| {
            let text = received.recv_timeout(PATIENCE).expect("it is sent");
            assert!(text.starts_with("POST /hook HTTP/1.1\r\n"), "{text}");
            assert!(
                text.contains(&format!("authorization: Bearer {}\r\n", world::TOKEN)),
                "{text}"
            );
            serde_json::from_str(text.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
        })
        .collect();
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[1], bodies[2], "the same event, until it was taken");
    assert_eq!(bodies[2]["sentence"], "fra is drained by somebody: first");
    assert!(
        bodies[3]["sentence"]
            .as_str()
            .is_some_and(|sentence| sentence.contains("drain removed")),
        "{}",
        bodies[3]
    );
}
