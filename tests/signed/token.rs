//! Keys in a PKCS#11 token: SoftHSM2 with a folder of its own for each test, the real server, and delv.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::failover;
use crate::harness::types::A;
use crate::harness::{Region, Server, Setup, server};
use crate::programs::{expect_secure, printed, write_anchors};
use crate::world;

const ZONE: &str = "example.test";
const PIN: &str = "97531-pin";
/// The keys of `[zones.dnssec]`.
const TOKEN: &str = r#"
token = "pkcs11:token=zones"
token_module = "/usr/lib/softhsm/libsofthsm2.so"
token_pin_file = "pin"
"#;

/// An empty token, and the PIN in a file.
fn with_token(setup: Setup) -> Setup {
    let folder = setup.folder();
    fs::create_dir(folder.join("tokens")).expect("the folder is ours");
    let tokens = folder.join("tokens").display().to_string();
    let config = format!("directories.tokendir = {tokens}\nlog.level = ERROR\n");
    fs::write(folder.join("softhsm.conf"), config).expect("the folder is ours");
    softhsm(
        folder,
        &[
            "--init-token",
            "--free",
            "--label",
            "zones",
            "--so-pin",
            "2468-so",
            "--pin",
            PIN,
        ],
    );
    write_pin(folder, PIN);
    setup
}

fn softhsm(folder: &Path, arguments: &[&str]) {
    let output = Command::new("softhsm2-util")
        .args(arguments)
        .env("SOFTHSM2_CONF", folder.join("softhsm.conf"))
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!("softhsm2-util: {error}; install it with: sudo apt-get install softhsm2")
    });
    assert!(output.status.success(), "{output:?}");
}

