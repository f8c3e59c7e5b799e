//! Zones with compact denial (RFC 9824): delv and unbound validate every kind of answer, nothing can be read from the
//! zone by walking, and signing stays within its rate.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};

use crate::answers::{expect_all_secure, expect_any_secure};
use crate::elsewhere::Signer;
use crate::harness::{Question, Server, Transport};
use crate::programs::{Unbound, printed, write_anchors};
use crate::world;

const A: u16 = 1;
const NXNAME: u16 = 128;
const DO: u16 = 0x8000;
const CO: u16 = 0x4000;

fn start(more: &str) -> Server {
    world::setup_with(more, world::SERVICES)
        .config(&world::policy("compact"))
        .start()
}

/// The reply to a query with these EDNS flags, and its own.
fn ask(
    server: &Server,
    name: &str,
    rtype: u16,
    flags: u16,
    transport: Transport,
) -> (Message, u16) {
    let mut question = Question::new(name, rtype);
    question.opt().flags = flags;
    let reply = server
        .exchange(&question.octets(), transport)
        .expect("a reply");
    let message = Message::from_vec(&reply).expect("hickory reads it");
    let opt = reply
        .windows(5)
        .position(|octets| octets == [0, 0, 41, 4, 0xd0])
        .expect("OPT");
    let flags = u16::from_be_bytes([reply[opt + 7], reply[opt + 8]]);
    (message, flags)
}

fn dig(server: &Server, arguments: &[&str]) -> String {
    let all = [&["+dnssec", "+norecurse", "+ignore"], arguments].concat();
    crate::programs::dig(server, &all)
}

#[test]
fn every_kind_of_answer_of_a_zone_with_compact_denial_is_secure() {
    let server = start("");
    write_anchors(&server);
    expect_all_secure(&server);
    expect_any_secure(&server);
    let unbound = Unbound::start(&server, "example.test");
    for question in crate::answers::STATIC.iter().chain(crate::answers::STEERED) {
        let (name, rtype) = question.split_once(' ').expect("two words");
        // These lead out of what this resolver can find.
        if !name.starts_with("outside.") && !name.starts_with("named.") {
            unbound.ask(name, rtype);
        }
    }
}

#[test]
fn rfc9824_section_3_records_tell_of_no_other_name() {
    let server = start("");
    for (name, rtype, record) in [
        (
            "missing.example.test",
            "A",
            "missing.example.test. 30 IN NSEC \\000.missing.example.test. RRSIG NSEC TYPE128",
        ),
        (
            "a.b.MISSING.example.test",
            "A",
            "\\000.a.b.missing.example.test. RRSIG NSEC TYPE128",
        ),
        (
            "host.example.test",
            "MX",
            "\\000.host.example.test. A AAAA RRSIG NSEC",
        ),
        (
            "names.example.test",
            "A",
            "\\000.names.example.test. RRSIG NSEC",
        ),
        (
            "insecure.example.test",
            "DS",
            "insecure\\000.example.test. NS RRSIG NSEC",
        ),
        (
            "x.insecure.example.test",
            "A",
            "insecure\\000.example.test. NS RRSIG NSEC",
        ),
        (
            "below.example.test",
            "DS",
            "below\\000.example.test. NS RRSIG NSEC",
        ),
        (
            "x.wild.example.test",
            "A",
            "x\\000.wild.example.test. RRSIG NSEC",
        ),
        (
            "y.x.wild.example.test",
            "AAAA",
            "x\\000.wild.example.test. RRSIG NSEC",
        ),
        (
            "y.x.wild.example.test",
            "AAAA",
            "\\000.*.wild.example.test. A TXT RRSIG NSEC",
        ),
    ] {
        let said = dig(&server, &[name, rtype]);
        let plain = said.replace(['\t', ' '], " ");
        let plain = plain
            .split(' ')
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        assert!(plain.contains("status: NOERROR"), "{said}");
        assert!(plain.contains(record), "{record}:\n{said}");
    }
}

#[test]
fn rfc9824_section_5_the_response_code_is_restored_for_who_understands_it() {
    let server = start("");
    for transport in [Transport::Udp, Transport::Tcp] {
        let name = "missing.example.test";
        let cases = [
            (DO, ResponseCode::NoError, DO),
            (DO | CO, ResponseCode::NXDomain, DO | CO),
            (CO, ResponseCode::NXDomain, 0),
            (0, ResponseCode::NXDomain, 0),
        ];
        for (flags, rcode, expected) in cases {
            let (message, echoed) = ask(&server, name, A, flags, transport);
            assert_eq!(
                (message.response_code, echoed),
                (rcode, expected),
                "{flags:x}"
            );
        }
        // An alias to a missing name, an existing name without data, and a name with data.
        for name in [
            "none.example.test",
            "names.example.test",
            "host.example.test",
        ] {
            let (message, echoed) = ask(&server, name, A, DO | CO, transport);
            let is_missing = name.starts_with("none.");
            let expected = if is_missing {
                ResponseCode::NXDomain
            } else {
                ResponseCode::NoError
            };
            assert_eq!(
                (message.response_code, echoed),
                (expected, DO | CO),
                "{name}"
            );
        }
    }
}

