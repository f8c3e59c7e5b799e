//! How a parent learns of a zone's keys: signalling names of RFC 9615, and NOTIFY(CDS) of RFC 9859.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Server, Setup};
use crate::programs::{dig, expect_secure, write_anchors};

const CHILD: &str = "$TTL 60
@ SOA ns hostmaster 1 7200 1800 259200 60
@ NS ns1.hosts.test.
@ NS ns2.hosts.test.
@ NS ns
ns A 127.0.0.1
";

const HOSTS: &str = "$TTL 60
@ SOA ns1 hostmaster 1 7200 1800 259200 60
@ NS ns1
ns1 A 127.0.0.1
ns2 A 127.0.0.1
";

/// What dig prints of the data of an answer.
fn data(server: &Server, name: &str, rtype: &str) -> String {
    dig(server, &["+short", name, rtype])
}

#[test]
fn rfc9615_section_4_1_1_nameservers_outside_a_zone_vouch_for_its_keys() {
    let config = "[zones.dnssec]\nsign = \"*\"\ngenerate = true\nbootstrap = true\n";
    let server = Setup::new()
        .zone("example.test", CHILD)
        .zone("hosts.test", HOSTS)
        .config(config)
        .start();
    write_anchors(&server);
    for host in ["ns1", "ns2"] {
        let name = format!("_dsboot.example.test._signal.{host}.hosts.test");
        for rtype in ["CDS", "CDNSKEY"] {
            let own = data(&server, "example.test", rtype);
            assert!(!own.is_empty());
            assert_eq!(data(&server, &name, rtype), own);
            expect_secure(&server, "hosts.test", &name, rtype);
        }
    }
    // A server within the zone vouches for nothing, nor does one for its own zone.
    for name in [
        "_dsboot.example.test._signal.ns.example.test",
        "_dsboot.hosts.test._signal.ns1.hosts.test",
    ] {
        assert_eq!(data(&server, name, "CDS"), "");
    }
}

/// The scanner of a parent: receives one NOTIFY message, and acknowledges it.
fn notified(scanner: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 512];
    let (size, from) = scanner.recv_from(&mut buffer).expect("a message comes");
    let message = buffer[..size].to_vec();
    buffer[2] |= 0x80;
    scanner.send_to(&buffer[..size], from).expect("it is sent");
    message
}

#[test]
fn rfc9859_section_4_a_parent_that_wants_it_is_notified_once_of_each_change() {
    let scanner = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let patience = Some(Duration::from_secs(60));
    scanner.set_read_timeout(patience).expect("it can be set");
    let port = scanner.local_addr().expect("it has one").port();
    let zone = format!(
        "$TTL 60\n@ SOA ns hostmaster 1 7200 1800 259200 60\n@ NS ns\nns A 127.0.0.1\n\
         example NS ns.example\nns.example A 127.0.0.1\n\
         *._dsync DSYNC CDS NOTIFY {port} scanner\nscanner A 127.0.0.1\n"
    );
    let parent = Setup::new().zone("test", &zone).start();
    let config = format!(
        "[zones.dnssec]\nsign = \"*\"\ngenerate = true\nnotify_parent = true\n\
         [state]\ndirectory = \"state\"\n[resolver]\nservers = [\"127.0.0.1:{}\"]\n",
        parent.address().port()
    );
    let child = Setup::new()
        .zone("example.test", CHILD)
        .config(&config)
        .start();
    let message = notified(&scanner);
    assert_eq!(&message[2..12], [0x24, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&message[12..], b"\x07example\x04test\0\0\x3b\0\x01");
    child.await_log("the parent was notified of new CDS records", 1);
    // A restart tells nobody what was told; a change is told.
    let folder = child.stopped();
    assert!(folder.path().join("state/notices.json").exists());
    let child = crate::time::start_again(folder, "+0");
    let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["keys", "ds", "example.test", "--delete", "--config"])
        .arg(child.config_file())
        .output()
        .expect("it is built");
    assert!(output.status.success(), "{output:?}");
    child.reload();
    notified(&scanner);
    child.await_log("the parent was notified of new CDS records", 1);
    assert_eq!(data(&child, "example.test", "CDS").trim(), "0 0 0 00");
    let kept = fs::read_to_string(child.folder().join("state/notices.json"));
    assert!(kept.expect("it is kept").contains("example.test"));
}
