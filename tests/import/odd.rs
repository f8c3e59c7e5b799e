//! What real configurations have and manuals hardly show: it is answered as gdnsd does, or the import says why not.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::harness::{Question, types};
use crate::{CLIENTS, Gdnsd, LEFT_OUT, answer, exchange, printed, run};

/// Names of `odd.test` whose answers depend on the client.
const STEERED: [&str; 4] = ["odd", "same", "six", "unchecked"];
/// Names of `odd.test` whose records are static, with their types.
const STATIC: [(&str, u16); 8] = [
    ("odd.test", types::SOA),
    ("odd.test", types::NS),
    ("short.odd.test", types::A),
    ("long.odd.test", types::A),
    ("inherited.odd.test", types::A),
    ("_acme-challenge.odd.test", types::TXT),
    ("text.odd.test", types::TXT),
    ("quoted.odd.test", types::A),
];

/// The answer section with TTLs.
fn with_ttls(server: SocketAddr, name: &str, rtype: u16) -> Vec<String> {
    let reply =
        exchange(server, &Question::new(name, rtype), Duration::from_secs(10)).expect("a reply");
    let mut records: Vec<String> = reply
        .answers
        .iter()
        .map(|it| format!("{} {} {}", it.owner, it.ttl, it.data))
        .collect();
    records.sort();
    records
}

#[test]
fn embargoes_networks_around_ipv4_and_bounds_of_ttls_are_converted() {
    let gdnsd = Gdnsd::example();
    let _process = gdnsd.start();
    let told = gdnsd.import();
    assert_eq!(told.status.code(), Some(LEFT_OUT), "{}", printed(&told));
    let server = gdnsd.serve();
    let both = [gdnsd.address(), server.address()];
    for name in STEERED.map(|label| format!("{label}.odd.test")) {
        for client in CLIENTS {
            let [theirs, ours] = both.map(|server| answer(server, &name, types::A, client));
            assert_eq!(ours, theirs, "{name} for {client}: ours, theirs");
        }
    }
    let nobody = answer(
        server.address(),
        "odd.odd.test",
        types::A,
        "89.160.20.112/28",
    );
    assert!(
        nobody.0 == 0 && nobody.1.is_empty(),
        "Sweden is mapped to no datacenter: {nobody:?}"
    );
    for (name, rtype) in STATIC {
        let [theirs, ours] = both.map(|server| with_ttls(server, name, rtype));
        assert_eq!(ours, theirs, "{name} {rtype}: ours, theirs");
    }
    // The datacenter that cannot be converted costs its region, not the name.
    let lost = answer(
        server.address(),
        "lost.odd.test",
        types::A,
        "81.2.69.160/28",
    );
    assert_eq!(
        lost.1.into_iter().collect::<Vec<_>>(),
        ["lost.odd.test. 1 192.0.2.94"]
    );
}

/// A configuration of gdnsd: `config`, and the zone `example.com` behind its SOA and NS records.
fn written(folder: &Path, config: &str, zone_file: &str, zone: &str) {
    fs::create_dir_all(folder.join("zones")).expect("made");
    fs::create_dir_all(folder.join("geoip")).expect("made");
    fs::write(
        folder.join("config"),
        format!("options => {{ listen => 127.0.0.1:1053 }}\n{config}"),
    )
    .expect("written");
    let head = "@ SOA ns1 h 1 7200 1800 259200 900\n@ NS ns1\nns1 A 192.0.2.53\n";
    fs::write(
        folder.join("zones").join(zone_file),
        format!("{head}{zone}"),
    )
    .expect("written");
}

