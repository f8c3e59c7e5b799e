//! The configuration as a user meets it: a file goes in, sentences or the truth come out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::dns::{Name, RecordType};
use crate::health::check::{CertificateRule, HttpExpectation, HttpMethod};
use crate::health::fold::CheckCombination;
use crate::health::machine::{Damping, HealthRules};
use crate::resolve::ResolverSettings;
use crate::steering::{AllDown, Band, PickMethod, RegionOrder};

const FILE: &str = "meridian.toml";

fn load_text(text: &str) -> LoadedConfig {
    parse(text, Path::new(FILE)).unwrap_or_else(|errors| panic!("{}", rendered(&errors).join("\n")))
}

fn mistakes(text: &str) -> Vec<String> {
    rendered(&parse(text, Path::new(FILE)).expect_err("the text has a mistake"))
}

fn warnings(text: &str) -> Vec<String> {
    rendered(&load_text(text).warnings)
}

fn rendered(errors: &[ConfigError]) -> Vec<String> {
    errors.iter().map(ConfigError::to_string).collect()
}

/// Two placed regions and the start of a service; what is appended belongs to the service.
fn service(rest: &str) -> String {
    let regions = "regions = { fra = { location = [50, 8] }, iad = { location = [39, -77] } }";
    format!("{regions}\n[[services]]\nname = \"www.example.com\"\n{rest}\n")
}

#[test]
fn the_admin_address_speaks_tls_with_both_files_and_over_tcp_alone() {
    let admin = load_text("[admin]\ntls = { certificate = \"c.pem\", key = \"k.pem\" }")
        .config
        .admin;
    assert!(
        admin.tls.is_some_and(
            |files| files.key.ends_with("k.pem") && files.certificate.ends_with("c.pem")
        )
    );
    for (text, sentence) in [
        (
            "[admin]\ntls = { certificate = \"c.pem\" }",
            "[admin] tls needs a key",
        ),
        (
            "[admin]\ntls = { key = \"k.pem\" }",
            "[admin] tls needs a certificate",
        ),
        (
            "[admin]\nlisten = \"unix:a.sock\"\ntls = { certificate = \"c.pem\", key = \"k.pem\" }",
            "TLS is for a TCP address; nobody listens in on a unix socket",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:1\"\ntls = { certificate = \"c.pem\", key = \"k.pem\" }",
            "needs a token_file",
        ),
    ] {
        let told = mistakes(text).join("\n");
        assert!(told.contains(sentence), "{told}");
    }
}

#[test]
fn an_empty_file_is_all_defaults() {
    let config = load_text("").config;
    assert_eq!(
        (config.resolver.servers.len(), config.resolver.timeout),
        (0, Duration::from_secs(2))
    );
    let Config {
        server,
        limits,
        admin,
        geo,
        zones_directory,
        state_directory,
        ..
    } = config;
    assert_eq!(
        server.listen,
        [
            "127.0.0.1:1053".parse().unwrap(),
            "[::1]:1053".parse().unwrap()
        ]
    );
    assert_eq!(
        server.workers,
        std::thread::available_parallelism().unwrap().get()
    );
    assert_eq!((server.nsid, server.cookies), (None, true));
    assert_eq!(
        (server.tcp_connections, server.tcp_connections_per_client),
        (1000, 100)
    );
    assert_eq!(server.tcp_idle, Duration::from_secs(10));
    assert!(server.allow.is_empty() && server.deny.is_empty() && server.drop.is_empty());
    assert!(server.proxy_from.is_empty());
    assert_eq!(
        (
            server.chaos_id,
            server.chaos_version,
            server.max_nocookie_response
        ),
        (None, None, None)
    );
    let RateLimitConfig {
        rate,
        burst,
        slip,
        exempt,
        dry_run,
    } = limits.expect("limits are on");
    assert_eq!((rate, burst, slip, dry_run), (50, 125, 1, false));
    assert_eq!(
        exempt.iter().map(Cidr::to_string).collect::<Vec<_>>(),
        ["127.0.0.0/8", "::1/128"]
    );
    assert_eq!(
        admin.listen,
        AdminListen::Tcp("127.0.0.1:8053".parse().unwrap())
    );
    assert_eq!((admin.token_file, state_directory), (None, None));
    assert_eq!(zones_directory, PathBuf::from("zones"));
    assert!(
        geo.databases.is_empty()
            && geo.client_subnet
            && geo.coarse_points == CoarsePoints::Population
    );
}

#[test]
fn encrypted_listeners_have_their_ports_and_one_certificate() {
    let text = "[server]\nlisten_tls = [\"192.0.2.1\", \"[::1]:8853\"]\nlisten_https = [\"::1\"]\n\
        listen_quic = [\"192.0.2.1\"]\n[tls]\ncertificate = \"tls/chain.pem\"\nkey = \"/k.pem\"";
    let EncryptedListen {
        tls,
        https,
        quic,
        https_path,
        identity,
    } = load_text(text).config.server.encrypted;
    let texts =
        |list: Vec<std::net::SocketAddr>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(tls), ["192.0.2.1:853", "[::1]:8853"]);
    assert_eq!(
        (texts(https), texts(quic)),
        (
            vec!["[::1]:443".to_owned()],
            vec!["192.0.2.1:853".to_owned()]
        )
    );
    let files = identity.expect("there are listeners");
    assert_eq!(
        (files.certificate, files.key),
        (PathBuf::from("tls/chain.pem"), PathBuf::from("/k.pem"))
    );
    assert_eq!(https_path, "/dns-query");
    let lonely = "[tls]\ncertificate = \"c\"\nkey = \"k\"";
    assert!(load_text(lonely).config.server.encrypted.identity.is_none());
    let warning = "nobody is shown the certificate without listen_tls, listen_https or listen_quic";
    assert_eq!(warnings(lonely), [format!("meridian.toml:1:1: {warning}")]);
}

