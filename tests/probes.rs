//! Probes with the programs of others: scripts that leave children behind, certificates as openssl makes them, and a web
//! server that wants to see one.

#[path = "harness/mod.rs"]
mod harness;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::free_port;
use harness::server::Process;
use meridian::health::check::{
    CertificateRule, CheckTls, ExecCheck, HealthCheck, HttpCheck, HttpExpectation, HttpMethod,
    ProbeKind, ProbeTarget,
};
use meridian::health::machine::{HealthRules, ProbeResult};
use meridian::health::probe::{
    CheckAuthorities, ClientIdentity, Observation, ProbeAttempt, Prober, ShortageKind, TrustStore,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn ask_within(timeout: Duration, address: SocketAddr, probe: ProbeKind) -> ProbeAttempt {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let check = HealthCheck {
        name: "test".into(),
        rules: HealthRules {
            timeout,
            ..HealthRules::default()
        },
        probe,
    };
    let prober = Prober::new(TrustStore::from_roots(Vec::new()).expect("no roots"))
        .with_supervisor(env!("CARGO_BIN_EXE_meridian").into());
    let target = ProbeTarget {
        address,
        check: Arc::new(check),
    };
    runtime.block_on(prober.probe(&target))
}

#[track_caller]
fn ask(address: SocketAddr, probe: ProbeKind) -> Observation {
    match ask_within(PATIENCE, address, probe) {
        ProbeAttempt::Made(observation) => observation,
        ProbeAttempt::NotMade(shortage) => panic!("{shortage:?}"),
    }
}

#[track_caller]
fn assert_fails(found: &Observation, part: &str) {
    assert_eq!(found.result, ProbeResult::Fail, "{found:?}");
    let reason = found.reason.as_deref().unwrap_or_default();
    assert!(reason.contains(part), "{reason}");
    assert!(
        !reason.contains("Other") && !reason.contains(['[', '{']),
        "in plain words: {reason}"
    );
}

fn endpoint() -> SocketAddr {
    "192.0.2.1:80".parse().expect("an address")
}

fn shell(script: &str) -> ProbeKind {
    let arguments = ["-c", script, "probe", "{address}", "{port}"]
        .map(str::to_owned)
        .to_vec();
    ProbeKind::Exec(ExecCheck {
        program: PathBuf::from("/bin/sh"),
        arguments,
    })
}

/// Waits until a process is gone, or only its parent has not noticed yet.
#[track_caller]
fn await_end(process: &str) {
    let start = Instant::now();
    let path = format!("/proc/{}/stat", process.trim());
    while fs::read_to_string(&path).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(start.elapsed() < PATIENCE, "process {process} runs still");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_program_speaks_by_its_exit_code_and_first_line() {
    assert_eq!(ask(endpoint(), shell("exit 0")).result, ProbeResult::Pass);
    let warned = ask(endpoint(), shell("echo low on $1 $2; echo more; exit 1"));
    assert_eq!(
        (warned.result, warned.reason.as_deref()),
        (ProbeResult::Warn, Some("low on 192.0.2.1 80"))
    );
    assert_fails(&ask(endpoint(), shell("exit 7")), "ended with 7");
    assert_fails(&ask(endpoint(), shell("kill -9 $$")), "killed by signal 9");
    assert_fails(
        &ask(
            endpoint(),
            shell("head -c 10000000 /dev/zero | tr '\\0' x; exit 3"),
        ),
        "xxxx",
    );
    for script in ["yes", "sleep 100 & sleep 100"] {
        let found = ask_within(Duration::from_millis(800), endpoint(), shell(script));
        let ProbeAttempt::Made(found) = found else {
            panic!("{found:?}")
        };
        assert_fails(&found, "within 800ms");
    }
}

#[test]
fn a_program_that_cannot_be_run_says_nothing_about_the_endpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain");
    fs::write(&plain, "#!/bin/sh\nexit 0\n").expect("writable");
    for program in [PathBuf::from("/nonexistent/program"), plain] {
        let found = ask_within(
            PATIENCE,
            endpoint(),
            ProbeKind::Exec(ExecCheck {
                program,
                arguments: Vec::new(),
            }),
        );
        let ProbeAttempt::NotMade(shortage) = found else {
            panic!("{found:?}")
        };
        assert_eq!(shortage.kind, ShortageKind::Program, "{shortage:?}");
    }
}

#[test]
fn the_exit_code_decides_whatever_children_keep_open_and_all_of_them_are_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("children");
    // One child of the program's own group, one in a session of its own, and one that is nobody's child any more.
    let script = format!(
        "echo well enough; sleep 300 & echo $! >> {0}; setsid sleep 301 & echo $! >> {0}; \
         (setsid sh -c 'echo $$ >> {0}; exec sleep 302' &); while [ $(wc -l < {0}) -lt 3 ]; do sleep 0.01; done; exit 1",
        file.display()
    );
    let start = Instant::now();
    let found = ask(endpoint(), shell(&script));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "nobody waits for the children: {:?}",
        start.elapsed()
    );
    assert_eq!(
        (found.result, found.reason.as_deref()),
        (ProbeResult::Warn, Some("well enough"))
    );
    let children = fs::read_to_string(&file).expect("they said who they are");
    assert_eq!(children.lines().count(), 3);
    children.lines().for_each(await_end);
}

