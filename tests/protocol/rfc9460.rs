//! RFC 9460: HTTPS and SVCB records whose hints are what the same client gets for A and AAAA; and the mail exchangers and
//! service hosts of regions.

use crate::harness::types::*;
use crate::harness::{Server, Setup};

const SVCB: u16 = 64;
const NEAR_FRA: &str = "203.0.113.0/24";
const NEAR_IAD: &str = "198.51.100.0/24";

const ZONE: &str = "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\n A 192.0.2.80\n\
    ns1 A 127.0.0.1\nplain A 192.0.2.9\n HTTPS 1 . alpn=h2\nmx-fra A 192.0.2.25\n";

const CONFIG: &str = r#"
[[geo.networks]]
cidr = "203.0.113.0/24"
location = "FRA"
[[geo.networks]]
cidr = "198.51.100.0/24"
location = "IAD"
[regions.fra]
location = "FRA"
[regions.iad]
location = "IAD"
[[services]]
name = "www.example.test"
answers = 2
https = "1 . alpn=h2,h3 port=8443 ech=AAAA"
svcb = "0 plain.example.test."
[services.endpoints]
fra = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
iad = "198.51.100.1"
[[services]]
name = "example.test"
[services.endpoints]
fra = { mx = "10 mx-fra.example.test." }
iad = { mx = "20 mx-iad.example.net." }
[[services]]
name = "_sip._tcp.example.test"
[services.endpoints]
fra = { srv = "10 5 5060 sip-fra.example.net." }
iad = { srv = "10 5 5061 sip-iad.example.net." }
"#;

fn server() -> Server {
    Setup::new()
        .zone("example.test", ZONE)
        .config(CONFIG)
        .start()
}

/// The data of the answer, in text.
fn answer(server: &Server, name: &str, rtype: u16, subnet: &str) -> Vec<String> {
    let reply = server.ask(name, rtype).from_subnet(subnet).send();
    reply
        .message
        .answers
        .iter()
        .map(|record| record.data.clone())
        .collect()
}

/// The data of the one record of the answer, as octets.
fn octets(server: &Server, name: &str, rtype: u16, subnet: &str) -> Vec<u8> {
    let data = answer(server, name, rtype, subnet);
    let [digits] = &data[..] else {
        panic!("one record: {data:?}")
    };
    let octet =
        |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(octet).collect()
}

#[test]
fn section_7_3_hints_are_the_addresses_that_the_same_client_gets() {
    let server = server();
    let head = b"\0\x01\0\0\x01\0\x06\x02h2\x02h3\0\x03\0\x02\x20\xfb".as_slice();
    let ech = b"\0\x05\0\x03\0\0\0".as_slice();
    let v6 = "2001:db8::1"
        .parse::<std::net::Ipv6Addr>()
        .expect("an address")
        .octets();
    // Two of Frankfurt in either order, as for A.
    for _ in 0..20 {
        let data = octets(&server, "www.example.test", HTTPS, NEAR_FRA);
        let hints = [
            &[192, 0, 2, 1, 192, 0, 2, 2][..],
            &[192, 0, 2, 2, 192, 0, 2, 1],
        ];
        let expected = hints.map(|v4| [head, &[0, 4, 0, 8], v4, ech, &[0, 6, 0, 16], &v6].concat());
        assert!(expected.contains(&data), "{data:?}");
    }
    // Virginia has no IPv6 address, so its clients get Frankfurt's for AAAA, and as a hint.
    let data = octets(&server, "www.example.test", HTTPS, NEAR_IAD);
    assert_eq!(
        data,
        [
            head,
            &[0, 4, 0, 4, 198, 51, 100, 1],
            ech,
            &[0, 6, 0, 16],
            &v6
        ]
        .concat()
    );
    assert_eq!(
        answer(&server, "www.example.test", AAAA, NEAR_IAD),
        ["2001:db8::1"]
    );
}

#[test]
fn section_2_4_2_an_alias_has_no_hints_and_holds_for_everybody() {
    let server = server();
    let data = octets(&server, "www.example.test", SVCB, NEAR_FRA);
    assert_eq!(data, b"\0\0\x05plain\x07example\x04test\0");
}

#[test]
fn the_scope_is_that_of_the_hints() {
    let server = server();
    let scope = |rtype: u16| {
        server
            .ask("www.example.test", rtype)
            .from_subnet(NEAR_FRA)
            .send()
            .scope()
    };
    assert_eq!(scope(HTTPS), scope(A).max(scope(AAAA)));
    assert_eq!(scope(SVCB), Some(0));
}

#[test]
fn types_that_are_not_the_services_come_from_the_zone() {
    let server = server();
    assert_eq!(
        octets(&server, "plain.example.test", HTTPS, NEAR_FRA),
        b"\0\x01\0\0\x01\0\x03\x02h2"
    );
    assert_eq!(answer(&server, "example.test", A, NEAR_FRA), ["192.0.2.80"]);
    assert!(answer(&server, "_sip._tcp.example.test", HTTPS, NEAR_FRA).is_empty());
}

#[test]
fn mail_and_service_hosts_are_those_of_the_nearest_region() {
    let server = server();
    for (subnet, mail, sip) in [
        (
            NEAR_FRA,
            "10 mx-fra.example.test.",
            b"\0\x0a\0\x05\x13\xc4\x07sip-fra\x07example\x03net\0",
        ),
        (
            NEAR_IAD,
            "20 mx-iad.example.net.",
            b"\0\x0a\0\x05\x13\xc5\x07sip-iad\x07example\x03net\0",
        ),
    ] {
        assert_eq!(answer(&server, "example.test", MX, subnet), [mail]);
        assert_eq!(octets(&server, "_sip._tcp.example.test", SRV, subnet), sip);
    }
}

#[test]
fn section_4_1_a_static_record_brings_what_its_target_has() {
    let zone = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n NS ns\nns A 192.0.2.53\n\
        pool A 192.0.2.1\n AAAA 2001:db8::1\n HTTPS 1 . port=8443\n SVCB 1 .\n\
        alias HTTPS 0 pool\nservice HTTPS 1 pool alpn=h2\nself HTTPS 1 .\n A 192.0.2.7\nsteered HTTPS 1 www\n\
        binding SVCB 0 pool\nmail MX 1 pool\n";
    let config = "[regions.fra]\n[[services]]\nname = \"www.example.test\"\norder = \"none\"\n\
        [services.endpoints]\nfra = \"192.0.2.10\"\n";
    let server = Setup::new()
        .zone("example.test", zone)
        .config(config)
        .start();
    let addresses = [
        "pool.example.test. 60 A 192.0.2.1",
        "pool.example.test. 60 AAAA 2001:db8::1",
    ];
    let [https, svcb] = [
        "pool.example.test. 60 TYPE65 0001000003000220fb",
        "pool.example.test. 60 TYPE64 000100",
    ];
    let additional = |name: &str, rtype: u16, expected: &[&str]| {
        server.ask(name, rtype).send().expect_additional(expected);
    };
    additional(
        "alias.example.test",
        HTTPS,
        &[addresses[0], addresses[1], https],
    );
    additional(
        "service.example.test",
        HTTPS,
        &[addresses[0], addresses[1], https],
    );
    additional(
        "binding.example.test",
        SVCB,
        &[addresses[0], addresses[1], svcb],
    );
    additional("mail.example.test", MX, &addresses);
    additional(
        "self.example.test",
        HTTPS,
        &["self.example.test. 60 A 192.0.2.7"],
    );
    additional("steered.example.test", HTTPS, &[]);
}
