//! `examples/monitoring` with a real Prometheus: the alerts come when they should, the real server is scraped, and
//! nothing in the dashboard or the alerts is asked for that the server does not tell.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::server::Process;
use crate::harness::types::A;
use crate::harness::{Region, Server};
use crate::programs::{find, run};
use crate::world::{CONFIG, setup};

/// Most time from a start to the first series, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/monitoring")
        .join(file)
}

pub fn text_of(file: &str) -> String {
    fs::read_to_string(example(file)).expect("the example is complete")
}

/// The body of a GET; `None` where the status is not 200.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("not zero");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
    (head.get(9..12) == Some("200")).then(|| body.to_owned())
}

/// The names of a page of metrics, as its samples have them.
fn told(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| {
            if let Some(name) = line.strip_suffix(" counter") {
                format!("{name}_total")
            } else {
                line.split(' ').next().unwrap_or_default().to_owned()
            }
        })
        .collect()
}

/// Every name in a text that begins with `meridian_`.
fn asked(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| {
        rest.chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_')
            .collect::<String>()
    };
    // A histogram is asked for by its buckets.
    let base = |name: String| {
        name.strip_suffix("_bucket")
            .map(str::to_owned)
            .unwrap_or(name)
    };
    text.split("meridian_")
        .skip(1)
        .map(|rest| format!("meridian_{}", base(name(rest))))
        .collect()
}

/// A server with a region that fails: kept by `max_removed`.
fn server(region: &Region) -> Server {
    let check = format!(
        "[fleet]\nname = \"test\"\n[checks.web]\ntype = \"http\"\nport = {}\ninterval = \"100ms\"\n[[services]]\nname = \"kept.example.test\"\n\
         check = \"web\"\nmax_removed = \"0%\"\n[services.endpoints]\nfra = \"127.0.0.1\"\n",
        region.port
    );
    setup().config(&check).start()
}

/// A running Prometheus with the example's configuration.
pub struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Prometheus {
        Prometheus::start_with(&[target], None)
    }

    /// One that scrapes all of these. With an Alertmanager its alerts do not wait, and go there.
    pub fn start_with(targets: &[SocketAddr], alertmanager: Option<SocketAddr>) -> Prometheus {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stated = text_of("prometheus.yml");
        assert!(
            stated.contains("127.0.0.1:8053") && stated.contains("interval: 15s"),
            "{stated}"
        );
        let targets: Vec<String> = targets.iter().map(SocketAddr::to_string).collect();
        let config = stated
            .replace("127.0.0.1:8053", &targets.join("\", \""))
            .replace("interval: 15s", "interval: 1s");
        let alerting = alertmanager.map_or(String::new(), |address| {
            format!(
                "alerting:\n  alertmanagers:\n    - static_configs: [targets: [\"{address}\"]]\n"
            )
        });
        fs::write(folder.path().join("prometheus.yml"), config + &alerting).expect("writable");
        let alerts = text_of("alerts.yml");
        let alerts = if alertmanager.is_some() {
            alerts.replace("for: 1m", "for: 0s")
        } else {
            alerts
        };
        fs::write(folder.path().join("alerts.yml"), alerts).expect("writable");
        let arguments = [
            "--config.file",
            "prometheus.yml",
            "--storage.tsdb.path",
            "data",
        ];
        let (process, address) = start_listening("prometheus", &arguments, folder.path());
        Prometheus {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// Values of an instant query, with their labels, as JSON; none while it is starting.
    pub fn query(&self, expression: &str) -> Vec<serde_json::Value> {
        let Some(answer) = get(self.address, &format!("/api/v1/query?query={expression}")) else {
            return Vec::new();
        };
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }
}

/// Starts a program of Prometheus' family in a folder, on a free port, which it tells in its log.
pub fn start_listening(program: &str, arguments: &[&str], folder: &Path) -> (Process, SocketAddr) {
    let log = folder.join("log");
    let child = Command::new(find(program))
        .args(arguments)
        .args(["--web.listen-address", "127.0.0.1:0"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).expect("writable"))
        .spawn()
        .expect("it can be run");
    let process = Process(child);
    let address = eventually("it says where it listens", || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        let (_, rest) = log.split_once("msg=\"Listening on\" address=")?;
        rest.split_once('\n')?.0.trim().parse().ok()
    });
    (process, address)
}

