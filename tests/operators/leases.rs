//! Endpoints that come and go by themselves.

use std::time::Duration;

use crate::harness::{Region, Server};
use crate::world::{self, TOKEN, call, eventually, say, www};

const FAR: &str = "127.0.1.1";
const LEASED: &str = "127.0.1.9";

/// One checked service with a far region; what is leased is nearer.
fn start(iad: &Region) -> Server {
    world::start(&format!(
        "[checks.web]\ntype = \"http\"\nport = {}\ninterval = \"200ms\"\ntimeout = \"200ms\"\n\
         [[services]]\nname = \"www.example.test\"\ncheck = \"web\"\n[services.endpoints]\niad = \"{FAR}\"\n",
        iad.port
    ))
}

fn lease(server: &Server, method: &str, body: &str) -> (u16, String) {
    let path = format!("/v1/services/www.example.test/endpoints/fra/{LEASED}");
    call(server, method, &path, TOKEN, body)
}

#[test]
fn a_lease_comes_is_answered_and_leaves_if_it_is_not_renewed() {
    let iad = Region::start(FAR, 0);
    let leased = Region::start(LEASED, iad.port);
    let server = start(&iad);
    assert_eq!(www(&server), FAR);
    let (status, told) = lease(&server, "PUT", "{\"ttl\": \"4s\"}");
    assert_eq!(status, 200, "{told}");
    assert!(
        told.contains("127.0.1.9 is an endpoint of www.example.test in fra for 4s, weight 100"),
        "{told}"
    );
    assert_eq!(
        www(&server),
        LEASED,
        "in a region that the service does not list, and probed already"
    );
    // It is checked as the others are.
    leased.set_broken(true);
    eventually(
        &server,
        Duration::from_secs(4),
        "the check takes it out",
        || www(&server) == FAR,
    );
    let (_, status) = call(&server, "GET", "/v1/status", "", "");
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["leases"][0]["address"], LEASED);
    assert_eq!(
        status["services"][0]["health"][1]["endpoints"][0]["leased"],
        true
    );
    leased.set_broken(false);
    // Renewed across its end, through a reload.
    for _ in 0..4 {
        assert_eq!(lease(&server, "PUT", "{\"ttl\": \"4s\"}").0, 200);
        std::thread::sleep(Duration::from_millis(1500));
    }
    server.await_log("down -> up", 1);
    assert_eq!(lease(&server, "PUT", "{\"ttl\": \"5s\"}").0, 200);
    server.reload();
    server.await_log("\"reloaded", 1);
    assert!(say(&server, &["status", "--wide"]).contains("leased"));
    server.await_log(
        "127.0.1.9 left www.example.test in fra: its lease was not renewed",
        1,
    );
    assert_eq!(www(&server), FAR);
    let (_, status) = call(&server, "GET", "/v1/status", "", "");
    assert!(status.contains("\"leases\":[]"), "{status}");
}

#[test]
fn a_lease_survives_a_kill_and_ends_when_it_is_withdrawn() {
    let iad = Region::start(FAR, 0);
    let _leased = Region::start(LEASED, iad.port);
    let server = start(&iad);
    assert_eq!(
        lease(&server, "PUT", "{\"ttl\": \"1h\", \"weight\": 7}").0,
        200
    );
    let server = server.kill_and_start_again();
    assert_eq!(www(&server), LEASED);
    // It can be drained like any other.
    let endpoint = ["fra", "--service", "www.example.test", "--endpoint", LEASED];
    say(
        &server,
        &[&["drain"], &endpoint[..], &["--reason", "x"]].concat(),
    );
    assert_eq!(www(&server), FAR);
    say(&server, &[&["undrain"], &endpoint[..]].concat());
    assert_eq!(lease(&server, "DELETE", "").0, 200);
    assert_eq!(www(&server), FAR);
    assert_eq!(www(&server.kill_and_start_again()), FAR);
}

#[test]
fn a_lease_that_does_not_fit_is_refused() {
    let iad = Region::start(FAR, 0);
    let server = start(&iad);
    for body in [
        "",
        "{}",
        "{\"ttl\": \"2d\"}",
        "{\"ttl\": \"0s\"}",
        "{\"ttl\": \"5s\", \"weight\": 1000001}",
    ] {
        assert_eq!(lease(&server, "PUT", body).0, 400, "{body}");
    }
    let put = |path: &str| call(&server, "PUT", path, TOKEN, "{\"ttl\": \"5s\"}").0;
    assert_eq!(
        put("/v1/services/www.example.test/endpoints/iad/127.0.1.1"),
        409,
        "it is configured"
    );
    assert_eq!(
        put("/v1/services/www.example.test/endpoints/lhr/127.0.1.8"),
        404
    );
    assert_eq!(
        put("/v1/services/ww.example.test/endpoints/iad/127.0.1.8"),
        404
    );
    assert_eq!(
        put("/v1/services/www.example.test/endpoints/iad/localhost"),
        400
    );
    let path = "/v1/services/www.example.test/endpoints/iad/127.0.1.8";
    assert_eq!(
        call(&server, "PUT", path, "no token", "{\"ttl\": \"5s\"}").0,
        401
    );
}
