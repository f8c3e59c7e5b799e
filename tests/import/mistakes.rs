//! The messages of the import: what it could not convert, and why it refuses.

use std::fs;

use crate::{Gdnsd, LEFT_OUT, printed, run};

#[test]
fn differences_are_reported_with_their_place() {
    let gdnsd = Gdnsd::example();
    let told = printed(&gdnsd.import());
    for (place, sentence) in [
        (
            "config:8",
            "max_edns_response: replies over UDP have at most 1232 octets here",
        ),
        (
            "config:12",
            "down_thresh = 200: fall and rise are at most 100, so 100 is used",
        ),
        (
            "config:15",
            "service type \"file\" (extfile): let the script",
        ),
        ("plugins.d/geoip:24", "AP: MaxMind's old databases"),
        ("plugins.d/geoip:23", "EU: MaxMind's old databases"),
        (
            "plugins.d/geoip:47",
            "x: the weight is not a number up to 1000000; it is left out",
        ),
        (
            "plugins.d/geoip:47",
            "de: weighted!de has no endpoints; the region is left out",
        ),
        (
            "zones/odd.test:4",
            "ns.example.net A: it is outside of odd.test, so it is never queried here; it is left out",
        ),
        (
            "plugins.d/geoip:7",
            "\"Boxford\": fences cannot name cities",
        ),
        (
            "zones/example.com:17",
            "answers: a service returns the same number of addresses from each region",
        ),
        (
            "zones/example.com:23",
            "zeros.example.com null: the plugin null is for tests",
        ),
    ] {
        let line = format!("  {}: {sentence}", gdnsd.path(place).display());
        assert!(told.contains(&line), "{line}\n{told}");
    }
    assert!(
        told.contains("converted: 3 zones, 23 steered names\n"),
        "{told}"
    );
    let config = gdnsd.path("out/meridian.toml").display().to_string();
    let checked = printed(&run(&["check", "--config", &config]));
    assert!(
        checked.contains(&format!("{config}: good: 3 zones, 23 services\n")),
        "{checked}"
    );
    let again = printed(&gdnsd.import());
    assert!(
        again.contains("is there already and is not overwritten"),
        "{again}"
    );
}

#[test]
fn health_checks_and_intervals_are_converted() {
    let gdnsd = Gdnsd::example();
    gdnsd.edit("config", |text| {
        text.replace(
            "pair => {",
            "pair => { service_types => [ web, tcp ], up_thresh => 1.0,",
        )
    });
    assert_eq!(gdnsd.import().status.code(), Some(LEFT_OUT));
    let text = fs::read_to_string(gdnsd.path("out/meridian.toml")).expect("written");
    for part in [
        "[checks.web]\ntype = \"http\"\nport = 1\npath = \"/health\"\nhost = \"www.example.com\"\n",
        "expect = { status = \"200\" }\ninterval = \"250s\"\nquick = \"250s\"\ntimeout = \"60s\"\nfall = 100\nrise = 20\n",
        "[checks.web-and-tcp]\nall = [\"web\", \"tcp\"]\n",
        "check = \"web-and-tcp\"\nmin_endpoints = 2\n",
        "arguments = [\"-c\", \"\\\"$0\\\" \\\"$@\\\" || exit 2\", \"/bin/true\", \"{address}\"]\n",
        "name = \"pair.example.com\"\nttl = { max = 300, min = 30 }\n",
        "tcp_idle = \"15s\"\n",
        "nsid = \"ns1\"\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place_and_nothing_is_written() {
    for (file, from, to, sentence) in [
        (
            "config",
            "simplefo =>",
            "simplefo",
            "config:26:12: expected = or => after the key \"simplefo\"",
        ),
        (
            "geoip/nets",
            "203.0.113.0/24 => de",
            "203.0.113.0/24 => de 203.0.113.0/24 => us",
            "occurs twice; remove one",
        ),
        (
            "zones/example.com",
            "../parts/text",
            "../parts/none",
            "parts/none cannot be read: ",
        ),
    ] {
        let gdnsd = Gdnsd::example();
        gdnsd.edit(file, |text| text.replace(from, to));
        let output = gdnsd.import();
        assert_eq!(output.status.code(), Some(1));
        assert!(printed(&output).contains(sentence), "{}", printed(&output));
        assert!(!gdnsd.path("out").exists(), "{file}");
    }
}

#[test]
fn resources_that_lead_to_themselves_come_to_an_end() {
    let gdnsd = Gdnsd::example();
    gdnsd.edit("config", |text| {
        text.replace("first => %multifo!pair", "first => %metafo!ordered")
    });
    let told = printed(&gdnsd.import());
    assert!(
        told.contains("first: metafo!ordered refers to itself; the region is left out"),
        "{told}"
    );
}
