//! RFC 8484: DNS over HTTPS.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::client::over_http1;
use crate::harness::types::*;
use crate::harness::{Message, Question, Server};
use crate::programs::run;
use crate::world::{NAME, question, server, setup};

const MEDIA_TYPE: &str = "Content-Type: application/dns-message";

/// Asks with curl over HTTP/2; the head, and the body.
fn curl(server: &Server, arguments: &[&str], target: &str) -> (String, Vec<u8>) {
    let port = server.encrypted("https").port();
    let file = |name: &str| server.folder().join(name).display().to_string();
    let (head, body, authority) = (file("head"), file("body"), file("certificate.pem"));
    let (resolve, url) = (
        format!("{NAME}:{port}:127.0.0.1"),
        format!("https://{NAME}:{port}{target}"),
    );
    let fixed = [
        "--silent",
        "--show-error",
        "--http2",
        "--cacert",
        &authority,
        "--resolve",
        &resolve,
    ];
    let files = ["--dump-header", &head, "--output", &body, &url];
    run("curl", &[&fixed[..], arguments, &files].concat());
    let body = std::fs::read(body).unwrap_or_default();
    (
        std::fs::read_to_string(head).expect("curl writes the head"),
        body,
    )
}

#[test]
fn section_4_1_curl_asks_by_get_and_by_post_over_http_2() {
    let server = server();
    let asked = question("mixed.example.test", A).octets();
    let get = format!("/dns-query?dns={}", URL_SAFE_NO_PAD.encode(&asked));
    std::fs::write(server.folder().join("query"), &asked)
        .expect("the temporary folder can be written");
    let data = format!("@{}", server.folder().join("query").display());
    for (arguments, target) in [
        (&[][..], &get[..]),
        (
            &["--data-binary", &data, "--header", MEDIA_TYPE],
            "/dns-query",
        ),
    ] {
        let (head, body) = curl(&server, arguments, target);
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/2 200"), "{head}");
        assert!(
            head.contains("content-type: application/dns-message\r\n"),
            "{head}"
        );
        assert!(
            head.contains("cache-control: private, max-age=60\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{head}"
        );
        assert_eq!(Message::read(&body).expect("a message").answers.len(), 1);
    }
}

#[test]
fn kdig_asks_by_post_and_by_get() {
    let server = server();
    let port = server.encrypted("https").port().to_string();
    let authority = format!(
        "+tls-ca={}",
        server.folder().join("certificate.pem").display()
    );
    let name = format!("+tls-hostname={NAME}");
    for way in ["+https", "+https-get"] {
        let arguments = [
            "@127.0.0.1",
            "-p",
            &port,
            &authority,
            &name,
            way,
            "+subnet=8.8.8.0/24",
            "www.example.test",
        ];
        let printed = run("kdig", &arguments);
        assert!(
            printed.contains("HTTP/2") && printed.contains("192.0.2.20"),
            "{way}: {printed}"
        );
        assert!(
            printed.contains("CLIENT-SUBNET: 8.8.8.0/24/"),
            "{way}: {printed}"
        );
    }
}

/// `max-age` of the answer to a question.
fn freshness(server: &Server, question: &Question) -> String {
    let said = over_http1(
        server,
        &format!("POST /dns-query\n{MEDIA_TYPE}"),
        &question.octets(),
    )
    .expect("a reply");
    said.header("cache-control")
        .expect("freshness is told")
        .to_owned()
}

#[test]
fn section_5_1_a_reply_is_fresh_for_as_long_as_its_smallest_ttl() {
    let server = server();
    for (name, seconds) in [
        ("host.example.test", 3600),
        ("alias.example.test", 20),
        ("www.example.test", 17),
        ("missing.example.test", 17),
        ("x.sub.example.test", 0),
        ("example.org", 0),
    ] {
        let expected = format!("private, max-age={seconds}");
        assert_eq!(freshness(&server, &question(name, A)), expected, "{name}");
    }
}

#[test]
fn section_4_2_1_what_is_no_question_has_its_status() {
    let server = server();
    let whole = question("host.example.test", A).octets();
    let long = format!("GET /dns-query?dns={}", "A".repeat(12_000));
    for (head, body, status) in [
        ("GET /dns-query", &[][..], 400),
        ("GET /dns-query?dns=*", &[], 400),
        ("GET /dns-query?dns=AAAB", &[], 400),
        (&long, &[], 414),
        ("GET /", &[], 404),
        ("GET /dns-query/more?dns=AAAB", &[], 404),
        (&format!("POST /other\n{MEDIA_TYPE}"), &whole, 404),
        ("POST /dns-query", &whole, 415),
        (
            "POST /dns-query\nContent-Type: application/dns-json",
            &whole,
            415,
        ),
        (&format!("POST /dns-query\n{MEDIA_TYPE}"), &[0; 8193], 413),
        (&format!("POST /dns-query\n{MEDIA_TYPE}"), &[], 400),
        (&format!("PUT /dns-query\n{MEDIA_TYPE}"), &whole, 405),
        (&format!("POST /dns-query\n{MEDIA_TYPE}"), &whole, 200),
    ] {
        let said = over_http1(&server, head, body).expect("a reply");
        assert_eq!(said.status, status, "{head}: {said:?}");
        assert_eq!(said.header("allow"), (status == 405).then_some("GET, POST"));
    }
}

#[test]
fn rfc_7828_section_3_nothing_is_promised_where_there_is_no_connection_to_keep() {
    let server = server();
    let asked = question("host.example.test", A).option(11, &[]).octets();
    let said =
        over_http1(&server, &format!("POST /dns-query\n{MEDIA_TYPE}"), &asked).expect("a reply");
    assert_eq!(
        Message::read(&said.body)
            .expect("a message")
            .option(11)
            .count(),
        0
    );
}

#[test]
fn the_path_is_the_operators() {
    let server = setup().server("https_path = \"/q\"").start();
    let asked = question("host.example.test", A).octets();
    let target = format!("q?dns={}", URL_SAFE_NO_PAD.encode(&asked));
    assert_eq!(
        over_http1(&server, &format!("GET /{target}"), &[]).map(|said| said.status),
        Some(200)
    );
    assert_eq!(
        over_http1(&server, &format!("GET /dns-{target}"), &[]).map(|said| said.status),
        Some(404)
    );
}
