//! `examples/monitoring/alertmanager.yml` with a real Alertmanager: what belongs together is one notification, and what
//! follows from something worse is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::server::Process;
use crate::monitoring::{eventually, example, start_listening, text_of};
use crate::programs::run;

/// How long a notification may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes notifications; each comes back as JSON.
pub fn receiver() -> (SocketAddr, Receiver<Value>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let body = read_body(&mut stream);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if send.send(body).is_err() {
                return;
            }
        }
    });
    (address, receive)
}

/// The JSON of one request.
fn read_body(stream: &mut TcpStream) -> Value {
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is not zero");
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut buffer).expect("a request");
        assert!(length > 0, "the request ended early");
        text.extend_from_slice(&buffer[..length]);
        let body = text
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .map(|at| &text[at + 4..]);
        if let Some(Ok(value)) = body.map(serde_json::from_slice) {
            return value;
        }
    }
}

/// A running Alertmanager with the example's configuration, its notifications sent to `receiver`.
pub struct Alertmanager {
    pub address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    pub fn start(receiver: SocketAddr) -> Alertmanager {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stated = text_of("alertmanager.yml");
        assert!(
            stated.contains("127.0.0.1:9099") && stated.contains("group_wait: 30s"),
            "{stated}"
        );
        let config = stated
            .replace("127.0.0.1:9099", &receiver.to_string())
            .replace("group_wait: 30s", "group_wait: 2s");
        fs::write(folder.path().join("alertmanager.yml"), config).expect("writable");
        let arguments = [
            "--config.file",
            "alertmanager.yml",
            "--storage.path",
            "data",
            "--cluster.listen-address=",
        ];
        let (process, address) =
            start_listening("prometheus-alertmanager", &arguments, folder.path());
        Alertmanager {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// Raises alerts, as Prometheus does; true: they were taken.
    fn raise(&self, alerts: &Value) -> bool {
        let body = alerts.to_string();
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("it is not zero");
        let head =
            "POST /api/v2/alerts HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json";
        write!(
            stream,
            "{head}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer.get(9..12) == Some("200")
    }
}

#[test]
fn the_configuration_of_alertmanager_is_good() {
    run(
        "amtool",
        &[
            "check-config",
            &example("alertmanager.yml").display().to_string(),
        ],
    );
}

#[test]
fn what_belongs_together_is_one_notification_and_what_follows_from_worse_is_none() {
    let (address, notifications) = receiver();
    let alertmanager = Alertmanager::start(address);
    let alert = |name: &str, label: &str, value: &str| json!({"labels": {"alertname": name, "job": "meridian", label: value, "severity": "critical"}});
    let raised = [
        alert("MeridianServiceDown", "service", "www.example.com"),
        alert("MeridianClientsUncovered", "service", "www.example.com"),
        alert("MeridianClientsUncovered", "service", "api.example.com"),
        alert("MeridianRegionDown", "region", "fra"),
        alert("MeridianRegionDown", "region", "iad"),
        alert("MeridianCertificateExpired", "endpoint", "192.0.2.3"),
        alert("MeridianCertificateExpiring", "endpoint", "192.0.2.3"),
        alert("MeridianCertificateExpiring", "endpoint", "192.0.2.4"),
    ];
    eventually("it takes alerts", || {
        alertmanager.raise(&json!(raised)).then_some(())
    });
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for _ in 0..5 {
        let notification = notifications
            .recv_timeout(PATIENCE)
            .expect("a notification for each name");
        let name = notification["groupLabels"]["alertname"]
            .as_str()
            .expect("it is grouped by name")
            .to_owned();
        let subjects = notification["alerts"]
            .as_array()
            .expect("alerts")
            .iter()
            .filter_map(|alert| {
                let labels = &alert["labels"];
                ["service", "region", "endpoint"]
                    .into_iter()
                    .find_map(|label| labels[label].as_str())
                    .map(str::to_owned)
            });
        let before = told.insert(name.clone(), subjects.collect());
        assert_eq!(before, None, "{name} came twice");
    }
    let of = |name: &str| told[name].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("MeridianServiceDown"), ["www.example.com"]);
    assert_eq!(
        of("MeridianClientsUncovered"),
        ["api.example.com"],
        "where all is down it goes without saying"
    );
    assert_eq!(of("MeridianRegionDown"), ["fra", "iad"], "one notification");
    assert_eq!(of("MeridianCertificateExpired"), ["192.0.2.3"]);
    assert_eq!(of("MeridianCertificateExpiring"), ["192.0.2.4"]);
}