#[test]
fn a_service_and_a_check_have_defaults() {
    let text = "[regions.fra]\nlocation = \"FRA\"\n[checks.web]\ntype = \"https\"\n\
                [[services]]\nname = \"www.example.com\"\ncheck = \"web\"\nendpoints = { fra = \"192.0.2.1\" }\n";
    let LoadedConfig {
        config, warnings, ..
    } = load_text(text);
    assert!(warnings.is_empty());
    let [service] = &config.services[..] else {
        panic!("one service")
    };
    assert_eq!(
        (
            service.ttl,
            service.answers,
            service.stated.line,
            service.client_subnet
        ),
        (30, 1, 5, true)
    );
    assert_eq!(
        (service.order, service.pick, service.all_down),
        (
            RegionOrder::Nearest,
            PickMethod::Weighted,
            AllDown::AnswerAll
        )
    );
    assert_eq!(service.band, Band::Percent(0.0));
    let endpoint = &service.regions[0].endpoints[0];
    assert_eq!(
        (endpoint.weight, endpoint.check, endpoint.port),
        (100, Some(CheckId(0)), None)
    );
    let check = &config.checks[0];
    assert_eq!((check.port, &check.rules), (443, &HealthRules::default()));
    let (certificate, method, expect) = (
        Some(CertificateRule::default()),
        HttpMethod::Get,
        HttpExpectation::default(),
    );
    assert_eq!(
        check.kind,
        CheckKind::Http {
            host: None,
            certificate,
            path: "/".to_owned(),
            method,
            headers: Vec::new(),
            expect
        }
    );
    assert_eq!(
        (config.regions[0].weight, config.regions[0].bias.percent()),
        (100, 0)
    );
}

#[test]
fn everything_that_can_be_written_is_understood() {
    let text = include_str!("everything.toml");
    let config = parse(text, Path::new("/etc/meridian/meridian.toml"))
        .unwrap_or_else(|errors| panic!("{}", rendered(&errors).join("\n")))
        .config;
    assert_eq!(
        config.zones_directory,
        PathBuf::from("/etc/meridian/my-zones")
    );
    assert_eq!(
        config.state_directory,
        Some(PathBuf::from("/var/lib/meridian"))
    );
    assert_eq!(
        config.admin.listen,
        AdminListen::Unix(PathBuf::from("/etc/meridian/admin.sock"))
    );
    let sample = TrafficSample {
        one_in: 64,
        ipv4_prefix: 20,
        ipv6_prefix: 40,
    };
    assert_eq!(config.traffic_sample, Some(sample));
    let limits = config.limits.as_ref().expect("limits are on");
    assert_eq!(
        (
            limits.rate,
            limits.burst,
            limits.slip,
            limits.dry_run,
            limits.exempt.len()
        ),
        (100, 300, 2, true, 1)
    );
    assert_eq!(
        config.server.cookie_secrets_file,
        Some(PathBuf::from("/etc/meridian/cookies"))
    );
    assert_eq!((config.server.deny.len(), config.server.drop.len()), (1, 2));
    assert_eq!(config.geo.networks.len(), 3);
    assert_eq!(
        config.geo.networks[2].subdivision,
        Some("CA".parse().unwrap())
    );
    assert!(
        config
            .geo
            .networks
            .iter()
            .all(|network| network.point.is_some())
    );
    let names = |regions: &[ServiceRegion]| -> Vec<String> {
        regions
            .iter()
            .map(|region| config.regions[usize::from(region.region.0)].name.clone())
            .collect()
    };
    let service = &config.services[0];
    assert_eq!(
        names(&service.regions),
        ["iad", "fra", "bom"],
        "the order of the file is kept"
    );
    let names = |fence: &FenceConfig| -> Vec<&str> {
        fence
            .regions
            .iter()
            .map(|id| &*config.regions[usize::from(id.0)].name)
            .collect()
    };
    assert_eq!(
        names(&service.fences[0]),
        ["bom", "fra"],
        "in the order of the fence"
    );
    assert_eq!(service.fences[0].clients.asns, [64500]);
    assert_eq!(
        (service.fences[1].list.as_deref(), names(&service.fences[1])),
        (Some("eu-only"), vec!["fra"])
    );
    assert_eq!(
        (service.ttl, service.least_ttl, service.min_endpoints),
        (60, Some(10), 1)
    );
    assert!(service.private_targets && !service.client_subnet);
    assert_eq!(
        (service.fold.ramp, service.fold.max_removed),
        (Duration::from_secs(30), 0.5)
    );
    let capacities: Vec<_> = service
        .regions
        .iter()
        .map(|region| region.capacity)
        .collect();
    assert_eq!(
        capacities,
        [
            None,
            Some(Capacity::Part(0.4)),
            Some(Capacity::Rate(5000.0))
        ]
    );
    let fra = &service.regions[1].endpoints;
    assert_eq!(
        (fra[0].check, fra[1].check, fra[1].port),
        (Some(CheckId(0)), Some(CheckId(1)), Some(8443))
    );
    let cname = &service.regions[0].endpoints[0];
    assert_eq!(
        cname.target,
        EndpointTarget::Name(Name::parse("lb.us.example.net.", &Name::root()).unwrap())
    );
    assert_eq!(
        (cname.check, cname.weight),
        (Some(CheckId(0)), 5),
        "it is checked as the others are"
    );
    let servers = ["192.0.2.53:53", "[2001:db8::53]:5353"].map(|text| text.parse().unwrap());
    assert_eq!(
        config.resolver,
        ResolverSettings {
            servers: servers.to_vec(),
            timeout: Duration::from_millis(800)
        }
    );
    let kind = |name: &str| {
        &config
            .checks
            .iter()
            .find(|check| check.name == name)
            .expect(name)
            .kind
    };
    let CheckKind::Http {
        expect,
        method: HttpMethod::Post,
        certificate: None,
        ..
    } = kind("web")
    else {
        panic!()
    };
    assert_eq!(
        expect.json,
        Some(("/checks/0/up".to_owned(), "true".to_owned()))
    );
    assert_eq!(
        expect.headers,
        [
            ("X-State".to_owned(), "good".to_owned()),
            ("via".to_owned(), "1.1 x".to_owned())
        ]
    );
    assert_eq!(
        (expect.latency, &config.checks[0].rules.quick),
        (Some(Duration::from_millis(300)), &Duration::from_secs(1))
    );
    assert_eq!(
        config.checks[0].rules.damping,
        Damping {
            doublings: 0,
            memory: Duration::from_secs(600)
        }
    );
    let CheckKind::Tls {
        certificate,
        host: None,
    } = kind("cert")
    else {
        panic!()
    };
    assert_eq!(
        (certificate.verify, certificate.expiry_warning),
        (false, Duration::from_secs(30 * 86_400))
    );
    let CheckKind::Grpc {
        certificate: Some(_),
        service,
        ..
    } = kind("shop")
    else {
        panic!()
    };
    assert_eq!(service, "shop.v1");
    let CheckKind::Dns {
        query: Some(_),
        rtype: RecordType::SOA,
    } = kind("zone")
    else {
        panic!()
    };
    let CheckKind::Exec { program, arguments } = kind("own") else {
        panic!()
    };
    assert_eq!((program, arguments.len()), (&PathBuf::from("/bin/sh"), 2));
    assert_eq!(
        *kind("some"),
        CheckKind::Combined {
            rule: CheckCombination::AtLeast(2),
            parts: [2, 3, 4].map(CheckId).to_vec()
        }
    );
    assert_eq!(
        *kind("both"),
        CheckKind::Combined {
            rule: CheckCombination::All,
            parts: vec![CheckId(0), CheckId(6)]
        }
    );
    assert_eq!(
        *kind("either"),
        CheckKind::Combined {
            rule: CheckCombination::Any,
            parts: vec![CheckId(7), CheckId(5)]
        }
    );
}

