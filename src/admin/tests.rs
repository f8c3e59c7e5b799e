//! The admin API, asked over sockets: its answers, its limits, its token.

use crate::control::Control;
use crate::server::{ListenAddresses, ServerStats};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::time::Instant;

use super::*;
use crate::config::AdminListen;
use crate::control::ConfigOrigin;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const ZONE: &str =
    "$ORIGIN example.com.\n$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n";
const CONFIGURATION: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n\
    [[services]]\nname = \"www.example.com\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";

/// A running admin server with the files that it reads.
struct Play {
    folder: tempfile::TempDir,
    admin: AdminServer,
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

impl Play {
    fn new(listen: impl Fn(&Path) -> AdminListen, token: bool) -> Play {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("meridian.toml");
        std::fs::create_dir(folder.path().join("zones")).unwrap();
        write(&folder.path().join("zones/example.com.zone"), ZONE, 0o644);
        write(&file, CONFIGURATION, 0o644);
        write(&folder.path().join("token"), TOKEN, 0o600);
        let origin = ConfigOrigin::File(file);
        let loaded = origin.load(None).unwrap();
        let token_file = token.then(|| folder.path().join("token"));
        let settings = config::AdminConfig {
            listen: listen(folder.path()),
            token_file,
            hosts: Vec::new(),
            tls: None,
        };
        let context = AdminContext {
            control: Arc::new(Control::new(origin, loaded, None).unwrap()),
            stats: Arc::new(ServerStats::default()),
            addresses: ListenAddresses {
                dns: vec!["127.0.0.1:5300".parse().unwrap()],
                ..ListenAddresses::default()
            },
            started: Instant::now(),
        };
        let admin = AdminServer::start(&settings, context, &mut PassedSockets::default()).unwrap();
        Play { folder, admin }
    }

    fn tcp(token: bool) -> Play {
        Play::new(|_| AdminListen::Tcp("127.0.0.1:0".parse().unwrap()), token)
    }

    /// Sends octets and reads everything until the server closes.
    fn exchange(&self, request: &str) -> String {
        let mut answer = Vec::new();
        let time = Some(Duration::from_secs(20));
        match self.admin.address().strip_prefix("unix:") {
            Some(path) => {
                let mut stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(time).unwrap();
                let _ = stream.write_all(request.as_bytes());
                let _ = stream.read_to_end(&mut answer);
            }
            None => {
                let mut stream = TcpStream::connect(self.admin.address()).unwrap();
                stream.set_read_timeout(time).unwrap();
                let _ = stream.write_all(request.as_bytes());
                let _ = stream.read_to_end(&mut answer);
            }
        }
        String::from_utf8(answer).unwrap()
    }

    /// Status and body of one call.
    fn call(&self, method: &str, target: &str, head: &str) -> (u16, String) {
        let answer = self.exchange(&format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n"
        ));
        let status = answer
            .get(9..12)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        (
            status,
            answer
                .split_once("\r\n\r\n")
                .map_or(String::new(), |(_, body)| body.to_owned()),
        )
    }

    fn error(&self, method: &str, target: &str, head: &str) -> (u16, String) {
        let (status, body) = self.call(method, target, head);
        let body: ErrorBody =
            serde_json::from_str(&body).unwrap_or_else(|_| panic!("{method} {target}: {body:?}"));
        (status, body.error)
    }
}

#[test]
fn health_metrics_and_status_are_there_for_everybody() {
    let play = Play::tcp(false);
    assert_eq!(play.call("GET", "/healthz", ""), (200, "ok\n".to_owned()));
    assert_eq!(play.call("GET", "/readyz", ""), (200, "ok\n".to_owned()));
    let (status, page) = play.call("GET", "/metrics", "");
    assert_eq!(status, 200);
    assert!(
        page.contains("meridian_queries_total{verdict=\"steered\"} 0\n"),
        "{page}"
    );
    assert!(
        page.contains("meridian_reloads_total{result=\"ok\"} 0\n"),
        "{page}"
    );
    assert!(page.contains("meridian_build_info{version="), "{page}");
    assert!(
        page.contains("\nmeridian_resident_memory_bytes{} "),
        "{page}"
    );
    assert!(
        page.contains("meridian_geodata_age_seconds{source="),
        "{page}"
    );
    let (_, body) = play.call("GET", "/v1/status", "");
    let status: ServerStatus = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status.zones[0].name.as_str(), status.zones[0].serial),
        ("example.com", 7)
    );
    assert_eq!(status.services[0].regions, ["fra", "iad"]);
    assert_eq!(status.geodata_credit, crate::geo::builtin::CREDIT);
    assert_eq!(status.queries.len(), crate::answer::Disposition::COUNT);
}

