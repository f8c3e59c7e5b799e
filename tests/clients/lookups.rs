//! dig, kdig, drill, delv and dnsperf.

use crate::harness::Server;
use crate::programs::{find, run};
use crate::world::setup;

fn port(server: &Server) -> String {
    server.address().port().to_string()
}

fn dig(server: &Server, arguments: &[&str]) -> String {
    let port = port(server);
    run(
        "dig",
        &[
            &[
                "@127.0.0.1",
                "-p",
                &port,
                "+time=5",
                "+tries=1",
                "+norecurse",
            ],
            arguments,
        ]
        .concat(),
    )
}

#[test]
fn dig_gets_the_answer_of_its_subnet() {
    let server = setup().start();
    let short = |arguments: &[&str]| {
        dig(&server, &[&["+short"], arguments].concat())
            .trim()
            .to_owned()
    };
    assert_eq!(short(&["www.example.test", "A"]), "192.0.2.10");
    assert_eq!(
        short(&["www.example.test", "A", "+subnet=198.51.100.0/24"]),
        "198.51.100.10"
    );
    assert_eq!(
        short(&["www.example.test", "A", "+subnet=198.51.100.0/24", "+tcp"]),
        "198.51.100.10"
    );
    assert_eq!(
        short(&["www.example.test", "AAAA", "+subnet=2001:db8:2::/48"]),
        "2001:db8::20"
    );
    assert_eq!(short(&["www.example.test", "A", "+subnet=0"]), "192.0.2.10");
    assert_eq!(
        short(&["alias.example.test", "A"]),
        "www.example.test.\n192.0.2.10"
    );
    assert_eq!(
        short(&["www.example.test", "A", "-b", "127.0.0.3"]),
        "198.51.100.10"
    );
}

#[test]
fn dig_sees_a_good_reply() {
    let server = setup().start();
    let reply = dig(
        &server,
        &[
            "www.example.test",
            "A",
            "+subnet=198.51.100.0/24",
            "+nsid",
            "+bufsize=4096",
        ],
    );
    for words in [
        "status: NOERROR",
        "flags: qr aa;",
        "CLIENT-SUBNET: 198.51.100.0/24/24",
        "(\"ns1-test\")",
        "udp: 1232",
    ] {
        assert!(reply.contains(words), "{words:?} is not in\n{reply}");
    }
    for words in ["WARNING", "malformed", "extra bytes"] {
        assert!(!reply.contains(words), "{words:?} is in\n{reply}");
    }
    let reply = dig(
        &server,
        &["missing.example.test", "A", "+dnssec", "+cookie"],
    );
    assert!(
        reply.contains("status: NXDOMAIN") && !reply.contains("WARNING"),
        "{reply}"
    );
    let reply = dig(&server, &["example.test", "SOA", "+noedns"]);
    assert!(
        reply.contains("status: NOERROR") && !reply.contains("OPT PSEUDOSECTION"),
        "{reply}"
    );
}

#[test]
fn dig_finds_its_cookie_good() {
    let server = setup().start();
    let reply = dig(&server, &["host.example.test", "A", "+cookie", "+nsid"]);
    assert!(
        reply.contains("(good)") && reply.contains("(\"ns1-test\")"),
        "{reply}"
    );
    let mark = "; COOKIE: ";
    let cookie = reply
        .split(mark)
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .expect("a cookie");
    let again = dig(
        &server,
        &["host.example.test", "A", &format!("+cookie={cookie}")],
    );
    assert!(
        again.contains(&format!("{cookie} (good)")),
        "a good cookie is given back as it is:\n{again}"
    );
    let reply = dig(&server, &["example.net", "A"]);
    assert!(reply.contains("EDE: 20 (Not Authoritative)"), "{reply}");
    let port = port(&server);
    let reply = run(
        "kdig",
        &[
            "@127.0.0.1",
            "-p",
            &port,
            "+cookie",
            "+norec",
            "host.example.test",
            "A",
        ],
    );
    assert!(
        reply.contains("COOKIE") && !reply.contains("WARNING"),
        "{reply}"
    );
}

#[test]
fn dig_over_ipv6() {
    let server = setup().start();
    let port = server.addresses[1].port().to_string();
    let reply = run(
        "dig",
        &[
            "@::1",
            "-p",
            &port,
            "+time=5",
            "+tries=1",
            "+short",
            "host.example.test",
            "A",
        ],
    );
    assert_eq!(reply.trim(), "192.0.2.1");
}

#[test]
fn kdig_gets_the_answer_of_its_subnet() {
    let server = setup().start();
    let port = port(&server);
    let base = ["@127.0.0.1", "-p", &port, "+norec", "www.example.test", "A"];
    for transport in ["+notcp", "+tcp"] {
        let reply = run(
            "kdig",
            &[&base[..], &["+subnet=198.51.100.0/24", "+nsid", transport]].concat(),
        );
        assert!(
            reply.contains("198.51.100.10") && reply.contains("status: NOERROR"),
            "{reply}"
        );
        assert!(
            reply.contains("CLIENT-SUBNET: 198.51.100.0/24/24"),
            "{reply}"
        );
        assert!(!reply.contains("WARNING"), "{reply}");
    }
}

#[test]
fn drill_gets_an_answer() {
    let server = setup().start();
    let port = port(&server);
    let reply = run(
        "drill",
        &["-p", &port, "www.example.test", "@127.0.0.1", "A"],
    );
    assert!(
        reply.contains("192.0.2.10") && reply.contains("rcode: NOERROR"),
        "{reply}"
    );
    let reply = run(
        "drill",
        &["-t", "-p", &port, "www.example.test", "@127.0.0.1", "AAAA"],
    );
    assert!(reply.contains("2001:db8::10"), "{reply}");
}

#[test]
fn delv_reads_the_answer() {
    let server = setup().start();
    let port = port(&server);
    let reply = run(
        "delv",
        &["@127.0.0.1", "-p", &port, "-i", "host.example.test", "A"],
    );
    assert!(reply.contains("192.0.2.1"), "{reply}");
}

/// One figure of dnsperf's report.
pub fn figure(report: &str, name: &str) -> u64 {
    let line = report
        .lines()
        .find(|line| line.trim_start().starts_with(name));
    let line = line.unwrap_or_else(|| panic!("dnsperf says nothing of {name}:\n{report}"));
    let value = line
        .split(':')
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("no number in {line:?}"))
}

#[test]
fn dnsperf_loses_nothing() {
    find("dnsperf");
    let server = setup()
        .file(
            "queries",
            b"www.example.test A\nhost.example.test A\nnone.example.test A\n",
        )
        .start();
    let queries = server.folder().join("queries");
    let port = port(&server);
    let queries = queries.to_str().expect("the path is text");
    for mode in ["udp", "tcp"] {
        let arguments = [
            "-s",
            "127.0.0.1",
            "-p",
            &port,
            "-d",
            queries,
            "-l",
            "3",
            "-c",
            "4",
            "-q",
            "50",
            "-m",
            mode,
        ];
        let report = run("dnsperf", &arguments);
        assert_eq!(figure(&report, "Queries lost"), 0, "{report}");
        assert!(figure(&report, "Queries completed") > 1000, "{report}");
        assert!(
            !report.contains("SERVFAIL") && !report.contains("REFUSED"),
            "{report}"
        );
    }
}