#[track_caller]
pub fn eventually<T>(what: &str, found: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_rules_are_good_and_alert_when_they_should() {
    let path = |file| example(file).display().to_string();
    run("promtool", &["check", "config", &path("prometheus.yml")]);
    run("promtool", &["check", "rules", &path("alerts.yml")]);
    run("promtool", &["test", "rules", &path("alerts.test.yml")]);
}

/// What only a server with NATS servers or an announcer tells: tests/fleet and tests/announce.
const ELSEWHERE: [&str; 12] = [
    "meridian_announced",
    "meridian_fleet_orders_alarm",
    "meridian_fleet_orders_current",
    "meridian_fleet_orders_here_only",
    "meridian_fleet_orders_refused_total",
    "meridian_fleet_lease_messages_total",
    "meridian_fleet_leases_refused_total",
    "meridian_fleet_orders_revision",
    "meridian_fleet_release_halted",
    "meridian_fleet_release_newest",
    "meridian_fleet_release_serving",
    "meridian_fleet_releases_refused_total",
];

#[test]
fn a_real_prometheus_scrapes_what_dashboard_and_alerts_ask_for() {
    let region = Region::start("127.0.0.1", 0);
    region.set_broken(true);
    let server = server(&region);
    server
        .ask("host.example.test", A)
        .expect_address("192.0.2.1");
    let admin = server.admin.expect("it has one");
    let mut told = told(&get(admin, "/metrics").expect("it is told"));
    for elsewhere in ELSEWHERE {
        assert!(told.insert(elsewhere.to_owned()), "{elsewhere} is here too");
    }
    for file in [
        "dashboard.json",
        "alerts.yml",
        "alerts.test.yml",
        "README.md",
    ] {
        let unknown: Vec<_> = asked(&text_of(file)).difference(&told).cloned().collect();
        assert!(
            unknown.is_empty(),
            "{file} asks for {unknown:?}; there are {told:?}"
        );
    }
    let documented =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/admin-api.md"))
            .expect("it");
    let rows: BTreeSet<String> = documented
        .lines()
        .filter(|line| line.starts_with("| `meridian_"))
        .flat_map(asked)
        .collect();
    assert_eq!(rows, told, "docs/admin-api.md has a row for each metric");

    let prometheus = Prometheus::start(admin);
    let count = |expression: &'static str| {
        eventually(expression, || {
            prometheus.query(expression).first()?["value"][1]
                .as_str()?
                .parse::<f64>()
                .ok()
        })
    };
    assert_eq!(count("up{job=\"meridian\"}"), 1.0);
    assert_eq!(count("meridian_queries_total{verdict=\"static\"}"), 1.0);
    assert_eq!(
        count("meridian_region_share{service=\"www.example.test\",region=\"iad\"}"),
        1.0
    );
    assert_eq!(
        count("meridian_endpoint_kept{service=\"kept.example.test\"}"),
        1.0
    );
    assert_eq!(count("meridian_last_reload_ok"), 1.0);
    fs::write(server.config_file(), format!("{CONFIG}\nnonsense = 1\n"))
        .expect("the temporary folder can be written");
    server.reload();
    let alert = "ALERTS{alertname=\"MeridianReloadRefused\",alertstate=\"firing\"}";
    assert_eq!(count(alert), 1.0, "a refused reload is alerted about");
    let known: BTreeSet<String> = (prometheus
        .query("count({__name__=~\"meridian_.%2B\"})by(__name__)")
        .iter())
    .filter_map(|row| row["metric"]["__name__"].as_str())
    .map(|name| name.strip_suffix("_bucket").unwrap_or(name).to_owned())
    .collect();
    let missing = told.difference(&known).map(String::as_str);
    let missing: Vec<&str> = missing.filter(|name| !ELSEWHERE.contains(name)).collect();
    assert_eq!(
        missing,
        [
            "meridian_certificate_remaining_seconds",
            "meridian_fleet_differing_checks",
            "meridian_fleet_view_age_seconds",
            "meridian_order",
            "meridian_signatures_left_seconds",
        ],
        "no certificate, no other voter, no order and no signed zone here"
    );
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&text_of("dashboard.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    assert!(panels.len() > 10);
    let ids: BTreeSet<i64> = panels
        .iter()
        .filter_map(|panel| panel["id"].as_i64())
        .collect();
    assert_eq!(
        ids.len(),
        panels.len(),
        "each panel has a number of its own"
    );
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    let asking = panels.iter().filter(|panel| panel["type"] != "row");
    for target in asking.flat_map(|panel| {
        panel["targets"]
            .as_array()
            .expect("a panel asks for something")
    }) {
        let expression = target["expr"].as_str().expect("a target has an expression");
        // What Grafana puts in.
        let expression = expression
            .replace("$__rate_interval", "1m")
            .replace("$instance", ".*")
            .replace("$service", ".*");
        assert!(
            expression.contains("meridian_") && !expression.contains('$'),
            "{expression}"
        );
        rules.push_str(&format!(
            "  - record: panel:{}\n    expr: {expression:?}\n",
            rules.len()
        ));
    }
    for metric in [
        "meridian_region_share",
        "meridian_endpoint_up",
        "meridian_service_uncovered_ratio",
    ] {
        assert!(rules.contains(metric), "a panel is about {metric}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("rules.yml");
    fs::write(&file, rules).expect("writable");
    run("promtool", &["check", "rules", &file.display().to_string()]);
}
