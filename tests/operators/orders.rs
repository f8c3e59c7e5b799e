//! Drains, forces, weights, and what is left of them after a kill.

use std::fs;
use std::time::Duration;

use crate::harness::Server;
use crate::world::{self, TOKEN, answer, call, eventually, fail, say, www};

const FRA: &str = "192.0.2.1";
const IAD: &str = "192.0.2.2";

/// Two services without checks.
fn start() -> Server {
    world::start(
        "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n\
         [[services]]\nname = \"api.example.test\"\nband = \"20000km\"\n[services.endpoints]\n\
         fra = [\"192.0.2.1\", \"192.0.2.3\"]\niad = \"192.0.2.2\"\n",
    )
}

#[test]
fn a_drain_moves_answers_at_once_and_survives_a_kill() {
    let server = start();
    assert_eq!(www(&server), FRA);
    let told = say(
        &server,
        &["drain", "fra", "--reason", "new kernel", "--for", "2h"],
    );
    assert_eq!(told, "fra is drained for 2h");
    assert_eq!(www(&server), IAD);
    let server = server.kill_and_start_again();
    assert_eq!(www(&server), IAD);
    let status = say(&server, &["status"]);
    assert!(
        status.contains("is drained: fra (is drained by somebody: new kernel)"),
        "{status}"
    );
    assert!(status.contains("somebody"), "{status}");
    let json: serde_json::Value =
        serde_json::from_str(&say(&server, &["status", "--json"])).expect("JSON");
    assert_eq!(json["orders"][0]["region"], "fra");
    assert_eq!(json["orders"][0]["action"], "drain");
    assert_eq!(
        json["services"][0]["health"][0]["order"],
        "is drained by somebody: new kernel"
    );
    let explained = say(
        &server,
        &["explain", "www.example.test", "--client", "203.0.113.0/24"],
    );
    assert!(
        explained.contains("fra is drained by somebody: new kernel"),
        "{explained}"
    );
    let (_, metrics) = call(&server, "GET", "/metrics", "", "");
    let line = "meridian_order{action=\"drain\",service=\"\",region=\"fra\",endpoint=\"\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert_eq!(say(&server, &["undrain", "fra"]), "fra: drain removed");
    assert_eq!(www(&server), FRA);
    assert_eq!(www(&server.kill_and_start_again()), FRA);
}

#[test]
fn orders_reach_services_regions_and_endpoints() {
    let server = start();
    say(
        &server,
        &[
            "drain",
            "fra",
            "--service",
            "www.example.test",
            "--reason",
            "x",
        ],
    );
    assert_eq!(www(&server), IAD);
    let all = |server: &Server| -> std::collections::BTreeSet<String> {
        (0..200)
            .flat_map(|_| answer(server, "api.example.test"))
            .collect()
    };
    assert_eq!(all(&server).len(), 3, "the other service is as it was");
    let endpoint = [
        "fra",
        "--service",
        "api.example.test",
        "--endpoint",
        "192.0.2.3",
    ];
    say(
        &server,
        &[&["drain"], &endpoint[..], &["--reason", "x"]].concat(),
    );
    assert!(!all(&server).contains("192.0.2.3"));
    say(&server, &[&["undrain"], &endpoint[..]].concat());
    say(
        &server,
        &[
            "weight",
            "fra",
            "0",
            "--service",
            "api.example.test",
            "--endpoint",
            "192.0.2.3",
        ],
    );
    assert!(!all(&server).contains("192.0.2.3"), "a standby");
    say(
        &server,
        &[
            "weight",
            "fra",
            "configured",
            "--service",
            "api.example.test",
            "--endpoint",
            "192.0.2.3",
        ],
    );
    assert_eq!(all(&server).len(), 3);
    assert_eq!(say(&server, &["weight", "iad", "0"]), "iad has weight 0");
    assert!(!all(&server).contains(IAD));
    // Before a standby is used, everything else must be out.
    say(
        &server,
        &[
            "force",
            "down",
            "fra",
            "--service",
            "api.example.test",
            "--reason",
            "x",
        ],
    );
    assert_eq!(all(&server).into_iter().collect::<Vec<_>>(), [IAD]);
    say(
        &server,
        &["force", "off", "fra", "--service", "api.example.test"],
    );
    assert_eq!(all(&server).len(), 2);
    // A reload keeps weights and all.
    let before = server.log().matches("\"reloaded\"").count();
    server.reload();
    server.await_log("\"reloaded\"", before + 1);
    assert!(!all(&server).contains(IAD));
    assert_eq!(www(&server), IAD);
}

#[test]
fn what_is_drained_is_given_only_when_everything_is() {
    let server = start();
    say(&server, &["drain", "fra", "--reason", "x"]);
    say(&server, &["force", "down", "iad", "--reason", "x", "--yes"]);
    assert_eq!(
        www(&server),
        IAD,
        "the all-down rule gives what is not drained"
    );
    say(
        &server,
        &["drain", "--service", "www.example.test", "--reason", "x"],
    );
    assert_eq!(www(&server), FRA, "everything is drained, so nothing is");
}