#[test]
fn certificates_are_read_from_their_file_and_broken_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let text = "[checks.a]\ntype = \"https\"\nca_file = \"ca.pem\"\n";
    let refused = |part: &str| {
        let found = rendered(&parse(text, &file).unwrap_err()).join("\n");
        assert!(found.contains(":3:11: ") && found.contains(part), "{found}");
    };
    refused("ca.pem: the file cannot be read: No such file");
    std::fs::create_dir(folder.path().join("ca.pem")).unwrap();
    refused("ca.pem: the file is a folder, not a regular file");
    std::fs::remove_dir(folder.path().join("ca.pem")).unwrap();
    std::fs::write(folder.path().join("ca.pem"), "nothing").unwrap();
    refused("it holds no certificate");
    std::fs::write(
        folder.path().join("ca.pem"),
        "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    refused("it is no PEM");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["a".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
    let config = parse(text, &file).unwrap().config;
    let CheckKind::Http {
        certificate: Some(certificate),
        ..
    } = &config.checks[0].kind
    else {
        panic!()
    };
    assert!(certificate.authorities.is_some());
}

/// Writes a file that only its owner may read.
fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_client_certificate_needs_its_key_and_the_key_is_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let text = "[checks.a]\ntype = \"https\"\nclient_cert = \"c.pem\"\nclient_key = \"k.pem\"\n";
    let refused = |text: &str, part: &str| {
        let found = rendered(&parse(text, &file).unwrap_err()).join("\n");
        assert!(found.contains(part), "{found}");
    };
    refused(
        "[checks.a]\ntype = \"https\"\nclient_cert = \"c.pem\"\n",
        ":3:15: client_cert and client_key go together",
    );
    refused(
        "[checks.a]\ntype = \"http\"\nclient_key = \"k.pem\"\n",
        "a check of type \"http\" has no client_key",
    );
    refused(text, "c.pem: the file cannot be read");
    let pair = || rcgen::generate_simple_self_signed(["probe".to_owned()]).unwrap();
    let (made, other) = (pair(), pair());
    std::fs::write(folder.path().join("c.pem"), made.cert.pem()).unwrap();
    std::fs::write(
        folder.path().join("k.pem"),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
    refused(text, "others may read the file (mode 644)");
    write_secret(&folder.path().join("k.pem"), "nothing");
    refused(text, ":4:14: ");
    refused(text, "k.pem: it holds no private key");
    write_secret(
        &folder.path().join("k.pem"),
        &other.signing_key.serialize_pem(),
    );
    refused(
        text,
        "k.pem: the private key is not that of the client certificate",
    );
    write_secret(
        &folder.path().join("k.pem"),
        &made.signing_key.serialize_pem(),
    );
    let config = parse(text, &file).unwrap().config;
    let CheckKind::Http {
        certificate: Some(certificate),
        ..
    } = &config.checks[0].kind
    else {
        panic!()
    };
    assert!(certificate.identity.is_some());
}

#[test]
fn headers_of_requests_are_checked_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let check = |headers: &str| format!("[checks.a]\ntype = \"http\"\nheaders = {headers}\n");
    let mistake = |headers: &str| rendered(&parse(&check(headers), &file).unwrap_err()).join("\n");
    for (headers, part) in [
        ("{ \"a b\" = \"x\" }", "\"a b\" is no name of a header"),
        ("{ host = \"x\" }", "the Host header is what `host` says"),
        (
            "{ Content-Length = \"1\" }",
            "the header content-length belongs to the protocol",
        ),
        (
            "{ X-A = \"1\", x-a = \"2\" }",
            "the header x-a is stated twice",
        ),
        ("{ X-A = \"\" }", "a text of 1 to 4096 octets"),
        ("{ X-A = \"ä\" }", "visible ASCII characters"),
        ("{ X-A = { } }", "or a table with a file"),
        ("{ X-A = { path = \"x\" } }", "unknown key \"path\""),
        (
            "{ X-A = { file = \"secret\" } }",
            "secret: the file cannot be read",
        ),
        (
            "{ X-A = { file = \".\" } }",
            "the file is a folder, not a regular file",
        ),
    ] {
        assert!(
            mistake(headers).contains(part),
            "{headers}: {}",
            mistake(headers)
        );
    }
    let many: Vec<String> = (0..33)
        .map(|number| format!("x-{number} = \"1\""))
        .collect();
    assert!(
        mistake(&format!("{{ {} }}", many.join(", "))).contains("a request may have 32 of its own")
    );
    let secret = folder.path().join("secret");
    for (text, part) in [
        ("", "the file is empty"),
        ("one\ntwo\n", "one line of visible"),
        (&"x".repeat(5000), "longer"),
    ] {
        write_secret(&secret, text);
        let told = mistake("{ Authorization = { file = \"secret\" } }");
        assert!(told.contains(part) && !told.contains("two"), "{told}");
    }
    write_secret(&secret, "Bearer hunter2\n");
    let text = check("{ X-Probe = \"hunter3\", Authorization = { file = \"secret\" } }");
    let config = parse(&text, &file).unwrap().config;
    let CheckKind::Http { headers, .. } = &config.checks[0].kind else {
        panic!()
    };
    let found: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [("x-probe", "hunter3"), ("authorization", "Bearer hunter2")]
    );
    assert!(
        !format!("{config:?}").contains("hunter"),
        "no value is shown"
    );
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    assert!(
        mistake("{ A = { file = \"secret\" } }").contains("others may read the file (mode 640)")
    );
    let grpc = "[checks.a]\ntype = \"grpc\"\nport = 1\nheaders = { Content-Type = \"x\" }\n";
    assert!(mistakes(grpc)[0].contains("the header content-type belongs to the protocol"));
    assert!(
        mistakes("[checks.a]\ntype = \"tcp\"\nport = 1\nheaders = {}\n")[0]
            .contains("has no headers")
    );
}

#[test]
fn a_program_that_cannot_be_run_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let check = |program: &str| format!("[checks.a]\ntype = \"exec\"\nprogram = \"{program}\"\n");
    std::fs::write(folder.path().join("plain"), "#!/bin/sh\n").unwrap();
    for (program, part) in [
        ("absent", "absent: the program does not exist"),
        (".", "the program is not a regular file"),
        ("plain", "plain: the program is not executable; `chmod +x "),
    ] {
        let found = rendered(&parse(&check(program), &file).unwrap_err()).join("\n");
        assert!(found.contains(":3:11: ") && found.contains(part), "{found}");
    }
}

