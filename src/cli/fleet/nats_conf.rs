//! The configuration of a NATS server for a fleet.
//!
//! Each nameserver is a user who may publish its own votes, leases and reports and hear those of all. It may
//! ask any other to explain an answer, and answer one message to whoever has asked it. Orders are
//! values in a bucket of JetStream, and so are releases of the configuration. A user may also do with
//! these buckets, and no others, what a client of a key-value store does. Paths are relative to the folder that the server is started in.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::CLUSTER_PORTS;
use crate::cli::arguments::NatsGiven;

/// A user of the NATS servers.
pub struct NatsUser {
    /// The name of the nameserver.
    pub name: String,
    /// Its password.
    pub password: String,
}

/// The text of `nats.conf` of one server.
pub fn nats_conf(fleet: &str, server: &NatsGiven, all: &[NatsGiven], users: &[NatsUser]) -> String {
    let NatsGiven { name, port, .. } = server;
    let cluster_port = port.saturating_add(CLUSTER_PORTS);
    let host = listening(&server.host);
    let routes = routes(all);
    let mut text = format!(
        r#"# The NATS server {name} of the fleet {fleet}. Start it in this folder: nats-server -c nats.conf

server_name: "{name}"
listen: "{host}:{port}"
tls {{ cert_file: "server.pem", key_file: "server.key", timeout: 5 }}

# The NATS servers speak with each other by certificates of the same authority.
cluster {{
  name: "{fleet}"
  listen: "{host}:{cluster_port}"
  tls {{ cert_file: "server.pem", key_file: "server.key", ca_file: "ca.pem", verify: true, timeout: 5 }}
  routes: [{}]
}}

# Orders are kept here, in the folder jetstream. What was acknowledged must outlive a loss of power. NATS 2.9, which
# carries votes and no orders, does not know sync_interval: remove this block there.
jetstream {{
  store_dir: "jetstream"
  sync_interval: always
  max_file_store: 1GB
}}

# Nobody votes or leases as somebody else, and nobody touches other streams than those of orders and releases.
authorization {{ users: [
"#,
        routes
    );
    for user in users {
        let _ = write!(text, "{}", user_conf(fleet, user));
    }
    text.push_str("] }\n");
    text
}

/// What the buckets of a fleet keep: its orders; its newest release and what servers report of it;
/// and the archives of releases. Each with the keys that a server may write.
fn buckets(server: &str) -> [(&'static str, Vec<String>); 3] {
    let reports = vec!["release".to_owned(), format!("report.{server}")];
    [
        ("orders", vec![">".to_owned()]),
        ("releases", reports),
        ("archives", vec![">".to_owned()]),
    ]
}

/// The ways of a NATS server to all of them.
fn routes(all: &[NatsGiven]) -> String {
    let mut routes = Vec::new();
    for server in all {
        routes.push(route(server));
    }
    routes.join(", ")
}

fn route(server: &NatsGiven) -> String {
    format!("\"nats-route://{}\"", server.authority(CLUSTER_PORTS))
}

/// A user with its rights.
fn user_conf(fleet: &str, user: &NatsUser) -> String {
    let NatsUser { name, password } = user;
    let mut publish = vec![
        format!("meridian.{fleet}.votes.{name}"),
        format!("meridian.{fleet}.leases.{name}"),
        format!("meridian.{fleet}.reports.{name}"),
        format!("meridian.{fleet}.explain.*"),
    ];
    for (bucket, keys) in buckets(name) {
        publish.extend(rights_on(&format!("meridian_{fleet}_{bucket}"), &keys));
    }
    let subscribe = [
        format!("meridian.{fleet}.votes.*"),
        format!("meridian.{fleet}.leases.*"),
        format!("meridian.{fleet}.reports.*"),
        format!("meridian.{fleet}.explain.{name}"),
        format!("_INBOX.meridian.{name}.>"),
    ];
    format!(
        "  {{ user: \"{name}\", password: \"{password}\", permissions: {{\n    publish: [{}]\n    \
         subscribe: [{}]\n    allow_responses: {{ max: 1, expires: \"5s\" }} }} }}\n",
        quoted(&publish),
        quoted(&subscribe)
    )
}

/// The subjects that a client of a bucket publishes on.
fn rights_on(bucket: &str, keys: &[String]) -> Vec<String> {
    let mut publish = Vec::new();
    for key in keys {
        publish.push(format!("$KV.{bucket}.{key}"));
    }
    for request in [
        "STREAM.INFO.",
        "STREAM.CREATE.",
        "STREAM.MSG.GET.",
        "DIRECT.GET.",
        "CONSUMER.CREATE.",
    ] {
        publish.push(format!("$JS.API.{request}KV_{bucket}"));
    }
    for request in [
        "API.DIRECT.GET.",
        "API.CONSUMER.CREATE.",
        "API.CONSUMER.INFO.",
        "API.CONSUMER.DELETE.",
        "FC.",
    ] {
        publish.push(format!("$JS.{request}KV_{bucket}.>"));
    }
    publish
}

fn quoted(texts: &[String]) -> String {
    let mut list = Vec::with_capacity(texts.len());
    for text in texts {
        list.push(format!("\"{text}\""));
    }
    list.join(",\n              ")
}

/// Where a server listens: everywhere, unless it is reached over loopback.
fn listening(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() && address.is_ipv6() => format!("[{address}]"),
        Ok(address) if address.is_loopback() => address.to_string(),
        Ok(IpAddr::V6(_)) => "[::]".to_owned(),
        _ => "0.0.0.0".to_owned(),
    }
}