/// What is imported passes `check`, whatever it was made from; the exit code says whether anything is left out, and the
/// notes say what, with its place.
#[test]
fn what_was_written_always_passes_check() {
    let types = "service_types => { web => { plugin => http_status, ok_codes => [ 200, 999 ], port => 8080 } }";
    let multifo = |keys: &str| format!("plugins => {{ multifo => {{ a => {{ {keys} }} }} }}");
    let map = |map: &str, dcmap: &str| {
        format!(
            "plugins => {{ geoip => {{ maps => {{ m => {{ datacenters => [ us, de ], {map} }} }}, resources => {{ a => {{ map => m, \
             dcmap => {{ {dcmap} }} }} }} }} }}"
        )
    };
    let plain = "us => 192.0.2.1, de => 192.0.2.2";
    let a = "a DYNA multifo!a\n";
    for (config, zone_file, zone, code, told) in [
        (
            multifo("x => 192.0.2.1"),
            "example.com",
            a,
            0,
            "everything was converted",
        ),
        (
            multifo("x => 192.0.2.1"),
            "ROOT_ZONE",
            a,
            0,
            "zones/ROOT_ZONE.zone",
        ),
        (
            format!(
                "{types}\n{}",
                multifo("service_types => [ web, web ], x => 192.0.2.1")
            ),
            "example.com",
            a,
            3,
            "ok_codes 999: not a status of HTTP",
        ),
        (
            multifo("x => 192.0.2.1, y => 192.0.2.1"),
            "example.com",
            a,
            0,
            "everything was converted",
        ),
        (
            multifo("x => 192.0.2.1, y => 0.0.0.0"),
            "example.com",
            a,
            3,
            "0.0.0.0 is not an address that clients can connect to",
        ),
        (
            map("", "us => 192.0.2.1, de => 192.0.2.1"),
            "example.com",
            "a DYNA geoip!a\n",
            0,
            "converted",
        ),
        (
            map(
                "",
                "us => [ 192.0.2.1, 192.0.2.3 ], de => [ 192.0.2.1, 192.0.2.2 ]",
            ),
            "example.com",
            "a DYNA geoip!a\n",
            3,
            "zones/example.com:4: a.example.com geoip!a: de shares addresses with us; they are only in us here",
        ),
        (
            map("map => { EU => { UK => [ de ], XX => [ de ] } }", plain),
            "example.com",
            "a DYNA geoip!a\n",
            3,
            "\"UK\" is not a country",
        ),
        (
            map("map => { AS => { AP => [ de ] } }", plain),
            "example.com",
            "a DYNA geoip!a\n",
            0,
            "config:2: AP: MaxMind's old",
        ),
        // What only the check of the result can know: here below a delegation, beside another record, of a type unknown.
        (
            multifo("x => 192.0.2.1"),
            "example.com",
            "sub NS ns.sub\nns.sub A 192.0.2.9\na.sub DYNA multifo!a\n",
            3,
            ":6: a.sub.example.com: ",
        ),
        (
            multifo("x => 192.0.2.1"),
            "example.com",
            "a CNAME ns1\na DYNA multifo!a\n",
            3,
            ":5: a.example.com: ",
        ),
        (
            multifo("x => 192.0.2.1"),
            "example.com",
            "b NOSUCHTYPE 1 2 3\n TXT kept\na DYNA multifo!a\n",
            3,
            ":4: b.example.com NOSUCHTYPE: ",
        ),
        (
            multifo("x => 192.0.2.1"),
            "example.com",
            "other.test. A 192.0.2.1\na DYNA multifo!a\n",
            3,
            ":4: other.test A: it is outside",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        written(folder.path(), &config, zone_file, zone);
        let [from, to] = ["", "out"].map(|path| folder.path().join(path).display().to_string());
        let output = run(&["import", "gdnsd", &from, "--to", &to]);
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(code), "{config}\n{zone}\n{text}");
        assert!(text.contains(told), "{config}\n{zone}\n{told}\n{text}");
        let checked = run(&[
            "check",
            "--config",
            &folder
                .path()
                .join("out/meridian.toml")
                .display()
                .to_string(),
        ]);
        assert!(
            checked.status.success(),
            "{config}\n{zone}\n{}",
            printed(&checked)
        );
    }
}