#[test]
fn long_chains_and_wide_combinations_do_not_take_long() {
    let chain: String = (0..60_000)
        .map(|n| format!("[checks.c{n}]\nall = [\"c{}\"]\n", n + 1))
        .collect();
    let start = std::time::Instant::now();
    let found = mistakes(&format!("{chain}[checks.c60000]\ntype = \"http\"\n"));
    assert!(found[0].contains("comes to 1 checks in"), "{}", found[0]);
    let wide: String = (0..30)
        .map(|n| {
            format!(
                "[checks.c{n}]\nall = [\"c{}\", \"d{}\"]\n[checks.d{n}]\nall = [\"c{}\", \"d{}\"]\n",
                n + 1,
                n + 1,
                n + 1,
                n + 1
            )
        })
        .collect();
    let found = mistakes(&format!(
        "{wide}[checks.c30]\ntype = \"http\"\n[checks.d30]\ntype = \"http\"\n"
    ));
    assert!(found[0].contains("at most are 64 in 8"), "{}", found[0]);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn one_run_tells_ten_mistakes() {
    let text = r#"[server]
listen = ["127.0.0.1:1053", "127.0.0.1:1053"]
worker = 2
tcp_idle = "10"

[admin]
listen = "0.0.0.0:8053"

[regions.fra]
location = [95, 8]
[regions.Bad_Name]
bias = 120

[checks.web]
type = "htp"

[[services]]
name = "www.example.com"
order = "nearest"
check = "wbe"
endpoints = { fraa = "192.0.2.1", fra = "0.0.0.0" }
"#;
    let expected = r#"
meridian.toml:2:29: 127.0.0.1:1053 is listed twice
meridian.toml:3:1: unknown key "worker" (did you mean "workers"?)
meridian.toml:4:12: tcp_idle: expected a duration from 100ms to 1h, such as "3s" or "1h30m", found "10"
meridian.toml:7:10: the admin address 0.0.0.0:8053 is reachable from outside, so it needs a token_file
meridian.toml:10:12: location: latitude 95 lies outside -90..90 degrees
meridian.toml:11:10: "Bad_Name" is no region name; it takes 1 to 63 of a-z, 0-9 and -
meridian.toml:12:8: bias: expected a whole number from -99 to 99, found 120
meridian.toml:15:8: type: expected one of "http", "https", "tcp", "tls", "grpc", "dns", "exec", found "htp" (did you mean "http"?)
meridian.toml:20:9: there is no check "wbe" (did you mean "web"?)
meridian.toml:21:15: there is no region "fraa" (did you mean "fra"?)
meridian.toml:21:41: "0.0.0.0" is no address that a client can connect to"#;
    assert_eq!(mistakes(text).join("\n"), expected.trim_start());
}

/// A file that has one mistake, and what is said about it behind `meridian.toml:`.
const BAD_FILES: &[(&str, &str)] = &[
    (
        "a = ",
        "1:5: string values must be quoted, expected literal string",
    ),
    (
        "[serber]",
        "1:2: unknown key \"serber\" (did you mean \"server\"?)",
    ),
    (
        "xyzzy = 1",
        "1:1: unknown key \"xyzzy\"; known here: include, server, tls, limits, admin, state, events, guard, fleet, announce, traffic, zones, resolver, geo, regions, checks, fences, policies, pools, services",
    ),
    (
        "resolver.servers = [\"0.0.0.0:53\"]",
        "1:21: 0.0.0.0:53 is no server that can be asked",
    ),
    ("server = 5", "1:10: server: expected a table, found 5"),
    (
        "server.listen_tls = [\"192.0.2.1:x\"]",
        "1:22: listen_tls: expected an address, with a port if it is not 853, such as \"192.0.2.1\" or \
         \"[2001:db8::1]:853\", found \"192.0.2.1:x\"",
    ),
    (
        "server.listen_quic = [\"192.0.2.1\"]",
        "1:22: a listener of an encrypted transport needs [tls] certificate and key",
    ),
    (
        "server.listen_tls = [\"::1\"]\n[tls]\nkey = \"k\"",
        "2:1: [tls] needs a certificate",
    ),
    (
        "tls = { certificate = \"c\", key = \"k\" }\nserver = { listen_tls = [\"::1\"], listen_https = [\"[::1]:853\"] }",
        "2:50: [::1]:853 is listened on twice over TCP",
    ),
    (
        "tls = { certificate = \"c\", key = \"k\" }\nserver = { listen = [\"[::1]:53\"], listen_quic = [\"[::1]:53\"] }",
        "2:50: [::1]:53 is listened on twice over UDP",
    ),
    (
        "server.https_path = \"dns\"",
        "1:21: \"dns\" is no path: it starts with / and has neither ? nor # nor spaces",
    ),
    (
        "server.listen = []",
        "1:17: listen names no address to listen on",
    ),
    (
        "server.listen = [53]",
        "1:18: listen: expected an address with a port, such as \"192.0.2.1:53\" or \"[2001:db8::1]:53\", found 53",
    ),
    (
        "server.workers = 0",
        "1:18: workers: expected a whole number from 1 to 1024, found 0",
    ),
    (
        "server.nsid = \"\\u0007\"",
        "1:15: nsid: expected a text of 1 to 128 octets without control characters, found \"\\u{7}\"",
    ),
    (
        "server.cookies = \"yes\"",
        "1:18: cookies: expected true or false, found \"yes\"",
    ),
    (
        "[[zones.access]]\nallow = [\"10.0.0.0/8\"]",
        "1:1: access needs a zone",
    ),
    (
        "[[zones.access]]\nzone = \"example.com\"",
        "1:1: the zone needs allow or deny",
    ),
    (
        "[[zones.access]]\nzone = \"a.test\"\nallow = []\n[[zones.access]]\nzone = \"A.test.\"\ndeny = []",
        "5:8: A.test has its access already in line 2",
    ),
    (
        "zones.directory = ''",
        "1:19: directory: expected a path, found \"\"",
    ),
    (
        "geo.coarse_points = \"databse\"",
        "1:21: coarse_points: expected one of \"population\", \"database\", found \"databse\" (did you mean \"database\"?)",
    ),
    (
        "[[geo.networks]]\ncidr = \"10.1.2.3/16\"\ncountry = \"DE\"",
        "2:8: \"10.1.2.3/16\" has bits set behind its prefix (did you mean \"10.1.0.0/16\"?)",
    ),
    (
        "[[geo.networks]]\ncidr = \"10.0.0.0/8\"",
        "1:1: the network needs a location, country, subdivision or asn",
    ),
    (
        "[[geo.networks]]\ncountry = \"DE\"",
        "1:1: the network needs a cidr",
    ),
    (
        "[[geo.networks]]\ncidr = \"10.0.0.0/8\"\ncountry = \"UK\"",
        "3:11: country: expected a country by its two-letter ISO 3166 code, such as \"DE\", found \"UK\" (did you mean \"GB\"?)",
    ),
    (
        "[[geo.networks]]\ncidr = \"10.0.0.0/8\"\ncountry = \"DE\"\nsubdivision = \"US-CA\"",
        "4:15: the subdivision lies in US, not in DE",
    ),
    (
        "[regions.fra]\nlocation = \"XXX\"",
        "2:12: location: expected [latitude, longitude] in degrees or a known place, such as \"FRA\", \"aws:eu-central-1\" or \"DE\", found \"XXX\"",
    ),
    (
        "[regions.fra]\nlocation = [1, 2, 3]",
        "2:12: location: expected [latitude, longitude] in degrees or a known place, such as \"FRA\", \"aws:eu-central-1\" or \"DE\", found a list",
    ),
    (
        "[regions.fra]\nweight = 1000001",
        "2:10: weight: expected a whole number from 0 to 1000000, found 1000001",
    ),
    ("[checks.a]\nport = 80", "1:9: check \"a\" needs a type"),
    (
        "[checks.a]\ntype = \"tcp\"",
        "1:9: check \"a\" needs a port",
    ),
    (
        "[checks.a]\ntype = \"tcp\"\nport = 1\npath = \"/\"",
        "4:8: a check of type \"tcp\" has no path",
    ),
    (
        "[checks.a]\ntype = \"http\"\npath = \"health\"",
        "3:8: \"health\" is no path; it starts with / and has neither spaces nor # (percent-encode)",
    ),
    (
        "[checks.a]\ntype = \"http\"\nhost = \"a b\"",
        "3:8: \"a b\" is no host name",
    ),
    (
        "[checks.a]\ntype = \"http\"\ninterval = \"1s\"\ntimeout = \"1500ms\"",
        "4:11: the timeout of 1s500ms is longer than the interval of 1s",
    ),
    (
        "[checks.a]\ntype = \"http\"\nexpect = { status = \"200-199\" }",
        "3:21: status: expected status codes from 100 to 599, such as \"200-299\" or \"200,204,300-310\", found \"200-199\"",
    ),
    (
        "[checks.a]\ntype = \"grpc\"\nport = 1\nverify = false",
        "4:10: a certificate is there only with tls = true",
    ),
    (
        "[checks.a]\ntype = \"exec\"",
        "1:9: check \"a\" needs a program",
    ),
    (
        "[checks.a]\ntype = \"dns\"\nquery_type = \"ANY\"",
        "3:14: query_type: expected a record type, such as \"A\" or \"SOA\", found \"ANY\"",
    ),
    (
        "[checks.a]\ntype = \"http\"\nmethod = \"HEAD\"\nexpect = { body = \"ok\" }",
        "4:19: the answer to HEAD has no body to hold against it",
    ),
    (
        "[checks.a]\ntype = \"http\"\nexpect = { json = { pointer = \"status\", equals = 1.5 } }",
        "3:31: pointer: expected a pointer into JSON, such as \"/status\" or \"/checks/0/state\", found \"status\"\n\
         3:50: equals: expected a text of at most 1024 octets, a whole number, or true or false, found 1.5",
    ),
    (
        "[checks.a]\ntype = \"http\"\nexpect.json = {}",
        "3:15: json needs a pointer\n3:15: json needs what the value equals",
    ),
    (
        "[checks.a]\ntype = \"http\"\nexpect.header = { \"a b\" = \"c\" }",
        "3:19: \"a b\" is no name of a header",
    ),
    (
        "[checks.a]\nall = [\"a\"]",
        "2:8: check \"a\" combines itself: a -> a",
    ),
    (
        "[checks.a]\nall = [\"b\"]\n[checks.b]\nany = [\"c\"]\n[checks.c]\nat_least = 1\nof = [\"a\"]\n[checks.d]\nall = [\"c\"]",
        "7:7: check \"a\" combines itself: a -> b -> c -> a",
    ),
    (
        "[checks.a]\nall = []",
        "2:7: check \"a\" combines no checks",
    ),
    (
        "[checks.a]\nall = [\"b\", \"b\"]\nport = 80\n[checks.b]\ntype = \"http\"",
        "2:13: check \"b\" is listed twice\n3:8: a check that combines others asks nobody itself, so it has no port",
    ),
    (
        "[checks.a]\nof = [\"b\"]\n[checks.b]\ntype = \"http\"",
        "1:9: check \"a\" needs both at_least and of",
    ),
    (
        "[checks.a]\nof = [\"b\"]\nat_least = 2\nall = [\"b\"]\n[checks.b]\ntype = \"http\"",
        "2:6: a check combines others in one way: all, any, or at_least with of\n3:12: there are only 1 checks to be good",
    ),
    (
        "[services]\nname = \"a\"",
        "1:1: services: expected a list, found a table",
    ),
    (
        "[[services]]\nendpoints = {}",
        "1:1: the service needs a name\n2:13: the service has no endpoints",
    ),
    (
        "# é\nä = 1",
        "2:1: invalid unquoted key, expected letters, numbers, `-`, `_`",
    ),
];

/// The same for what is appended to [`service`], from line 4.
const BAD_SERVICES: &[(&str, &str)] = &[
    ("", "2:1: the service needs endpoints, or a pool"),
    (
        "ttl = -1\nendpoints = { fra = \"192.0.2.1\" }",
        "4:7: ttl: expected a whole number from 0 to 2147483647, found -1",
    ),
    (
        "ttl = { max = 5, min = 6 }\nmin_endpoints = 2\nendpoints = { fra = \"192.0.2.1\" }",
        "4:24: min is more than the 5 of max\n5:17: region \"fra\" has only 1 of the 2 endpoints that min_endpoints requires",
    ),
    (
        "ttl = {}\nendpoints = { fra = \"192.0.2.1\" }",
        "4:7: a ttl that follows health needs max",
    ),
    (
        "max_removed = \"101%\"\ncapacity = { fra = \"0%\", iad = 5 }\nendpoints = { fra = \"192.0.2.1\" }",
        "4:15: max_removed: expected a percentage from 0 to 100, such as \"50%\", found \"101%\"\n\
         5:20: fra: expected a percentage above 0 (\"40%\") or a whole number of answers per second from 1 to 1000000000, found \"0%\"\n\
         5:26: region \"iad\" has no endpoints in this service",
    ),
    (
        "answers = 9\nendpoints = { fra = \"192.0.2.1\" }",
        "4:11: answers: expected a whole number from 1 to 8, found 9",
    ),
    (
        "band = \"5\"\nendpoints = { fra = \"192.0.2.1\" }",
        "4:8: band: expected a percentage from 0 to 1000 (\"5%\") or a distance from 0 to 20037 km (\"150km\"), found \"5\"",
    ),
    (
        "endpoints = { fra = [] }",
        "4:21: region \"fra\" is listed without endpoints",
    ),
    (
        "endpoints = { fra = \"192.0.2.1:80\" }",
        "4:21: DNS gives addresses, not ports, so \"192.0.2.1:80\" cannot be an endpoint; write { address = \"192.0.2.1\", port = 80 } to check another port",
    ),
    (
        "endpoints = { fra = \"www.example.net\" }",
        "4:21: fra: expected an IP address, found \"www.example.net\"",
    ),
    (
        "endpoints = { fra = \"::ffff:192.0.2.1\" }",
        "4:21: \"::ffff:192.0.2.1\" is an IPv4 address in IPv6 form (did you mean \"192.0.2.1\"?)",
    ),
    (
        "endpoints = { fra = \"ff02::1\" }",
        "4:21: \"ff02::1\" is no address that a client can connect to",
    ),
    (
        "endpoints = { fra = [\"192.0.2.1\"], iad = [\"192.0.2.1\"] }",
        "4:43: the service has the endpoint 192.0.2.1 twice",
    ),
    (
        "endpoints = { fra = {} }",
        "4:21: the endpoint needs one of address, cname, alias, mx and srv",
    ),
    (
        "endpoints = { fra = { address = \"192.0.2.1\", cname = \"a.example\" } }",
        "4:21: the endpoint has more than one of address, cname, alias, mx and srv",
    ),
    (
        "endpoints = { fra = { cname = \"a..example\" } }",
        "4:31: \"a..example\" is no domain name: the name has an empty label",
    ),
    (
        "endpoints = { fra = { cname = \"WWW.example.com.\" } }",
        "3:8: www.example.com has itself as an endpoint",
    ),
    (
        "endpoints = { fra = { mx = \"10 mx\" } }",
        "4:28: the data of this MX record is wrong: the name is relative, but no $ORIGIN is stated above; state one or end the name with a dot",
    ),
    (
        "endpoints = { fra = { mx = \"0 .\" } }",
        "4:28: this MX record leads to no host",
    ),
    (
        "https = \"1 .\"\nendpoints = { fra = { cname = \"a.example\" } }",
        "4:9: a name with a CNAME has no other records: give addresses or aliases as endpoints",
    ),
    (
        "https = \"1 . ipv4hint=192.0.2.1\"\nendpoints = { fra = \"192.0.2.1\" }",
        "4:9: the hints are the service's own addresses, as each client gets them; leave them out here",
    ),
    (
        "endpoints = { fra = { alias = \"WWW.example.com.\" } }",
        "3:8: www.example.com has itself as an endpoint",
    ),
    (
        "endpoints = { fra = { alias = \"a.example\" }, iad = { alias = \"A.example.\" } }",
        "4:62: the service has the endpoint A.example twice",
    ),
    (
        "endpoints = { fra = { address = \"192.0.2.1\", wieght = 1 } }",
        "4:46: unknown key \"wieght\" (did you mean \"weight\"?)",
    ),
    (
        "endpoints = { fra = \"192.0.2.1\" }\n[[services.fence]]\nregions = [\"iad\"]",
        "6:12: region \"iad\" has no endpoints in this service",
    ),
    (
        "endpoints = { fra = \"192.0.2.1\" }\n[[services.fence]]\nregions = [\"fra\", \"fra\"]",
        "6:19: region \"fra\" is listed twice in the fence",
    ),
    (
        "endpoints = { fra = \"192.0.2.1\" }\n[[services.fence]]\nclients = { countries = [\"DE\"] }",
        "5:1: the fence needs regions",
    ),
    (
        "endpoints = { fra = \"192.0.2.1\" }\n[[services.fence]]\nregions = [\"fra\"]\nclients = { continents = [\"XX\"] }",
        "7:27: continents: expected one of the continents AF, AN, AS, EU, NA, OC, SA, found \"XX\"",
    ),
    (
        "endpoints = { fra = \"192.0.2.1\" }\n[[services]]\nname = \"WWW.Example.com.\"\nendpoints = { iad = \"192.0.2.2\" }",
        "6:8: WWW.Example.com is a service already in line 2",
    ),
];

#[test]
fn every_mistake_has_its_sentence_and_its_place() {
    let files = BAD_FILES
        .iter()
        .map(|&(text, expected)| (text.to_owned(), expected));
    let services = BAD_SERVICES
        .iter()
        .map(|&(rest, expected)| (service(rest), expected));
    let mut wrong = Vec::new();
    for (text, expected) in files.chain(services) {
        let found = mistakes(&text).join("\n").replace("meridian.toml:", "");
        if found != expected {
            wrong.push(format!(
                "{text}\n  expected {expected}\n  found    {found}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_region_without_location_is_refused_only_where_distance_counts() {
    let text = |order: &str| {
        format!(
            "[regions.fra]\n[[services]]\nname = \"a\"\norder = \"{order}\"\nendpoints = {{ fra = \"192.0.2.1\" }}\n"
        )
    };
    let sentence =
        "meridian.toml:5:15: region \"fra\" has no location, which order = \"nearest\" needs";
    assert_eq!(mistakes(&text("nearest")), [sentence]);
    assert!(warnings(&text("priority")).is_empty());
}

#[test]
fn a_service_has_at_most_254_regions() {
    let with_regions = |count: usize| {
        let regions: String = (0..count).map(|n| format!("[regions.r{n}]\n")).collect();
        let endpoints: String = (0..count)
            .map(|n| format!("r{n} = \"10.0.{}.{}\"\n", n / 200, n % 200 + 1))
            .collect();
        format!(
            "{regions}[[services]]\nname = \"a\"\norder = \"none\"\n[services.endpoints]\n{endpoints}"
        )
    };
    assert!(warnings(&with_regions(254)).is_empty());
    assert_eq!(
        mistakes(&with_regions(255)),
        ["meridian.toml:514:1: the service has more than 254 regions"]
    );
}

#[test]
fn more_than_a_thousand_mistakes_are_counted() {
    let text: String = (0..1500).map(|n| format!("key{n} = 1\n")).collect();
    let found = mistakes(&text);
    assert_eq!(found.len(), 1001);
    assert_eq!(found[1000], "meridian.toml: and 500 more mistakes");
}

#[test]
fn an_endpoint_that_is_in_every_reply_because_of_its_weight_is_warned_of() {
    let text = |keys: &str, fra: &str| {
        format!(
            "regions = {{ fra = {{}}, iad = {{ weight = 300 }} }}\n[[services]]\n\
             name = \"www.example.com\"\norder = \"priority\"\n{keys}\n[services.endpoints]\n\
             fra = [{fra}]\niad = \"192.0.2.9\"\n"
        )
    };
    let heavy = "{ address = \"192.0.2.1\", weight = 300 }, \"192.0.2.2\", \"192.0.2.3\", \
                 \"192.0.2.4\", { address = \"192.0.2.5\", weight = 0 }";
    let sentence = |answers: &str| {
        format!(
            "meridian.toml:3:8: service www.example.com: fra's 192.0.2.1 is in every reply: its \
             weight asks for more than one of {answers} answers"
        )
    };
    assert_eq!(warnings(&text("answers = 3", heavy)), [sentence("3")]);
    let sticky = "answers = 3\npick = \"sticky\"";
    assert_eq!(warnings(&text(sticky, heavy)), [sentence("3")]);
    for quiet in [
        "",
        "answers = 2",
        "answers = 4",
        "answers = 3\npick = \"round-robin\"",
    ] {
        assert_eq!(warnings(&text(quiet, heavy)), [""; 0], "{quiet}");
    }
    // All regions share one tier: of four replies, three come from iad alone.
    let even = "\"192.0.2.1\", \"192.0.2.2\"";
    let one_tier = text("answers = 2", even).replace("priority", "none");
    let expected = sentence("2").replace("fra's 192.0.2.1", "iad's 192.0.2.9");
    assert_eq!(warnings(&one_tier), [expected]);
}

#[test]
fn oddities_are_warned_of() {
    assert_eq!(
        warnings("[regions.fra]"),
        ["meridian.toml:1:10: region \"fra\" is used by no service"]
    );
    let odd = service(
        "order = \"none\"\nband = \"5%\"\n\
         endpoints = { fra = { address = \"192.0.2.1\", weight = 0, port = 81 } }\n\
         [[services.fence]]\nregions = [\"fra\"]\n[[services.fence]]\nregions = [\"fra\"]\n[server]\ntcp_connections = 50",
    );
    let expected = [
        "meridian.toml:1:43: region \"iad\" is used by no service",
        "meridian.toml:3:8: every endpoint of www.example.com is a standby (weight 0)",
        "meridian.toml:5:8: band means something only where order = \"nearest\"",
        "meridian.toml:6:65: the port says where the endpoint is checked, but nothing checks it",
        "meridian.toml:9:1: the fence in line 7 matches everybody, so this one is never reached",
    ];
    assert_eq!(warnings(&odd), expected);
    let embargo = |clients: &str| {
        let endpoints =
            "order = \"none\"\nendpoints = { fra = \"192.0.2.1\", iad = \"192.0.2.2\" }";
        warnings(&service(&format!(
            "{endpoints}\n[[services.fence]]\n{clients}regions = []"
        )))
    };
    assert!(embargo("clients = { countries = [\"KP\"] }\n").is_empty());
    let nobody =
        "meridian.toml:7:11: the only fence leaves every client no region, so nobody is answered";
    assert_eq!(embargo(""), [nobody]);
    let loopback = service("order = \"none\"\nendpoints = { fra = \"127.0.0.1\", iad = \"::1\" }");
    assert!(
        warnings(&loopback).is_empty(),
        "the demo's endpoints are on loopback"
    );
}

/// Two services with lists of fences; `lists` is `[fences]`, `one` and `other` are keys of the
/// services.
fn with_lists(lists: &str, one: &str, other: &str) -> String {
    format!(
        "[regions.fra]\n[regions.iad]\n{lists}\n[[services]]\nname = \"a.example\"\norder = \"priority\"\n{one}\n\
         endpoints = {{ fra = \"192.0.2.1\", iad = \"192.0.2.2\" }}\n[[services]]\nname = \"b.example\"\n\
         order = \"none\"\n{other}\nendpoints = {{ fra = \"192.0.2.1\", iad = \"192.0.2.2\" }}\n"
    )
}

#[test]
fn fences_that_services_share_are_kept_once() {
    let lists = "[[fences.eu]]\nclients = { continents = [\"EU\"] }\nregions = [\"fra\"]\n[[fences.eu]]\nregions = [\"iad\"]\n\
                 [[fences.kp]]\nclients = { countries = [\"KP\"] }\nregions = []";
    let named = "fences = [\"kp\", \"eu\"]";
    let config = load_text(&with_lists(lists, named, named)).config;
    let [one, other] = [0, 1].map(|at| config.services[at].fences.clone());
    assert!(Arc::ptr_eq(&one, &other), "equal fences are one in memory");
    let stated: Vec<_> = one
        .iter()
        .map(|fence| (fence.list.as_deref(), fence.regions.len()))
        .collect();
    assert_eq!(stated, [(Some("kp"), 0), (Some("eu"), 1), (Some("eu"), 1)]);
    // A fence of the service itself comes first, and the clients of the others are still kept once.
    let own = "fences = \"eu\"\nfence = [{ clients = { asns = [1] }, regions = [\"iad\"] }]";
    let config = load_text(&with_lists(lists, own, named)).config;
    let [one, other] = [0, 1].map(|at| config.services[at].fences.clone());
    assert_eq!(
        one.iter()
            .map(|fence| fence.list.as_deref())
            .collect::<Vec<_>>(),
        [None, Some("eu"), Some("eu")]
    );
    assert!(Arc::ptr_eq(&one[1].clients, &other[1].clients));
}

#[test]
fn mistakes_in_lists_of_fences_are_told_once_and_where_they_are() {
    let eu = "[[fences.eu-only]]\nclients = { continents = [\"EU\"] }\nregions = [\"fra\"]";
    for (text, expected) in [
        (
            with_lists(eu, "fences = \"eu-onyl\"", "fences = \"eu-only\""),
            "9:10: there is no fence list \"eu-onyl\" (did you mean \"eu-only\"?)",
        ),
        (
            with_lists(
                &eu.replace("\"fra\"", "\"frb\""),
                "fences = \"eu-only\"",
                "fences = \"eu-only\"",
            ),
            "5:12: there is no region \"frb\" (did you mean \"fra\"?)",
        ),
        (
            with_lists(eu, "fences = [\"eu-only\", \"eu-only\"]", ""),
            "9:22: the fence list \"eu-only\" is named twice",
        ),
        (
            with_lists("[fences]\nnone = []", "fences = \"none\"", ""),
            "4:1: the fence list \"none\" has no fence",
        ),
        (
            with_lists(
                &format!("[regions.nrt]\n{}", eu.replace("fra", "nrt")),
                "fences = \"eu-only\"",
                "",
            ),
            "10:10: the fence of \"eu-only\" in line 4 leaves no region of this service; give endpoints in one of them",
        ),
    ] {
        assert_eq!(mistakes(&text), [format!("meridian.toml:{expected}")]);
    }
    assert_eq!(
        warnings(&with_lists(
            &format!("{eu}\n[[fences.all]]\nregions = [\"fra\"]"),
            "fences = [\"all\", \"eu-only\"]",
            ""
        )),
        [
            "meridian.toml:11:18: the fence in line 6 matches everybody, so this list is never reached"
        ]
    );
    let unused = warnings(&with_lists(eu, "", ""));
    assert_eq!(
        unused,
        ["meridian.toml:3:10: fence list \"eu-only\" is used by no service"]
    );
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("meridian.toml");
    let missing = load(&file).unwrap_err();
    assert!(
        missing[0]
            .to_string()
            .contains("meridian.toml: the file cannot be read: "),
        "{}",
        missing[0]
    );
    std::fs::write(&file, b"a = 1\n\xff").unwrap();
    assert!(
        load(&file).unwrap_err()[0]
            .to_string()
            .ends_with("meridian.toml: line 2 is not UTF-8 text")
    );
    std::fs::write(&file, vec![b' '; MAX_FILE as usize + 1]).unwrap();
    assert!(
        load(&file).unwrap_err()[0]
            .to_string()
            .ends_with("the file is larger than 16 MiB")
    );
}

#[test]
fn deep_nesting_is_refused_and_not_descended() {
    for text in [
        "a = ".to_owned() + &"[".repeat(100_000),
        "a.".repeat(100_000) + "a = 1",
        "[a.".repeat(50_000),
    ] {
        assert!(parse(&text, Path::new(FILE)).is_err());
    }
}

#[test]
fn every_example_is_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for folder in std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let file = folder.join("meridian.toml");
        // The files that the servers of a fleet need are made first; tests/documents follows its README.
        if !file.is_file() || folder.ends_with("fleet") {
            continue;
        }
        let loaded =
            load(&file).unwrap_or_else(|errors| panic!("{}", rendered(&errors).join("\n")));
        assert_eq!(rendered(&loaded.warnings), [""; 0]);
        assert!(
            loaded.config.zones_directory.is_dir(),
            "{}",
            folder.display()
        );
        seen += 1;
    }
    assert!(seen >= 5, "{seen} examples");
}

#[test]
fn many_unknown_names_among_many_known_ones_do_not_take_long() {
    let regions: String = (0..20_000).map(|n| format!("[regions.r{n}]\n")).collect();
    let endpoints: String = (0..20_000)
        .map(|n| format!("x{n} = \"10.0.0.1\"\n"))
        .collect();
    let text = format!("{regions}[[services]]\nname = \"a\"\n[services.endpoints]\n{endpoints}");
    let start = std::time::Instant::now();
    assert_eq!(mistakes(&text).len(), 1001);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

/// The properties of every table of the schema.
fn schema_keys(schema: &serde_json::Value) -> Vec<String> {
    let mut keys = Vec::new();
    match schema {
        serde_json::Value::Object(object) => {
            if let Some(properties) = object
                .get("properties")
                .and_then(|properties| properties.as_object())
            {
                keys.extend(properties.keys().cloned());
            }
            keys.extend(object.values().flat_map(schema_keys));
        }
        serde_json::Value::Array(values) => keys.extend(values.iter().flat_map(schema_keys)),
        _ => {}
    }
    keys
}

#[test]
fn limits_can_be_off_and_a_burst_is_no_less_than_the_rate() {
    assert_eq!(load_text("[limits]\nenabled = false\n").config.limits, None);
    let limits = load_text("[limits]\nrate = 1000\nexempt = []\n")
        .config
        .limits
        .expect("limits are on");
    assert_eq!((limits.burst, limits.exempt.len()), (2500, 0));
    let sentence =
        "meridian.toml:3:9: burst is below the 10 of rate, so that rate would never be reached";
    assert_eq!(mistakes("[limits]\nrate = 10\nburst = 9\n"), [sentence]);
}

#[test]
fn the_reference_tells_every_key() {
    let page = include_str!("../../docs/configuration.md");
    let keys = schema_keys(&schema());
    assert!(keys.len() > 50, "{} keys", keys.len());
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| !page.contains(&format!("`{key}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_schema_describes_every_key_and_refuses_others() {
    let schema = schema();
    for (name, table) in schema["$defs"].as_object().unwrap() {
        assert_eq!(table["additionalProperties"], false, "{name}");
        for (key, property) in table["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}.{key}");
        }
    }
    assert_eq!(
        schema["$defs"]["Region"]["properties"]["bias"]["minimum"],
        -99
    );
    assert_eq!(
        schema["$defs"]["Service"]["required"],
        serde_json::json!(["name"])
    );
    assert_eq!(
        schema["$defs"]["Service"]["properties"]["order"]["enum"][0],
        "nearest"
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = parse(&text, Path::new(FILE));
    }

    #[test]
    fn no_shuffle_of_the_language_makes_it_panic(
        parts in proptest::collection::vec(
            prop::sample::select(vec![
                "[", "]", "[[", "]]", "{", "}", "=", ".", ",", "\n", "\n", " ", "\"", "'", "server", "listen", "regions",
                "fra", "services", "name", "endpoints", "fence", "clients", "cidr", "\"10.0.0.0/8\"", "\"fra\"", "1", "-1",
                "0x1F", "1e9", "nan", "inf", "true", "1979-05-27", "location", "geo", "networks", "checks", "type", "\"é\"",
            ]),
            0..60,
        )
    ) {
        let _ = parse(&parts.concat(), Path::new(FILE));
    }

    #[test]
    fn no_damage_to_a_good_file_makes_it_panic(at in 0..3000usize, with in "\\PC{0,3}", cut in 0..20usize) {
        let text: Vec<char> = include_str!("everything.toml").chars().collect();
        let at = at.min(text.len());
        let damaged: String = text[..at].iter().copied().chain(with.chars()).chain(text[at..].iter().copied().skip(cut)).collect();
        let _ = parse(&damaged, Path::new(FILE));
    }
}
