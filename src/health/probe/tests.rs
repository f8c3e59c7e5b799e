//! Probes of well-behaved, broken and hostile endpoints. Each is a small server on loopback.

use crate::health::machine::ProbeResult;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::dns::{Name, RecordType};
use crate::health::check::{
    CertificateRule, CheckTls, DnsCheck, GrpcCheck, HealthCheck, HttpCheck, HttpExpectation,
    HttpMethod,
};
use crate::health::machine::HealthRules;

/// A timeout that a busy machine meets, and that a test can wait for.
const TIMEOUT: Duration = Duration::from_millis(800);

async fn ask_with(
    trust: TrustStore,
    address: SocketAddr,
    probe: ProbeKind,
    timeout: Duration,
) -> Observation {
    let check = HealthCheck {
        name: "test".into(),
        rules: HealthRules {
            timeout,
            ..HealthRules::default()
        },
        probe,
    };
    let begin = std::time::Instant::now();
    let found = Prober::new(trust)
        .probe(&ProbeTarget {
            address,
            check: Arc::new(check),
        })
        .await;
    assert!(
        begin.elapsed() < timeout + Duration::from_secs(2),
        "every probe ends"
    );
    match found {
        ProbeAttempt::Made(observation) => observation,
        ProbeAttempt::NotMade(shortage) => panic!("{shortage:?}"),
    }
}

async fn ask(address: SocketAddr, probe: ProbeKind) -> Observation {
    ask_with(
        TrustStore::from_roots(Vec::new()).unwrap(),
        address,
        probe,
        Duration::from_secs(10),
    )
    .await
}

async fn ask_briefly(address: SocketAddr, probe: ProbeKind) -> Observation {
    ask_with(
        TrustStore::from_roots(Vec::new()).unwrap(),
        address,
        probe,
        TIMEOUT,
    )
    .await
}

fn http(expect: HttpExpectation) -> ProbeKind {
    ProbeKind::Http(HttpCheck {
        tls: None,
        method: HttpMethod::Get,
        path: "/health".into(),
        host: Some("www.example.test".into()),
        headers: Vec::new(),
        expect,
    })
}

/// What is expected by default, with one change.
fn expecting(change: impl FnOnce(&mut HttpExpectation)) -> HttpExpectation {
    let mut expect = HttpExpectation::default();
    change(&mut expect);
    expect
}

