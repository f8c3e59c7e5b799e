//! The fuzz targets: one function for each parser of untrusted input.
//!
//! A target takes arbitrary octets and panics on a bug. `fuzz/` runs the targets on nightly or with
//! a bootstrap compiler; `tests/fuzz_corpora.rs` replays the corpora on stable.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Runtime;

use crate::admin::{AdminContext, router};
use crate::answer::{Snapshot, Transport, answer as answer_message};
use crate::catalog::signed::ZoneSigners;
use crate::config::values::fleet::ReleaseKey;
use crate::control::fleet_status::asked::{AskedAnswer, AskedQuestion};
use crate::control::load::{compile, snapshot};
use crate::control::{ConfigOrigin, Control, keep, leases, overrides};
use crate::dns::cookie::{CookieOption, CookieSecret, CookieSecrets};
use crate::dns::{ClientSubnet, QueryScratch, message as messages, query as parser};
use crate::dnssec::bundle as bundles;
use crate::dnssec::{KeyFile, SignatureBundle, SignatureStore, SigningKey};
use crate::fleet::bounds::MOST_OCTETS;
use crate::fleet::check_list::CheckList;
use crate::fleet::lease_news::LeaseMessage;
use crate::fleet::release::SignedRelease;
use crate::fleet::release_archive as archives;
use crate::fleet::report_board::ReportBoard;
use crate::fleet::server_report::{LONGEST_REPORT, ServerReport};
use crate::fleet::view::{self as views, VoterView};
use crate::geo::Atlas;
use crate::health::state as agreed;
use crate::net::ClientAddress;
use crate::server::proxy as fronts;
use crate::server::{ListenAddresses, ServerStats};
use crate::{config, geo, zone};

/// The name of a target and of its corpus, and the function to run.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [FuzzTarget; 18] = [
    ("query", query),
    ("client_subnet", client_subnet),
    ("cookie", cookie),
    ("message", message),
    ("proxy", proxy),
    ("table", table),
    ("view", view),
    ("lease", lease),
    ("report", report),
    ("key", key),
    ("bundle", bundle),
    ("release", release),
    ("state", state),
    ("request", request),
    ("zone", zone),
    ("configuration", configuration),
    ("answer", answer),
    ("database", database),
];

/// Reads the view of another server of a fleet, as it is and with a checksum that fits.
pub fn view(octets: &[u8]) {
    let mut sealed = octets.to_vec();
    views::seal(&mut sealed);
    let own = CheckList::new((0..200).map(|number| number << 55).collect());
    for octets in [octets, &sealed] {
        if let Ok(view) = VoterView::read(octets, "world") {
            assert_eq!(own.align(&view).votes.len(), own.digests().len());
            assert!(view.write().len() <= MOST_OCTETS);
        }
    }
}

/// Reads a message of another server of a fleet about leases.
pub fn lease(octets: &[u8]) {
    if let Ok(message) = LeaseMessage::read(octets, "world") {
        assert_eq!(LeaseMessage::read(&message.octets(), "world"), Ok(message));
    }
}

/// Reads the report of another server of a fleet, and a question and an answer of one.
pub fn report(octets: &[u8]) {
    if let Ok(report) = ServerReport::read(octets, "world") {
        assert!(report.rate() >= 0.0);
        let written = report.write();
        assert!(written.len() <= LONGEST_REPORT);
        assert!(ServerReport::read(&written, "world").is_ok());
        let mut board = ReportBoard::new("world", "ams");
        let _ = board.hear(Duration::ZERO, 1 << 50, "iad", octets);
        for server in board.servers().values() {
            let clock = server.clock(Duration::ZERO);
            assert!(clock.at_most.is_none_or(|most| most >= clock.at_least));
        }
    }
    if let Ok(question) = AskedQuestion::read(octets) {
        let again = AskedQuestion::of(&question).write();
        assert!(AskedQuestion::read(&again).is_ok());
    }
    let _ = AskedAnswer::read(octets);
}

/// Reads the files of a key, `.key` first and `.private` behind an octet 0.
pub fn key(octets: &[u8]) {
    let mut halves = octets.splitn(2, |octet| *octet == 0);
    let public = halves.next().unwrap_or_default();
    let Ok(mut key) = KeyFile::from_public_text(&String::from_utf8_lossy(public)) else {
        return;
    };
    let written = KeyFile::from_public_text(&key.public_text()).expect("it is a key's text");
    assert_eq!(written.public.dnskey_rdata(), key.public.dnskey_rdata());
    if let Some(private) = halves.next()
        && key.add_private(private, Path::new("K.private")).is_ok()
    {
        let pair = key.pair.as_ref().expect("it was added");
        if pair.token().is_none() {
            SigningKey::new(pair).expect("both halves were checked");
        }
    }
}