#[test]
fn what_is_not_over_in_time_is_ended_with_its_children() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("children");
    let script = format!(
        "echo $$ >> {0}; setsid sleep 303 & echo $! >> {0}; sleep 304 & wait",
        file.display()
    );
    let found = ask_within(Duration::from_secs(2), endpoint(), shell(&script));
    let ProbeAttempt::Made(found) = found else {
        panic!("{found:?}")
    };
    assert_fails(&found, "within 2s");
    let children = fs::read_to_string(&file).expect("they said who they are");
    assert_eq!(children.lines().count(), 2);
    children.lines().for_each(await_end);
}

#[test]
fn a_program_sees_no_environment_but_what_is_documented() {
    let found = ask(
        endpoint(),
        shell("env | sort | grep -v '^\\(PWD\\|SHLVL\\|_\\|OLDPWD\\)=' | tr '\\n' ' '; exit 1"),
    );
    let expected = "MERIDIAN_ADDRESS=192.0.2.1 MERIDIAN_PORT=80 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ";
    assert_eq!(found.reason.as_deref(), Some(expected));
}

fn openssl(folder: &Path, words: &str) {
    let output = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl can be run");
    assert!(
        output.status.success(),
        "openssl {words}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// `openssl s_server` with this certificate; it answers requests with a page of its own.
fn tls_server(folder: &Path, certificate: &str, more: &[&str]) -> (Process, SocketAddr) {
    let mut command = Command::new("openssl");
    command
        .args([
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-www",
            "-cipher",
            "DEFAULT@SECLEVEL=0",
        ])
        .current_dir(folder);
    command
        .args([
            "-cert",
            &format!("{certificate}.pem"),
            "-key",
            &format!("{certificate}.key"),
        ])
        .args(more);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl can be run");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let process = Process(child);
    let accepts = |line: String| {
        line.strip_prefix("ACCEPT ")
            .and_then(|address| address.parse().ok())
    };
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(accepts)
        .expect("it says where it listens");
    std::thread::spawn(move || lines.for_each(drop));
    (process, address)
}

fn https(certificate: CertificateRule) -> ProbeKind {
    let tls = Some(CheckTls {
        name: Some("www.example.test".to_owned()),
        certificate,
    });
    let expect = HttpExpectation::default();
    ProbeKind::Http(HttpCheck {
        tls,
        method: HttpMethod::Get,
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        expect,
    })
}

const UNVERIFIED: fn() -> CertificateRule = || CertificateRule {
    verify: false,
    ..CertificateRule::default()
};

fn by(authorities: &Path) -> CertificateRule {
    let text = fs::read(authorities).expect("it was made");
    CertificateRule {
        authorities: Some(CheckAuthorities::from_pem(&text).expect("certificates")),
        ..CertificateRule::default()
    }
}

const SUBJECT: &str = "-nodes -days 30 -subj /CN=www.example.test";
const NAMED: &str = "-addext subjectAltName=DNS:www.example.test";

/// What `curl --cacert` says of a server.
fn curl_accepts(authorities: &Path, address: SocketAddr) -> bool {
    let status = Command::new("curl")
        .args([
            "--silent",
            "--max-time",
            "20",
            "--output",
            "/dev/null",
            "--cacert",
        ])
        .arg(authorities)
        .args([
            "--resolve",
            &format!("www.example.test:{}:127.0.0.1", address.port()),
        ])
        .arg(format!("https://www.example.test:{}/", address.port()))
        .status();
    status.expect("curl can be run").success()
}

#[test]
fn certificates_that_are_not_verified_may_be_anything_and_those_that_are_say_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let leaf = "-addext basicConstraints=CA:FALSE";
    let p256 = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
    for (name, words) in [
        ("rsa1024", format!("-newkey rsa:1024 {NAMED} {leaf}")),
        (
            "p521",
            format!("-newkey ec -pkeyopt ec_paramgen_curve:P-521 {NAMED} {leaf}"),
        ),
        ("ed448", format!("-newkey ed448 {NAMED} {leaf}")),
        (
            "pss",
            format!("-newkey rsa-pss -pkeyopt rsa_keygen_bits:2048 {NAMED} {leaf}"),
        ),
        (
            "authority",
            format!("{p256} {NAMED} -addext basicConstraints=critical,CA:TRUE"),
        ),
        ("leaf", format!("{p256} {NAMED} {leaf}")),
        ("nameless", format!("{p256} {leaf}")),
        (
            "elsewhere",
            format!("{p256} {leaf} -addext subjectAltName=DNS:other.example.test"),
        ),
        (
            "client",
            format!("{p256} {NAMED} {leaf} -addext extendedKeyUsage=clientAuth"),
        ),
    ] {
        openssl(
            path,
            &format!("req -x509 {words} {SUBJECT} -keyout {name}.key -out {name}.pem"),
        );
    }
    openssl(
        path,
        &format!("req {p256} {SUBJECT} -keyout version1.key -out version1.csr")
            .replace(" -days 30", ""),
    );
    openssl(
        path,
        "x509 -req -in version1.csr -signkey version1.key -out version1.pem -days 30",
    );
    // Named after what is wrong; an empty reason is none.
    for (name, reason) in [
        (
            "rsa1024",
            "RSA key of 1024 bits, which cannot be verified here: use RSA of 2048",
        ),
        ("p521", "it refuses the handshake"),
        ("ed448", "it refuses the handshake"),
        ("pss", "it refuses the handshake"),
        (
            "version1",
            "version 1 or 2 cannot be verified: issue it as version 3",
        ),
        ("authority", ""),
        ("leaf", ""),
        ("nameless", "names no host in a subjectAltName"),
        (
            "elsewhere",
            "is for other.example.test, not for www.example.test",
        ),
        ("client", "is not meant for servers"),
    ] {
        let (_server, address) = tls_server(path, name, &[]);
        let unverified = ask(address, https(UNVERIFIED()));
        assert_eq!(
            unverified.result,
            ProbeResult::Pass,
            "{name}: {unverified:?}"
        );
        let file = path.join(format!("{name}.pem"));
        let verified = ask(address, https(by(&file)));
        if reason.is_empty() {
            assert_eq!(verified.result, ProbeResult::Pass, "{name}: {verified:?}");
            assert!(curl_accepts(&file, address), "{name}");
        } else {
            assert_fails(&verified, reason);
        }
        let stranger = path.join(if name == "leaf" {
            "elsewhere.pem"
        } else {
            "leaf.pem"
        });
        let found = ask(address, https(by(&stranger)));
        assert_eq!(
            found.result,
            ProbeResult::Fail,
            "{name} is not trusted by others: {found:?}"
        );
    }
    let (_server, address) = tls_server(path, "leaf", &["-tls1_1"]);
    let found = ask(address, https(UNVERIFIED()));
    assert_eq!(found.result, ProbeResult::Fail, "{found:?}");
    assert_fails(&found, "TLS");
}

/// nginx that wants a certificate of its clients, by the authority `ca.pem` of its folder.
fn nginx(folder: &Path) -> (Process, SocketAddr) {
    let port = free_port();
    let root = folder.display();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {root}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {root}/body;\nproxy_temp_path {root}/proxy;\nfastcgi_temp_path {root}/fastcgi;\n\
         uwsgi_temp_path {root}/uwsgi;\nscgi_temp_path {root}/scgi;\nserver {{\nlisten 127.0.0.1:{port} ssl;\n\
         ssl_certificate {root}/server.pem;\nssl_certificate_key {root}/server.key;\n\
         ssl_client_certificate {root}/ca.pem;\nssl_verify_client on;\nlocation / {{ return 200 fine; }}\n}}\n}}\n"
    );
    fs::write(folder.join("nginx.conf"), config).expect("writable");
    let program = if Path::new("/usr/sbin/nginx").exists() {
        "/usr/sbin/nginx"
    } else {
        "nginx"
    };
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let process = Process(command.spawn().expect("nginx can be run"));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let start = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < PATIENCE, "nginx never listens");
        std::thread::sleep(Duration::from_millis(10));
    }
    (process, address)
}