fn write_pin(folder: &Path, pin: &str) {
    let path = folder.join("pin");
    fs::write(&path, format!("{pin}\n")).expect("the folder is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

/// The zones of the world, with their keys in a token.
fn setup() -> Setup {
    with_token(world::setup_with(TOKEN, world::SERVICES))
}

fn start(setup: Setup) -> Server {
    let conf = setup.folder().join("softhsm.conf");
    setup.start_with(|command| {
        command.env("SOFTHSM2_CONF", conf);
    })
}

fn start_again(folder: tempfile::TempDir) -> Server {
    let mut command = meridian(folder.path(), &["serve"]);
    command.current_dir(folder.path());
    server::start(command, folder)
}

/// A command on the configuration of a folder.
fn meridian(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(arguments)
        .arg("--config")
        .arg(folder.join("meridian.toml"))
        .env("SOFTHSM2_CONF", folder.join("softhsm.conf"));
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let output = meridian(folder, arguments).output();
    output.expect("the binary of this crate can be run")
}

/// What a command prints, which must succeed.
#[track_caller]
fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command complains of, which must fail.
#[track_caller]
fn complaint(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{arguments:?}: {text}");
    text
}

/// Every kind of answer is secure.
#[track_caller]
fn expect_all_secure(server: &Server) {
    write_anchors(server);
    for (name, rtype) in [
        ("host.example.test", "A"),
        ("www.example.test", "A"),
        ("several.example.test", "A"),
        ("several.example.test", "HTTPS"),
        ("x.wild.example.test", "A"),
        ("example.test", "DNSKEY"),
    ] {
        expect_secure(server, ZONE, name, rtype);
    }
}

/// Reads everything again; what the log says of it.
fn reloaded(server: &Server) -> String {
    let before = server.log().len();
    server.reload();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let log = server.log().split_off(before);
        if log.contains("reloaded") || log.contains("reload was refused") || log.contains("refused")
        {
            return log;
        }
        assert!(Instant::now() < deadline, "{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Adds a record to the zone file.
fn add_record(folder: &Path, record: &str) {
    let path = folder.join("zones/example.test.zone");
    let zone = fs::read_to_string(&path).expect("it is ours") + record;
    fs::write(path, zone).expect("it is ours");
}

#[test]
fn zones_whose_keys_are_in_a_token_validate_and_no_secret_is_in_a_file() {
    let server = start(setup());
    expect_all_secure(&server);
    let folder = server.folder();
    let keys = folder.join("keys");
    let mut private = 0;
    for entry in fs::read_dir(&keys).expect("a folder of keys").flatten() {
        let text = fs::read_to_string(entry.path()).expect("a text");
        if entry.path().extension().is_some_and(|end| end == "private") {
            private += 1;
            assert!(
                text.contains("\nLabel: pkcs11:token=zones;object="),
                "{text}"
            );
            assert!(!text.contains("PrivateKey"), "{text}");
        }
    }
    assert_eq!(private, 2);
    let list = said(folder, &["keys", "list"]);
    assert!(
        list.contains("signs, in pkcs11:token=zones;object=example.test-"),
        "{list}"
    );
    assert!(said(folder, &["keys", "ds", ZONE]).contains("example.test. IN DS "));
    let refused = complaint(folder, &["keys", "export", ZONE]);
    assert!(refused.contains("does not give it away"), "{refused}");
    assert!(said(folder, &["check"]).contains("good: 2 zones"));
    assert!(!server.log().contains(PIN));
}

#[test]
fn every_algorithm_that_the_token_has_signs() {
    for algorithm in ["ecdsap256sha256", "ed25519", "rsasha256"] {
        let server = {
            let setup = setup();
            let (config, folder) = setup.written();
            let more = fs::read_to_string(&config).expect("it is ours");
            fs::write(&config, more.replace("generate = true", "")).expect("it is ours");
            for zone in [ZONE, "below.example.test"] {
                let arguments = ["keys", "generate", zone, "--algorithm", algorithm];
                said(folder.path(), &arguments);
            }
            start_again(folder)
        };
        expect_all_secure(&server);
    }
}

#[test]
fn a_wrong_pin_is_told_once_and_not_tried_again_before_it_changes() {
    let setup = setup();
    let (_, folder) = setup.written();
    write_pin(folder.path(), "wrong-pin");
    for arguments in [&["keys", "generate", ZONE][..], &["serve"]] {
        let refused = complaint(folder.path(), arguments);
        assert!(refused.contains("/pin was refused"), "{refused}");
        assert!(!refused.contains("wrong-pin"), "{refused}");
    }
    fs::set_permissions(folder.path().join("pin"), fs::Permissions::from_mode(0o644))
        .expect("it is ours");
    let refused = complaint(folder.path(), &["serve"]);
    assert!(refused.contains("/pin may be read by others"), "{refused}");
    write_pin(folder.path(), PIN);
    let server = start_again(folder);
    expect_all_secure(&server);
    // Now it is wrong while the server runs: it asks the token for what is new.
    let folder = server.stopped();
    write_pin(folder.path(), "wrong-pin");
    let server = start_again(folder);
    expect_all_secure(&server);
    add_record(server.folder(), "new A 192.0.2.99\n");
    let log = reloaded(&server);
    assert!(
        log.contains("the zone example.test cannot be signed: the key example.test/13/")
            && log.contains("/pin was refused; correct the file"),
        "{log}"
    );
    let checked = complaint(server.folder(), &["check"]);
    assert!(checked.contains("/pin was refused"), "{checked}");
    write_pin(server.folder(), PIN);
    let log = reloaded(&server);
    assert!(!log.contains("refused"), "{log}");
    expect_secure(&server, ZONE, "new.example.test", "A");
}

#[test]
fn what_is_signed_is_served_while_the_token_is_away_and_after_a_restart() {
    let server = start(setup());
    expect_all_secure(&server);
    let tokens = server.folder().join("tokens");
    let away = server.folder().join("away");
    fs::rename(&tokens, &away).expect("it is ours");
    fs::create_dir(&tokens).expect("it is ours");
    add_record(server.folder(), "new A 192.0.2.99\n");
    let log = reloaded(&server);
    assert!(
        log.contains("the zone example.test cannot be signed: the key example.test/13/"),
        "{log}"
    );
    expect_all_secure(&server);
    let checked = complaint(server.folder(), &["check"]);
    assert!(
        checked.contains(".private: the key example.test/13/"),
        "{checked}"
    );
    // The record is taken back, so that everything is signed already.
    let zone = server.folder().join("zones/example.test.zone");
    fs::write(zone, world::ZONE).expect("it is ours");
    let server = start_again(server.stopped());
    expect_all_secure(&server);
    fs::remove_dir_all(server.folder().join("tokens")).expect("it is ours");
    fs::rename(server.folder().join("away"), server.folder().join("tokens")).expect("it is ours");
    add_record(server.folder(), "new A 192.0.2.99\n");
    let log = reloaded(&server);
    assert!(!log.contains("cannot be signed"), "{log}");
    expect_secure(&server, ZONE, "new.example.test", "A");
}

#[test]
fn a_token_that_hangs_stalls_nothing_and_is_refused_after_ten_seconds() {
    let server = start(setup());
    let lock = lock_token(server.folder());
    add_record(server.folder(), "new A 192.0.2.99\n");
    let begun = Instant::now();
    server.reload();
    while !server.log().contains("does not answer within 10 s") {
        let asked = Instant::now();
        server
            .ask("host.example.test", A)
            .expect_address("192.0.2.1");
        assert!(asked.elapsed() < Duration::from_secs(2));
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{}",
            server.log()
        );
    }
    expect_all_secure(&server);
    drop(lock);
    let deadline = Instant::now() + Duration::from_secs(60);
    while reloaded(&server).contains("does not answer") {
        assert!(Instant::now() < deadline, "{}", server.log());
    }
    expect_secure(&server, ZONE, "new.example.test", "A");
}

#[test]
fn a_failover_does_not_wait_for_a_token_that_hangs() {
    let first = Region::start("127.0.3.1", 0);
    let second = Region::start("127.0.3.2", first.port);
    let third = Region::start("127.0.3.3", first.port);
    let services = failover::services(first.port)
        .replace("127.0.1.1", "127.0.3.1")
        .replace("127.0.1.2", "127.0.3.2")
        .replace("127.0.2.1", "127.0.3.3")
        .replace("ttl = 1\n", "ttl = 1\nramp = \"0s\"\n");
    let server = start(with_token(world::setup_with(TOKEN, &services)));
    write_anchors(&server);
    let lock = lock_token(server.folder());
    // Two at once, which is not signed ahead.
    let begun = Instant::now();
    first.set_broken(true);
    third.set_broken(true);
    while addresses(&server) != ["127.0.3.2"] {
        assert!(begun.elapsed() < Duration::from_secs(8), "{}", server.log());
    }
    expect_secure(&server, ZONE, "www.example.test", "A");
    first.set_broken(false);
    third.set_broken(false);
    second.set_broken(true);
    let begun = Instant::now();
    while addresses(&server).contains(&"127.0.3.2".to_owned()) {
        assert!(begun.elapsed() < Duration::from_secs(8), "{}", server.log());
    }
    expect_secure(&server, ZONE, "www.example.test", "A");
    drop(lock);
    let deadline = Instant::now() + Duration::from_secs(60);
    while addresses(&server) != ["127.0.3.1", "127.0.3.3"] {
        assert!(Instant::now() < deadline, "{}", server.log());
    }
    expect_secure(&server, ZONE, "www.example.test", "A");
}

/// The addresses of the steered name, in order.
fn addresses(server: &Server) -> Vec<String> {
    let reply = server.ask("www.example.test", A).with_dnssec().send();
    let mut found = Vec::new();
    for address in reply.addresses() {
        found.push(address.to_owned());
    }
    found.sort();
    found
}

/// Holds the locks of a token's files, for which SoftHSM waits.
fn lock_token(folder: &Path) -> Vec<fs::File> {
    let mut locks = Vec::new();
    for token in fs::read_dir(folder.join("tokens"))
        .expect("a token")
        .flatten()
    {
        for entry in fs::read_dir(token.path()).expect("its files").flatten() {
            let file = fs::File::options()
                .read(true)
                .write(true)
                .open(entry.path());
            let file = file.expect("it is ours");
            fcntl_lock(&file, FlockOperation::LockExclusive).expect("nobody holds it for long");
            locks.push(file);
        }
    }
    locks
}

#[test]
fn a_roll_makes_the_new_key_in_the_same_token() {
    let server = start(setup());
    let folder = server.folder();
    // The old key says where it is; the configuration need not.
    let config = fs::read_to_string(server.config_file()).expect("it is ours");
    let config = config.replace("token = \"pkcs11:token=zones\"\n", "");
    fs::write(server.config_file(), config).expect("it is ours");
    said(folder, &["keys", "roll", ZONE]);
    let list = said(folder, &["keys", "list"]);
    let of_zone = list
        .lines()
        .filter(|line| line.contains("object=example.test-"));
    assert_eq!(of_zone.count(), 2, "{list}");
    let log = reloaded(&server);
    assert!(log.contains("reloaded"), "{log}");
    let port = server.address().port().to_string();
    let keys = printed(
        "dig",
        "bind9-dnsutils",
        &["@127.0.0.1", "-p", &port, "+short", ZONE, "DNSKEY"],
    );
    assert_eq!(keys.lines().count(), 2, "{keys}");
    expect_all_secure(&server);
}

#[test]
fn a_key_that_others_put_into_the_token_is_taken_in() {
    let setup = setup();
    let (config, folder) = setup.written();
    let text = fs::read_to_string(&config).expect("it is ours");
    let text = text
        .replace("generate = true", "")
        .replace("sign = \"*\"", "sign = \"example.test\"");
    fs::write(&config, text).expect("it is ours");
    let pem = folder.path().join("key.pem");
    let pem = pem.to_str().expect("it is text");
    let arguments = [
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        pem,
    ];
    printed("openssl", "openssl", &arguments);
    softhsm(
        folder.path(),
        &[
            "--import", pem, "--token", "zones", "--label", "brought", "--id", "a1b2", "--pin", PIN,
        ],
    );
    let missing = [
        "keys",
        "import",
        ZONE,
        "--token",
        "pkcs11:token=zones;object=other",
    ];
    let refused = complaint(folder.path(), &missing);
    assert!(
        refused.contains("the token has no such public key"),
        "{refused}"
    );
    let missing = [
        "keys",
        "import",
        ZONE,
        "--token",
        "pkcs11:token=other;object=brought",
    ];
    let refused = complaint(folder.path(), &missing);
    assert!(
        refused.contains("there is no such token; the module has \"zones\""),
        "{refused}"
    );
    let uri = "pkcs11:token=zones;object=brought;id=%A1%B2";
    said(folder.path(), &["keys", "import", ZONE, "--token", uri]);
    let list = said(folder.path(), &["keys", "list"]);
    assert!(list.contains("object=brought"), "{list}");
    let server = start_again(folder);
    expect_all_secure(&server);
}

#[test]
fn an_object_that_is_another_key_signs_nothing_that_is_served() {
    let server = start(setup());
    let folder = server.stopped();
    // One zone has the key of the other.
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.path().join("keys"))
        .expect("keys")
        .flatten()
    {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "private") {
            let text = fs::read_to_string(&path).expect("a text");
            let label = text.lines().find(|line| line.starts_with("Label: "));
            files.push((path, text.clone(), label.expect("a label").to_owned()));
        }
    }
    files.sort();
    let [(one, text, label), (_, _, other)] = &files[..] else {
        panic!("{files:?}");
    };
    fs::write(one, text.replace(label, other)).expect("it is ours");
    fs::remove_dir_all(folder.path().join("state")).expect("it is ours");
    let refused = complaint(folder.path(), &["serve"]);
    assert!(
        refused.contains("so the object is another key; correct Label"),
        "{refused}"
    );
    assert!(
        refused.contains("the zone below.example.test cannot be signed"),
        "{refused}"
    );
    // What the other zone needs was signed before, and is not signed again.
    let kept = fs::metadata(folder.path().join("state/signatures")).expect("it is kept");
    assert!(kept.len() > 500, "{}", kept.len());
}

#[test]
fn compact_denial_is_refused_with_keys_in_a_token() {
    let setup = with_token(world::setup_with(TOKEN, "").config(&world::policy("compact")));
    let (_, folder) = setup.written();
    let refused = complaint(folder.path(), &["serve"]);
    assert!(
        refused.contains("a token signs too slowly for that"),
        "{refused}"
    );
}