/// A server that calls `serve` with each connection.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// A server that reads a request, sends these octets and closes.
async fn says(octets: impl Into<Vec<u8>>) -> SocketAddr {
    let octets: Arc<[u8]> = octets.into().into();
    server(move |mut stream| {
        let octets = octets.clone();
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&octets).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// A server that sends `first`, then repeats a piece forever.
async fn repeats(first: &'static str, piece: &'static str, pause: Duration) -> SocketAddr {
    server(move |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(first.as_bytes()).await;
        while stream.write_all(piece.as_bytes()).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    })
    .await
}

fn response(head: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[track_caller]
fn assert_fails(found: &Observation, part: &str) {
    assert_eq!(found.result, ProbeResult::Fail, "{found:?}");
    assert!(found.reason.as_deref().unwrap().contains(part), "{found:?}");
}

#[tokio::test]
async fn a_good_answer_passes_with_its_phases() {
    let found = ask(
        says(response("200 OK", "fine")).await,
        http(HttpExpectation::default()),
    )
    .await;
    assert_eq!((found.result, &found.reason), (ProbeResult::Pass, &None));
    let ProbePhases {
        connect,
        tls,
        first_byte,
        body,
        total,
        refused,
    } = found.phases;
    assert_eq!(refused, None);
    assert!(
        connect <= first_byte && first_byte <= body && body <= Some(total) && tls.is_none(),
        "{:?}",
        found.phases
    );
}

#[tokio::test]
async fn the_endpoint_is_asked_for_the_service_by_name() {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let address = server(move |mut stream| {
        let sender = sender.clone();
        async move {
            let mut request = vec![0; 4096];
            let size = stream.read(&mut request).await.unwrap();
            request.truncate(size);
            sender
                .send(String::from_utf8(request).unwrap())
                .await
                .unwrap();
        }
    })
    .await;
    let ProbeKind::Http(check) = http(HttpExpectation::default()) else {
        unreachable!()
    };
    let header = |name: &'static str, value: &'static str| {
        (
            hyper::header::HeaderName::from_static(name),
            hyper::header::HeaderValue::from_static(value),
        )
    };
    let headers = vec![
        header("x-probe", "Of Ours"),
        header("user-agent", "somebody"),
    ];
    assert_fails(
        &ask(address, ProbeKind::Http(HttpCheck { headers, ..check })).await,
        "no whole answer",
    );
    let request = receiver.recv().await.unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /health http/1.1\r\n"), "{request}");
    assert!(
        request.contains("\r\nhost: www.example.test\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nx-probe: of ours\r\n"), "{request}");
    assert!(
        request.contains("\r\nuser-agent: somebody\r\n") && !request.contains("meridian"),
        "{request}"
    );
}

#[tokio::test]
async fn expectations_are_kept_to() {
    let address = says(response(
        "200 OK\r\nx-state: good",
        r#"{"db": {"state": "ok", "n": 3}}"#,
    ))
    .await;
    let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    let header = |value: &str| ("X-State".to_owned(), value.to_owned());
    for (expect, wrong) in [
        (expecting(|it| it.status = vec![(204, 204)]), "status 200"),
        (
            expecting(|it| it.body = Some("absent".into())),
            "does not contain",
        ),
        (
            expecting(|it| it.json = pair("/db/state", "bad")),
            "the field /db/state",
        ),
        (
            expecting(|it| it.json = pair("/db/none", "3")),
            "the field /db/none",
        ),
        (
            expecting(|it| it.headers = vec![header("bad")]),
            "the header X-State",
        ),
    ] {
        assert_fails(&ask(address, http(expect)).await, wrong);
    }
    let mut all = expecting(|it| it.json = pair("/db/n", "3"));
    all.headers = vec![header("good")];
    all.body = Some("db".into());
    assert_eq!(
        ask(address, http(all.clone())).await.result,
        ProbeResult::Pass
    );
    let mut slow = all;
    slow.latency = Some(Duration::from_nanos(1));
    assert_eq!(ask(address, http(slow)).await.result, ProbeResult::Warn);
}

#[tokio::test]
async fn an_endpoint_may_report_its_own_health() {
    for (status, outcome) in [
        ("pass", ProbeResult::Pass),
        ("warn", ProbeResult::Warn),
        ("fail", ProbeResult::Fail),
    ] {
        let body = format!(r#"{{"status": "{status}", "load": 0.25}}"#);
        let head = "200 OK\r\ncontent-type: application/health+json; charset=utf-8";
        let found = ask(
            says(response(head, &body)).await,
            http(HttpExpectation::default()),
        )
        .await;
        assert_eq!((found.result, found.load), (outcome, Some(0.25)));
    }
    let vendor = response(
        "200 OK\r\nContent-Type: Application/VND.Health+JSON",
        r#"{"status": "fail"}"#,
    );
    assert_fails(
        &ask(says(vendor).await, http(HttpExpectation::default())).await,
        "it says fail",
    );
    let orca = says(response(
        "200 OK\r\nEndpoint-Load-Metrics: TEXT cpu_utilization=0.3",
        "",
    ))
    .await;
    assert_eq!(
        ask(orca, http(HttpExpectation::default())).await.load,
        Some(0.3)
    );
}

#[tokio::test]
async fn a_health_document_that_cannot_be_read_is_bad() {
    let fails = r#"{"status": "fail"}"#;
    let deep = format!(
        r#"{{"a": {}{}, "status": "pass"}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let long = format!(
        r#"{{"status": "pass", "output": "{}"}}"#,
        "x".repeat(64 * 1024)
    );
    for (media, body, part) in [
        (
            "application/health+json",
            r#"{"status": "pa"#.as_bytes(),
            "health document is not JSON",
        ),
        ("Application/Health+JSON", fails.as_bytes(), "it says fail"),
        (
            "APPLICATION/HEALTH+JSON ;charset=utf-8",
            fails.as_bytes(),
            "it says fail",
        ),
        (
            "application/health+json",
            &[b"\xef\xbb\xbf", fails.as_bytes()].concat(),
            "it says fail",
        ),
        (
            "application/health+json",
            br#"{"status": "pass", "load": NaN}"#,
            "health document is not JSON",
        ),
        (
            "application/health+json",
            b"{\"status\": \"pass\", \"output\": \"\xff\"}",
            "health document is not JSON",
        ),
        (
            "application/health+json",
            br#"{"load": 0.5}"#,
            "no known status",
        ),
        ("application/health+json", br#"["pass"]"#, "no known status"),
        (
            "application/health+json",
            b"",
            "health document is not JSON",
        ),
        (
            "application/health+json",
            deep.as_bytes(),
            "health document is not JSON",
        ),
        (
            "application/health+json",
            long.as_bytes(),
            "health document is longer than 64 KiB",
        ),
    ] {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let found = ask(
            says([head.as_bytes(), body].concat()).await,
            http(HttpExpectation::default()),
        )
        .await;
        assert_fails(&found, part);
    }
    // The answer to HEAD has no document, even if its header announces one.
    let head = says(
        "HTTP/1.1 200 OK\r\ncontent-type: application/health+json\r\ncontent-length: 17\r\n\r\n",
    )
    .await;
    let ProbeKind::Http(check) = http(HttpExpectation::default()) else {
        unreachable!()
    };
    let found = ask(
        head,
        ProbeKind::Http(HttpCheck {
            method: HttpMethod::Head,
            ..check
        }),
    )
    .await;
    assert_eq!(found.result, ProbeResult::Pass, "{found:?}");
}

#[tokio::test]
async fn endless_interim_answers_are_bounded() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
    ] {
        let found = ask(
            repeats("", interim, Duration::ZERO).await,
            http(HttpExpectation::default()),
        )
        .await;
        assert_fails(&found, "more than 128 KiB before its answer");
        let slow = repeats("", interim, Duration::from_millis(20)).await;
        assert_fails(
            &ask_briefly(slow, http(HttpExpectation::default())).await,
            "within 800ms",
        );
        let few = format!("{}{}", interim.repeat(5), response("200 OK", "fine"));
        assert_eq!(
            ask(says(few).await, http(HttpExpectation::default()))
                .await
                .result,
            ProbeResult::Pass
        );
    }
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let endless = repeats(
        chunks,
        "1;a=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\nx\r\n",
        Duration::ZERO,
    )
    .await;
    assert_fails(&ask(endless, http(HttpExpectation::default())).await, "");
}

#[tokio::test]
async fn a_body_that_ends_without_a_goodbye_of_tls_is_as_long_as_it_is() {
    let (trust, config) = certificates("www.example.test", (2099, 1, 1));
    let acceptor = TlsAcceptor::from(config);
    for (answer, outcome) in [
        ("HTTP/1.1 200 OK\r\n\r\nfine", ProbeResult::Pass),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfine",
            ProbeResult::Fail,
        ),
        ("HTTP/1.1 200 O", ProbeResult::Fail),
    ] {
        let acceptor = acceptor.clone();
        let address = server(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.flush().await;
                // Dropped without close_notify.
            }
        })
        .await;
        let probe = https(Some("www.example.test"), true);
        let found = ask_with(trust.clone(), address, probe, Duration::from_secs(10)).await;
        assert_eq!(found.result, outcome, "{found:?}");
    }
}

