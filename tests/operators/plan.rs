//! `meridian plan` alone: what is on disk beside what is served.

use std::fs;

use crate::harness::Server;
use crate::harness::types::A;
use crate::world::{self, TOKEN, call, fail, meridian, say};

const SERVICE: &str = "[[services]]\nname = \"www.example.test\"\nband = \"20000km\"\n[services.endpoints]\n\
                       fra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";

#[track_caller]
fn edit(server: &Server, file: &str, from: &str, to: &str) {
    let path = server.folder().join(file);
    let text = fs::read_to_string(&path).expect("it is there");
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to)).expect("it is ours");
}

/// What it says, and its exit code.
fn plan(server: &Server) -> (String, Option<i32>) {
    let output = meridian(server, &["plan"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (told, output.status.code())
}

#[test]
fn what_is_on_disk_is_compared_with_what_is_served_and_nothing_is_published() {
    let server = world::start(SERVICE);
    let nothing = ("a reload would change nothing\n".to_owned(), Some(0));
    assert_eq!(plan(&server), nothing);
    // What operators have demanded is not in the files, and stays.
    say(&server, &["weight", "iad", "7"]);
    say(&server, &["drain", "fra", "--reason", "x"]);
    let lease = "/v1/services/www.example.test/endpoints/fra/192.0.2.9";
    assert_eq!(
        call(&server, "PUT", lease, TOKEN, "{\"ttl\": \"1h\"}").0,
        200
    );
    assert_eq!(plan(&server), nothing);

    edit(
        &server,
        "zones/example.test.zone",
        "ns1 A 127.0.0.1\n",
        "ns1 A 127.0.0.2\nnew A 127.0.0.3\n",
    );
    edit(
        &server,
        "meridian.toml",
        "[regions.fra]\nlocation = \"FRA\"",
        "[regions.fra]\nlocation = \"FRA\"\nweight = 300",
    );
    let (told, code) = plan(&server);
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.starts_with("a reload would change 1 key of the configuration and 2 RRsets; "),
        "{told}"
    );
    for line in [
        "+ regions.fra.weight: 300\n",
        "~ ns1.example.test A\n",
        "+ new.example.test A\n",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(
        told.contains(
            "example.test.zone:3:1: the records of example.test have changed and the serial is 1"
        ),
        "{told}"
    );
    assert!(
        told.contains("\nwww.example.test A: "),
        "who moves is told: {told}"
    );
    server
        .ask("ns1.example.test", A)
        .expect_address("127.0.0.1");
    assert!(
        !server.log().contains("\"reloaded\""),
        "nothing was published"
    );

    let json: serde_json::Value =
        serde_json::from_slice(&meridian(&server, &["plan", "--json"]).stdout).expect("JSON");
    assert_eq!(
        json["records"][0],
        serde_json::json!({
            "zone": "example.test", "name": "new.example.test", "type": "A", "change": "new",
        })
    );
    assert_eq!(
        (
            json["records_differing"].as_u64(),
            json["settings_differing"].as_u64()
        ),
        (Some(2), Some(1))
    );
    say(&server, &["reload"]);
    assert_eq!(plan(&server), nothing);
    server
        .ask("ns1.example.test", A)
        .expect_address("127.0.0.2");
    edit(&server, "zones/example.test.zone", "new A 127.0.0.3\n", "");
    assert!(plan(&server).0.contains("- new.example.test A\n"));
}

#[test]
fn files_with_mistakes_and_callers_without_the_token_are_refused() {
    let server = world::start(SERVICE);
    assert_eq!(
        call(&server, "POST", "/v1/plan", "not the token at all", "").0,
        401
    );
    edit(
        &server,
        "zones/example.test.zone",
        "ns1 A 127.0.0.1\n",
        "ns1 A 127.0.0\n",
    );
    let told = fail(&server, &["plan"]);
    assert!(told.contains("example.test.zone:5:"), "{told}");
    server
        .ask("ns1.example.test", A)
        .expect_address("127.0.0.1");
}
