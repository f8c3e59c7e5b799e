//! The real binary with checks of other kinds than http, and with services that follow load and demand.

#[path = "harness/mod.rs"]
mod harness;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::types::A;
use harness::{Server, Setup};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};

const ZONE: &str =
    "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n";
const PLACES: &str = "[[geo.networks]]\ncidr = \"198.18.0.0/15\"\nlocation = \"FRA\"\n[regions.fra]\nlocation = \"FRA\"\n\
                      [regions.iad]\nlocation = \"IAD\"\n";

fn setup(config: &str) -> Setup {
    Setup::new()
        .zone("example.test", ZONE)
        .config(&format!("{PLACES}{config}"))
}

fn ask(server: &Server, network: u8) -> String {
    let reply = server
        .ask("www.example.test", A)
        .from_subnet(&format!("198.18.{network}.0/24"))
        .send();
    reply
        .addresses()
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[track_caller]
fn await_answer(server: &Server, expected: &str) {
    let start = Instant::now();
    while ask(server, 0) != expected {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "never {expected}:\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An HTTP server that says this in its head.
fn http(address: &str, head: &'static str) -> u16 {
    let listener = TcpListener::bind((address, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\n{head}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    port
}

#[test]
fn a_program_and_a_nameserver_decide_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("well");
    std::fs::write(&file, "").expect("writable");
    // A nameserver that answers every query with NOERROR.
    let socket = UdpSocket::bind("127.0.1.1:0").expect("a free port");
    let port = socket.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((size, from)) = socket.recv_from(&mut query) {
            query[2] |= 0x80;
            let _ = socket.send_to(&query[..size], from);
        }
    });
    let timing = "interval = \"200ms\"\nrise = 1\n";
    let config = format!(
        "[checks.dns]\ntype = \"dns\"\nport = {port}\nquery_type = \"SOA\"\n{timing}[checks.own]\ntype = \"exec\"\n\
         program = \"/bin/sh\"\narguments = [\"-c\", \"test -e $0 && test $1 = 127.0.1.1 || exit 2\", \"{}\", \"{{address}}\"]\n{timing}\
         [checks.both]\nall = [\"dns\", \"own\"]\n[[services]]\nname = \"www.example.test\"\nramp = \"0s\"\n\
         ttl = {{ max = 60, min = 7 }}\n[services.endpoints]\nfra = {{ address = \"127.0.1.1\", check = \"both\" }}\n\
         iad = \"127.0.2.1\"\n",
        file.display()
    );
    let server = setup(&config).start();
    assert_eq!(ask(&server, 0), "127.0.1.1");
    let reply = server
        .ask("www.example.test", A)
        .from_subnet("198.18.0.0/24")
        .send();
    reply.expect_answer(&["www.example.test. 7 A 127.0.1.1"]);
    std::fs::remove_file(&file).expect("it is there");
    await_answer(&server, "127.0.2.1");
    server.await_log("up -> down", 1);
    std::fs::write(&file, "").expect("writable");
    await_answer(&server, "127.0.1.1");
}

#[test]
fn people_are_warned_of_certificates_that_expire() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut leaf =
        rcgen::CertificateParams::new(vec!["www.example.test".to_owned()]).expect("a name");
    leaf.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let certificate = leaf.self_signed(&key).expect("it signs itself");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = Arc::new(
        config
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a pair"),
    );
    let listener = TcpListener::bind("127.0.1.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = ServerConnection::new(config.clone()).expect("TLS");
            let _ = connection.complete_io(&mut stream);
        }
    });
    let config = format!(
        "[checks.cert]\ntype = \"tls\"\nport = {port}\nverify = false\n[[services]]\nname = \"www.example.test\"\n\
         [services.endpoints]\nfra = {{ address = \"127.0.1.1\", check = \"cert\" }}\niad = {{ cname = \"x.example.net\" }}\n"
    );
    let server = setup(&config).start();
    server.await_log(
        &format!("the certificate of 127.0.1.1:{port} has expired"),
        1,
    );
    assert_eq!(ask(&server, 0), "127.0.1.1", "it is not verified");
}

#[test]
fn busy_endpoints_get_fewer_clients() {
    let busy = http(
        "127.0.1.1",
        "Endpoint-Load-Metrics: TEXT cpu_utilization=0.95\r\n",
    );
    let idle = http(
        "127.0.1.2",
        "Endpoint-Load-Metrics: JSON {\"application_utilization\": 0.0}\r\n",
    );
    let config = format!(
        "[checks.web]\ntype = \"http\"\n[[services]]\nname = \"www.example.test\"\ncheck = \"web\"\npick = \"least-load\"\n\
         [services.endpoints]\nfra = [{{ address = \"127.0.1.1\", port = {busy} }}, {{ address = \"127.0.1.2\", port = {idle} }}]\n"
    );
    let server = setup(&config.replace(
        "[services.endpoints]",
        "[services.endpoints]\niad = \"127.0.2.1\"",
    ))
    .start();
    let picked = (0..1000).filter(|_| ask(&server, 0) == "127.0.1.1").count();
    // A tenth to a whole: 91 of 1,000, give or take five standard deviations.
    assert!((40..145).contains(&picked), "{picked} of 1000");
}