#[tokio::test]
async fn wrong_answers_fail_with_a_sentence() {
    for (answer, part) in [
        (response("500 Internal Server Error", ""), "status 500"),
        (
            response("302 Found\r\nlocation: http://127.0.0.1:1/", ""),
            "status 302",
        ),
        ("garbage\r\n\r\n".to_owned(), "no whole answer"),
        (String::new(), "no whole answer"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_owned(),
            "no whole answer",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(),
            "no whole answer",
        ),
        (
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(100_000)),
            "no whole answer",
        ),
    ] {
        assert_fails(
            &ask(says(answer).await, http(HttpExpectation::default())).await,
            part,
        );
    }
}

#[tokio::test]
async fn refusing_and_resetting_endpoints_fail_at_once() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for probe in [http(HttpExpectation::default()), ProbeKind::Tcp] {
        let found = ask(gone, probe).await;
        assert_fails(&found, "refused");
        assert!(found.phases.total < Duration::from_secs(5));
    }
    let resets = server(|stream| async move {
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    })
    .await;
    assert_fails(&ask(resets, http(HttpExpectation::default())).await, "from");
}

#[tokio::test]
async fn hanging_and_trickling_endpoints_end_with_the_timeout() {
    let forever = Duration::from_secs(100);
    let silent = repeats("", "", forever).await;
    assert_fails(
        &ask_briefly(silent, http(HttpExpectation::default())).await,
        "accepted the connection but did not answer within 800ms",
    );
    let head = repeats("HTTP/1.1 200 OK\r\n", "a: b\r\n", Duration::from_millis(50)).await;
    assert_fails(
        &ask_briefly(head, http(HttpExpectation::default())).await,
        "within 800ms",
    );
    let body = repeats(
        "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n",
        "x",
        Duration::from_millis(50),
    )
    .await;
    assert_fails(
        &ask_briefly(body, http(HttpExpectation::default())).await,
        "had begun but did not end",
    );
}

