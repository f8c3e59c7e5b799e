//! What the field's own inspectors say of a zone that Meridian serves: Zonemaster nothing above NOTICE, DNSViz nothing.
//!
//! The Internet that they need, a root, `net`, the reverse zones and the register of AS numbers, is three Meridians in a
//! network namespace of the test's own; nothing leaves it. Root is needed to make one. The addresses look like those of
//! the Internet, because Zonemaster rightly refuses name servers in space that is for documentation. All of its test
//! cases run; of a zone that is not signed, its two notices say that. The second Internet is signed from the root down.

#[path = "../harness/mod.rs"]
mod harness;

mod lab;

use lab::Lab;

#[test]
fn zonemaster_has_nothing_to_say_above_notice() {
    let said = inspected_by_zonemaster(&Lab::start(), CASES);
    assert!(
        said.contains(" NOTICE "),
        "it is known to say that the zone is not signed:\n{said}"
    );
}

#[test]
fn zonemaster_has_nothing_to_say_of_a_signed_zone() {
    let said = inspected_by_zonemaster(&Lab::start_signed(), SIGNED_CASES);
    assert!(!said.contains(" NOTICE "), "{said}");
    for seen in ["DS10_HAS_NSEC", "DS15_HAS_CDS_AND_CDNSKEY"] {
        assert!(said.contains(seen), "{seen}: {said}");
    }
}

/// What Zonemaster says, which is nothing above NOTICE, in this many test cases.
#[track_caller]
fn inspected_by_zonemaster(lab: &Lab, least: usize) -> String {
    let hints = lab.file("hints", lab::HINTS);
    let words = [
        "--level",
        "DEBUG",
        "--raw",
        "--show-testcase",
        "--hints",
        &hints,
        lab::ZONE,
    ];
    let said = lab.run("zonemaster-cli", &words);
    // `0.37 NOTICE DNSSEC07 NEITHER_DNSKEY_NOR_DS child=...`
    let messages = || {
        said.lines()
            .filter_map(|line| Some((line, line.split_whitespace().nth(1)?)))
    };
    let above = messages().filter(|(_, level)| ["WARNING", "ERROR", "CRITICAL"].contains(level));
    let above: Vec<&str> = above.map(|(line, _)| line).collect();
    let cases = said.matches(" TEST_CASE_END ").count();
    assert!(above.is_empty(), "{}\nin\n{said}", above.join("\n"));
    assert!(
        cases >= least,
        "{cases} test cases were run to their end:\n{said}"
    );
    said
}

/// Those of Zonemaster-Engine 4.6.2 that apply to a zone without DNSSEC; later ones have more.
const CASES: usize = 55;
/// Those that apply to a signed zone.
const SIGNED_CASES: usize = 60;

#[test]
fn dnsviz_has_nothing_to_say() {
    let lab = Lab::start();
    let probed = lab.path("probe.json");
    let servers = format!("{}+:{}", lab::ZONE, lab::SERVERS);
    let delegation = format!("{}:{}", lab::ZONE, lab::SERVERS);
    lab.run(
        "dnsviz",
        &[
            "probe",
            "-A",
            "-x",
            &servers,
            "-N",
            &delegation,
            "-o",
            &probed,
            lab::ZONE,
        ],
    );
    let said = lab.run("dnsviz", &["grok", "-l", "warning", "-r", &probed]);
    assert!(
        !said.contains("\"errors\"") && !said.contains("\"warnings\""),
        "{said}"
    );
    let whole = lab.run("dnsviz", &["grok", "-l", "info", "-r", &probed]);
    for server in [
        "185.49.140.60",
        "2a04:b900::8:0:0:60",
        "194.0.28.53",
        "2001:678:2c:0:194:0:28:53",
    ] {
        assert!(whole.contains(server), "{server} was asked: {whole}");
    }
}

/// Starts DNSViz where it needs pygraphviz, as it does for trust anchors: Debian's DNSViz 0.9.4 looks for the
/// version of pygraphviz where 1.7 does not have it any more.
const GROK: &str = "
import sys, types, pygraphviz
pygraphviz.release = types.SimpleNamespace(version=pygraphviz.__version__)
from dnsviz.commands import grok
grok.main(sys.argv[1:])
";

#[test]
fn dnsviz_has_nothing_to_say_of_a_signed_zone() {
    let lab = Lab::start_signed();
    let probed = lab.path("probe.json");
    let servers = format!("{}+:{}", lab::ZONE, lab::SERVERS);
    let delegation = format!("{}:{}", lab::ZONE, lab::SERVERS);
    let ds = lab.file("ds", &lab.ds_of_ours());
    let registered = format!("{}:{ds}", lab::ZONE);
    let arguments = [
        "probe",
        "-A",
        "-x",
        &servers,
        "-N",
        &delegation,
        "-D",
        &registered,
        "-o",
        &probed,
        lab::ZONE,
    ];
    lab.run("dnsviz", &arguments);
    let query = ["@185.49.140.60", lab::ZONE, "DNSKEY", "+noall", "+answer"];
    let keys = lab.run("dig", &query);
    let anchor = lab.file("anchor", &keys);
    let grok = |level| {
        let from = ["-t", &anchor, "-r", &probed];
        let start = ["-c", GROK, "grok", "-l", level];
        lab.run("/usr/bin/python3", &[&start, &from[..]].concat())
    };
    let said = grok("warning");
    assert!(
        !said.contains("\"errors\"") && !said.contains("\"warnings\""),
        "{said}"
    );
    let whole = grok("info");
    assert!(whole.contains("\"SECURE\""), "{whole}");
    let valid = whole.matches("\"VALID\"").count();
    assert!(valid > 5, "{whole}");
    for bad in ["BOGUS", "INSECURE", "INVALID", "EXPIRED"] {
        assert!(!whole.contains(&format!("\"{bad}\"")), "{bad}: {whole}");
    }
}