#[test]
fn what_a_region_has_no_room_for_goes_on_to_the_next() {
    let config = "[[services]]\nname = \"www.example.test\"\ncapacity = { fra = \"50%\" }\n[services.endpoints]\n\
                  fra = \"127.0.1.1\"\niad = \"127.0.2.1\"\n";
    let server = setup(config).start();
    let near = |server: &Server| {
        (0..=255)
            .filter(|network| ask(server, *network) == "127.0.1.1")
            .count()
    };
    let start = Instant::now();
    let mut found = 256;
    while !(90..=166).contains(&found) {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{found} of 256 networks"
        );
        found = near(&server);
    }
}

/// Lowers or raises the number of descriptors that a server may have.
fn limit_descriptors(server: &Server, limit: u64) {
    let pid = rustix::process::Pid::from_raw(server.id() as i32).expect("it runs");
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limits = rustix::process::Rlimit {
        current: Some(limit),
        maximum: before.maximum,
    };
    rustix::process::prlimit(Some(pid), rustix::process::Resource::Nofile, limits)
        .expect("it is our child");
}

#[test]
fn a_server_without_descriptors_holds_what_was_agreed_and_says_so() {
    let (fra, iad) = (http("127.0.1.1", ""), http("127.0.2.1", ""));
    let config = format!(
        "[checks.web]\ntype = \"http\"\ninterval = \"500ms\"\n[[services]]\n\
         name = \"www.example.test\"\ncheck = \"web\"\n[services.endpoints]\n\
         fra = {{ address = \"127.0.1.1\", port = {fra} }}\niad = {{ address = \"127.0.2.1\", port = {iad} }}\n"
    );
    let server = setup(&config).start();
    assert_eq!(ask(&server, 0), "127.0.1.1");
    limit_descriptors(&server, 3);
    server.await_log("this server has no file descriptor left", 1);
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        assert_eq!(
            ask(&server, 0),
            "127.0.1.1",
            "probes that could not be made are no failures"
        );
    }
    limit_descriptors(&server, 1024);
    server.await_log("every endpoint can be probed again", 1);
    assert!(!server.log().contains("up -> down"), "{}", server.log());
    let mut stream =
        std::net::TcpStream::connect(server.admin.expect("it has one")).expect("it listens");
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("it reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("it answers");
    let count = page.lines().find_map(|line| {
        line.strip_prefix("meridian_probes_not_made_total{missing=\"descriptors\"} ")
    });
    assert!(
        count
            .and_then(|count| count.parse::<u64>().ok())
            .is_some_and(|count| count >= 8),
        "{page}"
    );
}

#[test]
fn programs_and_what_they_started_end_with_a_server_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("processes");
    let script = format!(
        "echo $$ >> {0}; setsid sleep 305 & echo $! >> {0}; sleep 306",
        file.display()
    );
    let config = format!(
        "[checks.own]\ntype = \"exec\"\nprogram = \"/bin/sh\"\narguments = [\"-c\", \"{script}\"]\n\
         interval = \"3s\"\ntimeout = \"3s\"\n[[services]]\nname = \"www.example.test\"\n[services.endpoints]\n\
         fra = {{ address = \"127.0.1.1\", check = \"own\" }}\niad = \"127.0.2.1\"\n"
    );
    let server = setup(&config).start();
    let processes = || fs::read_to_string(&file).unwrap_or_default();
    // Those of the first probe are ended by now; the next probe begins while the server serves.
    let (start, before) = (Instant::now(), processes().lines().count());
    while processes().lines().count() < before + 2 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "no other probe:\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal(libc::SIGKILL);
    let start = Instant::now();
    for process in processes().lines() {
        let path = format!("/proc/{process}/stat");
        while fs::read_to_string(&path).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "process {process} runs still"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn check_refuses_a_program_that_does_not_exist() {
    let config = "[checks.own]\ntype = \"exec\"\nprogram = \"probes/absent\"\n[[services]]\nname = \"www.example.test\"\n\
                  check = \"own\"\n[services.endpoints]\nfra = \"127.0.1.1\"\n";
    let (file, _folder) = setup(config).written();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["check", "--config"])
        .arg(&file)
        .output();
    let output = output.expect("the binary runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("probes/absent: the program does not exist"),
        "{said}"
    );
}
