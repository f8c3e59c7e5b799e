//! An operator's day: two nameservers, three regions behind real balancers, a fence, an outage inside it, a drain too many and a
//! shift. At each step: what clients get, and what commands, metrics, Prometheus, Alertmanager and the webhook say.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alertmanager::{Alertmanager, receiver};
use crate::harness::server::{Process, start};
use crate::harness::types::A;
use crate::harness::{Region, Server, free_port};
use crate::monitoring::{Prometheus, eventually};
use crate::programs::find;

const FRA: &str = "127.0.1.1";
const IAD: &str = "127.0.2.1";
const NRT: &str = "127.0.3.1";
/// A network in the Netherlands, and one in the United States.
const EUROPE: &str = "193.0.0.0/21";
const AMERICA: &str = "17.1.0.0/24";
/// The operator's own office, in the Netherlands, which tries the newest region.
const OFFICE: &str = "145.97.32.0/24";
const PATIENCE: Duration = Duration::from_secs(60);
/// Networks that are asked for.
const NETWORKS: usize = 200;

/// The balancers of two regions, and a pretended third.
struct Regions {
    folder: tempfile::TempDir,
    ports: [u16; 2],
    nginx: Option<Process>,
    _haproxy: Process,
    nrt: Region,
}

impl Regions {
    fn start() -> Regions {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ports = [free_port(), free_port()];
        let nginx = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr warn;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\n\
             server {{ listen {FRA}:{}; location = /health {{ return 200 \"well\"; }} }}\n}}\n",
            ports[0]
        );
        let haproxy = format!(
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n\
             frontend web\n  bind {IAD}:{}\n  monitor-uri /health\n",
            ports[1]
        );
        fs::write(folder.path().join("nginx.conf"), nginx).expect("writable");
        fs::write(folder.path().join("haproxy.cfg"), haproxy).expect("writable");
        let haproxy = run(folder.path(), "haproxy", &["-f", "haproxy.cfg"]);
        let mut regions = Regions {
            folder,
            ports,
            nginx: None,
            _haproxy: haproxy,
            nrt: Region::start(NRT, 0),
        };
        regions.mend_fra();
        regions
    }

    fn break_fra(&mut self) {
        drop(self.nginx.take());
    }

    fn mend_fra(&mut self) {
        let prefix = format!("{}/", self.folder.path().display());
        self.nginx = Some(run(
            self.folder.path(),
            "nginx",
            &["-p", &prefix, "-c", "nginx.conf"],
        ));
    }
}

/// Starts a balancer in its folder.
fn run(folder: &std::path::Path, program: &str, arguments: &[&str]) -> Process {
    let log = fs::File::create(folder.join(format!("{program}.log"))).expect("writable");
    let mut command = Command::new(find(program));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Process(
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}")),
    )
}

/// One of the two nameservers, from an empty folder: what `init` writes, and what an operator adds to it.
fn nameserver(name: &str, regions: &Regions, webhook: SocketAddr) -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut init = Command::new(env!("CARGO_BIN_EXE_meridian"));
    init.args([
        "init",
        "--domain",
        "example.test",
        "--region",
        &format!("fra=Frankfurt@{FRA}"),
    ]);
    init.args([
        "--region",
        &format!("iad=Ashburn, US@{IAD}"),
        "--region",
        &format!("nrt=Tokyo@{NRT}"),
    ]);
    let made = init
        .current_dir(folder.path())
        .output()
        .expect("the binary runs");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let config = folder.path().join("meridian.toml");
    let mut text = fs::read_to_string(&config).expect("init wrote it");
    let [fra, iad] = regions.ports;
    for (written, meant) in [
        (
            "listen = [\"127.0.0.1:1053\", \"[::1]:1053\"]",
            &format!("listen = [\"127.0.0.1:0\", \"[::1]:0\"]\nnsid = \"{name}\""),
        ),
        (
            "listen = \"127.0.0.1:8053\"",
            &"listen = \"127.0.0.1:0\"".to_owned(),
        ),
        (
            "path = \"/health\"",
            &"path = \"/health\"\ninterval = \"200ms\"\ntimeout = \"200ms\"\nrise = 2".to_owned(),
        ),
        (
            "check = \"web\"",
            &"ramp = \"0s\"\ncheck = \"web\"".to_owned(),
        ),
        (
            &format!("fra = \"{FRA}\""),
            &format!("fra = {{ address = \"{FRA}\", port = {fra} }}"),
        ),
        (
            &format!("iad = \"{IAD}\""),
            &format!("iad = {{ address = \"{IAD}\", port = {iad} }}"),
        ),
        (
            &format!("nrt = \"{NRT}\""),
            &format!(
                "nrt = {{ address = \"{NRT}\", port = {} }}",
                regions.nrt.port
            ),
        ),
    ] {
        assert_eq!(text.matches(written).count(), 1, "{written} in {text}");
        text = text.replace(written, meant);
    }
    text += &format!(
        "\n[[services.fence]]\nclients = {{ networks = [\"{OFFICE}\"] }}\nregions = [\"nrt\"]\n"
    );
    text += "\n[[services.fence]]\nclients = { groups = [\"EU-27\"] }\nregions = [\"fra\"]\n";
    text += &format!("\n[events]\nwebhook = \"http://{webhook}/\"\n");
    fs::write(&config, text).expect("writable");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_meridian"));
    serve.arg("serve").current_dir(folder.path());
    start(serve, folder)
}

fn meridian(server: &Server, arguments: &[&str]) -> Output {
    let admin = format!("http://{}", server.admin.expect("it has one"));
    let token = fs::read_to_string(server.folder().join("token")).expect("init wrote it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(arguments)
        .args(["--admin", &admin])
        .env("MERIDIAN_TOKEN", token.trim())
        .env("USER", "anna");
    command
        .env_remove("SUDO_USER")
        .output()
        .expect("the binary runs")
}

#[track_caller]
fn say(server: &Server, arguments: &[&str]) -> String {
    let output = meridian(server, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{arguments:?}: {errors}\n{}",
        server.log()
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn answer(server: &Server, network: &str) -> String {
    let reply = server
        .ask("www.example.test", A)
        .from_subnet(network)
        .send();
    reply
        .addresses()
        .first()
        .copied()
        .unwrap_or("nothing")
        .to_owned()
}

/// How many of many networks in America are told this address.
fn share_of(server: &Server, address: &str) -> usize {
    (0..NETWORKS)
        .filter(|number| answer(server, &format!("17.{number}.0.0/24")) == address)
        .count()
}

/// The next event that fits, of whichever nameserver.
#[track_caller]
fn event(webhook: &Receiver<Value>, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = webhook
            .recv_timeout(left)
            .unwrap_or_else(|_| panic!("the webhook never said {what}"));
        if fits(&event) {
            return event;
        }
    }
}

/// The only value of a query.
fn value(prometheus: &Prometheus, expression: &str) -> Option<f64> {
    match &prometheus.query(expression)[..] {
        [only] => only["value"][1].as_str()?.parse().ok(),
        _ => None,
    }
}

#[test]
fn an_operators_day() {
    let mut regions = Regions::start();
    let ((hook, webhook), (pager, pages)) = (receiver(), receiver());
    let servers = [
        nameserver("ns1", &regions, hook),
        nameserver("ns2", &regions, hook),
    ];
    let alertmanager = Alertmanager::start(pager);
    let admins: Vec<SocketAddr> = servers
        .iter()
        .map(|server| server.admin.expect("it has one"))
        .collect();
    let prometheus = Prometheus::start_with(&admins, Some(alertmanager.address));
    let uncovered = "max(meridian_service_uncovered_ratio{over=\"addresses\"})";

    // All is well.
    let config = servers[0].config_file().display().to_string();
    let check = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["check", "--config", &config])
        .output();
    let check = check.expect("the binary runs");
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
    eventually("Prometheus has both", || {
        (value(&prometheus, "sum(up)") == Some(2.0) && value(&prometheus, uncovered) == Some(0.0))
            .then_some(())
    });
    for server in &servers {
        assert_eq!(
            (answer(server, EUROPE), answer(server, AMERICA)),
            (FRA.to_owned(), IAD.to_owned())
        );
        assert_eq!(answer(server, OFFICE), NRT);
        let why = say(server, &["explain", "www.example.test", "--client", OFFICE]);
        assert!(why.contains(OFFICE) && why.contains("nrt"), "{why}");
        let status = say(server, &["status"]);
        assert!(
            status.contains("every region serves") && status.contains("well"),
            "{status}"
        );
    }
    let simulated = say(&servers[0], &["simulate", "--down", "fra"]);
    assert!(simulated.contains("no live region"), "{simulated}");

    // The region dies that a fence leaves the Union alone. Everybody else has another.
    regions.break_fra();
    eventually("the metric tells", || {
        value(&prometheus, uncovered).filter(|ratio| *ratio > 0.05)
    });
    for server in &servers {
        let first = say(server, &["status"])
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(
            first.starts_with("www.example.test A: no live region for "),
            "{first}"
        );
        assert!(
            first.contains("1 of 3 regions of www.example.test is down: fra ("),
            "{first}"
        );
        let why = say(server, &["explain", "www.example.test", "--client", EUROPE]);
        assert!(why.contains("EU-27") && why.contains("is down"), "{why}");
        assert_ne!(answer(server, AMERICA), FRA);
        assert_eq!(
            answer(server, OFFICE),
            NRT,
            "the canary is not behind the fence"
        );
    }
    let told = event(&webhook, "who is lost", |event| {
        event["topic"] == "coverage" && event["to"] == "uncovered"
    });
    assert_eq!(told["services"], serde_json::json!(["www.example.test"]));
    assert!(
        ["ns1", "ns2"].contains(&told["server"].as_str().unwrap_or_default()),
        "{told}"
    );
    let page = pages.recv_timeout(PATIENCE).expect("somebody is woken");
    assert_eq!(
        page["groupLabels"]["alertname"], "MeridianClientsUncovered",
        "{page}"
    );
    assert_eq!(
        page["alerts"].as_array().map(Vec::len),
        Some(1),
        "once for both nameservers: {page}"
    );

    // It comes back.
    regions.mend_fra();
    eventually("all are covered", || {
        (value(&prometheus, uncovered) == Some(0.0)).then_some(())
    });
    event(&webhook, "that all are back", |event| {
        event["topic"] == "coverage" && event["to"] == "covered"
    });
    for server in &servers {
        eventually("the status is well", || {
            say(server, &["status"])
                .contains("every region serves")
                .then_some(())
        });
        assert_eq!(answer(server, EUROPE), FRA);
    }

    // A drain too many is asked about; another is done.
    let refused = meridian(&servers[0], &["drain", "fra", "--reason", "new kernel"]);
    let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success()
            && sentence.contains("no live region")
            && sentence.contains("--yes"),
        "{sentence}"
    );
    assert_eq!(answer(&servers[0], EUROPE), FRA, "nothing is done");
    say(&servers[0], &["drain", "iad", "--reason", "new kernel"]);
    assert_ne!(answer(&servers[0], AMERICA), IAD);
    assert_eq!(
        answer(&servers[1], AMERICA),
        IAD,
        "each nameserver has its own orders"
    );
    let drained = event(&webhook, "the drain", |event| {
        event["topic"] == "order" && event["to"] == "drained"
    });
    let parts = ["server", "by", "cause"].map(|key| drained[key].clone());
    assert_eq!(parts, ["ns1", "anna", "new kernel"]);
    assert!(
        say(&servers[0], &["status"])
            .contains("1 of 3 regions of www.example.test is drained: iad")
    );
    say(&servers[0], &["undrain", "iad"]);
    assert_eq!(answer(&servers[0], AMERICA), IAD);

    // A fifth of America goes to another region, and comes back.
    let (before, others) = (share_of(&servers[0], IAD), share_of(&servers[0], NRT));
    say(
        &servers[0],
        &["shift", "iad", "20%", "--to", "nrt", "--reason", "canary"],
    );
    let moved = share_of(&servers[0], NRT) - others;
    assert!(
        (20..60).contains(&moved) && share_of(&servers[0], IAD) == before - moved,
        "{moved} of {before}"
    );
    eventually("Prometheus sees the shift", || {
        value(&prometheus, "meridian_order{action=\"shift\"}").filter(|part| *part > 0.0)
    });
    let status = say(&servers[0], &["status"]);
    assert!(
        status.contains("has 20% of its clients shifted to nrt by anna"),
        "{status}"
    );
    say(&servers[0], &["unshift", "iad"]);
    assert_eq!(share_of(&servers[0], IAD), before, "the same ones are back");
}