/// Reads a bundle of signatures, as it is and with a digest that fits, and a store of them.
pub fn bundle(octets: &[u8]) {
    let mut sealed = octets.to_vec();
    bundles::seal(&mut sealed);
    for octets in [octets, &sealed] {
        if let Ok(bundle) = SignatureBundle::parse(octets) {
            let again = SignatureBundle::parse(&bundle.to_octets()).expect("it was written here");
            assert_eq!(again.signatures.len(), bundle.signatures.len());
            assert_eq!(again.keys.len(), bundle.keys.len());
        }
    }
    if let Some(store) = SignatureStore::from_octets(octets) {
        assert_eq!(store.pieces().concat(), octets);
    }
}

/// Reads the archive of a release, as it is and packed, and a signed release.
pub fn release(octets: &[u8]) {
    let packed = zstd::stream::encode_all(octets, 1).expect("memory is there");
    for archive in [octets, &packed] {
        let mut files = Vec::new();
        let read = archives::unpack(archive, |file| {
            files.push(file);
            Ok(())
        });
        if read.is_ok() {
            let again = archives::pack(&files).expect("every file was admitted");
            let mut count = 0;
            archives::unpack(&again, |_| {
                count += 1;
                Ok(())
            })
            .expect("it was packed here");
            assert_eq!(count, files.len());
        }
    }
    if let Ok(signed) = SignedRelease::read(octets) {
        signed
            .verify(&[ReleaseKey([0; 32])], "world")
            .expect_err("nobody has signed with this key");
    }
}

/// Parses a message as a query.
pub fn query(octets: &[u8]) {
    let mut scratch = QueryScratch::default();
    if let Ok(query) = parser::parse(octets, &mut scratch) {
        assert!(octets.len() >= 12 + query.question.octets.len());
        assert!(query.question.name.as_wire().len() <= 255);
    }
}

/// Reads the value of a client subnet option and writes it again.
pub fn client_subnet(octets: &[u8]) {
    if let Some(subnet) = ClientSubnet::read(octets) {
        let mut written = octets.to_vec();
        assert_eq!(subnet.write(0, &mut written), Some(()));
        assert_eq!(written, octets);
    }
}

/// Reads the value of a cookie option. Whatever it is, the cookie in reply to it is valid.
pub fn cookie(octets: &[u8]) {
    let Some(sent) = CookieOption::read(octets) else {
        return;
    };
    let secrets = CookieSecrets::new(CookieSecret::new([7; 16]), None);
    let client = ClientAddress::from([198, 51, 100, 1]);
    let now = 1 << 31;
    let reply = secrets.reply_to(&sent, client, now);
    let Some(returned) = CookieOption::read(&reply.octets) else {
        panic!("the reply has no cookie");
    };
    assert_eq!(returned.client, sent.client);
    assert!(secrets.reply_to(&returned, client, now).verified);
}

/// Reads options and the cache time of a message, and pads it.
pub fn message(octets: &[u8]) {
    const ROOM: usize = 1024;
    let _ = (messages::freshness(octets), messages::option(octets, 8));
    let mut buffer = [octets, &[0; ROOM]].concat();
    let padded = messages::pad(octets, &mut buffer, octets.len());
    assert!((octets.len()..=buffer.len()).contains(&padded));
}

/// Reads the PROXY header of a datagram.
pub fn proxy(octets: &[u8]) {
    if let Some((_, query)) = fronts::unwrap(octets, ClientAddress::from([127, 0, 0, 1])) {
        assert!(octets.ends_with(query) && query.len() + 16 <= octets.len());
    }
}

/// Reads a table of networks.
pub fn table(octets: &[u8]) {
    if let Err(mistakes) = geo::build::count_rows(octets) {
        assert!(!mistakes.listed().is_empty());
    }
}

/// Reads a file of the state directory, as each of its kinds.
pub fn state(octets: &[u8]) {
    let _ = agreed::count_states(octets);
    let _ = keep::parse::<overrides::OrderRecord>(octets);
    let _ = keep::parse::<leases::LeaseRecord>(octets);
}

/// Serves an admin request: method and target are the first line, the body follows.
pub fn request(octets: &[u8]) {
    let (line, body) = split_at_octet(octets, b'\n');
    let (method, target) = split_at_octet(line, b' ');
    let request = hyper::Request::builder()
        .method(method)
        .uri(target)
        .body(Body::from(body.to_vec()));
    let Ok(request) = request else {
        return;
    };
    // An event stream never ends, and a reload reads every file again.
    if matches!(request.uri().path(), "/v1/events" | "/v1/reload") {
        return;
    }
    let (runtime, service) = ADMIN.get_or_init(admin);
    let Ok(response) = runtime.block_on(service.call(request));
    assert_ne!(response.status(), hyper::StatusCode::INTERNAL_SERVER_ERROR);
}

/// The octets before and after the first `separator`; all of them and none if there is no
/// separator.
fn split_at_octet(octets: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match octets.iter().position(|octet| *octet == separator) {
        Some(at) => (&octets[..at], &octets[at + 1..]),
        None => (octets, &[]),
    }
}