#[test]
fn a_server_that_wants_a_certificate_of_its_clients_is_shown_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let p256 = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
    openssl(
        path,
        &format!("req -x509 {p256} {SUBJECT} {NAMED} -keyout server.key -out server.pem"),
    );
    openssl(
        path,
        &format!("req -x509 {p256} -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.pem"),
    );
    openssl(
        path,
        &format!("req {p256} -nodes -subj /CN=probe -keyout probe.key -out probe.csr"),
    );
    openssl(
        path,
        "x509 -req -in probe.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out probe.pem",
    );
    openssl(
        path,
        &format!(
            "req -x509 {p256} -nodes -days 30 -subj /CN=stranger -keyout stranger.key -out stranger.pem"
        ),
    );
    let identity = |name: &str| {
        let read =
            |ending: &str| fs::read(path.join(format!("{name}.{ending}"))).expect("it was made");
        Some(ClientIdentity::from_pem(&read("pem"), &read("key")).expect("a pair"))
    };
    let (_nginx, address) = nginx(path);
    let shows = |identity: Option<ClientIdentity>| {
        let server = path.join("server.pem");
        ask(
            address,
            https(CertificateRule {
                identity,
                ..by(&server)
            }),
        )
    };
    let found = shows(identity("probe"));
    assert_eq!(found.result, ProbeResult::Pass, "{found:?}");
    assert_fails(&shows(None), "status 400");
    assert_fails(&shows(identity("stranger")), "status 400");
    let unverified = CertificateRule {
        identity: identity("probe"),
        ..UNVERIFIED()
    };
    assert_eq!(ask(address, https(unverified)).result, ProbeResult::Pass);
    // A server that does not even end the handshake without one says so in an alert; in TLS 1.2 that comes before a request
    // is on its way, whose end might be heard of first.
    let (_strict, address) = tls_server(
        path,
        "server",
        &[
            "-tls1_2",
            "-Verify",
            "1",
            "-verify_return_error",
            "-CAfile",
            "ca.pem",
        ],
    );
    let found = ask(address, https(by(&path.join("server.pem"))));
    assert_fails(
        &found,
        "it wants a client certificate (client_cert, client_key)",
    );
    let shown = CertificateRule {
        identity: identity("probe"),
        ..by(&path.join("server.pem"))
    };
    assert_eq!(ask(address, https(shown)).result, ProbeResult::Pass);
    let shown = CertificateRule {
        identity: identity("stranger"),
        ..by(&path.join("server.pem"))
    };
    assert_fails(
        &ask(address, https(shown)),
        "does not accept our client certificate",
    );
}