#[test]
fn explain_reads_its_query_and_says_what_is_wrong_with_it() {
    let play = Play::tcp(false);
    let (status, body) = play.call(
        "GET",
        "/v1/explain?name=www.example.com&client=193.0.0.0%2F21&down=fra",
        "",
    );
    assert_eq!(status, 200, "{body}");
    let explanation: crate::explain::Explanation = serde_json::from_str(&body).unwrap();
    assert_eq!(explanation.records[0].data, "192.0.2.2");
    for (query, sentence) in [
        ("", "name is missing"),
        ("?name=x", "client is missing"),
        (
            "?name=x&client=y",
            "client \"y\": a client is an address (203.0.113.7) or a client subnet (203.0.113.0/24)",
        ),
        (
            "?name=x&client=::1&type=Q",
            "type \"Q\": no such record type; types have capital letters, and unknown ones are written TYPE123",
        ),
        (
            "?nmae=x",
            "there is no parameter \"nmae\"; there are name, type, client, down and at",
        ),
        ("?name=x&name=y&client=::1", "name occurs more than once"),
    ] {
        assert_eq!(
            play.error("GET", &format!("/v1/explain{query}"), ""),
            (400, sentence.to_owned())
        );
    }
    let unknown = "there is no region \"lhr\"; the regions are fra, iad".to_owned();
    assert_eq!(
        play.error("GET", "/v1/explain?name=x&client=::1&down=lhr", ""),
        (404, unknown)
    );
}

#[test]
fn shares_tell_what_is_and_what_if() {
    let play = Play::tcp(false);
    let ask = |query: &str| -> crate::foresight::Foresight {
        let (status, body) = play.call(
            "GET",
            &format!("/v1/shares?name=www.example.com{query}"),
            "",
        );
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    };
    let (now, then) = (ask(""), ask("&down=fra&weight=iad%3D5&bias=iad%3D-10"));
    assert_eq!(
        (now.moved_percent, then.regions[0].after_percent),
        (0.0, 0.0)
    );
    assert_eq!((then.regions[1].weight, then.regions[1].bias), (5, -10));
    assert_eq!(then, ask("&down=fra&weight=iad%3D5&bias=iad%3D-10"));
    for (query, status, sentence) in [
        ("", 400, "name is missing"),
        (
            "?name=x",
            404,
            "x is not a service; the services are www.example.com",
        ),
        (
            "?name=www.example.com&type=TXT",
            400,
            "type \"TXT\": shares exist for A and AAAA",
        ),
        (
            "?name=www.example.com&type=AAAA",
            404,
            "www.example.com has no endpoint that answers AAAA",
        ),
        (
            "?name=www.example.com&weight=fra",
            400,
            "\"fra\" is not REGION=WEIGHT with a weight from 0 to 1000000",
        ),
        (
            "?name=www.example.com&bias=fra%3D100",
            400,
            "\"fra=100\" is not REGION=BIAS with a bias from -99 to 99",
        ),
        (
            "?name=www.example.com&down=lhr",
            404,
            "there is no region \"lhr\"; the regions are fra, iad",
        ),
    ] {
        assert_eq!(
            play.error("GET", &format!("/v1/shares{query}"), ""),
            (status, sentence.to_owned())
        );
    }
}