/// Loads a zone file.
pub fn zone(octets: &[u8]) {
    let origin = "example.com".parse().ok();
    let loaded = zone::load_text(Path::new("z.zone"), octets, origin.as_ref(), None);
    if let Err(mistakes) = loaded {
        assert!(!mistakes.is_empty());
        assert!(
            mistakes
                .iter()
                .all(|mistake| mistake.to_string().starts_with("z.zone"))
        );
    }
}

/// Parses a configuration file.
pub fn configuration(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    if let Err(mistakes) = config::parse(text, Path::new("meridian.toml")) {
        assert!(!mistakes.is_empty());
    }
}

/// Loads a geography database and looks addresses up.
pub fn database(octets: &[u8]) {
    if let Ok(atlas) = Atlas::of_octets(Path::new("fuzzed.mmdb"), octets.to_vec()) {
        for address in [
            IpAddr::from([1, 2, 3, 4]),
            IpAddr::from([0x2a00, 0, 0, 0, 0, 0, 0, 1]),
        ] {
            let located = atlas.locate(address);
            assert!(located.first <= address && address <= located.last);
            let _ = atlas.place(located.place);
        }
    }
}

/// Answers a message over UDP and over TCP. Whatever is sent must be a reply to it and must not be
/// too long.
pub fn answer(octets: &[u8]) {
    let snapshot = SNAPSHOT.get_or_init(make_snapshot);
    for (transport, max_size) in [(Transport::Udp, 1232), (Transport::Stream, 65_535)] {
        let mut buffer = vec![0; max_size];
        let context = snapshot.context(octets.len() as u64);
        let answered = answer_message(
            octets,
            ClientAddress::from([198, 51, 100, 1]),
            transport,
            &context,
            &mut QueryScratch::default(),
            &mut buffer,
        );
        assert!(answered.length <= max_size);
        if answered.length > 0 {
            assert!(
                answered.length >= 12 && buffer[..2] == octets[..2],
                "the ID is the query's"
            );
            assert!(buffer[2] & 0x80 != 0, "it is a reply");
        }
    }
}

static SNAPSHOT: OnceLock<Snapshot> = OnceLock::new();
static ADMIN: OnceLock<(Runtime, TowerToHyperService<axum::Router>)> = OnceLock::new();

/// An admin server without a listener, with the same configuration.
fn admin() -> (Runtime, TowerToHyperService<axum::Router>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let origin = ConfigOrigin::BuiltIn {
        configuration: CONFIGURATION.to_owned(),
        zone: ZONE,
    };
    let loaded = origin
        .load(None)
        .unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let control =
        Control::new(origin, loaded, None).unwrap_or_else(|sentence| panic!("{sentence}"));
    let context = AdminContext {
        control: Arc::new(control),
        stats: Arc::new(ServerStats::default()),
        addresses: ListenAddresses::default(),
        started: std::time::Instant::now(),
    };
    let router = router(context, "a fuzzer").unwrap_or_else(|sentence| panic!("{sentence}"));
    (runtime, TowerToHyperService::new(router))
}

/// A snapshot of a small configuration and zone with something of every kind.
fn make_snapshot() -> Snapshot {
    let config =
        config::parse(CONFIGURATION, Path::new("meridian.toml")).map(|loaded| loaded.config);
    let config = config.unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let origin = "example.com".parse().ok();
    let zones = zone::load_text(Path::new("z.zone"), ZONE.as_bytes(), origin.as_ref(), None);
    let zones = zones.unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let (catalog, _) = compile(
        &config,
        &zones,
        Arc::new(Atlas::empty()),
        &ZoneSigners::default(),
    )
    .unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let secret = CookieSecret::new([7; 16]);
    snapshot(
        &config,
        catalog,
        Some(CookieSecrets::new(secret, None)),
        None,
    )
    .expect("no access is stated")
}

const CONFIGURATION: &str = r#"
[server]
nsid = "fuzz"
[regions]
fra = { location = [50.1, 8.7] }
iad = { location = [38.9, -77.4] }
[[services]]
name = "www.example.com"
answers = 8
order = "none"
pick = "weighted"
endpoints = { fra = ["192.0.2.1", "192.0.2.2", "2001:db8::1"], iad = ["192.0.2.3", "2001:db8::3"] }
[[services]]
name = "*.apps.example.com"
order = "nearest"
endpoints = { fra = ["192.0.2.4"], iad = ["192.0.2.5"] }
"#;

const ZONE: &str = "$ORIGIN example.com.
$TTL 1h
@ SOA ns1 host 1 2h 3 4 5
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.53
mail A 192.0.2.25
alias CNAME www
loop CNAME loop2
loop2 CNAME loop.old
*.wild TXT \"anything\"
old DNAME new
below NS ns.below
ns.below A 192.0.2.54
deep.empty.terminal A 192.0.2.7
big TXT \"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"
";
