//! The OpenAPI document, held to the server by Schemathesis: whatever fits it is taken, whatever does not is refused, and
//! every answer is one that it states.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::Server;
use crate::harness::types::A;
use crate::world::{TOKEN, call, start, www};

const FRA: &str = "192.0.2.1";

/// A head of over 16 KiB is refused with 431, before anybody looks whether it fits. Watching the events has no end, so that
/// call alone is left out; tests/operators/events.rs reads it.
const SETTINGS: &str = "[checks.negative_data_rejection]\n\
    expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, 431, \"5xx\"]\n";

/// With these in the path most orders are about something that is there.
const SUBJECTS: &str = "[parameters]\n\"path.region\" = \"fra\"\n\"path.service\" = \"www.example.test\"\n\
    \"path.address\" = \"192.0.2.1\"\n";

fn schemathesis() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis");
    if ours.exists() {
        ours
    } else {
        PathBuf::from("schemathesis")
    }
}

/// Lets Schemathesis call a server of two regions, which must find nothing and leave it well.
#[track_caller]
fn hold(settings: &str, token: Option<&str>) {
    let mut server = start(
        "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n",
    );
    let file = server.folder().join("schemathesis.toml");
    fs::write(&file, format!("{SETTINGS}{settings}")).expect("the folder can be written");
    let (status, document) = call(&server, "GET", "/v1/openapi.json", TOKEN, "");
    assert_eq!(status, 200, "{document}");
    fs::write(server.folder().join("openapi.json"), document).expect("the folder can be written");
    let mut command = Command::new(schemathesis());
    command.arg("--config-file").arg(&file).args([
        "run",
        "openapi.json",
        "--exclude-path",
        "/v1/events",
    ]);
    command.args([
        "--url",
        &format!("http://{}", server.admin.expect("it has one")),
    ]);
    command.args([
        "--checks",
        "all",
        "--max-examples",
        "3",
        "--seed",
        "1",
        "--no-shrink",
        "--no-color",
    ]);
    command.args(["--request-timeout", "10"]);
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let output = command
        .current_dir(server.folder())
        .output()
        .expect("tools/test installs schemathesis");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(told.contains(" passed"), "{told}");
    assert!(server.is_alive(), "{}", server.log());
    server
        .ask("ns1.example.test", A)
        .expect_address("127.0.0.1");
    let reloads = server.log().matches("\"reloaded\"").count();
    assert_eq!(
        reloads > 0,
        token.is_some(),
        "only who has the token changes anything"
    );
    lift_everything(&server);
    assert_eq!(www(&server), FRA, "{}", server.log());
}

/// Takes back every order and lease that was given.
fn lift_everything(server: &Server) {
    let status: Value =
        serde_json::from_str(&call(server, "GET", "/v1/status", TOKEN, "").1).expect("JSON");
    let lift = |path: String| assert_eq!(call(server, "DELETE", &path, TOKEN, "").0, 200, "{path}");
    let part = |item: &Value, key: &str| item[key].as_str().map(str::to_owned);
    for order in status["orders"].as_array().expect("a list") {
        let action = part(order, "action").expect("each has one");
        let action = if action.starts_with("force") {
            "force".to_owned()
        } else {
            action
        };
        let subject = match (
            part(order, "service"),
            part(order, "region"),
            part(order, "endpoint"),
        ) {
            (None, Some(region), _) => format!("regions/{region}"),
            (Some(service), None, _) => format!("services/{service}"),
            (Some(service), Some(region), None) => format!("services/{service}/regions/{region}"),
            (Some(service), Some(region), Some(endpoint)) => {
                format!("services/{service}/endpoints/{region}/{endpoint}")
            }
            (None, None, _) => panic!("{order}"),
        };
        lift(format!("/v1/{subject}/{action}"));
    }
    for lease in status["leases"].as_array().expect("a list") {
        let [service, region, address] =
            ["service", "region", "address"].map(|key| part(lease, key).expect("each has it"));
        lift(format!(
            "/v1/services/{service}/endpoints/{region}/{address}"
        ));
    }
}

#[test]
fn every_call_does_what_the_document_says() {
    hold("", Some(TOKEN));
}

#[test]
fn every_call_about_something_that_is_there_does_what_the_document_says() {
    hold(SUBJECTS, Some(TOKEN));
}

#[test]
fn without_the_token_every_call_does_what_the_document_says() {
    hold("", None);
}