#[tokio::test]
async fn endless_heads_are_refused_and_huge_bodies_are_cut() {
    let head = repeats(
        "HTTP/1.1 200 OK\r\n",
        "a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n",
        Duration::ZERO,
    )
    .await;
    assert_fails(&ask(head, http(HttpExpectation::default())).await, "");
    let piece = "\
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    let body = repeats(
        "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\nfine ",
        piece,
        Duration::ZERO,
    )
    .await;
    let expect = HttpExpectation {
        body: Some("fine".into()),
        ..HttpExpectation::default()
    };
    assert_eq!(
        ask(body, http(expect)).await.result,
        ProbeResult::Pass,
        "what was looked for came first"
    );
}

/// A test authority, and a TLS server with a certificate for a name.
fn certificates(name: &str, expires: (i32, u8, u8)) -> (TrustStore, Arc<ServerConfig>) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    leaf.not_before = rcgen::date_time_ymd(2000, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(expires.0, expires.1, expires.2);
    let leaf = leaf
        .signed_by(&key, &Issuer::new(authority, authority_key))
        .unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let mut config = builder
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    (
        TrustStore::from_roots(vec![root.der().clone()]).unwrap(),
        Arc::new(config),
    )
}

async fn tls_server(config: Arc<ServerConfig>) -> SocketAddr {
    let acceptor = TlsAcceptor::from(config);
    server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(response("200 OK", "fine").as_bytes())
                .await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

fn tls(name: Option<&str>, verify: bool) -> CheckTls {
    CheckTls {
        name: name.map(str::to_owned),
        certificate: CertificateRule {
            verify,
            ..CertificateRule::default()
        },
    }
}

fn https(name: Option<&str>, verify: bool) -> ProbeKind {
    let tls = Some(tls(name, verify));
    ProbeKind::Http(HttpCheck {
        tls,
        method: HttpMethod::Get,
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        expect: HttpExpectation::default(),
    })
}

#[tokio::test]
async fn certificates_are_verified_for_the_name_and_their_expiry_is_reported() {
    let (trust, config) = certificates("www.example.test", (2099, 1, 1));
    let address = tls_server(config).await;
    let long = Duration::from_secs(10);
    let tls = |name: &str| ProbeKind::Tls(tls(Some(name), true));
    for probe in [
        https(Some("www.example.test"), true),
        https(None, false),
        tls("www.example.test"),
    ] {
        let found = ask_with(trust.clone(), address, probe, long).await;
        assert_eq!(found.result, ProbeResult::Pass, "{found:?}");
        assert!(found.certificate_expires_in.unwrap() > 20_000, "{found:?}");
    }
    for probe in [
        https(Some("other.example.test"), true),
        https(None, true),
        tls("other.example.test"),
    ] {
        assert_fails(
            &ask_with(trust.clone(), address, probe, long).await,
            "certificate",
        );
    }
    let stranger = TrustStore::from_roots(Vec::new()).unwrap();
    assert_fails(
        &ask_with(
            stranger,
            address,
            https(Some("www.example.test"), true),
            long,
        )
        .await,
        "root certificates",
    );
    let elsewhere = https(Some("192.0.2.1"), true);
    assert_fails(
        &ask_with(trust, address, elsewhere, long).await,
        "certificate",
    );
}

#[tokio::test]
async fn an_expired_certificate_fails_unless_it_is_not_verified() {
    let (trust, config) = certificates("www.example.test", (2001, 1, 1));
    let address = tls_server(config).await;
    let long = Duration::from_secs(10);
    assert_fails(
        &ask_with(
            trust.clone(),
            address,
            https(Some("www.example.test"), true),
            long,
        )
        .await,
        "expired",
    );
    let found = ask_with(trust, address, https(Some("www.example.test"), false), long).await;
    assert_eq!(found.result, ProbeResult::Pass, "{found:?}");
    assert!(found.certificate_expires_in.unwrap() < -8000);
    let no_tls = says("no TLS here").await;
    assert_fails(
        &ask(no_tls, ProbeKind::Tls(tls(None, true))).await,
        "no TLS with",
    );
}

#[tokio::test]
async fn a_tcp_check_is_content_with_a_connection() {
    let found = ask(says("").await, ProbeKind::Tcp).await;
    assert_eq!(found.result, ProbeResult::Pass);
    assert!(found.phases.connect.is_some());
}

#[tokio::test]
async fn a_dns_check_wants_noerror_to_its_own_question() {
    for (rcode, strays, outcome) in [(0, true, ProbeResult::Pass), (2, false, ProbeResult::Fail)] {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut query = [0; 512];
            let (size, from) = socket.recv_from(&mut query).await.unwrap();
            if strays {
                socket.send_to(b"nonsense", from).await.unwrap();
                socket.send_to(&query[..size], from).await.unwrap();
            }
            query[2] = 0x84;
            query[3] = rcode;
            socket.send_to(&query[..size], from).await.unwrap();
        });
        let name = Name::parse("example.test.", &Name::root()).unwrap();
        let found = ask(
            address,
            ProbeKind::Dns(DnsCheck {
                name,
                rtype: RecordType(6),
            }),
        )
        .await;
        assert_eq!(found.result, outcome, "{found:?}");
    }
}