#[test]
fn the_page_runs_nothing_but_its_own() {
    let play = Play::tcp(false);
    let answer = play
        .exchange("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .to_lowercase();
    assert!(
        answer.contains("content-security-policy: default-src 'none'; script-src 'self'"),
        "{answer}"
    );
    assert!(
        answer.contains("x-content-type-options: nosniff")
            && answer.contains("<title>meridian</title>")
    );
    let foreign =
        play.exchange("GET / HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n");
    assert!(foreign.starts_with("HTTP/1.1 421 "), "{foreign}");
    let play = Play::new(|folder| AdminListen::Unix(folder.join("admin.sock")), false);
    let socket =
        play.exchange("GET /v1/status HTTP/1.1\r\nHost: any.name\r\nConnection: close\r\n\r\n");
    assert!(socket.starts_with("HTTP/1.1 200 "), "{socket}");
}

#[test]
fn a_reload_needs_the_token() {
    let play = Play::tcp(true);
    assert_eq!(play.error("POST", "/v1/reload", "").0, 401);
    let wrong = "Authorization: Bearer 0123456789abcdef0123456789abcdeX\r\n";
    assert_eq!(
        play.error("POST", "/v1/reload", wrong),
        (401, "the token is wrong".to_owned())
    );
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    let (status, body) = play.call("POST", "/v1/reload", &right);
    assert_eq!(status, 200, "{body}");
    let zone = play.folder.path().join("zones/example.com.zone");
    write(&zone, &ZONE.replace("h 7 ", "h 8 "), 0o644);
    assert_eq!(play.call("POST", "/v1/reload", &right).0, 200);
    write(&zone, "(", 0o644);
    let (status, sentence) = play.error("POST", "/v1/reload", &right);
    assert_eq!(status, 422);
    assert!(sentence.contains("example.com.zone:1:1: "), "{sentence}");
    let status: ServerStatus = serde_json::from_str(&play.call("GET", "/v1/status", "").1).unwrap();
    assert_eq!(
        (
            status.zones[0].serial,
            status.reloads.ok,
            status.reloads.refused
        ),
        (8, 2, 1)
    );
    assert!(!status.reloads.last.unwrap().ok);
}

#[test]
fn without_a_token_only_the_unix_socket_changes_anything() {
    let (status, sentence) = Play::tcp(false).error("POST", "/v1/reload", "");
    assert_eq!(status, 403);
    assert!(sentence.contains("token_file"), "{sentence}");
    let play = Play::new(|folder| AdminListen::Unix(folder.join("admin.sock")), false);
    let path = PathBuf::from(play.admin.address().strip_prefix("unix:").unwrap());
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(play.call("POST", "/v1/reload", "").0, 200);
    drop(play.admin);
    assert!(!path.exists());
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let there = path.clone();
    let play = Play::new(move |_| AdminListen::Unix(there.clone()), false);
    assert_eq!(play.call("GET", "/healthz", "").0, 200);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let second = runtime.block_on(listener::start(
        &AdminListen::Unix(path),
        None,
        axum::Router::new(),
        &mut PassedSockets::default(),
    ));
    assert!(second.is_err_and(|sentence| sentence.contains("admin.sock: ")));
}

#[test]
fn what_is_not_there_or_too_large_is_an_error_with_a_sentence() {
    let play = Play::tcp(true);
    assert_eq!(
        play.error("GET", "/v2", ""),
        (
            404,
            "there is no /v2 here; see /v1/openapi.json for all calls".to_owned()
        )
    );
    assert_eq!(play.error("GET", "/v1/reload", "").0, 405);
    assert_eq!(play.error("DELETE", "/v1/status", "").0, 405);
    let head = format!(
        "Authorization: Bearer {TOKEN}\r\nContent-Length: 70000\r\n\r\n{}",
        "x".repeat(70_000)
    );
    assert_eq!(play.error("POST", "/v1/reload", &head).0, 413);
    let long = format!("X: {}\r\n", "x".repeat(20_000));
    assert_eq!(play.call("GET", "/healthz", &long).0, 431);
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let play = Play::tcp(false);
    let start = Instant::now();
    play.exchange("GET /healthz HTTP/1.1\r\nHost: localhost\r\n");
    assert!(start.elapsed() < Duration::from_secs(15));
    // An idle connection, too.
    let start = Instant::now();
    play.exchange("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn the_openapi_document_is_true() {
    let play = Play::tcp(false);
    let document: serde_json::Value =
        serde_json::from_str(&play.call("GET", "/v1/openapi.json", "").1).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = |path: &serde_json::Value| path.as_object().unwrap().len();
    assert_eq!(
        paths.values().map(operations).sum::<usize>(),
        routes::routes().len()
    );
    for (path, operations) in paths {
        for method in ["get", "post", "put", "delete", "patch"] {
            // Watching has no end, so only its beginning is looked at elsewhere.
            if (path.as_str(), method) == ("/v1/events", "get") {
                continue;
            }
            let (status, _) = play.call(&method.to_uppercase(), path, "");
            match operations.get(method) {
                None => assert_eq!(status, 405, "{method} {path}"),
                // Whoever changes something is asked for a token first, and the document says so.
                Some(operation) if operation["security"].is_array() => {
                    assert_eq!(status, 403, "{method} {path}")
                }
                // Without a fleet there is none to show, and the document says that, too.
                Some(operation) if status == 404 => {
                    assert!(operation["responses"]["404"].is_object(), "{method} {path}");
                }
                Some(_) => assert!(status == 200 || status == 400, "{method} {path}: {status}"),
            }
        }
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let pointer = reference.split('"').next().unwrap().trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}