#[test]
fn rfc9824_section_3_5_nobody_may_ask_for_nxname() {
    let server = start("");
    for (name, flags) in [("missing.example.test", DO), ("host.example.test", 0)] {
        let (message, _) = ask(&server, name, NXNAME, flags, Transport::Udp);
        assert_eq!(message.response_code, ResponseCode::FormErr);
    }
    let said = dig(&server, &["host.example.test", "TYPE128"]);
    assert!(said.contains("EDE: 30"), "{said}");
}

#[test]
fn a_flood_of_missing_names_is_signed_within_the_rate_and_sent_to_tcp_beyond() {
    let server = start("compact_rate = 5");
    let (first, _) = ask(&server, "known.example.test", A, DO, Transport::Udp);
    assert!(!first.truncation && !first.authorities.is_empty());
    let began = Instant::now();
    let (mut signed, mut asked) = (0, 0);
    let mut truncated = 0;
    while truncated < 20 {
        let (message, _) = ask(
            &server,
            &format!("n{asked}.example.test"),
            A,
            DO,
            Transport::Udp,
        );
        asked += 1;
        if message.truncation {
            assert!(message.authorities.is_empty(), "{message:?}");
            truncated += 1;
        } else {
            signed += 1;
        }
    }
    let may_be = 5.0 + 5.0 * began.elapsed().as_secs_f64() + 1.0;
    assert!(f64::from(signed) <= may_be, "{signed} of {asked}");
    // What is signed needs no further signature.
    let (known, _) = ask(&server, "known.example.test", 16, DO, Transport::Udp);
    assert_eq!(known.authorities.len(), first.authorities.len());
    // Nor does what is there, and what exists without data.
    for name in [
        "host.example.test",
        "names.example.test",
        "www.example.test",
    ] {
        let (message, _) = ask(&server, name, A, DO, Transport::Udp);
        assert!(!message.truncation, "{name}");
    }
    let mut was_refused = false;
    for number in 0..100 {
        let name = format!("t{number}.example.test");
        let (message, _) = ask(&server, &name, A, DO, Transport::Tcp);
        assert!(!message.truncation);
        was_refused |= message.response_code == ResponseCode::ServFail;
        if was_refused {
            break;
        }
    }
    assert!(was_refused, "a hundred at once are more than five a second");
    let said = dig(
        &server,
        &[
            "+tcp",
            "u1.example.test",
            "u2.example.test",
            "u3.example.test",
        ],
    );
    assert!(
        said.contains("EDE: 0 (Other): (too many denials to sign)"),
        "{said}"
    );
    let admin = server.admin.expect("it has one");
    let page = printed("curl", "curl", &["-s", &format!("http://{admin}/metrics")]);
    for result in ["signed", "refused"] {
        let start = format!("meridian_compact_denials_total{{result=\"{result}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        let count: u64 = line
            .and_then(|it| it.parse().ok())
            .unwrap_or_else(|| panic!("{page}"));
        assert!(count >= 1, "{page}");
    }
    // Calm returns.
    let deadline = Instant::now() + Duration::from_secs(30);
    while ask(&server, "calm.example.test", A, DO, Transport::Udp)
        .0
        .truncation
    {
        assert!(Instant::now() < deadline, "nothing is signed any more");
    }
}

/// What a command says of a configuration.
fn said_by(arguments: &[&str], config: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()
        .expect("it is built");
    assert!(!output.status.success());
    let mistakes = String::from_utf8_lossy(&output.stderr).into_owned();
    String::from_utf8_lossy(&output.stdout).into_owned() + &mistakes
}

#[test]
fn a_server_without_keys_cannot_have_compact_denial() {
    let signer = Signer::of(world::setup_denying("compact", ""));
    let said = said_by(&["sign", "--output", "bundle"], signer.config());
    assert!(
        said.contains("signed when somebody asks, so a bundle cannot have them"),
        "{said}"
    );
    let elsewhere = world::setup_elsewhere("", b"").config(&world::policy("compact"));
    let (config, _folder) = elsewhere.written();
    let said = said_by(&["check"], &config);
    assert!(said.contains("so it needs the keys here"), "{said}");
}