#[tokio::test]
async fn what_does_not_speak_grpc_is_no_good() {
    let grpc = || {
        ProbeKind::Grpc(GrpcCheck {
            tls: None,
            host: None,
            headers: Vec::new(),
            service: "shop".into(),
        })
    };
    assert_eq!(
        ask_briefly(says(response("200 OK", "")).await, grpc())
            .await
            .result,
        ProbeResult::Fail
    );
}

/// A gRPC server that answers with this health, with its status in the trailers.
async fn grpc_server(health: u8) -> SocketAddr {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    server(move |stream| async move {
        let answer = move |request: hyper::Request<hyper::body::Incoming>| async move {
            assert_eq!(
                request
                    .headers()
                    .get("x-probe")
                    .map(|value| value.as_bytes()),
                Some(&b"ours"[..])
            );
            assert_eq!(
                request.uri(),
                "http://shop.example.test/grpc.health.v1.Health/Check"
            );
            let asked = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(asked, b"\0\0\0\0\x06\x0a\x04shop"[..]);
            let mut trailers = hyper::HeaderMap::new();
            trailers.insert(
                "grpc-status",
                if health == 9 { "5" } else { "0" }.parse().unwrap(),
            );
            let body = Full::new(hyper::body::Bytes::from(vec![0, 0, 0, 0, 2, 8, health]));
            let body = body.with_trailers(async move { Some(Ok(trailers)) });
            Ok::<_, std::convert::Infallible>(hyper::Response::new(body))
        };
        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = http
            .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer))
            .await;
    })
    .await
}

#[tokio::test]
async fn a_grpc_server_is_asked_about_a_service_and_its_trailers_count() {
    let host = Some("shop.example.test".to_owned());
    let name = hyper::header::HeaderName::from_static("x-probe");
    let headers = vec![(name, hyper::header::HeaderValue::from_static("ours"))];
    let grpc = || {
        ProbeKind::Grpc(GrpcCheck {
            tls: None,
            host: host.clone(),
            headers: headers.clone(),
            service: "shop".into(),
        })
    };
    assert_eq!(
        ask(grpc_server(1).await, grpc()).await.result,
        ProbeResult::Pass
    );
    assert_fails(&ask(grpc_server(2).await, grpc()).await, "NOT_SERVING");
    assert_fails(&ask(grpc_server(9).await, grpc()).await, "grpc-status 5");
}

#[tokio::test]
async fn an_endpoint_that_hangs_in_connect_ends_with_the_timeout() {
    // The server accepts nothing and its backlog is full, so the kernel no longer answers.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _waiting: Vec<_> = (0..8)
        .map(|_| tokio::spawn(TcpStream::connect(address)))
        .collect();
    tokio::task::yield_now().await;
    for probe in [ProbeKind::Tcp, http(HttpExpectation::default())] {
        let found = ask_briefly(address, probe).await;
        assert_fails(&found, "there was no answer within 800ms");
        assert_eq!(found.phases.connect, None);
    }
}

#[tokio::test]
async fn an_ipv6_endpoint_is_asked_like_any_other() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(response("200 OK", "fine").as_bytes())
                .await;
        }
    });
    assert_eq!(
        ask(address, http(HttpExpectation::default())).await.result,
        ProbeResult::Pass
    );
}