#[test]
fn an_order_ends_by_itself() {
    let server = start();
    say(&server, &["drain", "fra", "--reason", "x", "--for", "2s"]);
    assert_eq!(www(&server), IAD);
    eventually(&server, Duration::from_secs(8), "fra is back", || {
        www(&server) == FRA
    });
    server.await_log("drain ended", 1);
    assert_eq!(www(&server.kill_and_start_again()), FRA);
}

#[test]
fn only_who_has_the_token_orders_and_every_call_is_told_to_the_audit_log() {
    let server = start();
    let wrong = TOKEN.replace('0', "1");
    let drain = "/v1/regions/fra/drain";
    assert_eq!(call(&server, "PUT", drain, &wrong, "{}").0, 401);
    assert_eq!(www(&server), FRA);
    let body = "{\"reason\": \"new kernel\", \"by\": \"ops\", \"for\": \"1h\"}";
    assert_eq!(
        call(&server, "PUT", drain, TOKEN, body),
        (
            200,
            "{\"sentence\":\"fra is drained for 1h\",\"kept\":true}".into()
        )
    );
    assert_eq!(call(&server, "DELETE", drain, TOKEN, "").0, 200);
    let (status, told) = call(&server, "PUT", "/v1/regions/fre/drain", TOKEN, "{}");
    assert_eq!(
        (status, told.as_str()),
        (
            404,
            "{\"error\":\"there is no region \\\"fre\\\" (did you mean \\\"fra\\\"?)\"}"
        )
    );
    for (path, body) in [
        (drain, "{\"for\": \"soon\"}"),
        (drain, "{\"reason\": 5}"),
        (drain, "{\"becuase\": \"x\"}"),
        (drain, "5"),
        ("/v1/regions/fra/force", "{}"),
        ("/v1/regions/fra/weight", "{\"weight\": 1000001}"),
    ] {
        assert_eq!(
            call(&server, "PUT", path, TOKEN, body).0,
            400,
            "{path} {body}"
        );
    }
    assert_eq!(
        call(&server, "PUT", drain, TOKEN, &"x".repeat(70_000)).0,
        413
    );
    // The log is written by a thread of its own, in order.
    server.await_log("\"status\":413,", 1);
    let log = server.log();
    let line = |status: u16| {
        let found = log.lines().find(|line| {
            line.contains("audit: PUT") && line.contains(&format!("\"status\":{status},"))
        });
        found
            .unwrap_or_else(|| panic!("no audit line of {status}:\n{log}"))
            .to_owned()
    };
    assert!(line(401).contains("the token is wrong"));
    assert!(line(404).contains("did you mean"));
    for part in [
        "\"by\":\"ops\"",
        "new kernel",
        "fra is drained for 1h",
        "127.0.0.1:",
    ] {
        assert!(line(200).contains(part), "{part}: {}", line(200));
    }
    assert!(
        !log.contains(TOKEN) && !log.contains(&wrong),
        "no token in the log"
    );
    assert!(fail(&server, &["drain", "fre", "--reason", "x"]).contains("did you mean \"fra\"?"));
}

#[test]
fn a_state_folder_that_cannot_be_written_is_told_and_the_order_holds() {
    let server = start();
    say(&server, &["drain", "fra", "--reason", "x"]);
    say(&server, &["undrain", "fra"]);
    // Permissions do not stop the superuser; a folder in the file's place stops everybody.
    let file = server.folder().join("state/orders.json");
    fs::remove_file(&file).expect("it was written");
    fs::create_dir_all(file.join("in the way")).expect("the folder is ours");
    let told = fail(&server, &["drain", "fra", "--reason", "x"]);
    assert!(
        told.contains("fra is drained; but this would not outlive a restart yet: "),
        "{told}"
    );
    assert!(
        told.contains("state/orders.json: cannot be written: "),
        "{told}"
    );
    assert_eq!(www(&server), IAD, "it holds");
    server.await_log("what changed would not outlive a restart", 1);
    // As soon as it can be written, it is.
    fs::remove_dir_all(&file).expect("it is ours");
    eventually(&server, Duration::from_secs(10), "it is written", || {
        file.is_file()
    });
    assert_eq!(www(&server.kill_and_start_again()), IAD);
}

#[test]
fn a_state_file_that_is_broken_is_told_and_put_aside() {
    let server = start();
    say(&server, &["drain", "fra", "--reason", "x"]);
    let file = server.folder().join("state/orders.json");
    let text = fs::read(&file).expect("it was written");
    fs::write(&file, &text[..text.len() / 2]).expect("it is ours");
    let server = server.kill_and_start_again();
    assert_eq!(www(&server), FRA);
    server.await_log("nothing of it is in force", 1);
    assert_eq!(
        fs::read(server.folder().join("state/orders.json.unusable")).expect("it is there"),
        &text[..text.len() / 2]
    );
    say(&server, &["drain", "fra", "--reason", "x"]);
    assert_eq!(www(&server.kill_and_start_again()), IAD);
}
