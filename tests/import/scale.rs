//! A configuration as large installations have it: 850 names over six maps of the world. What they share is written and
//! kept once.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::query::subnet_option;
use crate::harness::server::start;
use crate::harness::{Question, free_port, types};
use crate::{exchange, printed, run};

const NAMES: usize = 850;
const MAPS: usize = 6;
const DATACENTERS: [&str; 6] = ["eqiad", "codfw", "esams", "ulsfo", "eqsin", "drmrs"];
/// Countries by continent, as a map of gdnsd has them.
const COUNTRIES: [(&str, &str); 6] = [
    (
        "AF",
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RW",
    ),
    (
        "AS",
        "AE AF AM AZ BD BH BN BT CN GE HK ID IL IN IQ IR JO JP KG KH KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK QA SA",
    ),
    (
        "EU",
        "AD AL AT BA BE BG BY CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IS IT LI LT LU LV MC MD ME MK MT NL NO PL PT RO",
    ),
    (
        "NA",
        "AG AI AW BB BM BS BZ CA CR CU DM DO GD GL GT HN HT JM KN KY LC MX NI PA PR SV TC TT US VC VG VI",
    ),
    (
        "OC",
        "AU CK FJ FM GU KI MH MP NC NR NU NZ PF PG PW SB TO TV VU WS",
    ),
    ("SA", "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"),
];

/// The datacenters in an order of their own.
fn order(number: usize) -> String {
    let mut left = DATACENTERS.to_vec();
    let mut rest = number.wrapping_mul(0x9e37_79b9) >> 7;
    let mut listed = Vec::new();
    while !left.is_empty() {
        listed.push(left.remove(rest % left.len()));
        rest /= 7;
    }
    listed.join(", ")
}

fn generate(folder: &Path) {
    let mut config = String::from(
        "options => { listen => 127.0.0.1:1053 }\nplugins => { geoip => {\n  maps => {\n",
    );
    for map in 0..MAPS {
        let _ = writeln!(
            config,
            "    map-{map} => {{ datacenters => [ {} ]\n      map => {{",
            DATACENTERS.join(", ")
        );
        for (at, (continent, countries)) in COUNTRIES.iter().enumerate() {
            let _ = writeln!(
                config,
                "        {continent} => {{ default => [ {} ]",
                order(map * 97 + at)
            );
            for (number, country) in countries.split(' ').enumerate() {
                let _ = writeln!(
                    config,
                    "          {country} => [ {} ]",
                    order(map * 1009 + at * 61 + number)
                );
            }
            config.push_str("        }\n");
        }
        config.push_str("      }\n      nets => {\n");
        for network in 0..100 {
            let _ = writeln!(
                config,
                "        10.{map}.{network}.0/24 => [ {} ]",
                order(map * 13 + network)
            );
        }
        config.push_str("      }\n    }\n");
    }
    config.push_str("  }\n  resources => {\n");
    let mut zone = String::from("@ SOA ns1 h 1 7200 1800 259200 900\n@ NS ns1\nns1 A 192.0.2.53\n");
    for name in 0..NAMES {
        let _ = writeln!(
            config,
            "    r{name} => {{ map => map-{}, dcmap => {{",
            name % MAPS
        );
        for (at, datacenter) in DATACENTERS.iter().enumerate() {
            let _ = writeln!(
                config,
                "      {datacenter} => 10.{}.{}.{at}",
                100 + name / 250,
                name % 250
            );
        }
        config.push_str("    } }\n");
        let _ = writeln!(zone, "n{name} 300 DYNA geoip!r{name}");
    }
    config.push_str("  }\n} }\n");
    for (path, text) in [("config", config), ("zones/example.com", zone)] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("inside")).expect("made");
        fs::write(path, text).expect("written");
    }
    fs::create_dir_all(folder.join("geoip")).expect("made");
}

/// The most that a process has had in memory, in KiB.
fn peak(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("Linux tells it");
    line.split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

#[test]
fn names_that_share_a_map_share_its_fences() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    generate(folder.path());
    let [from, to] = ["", "out"].map(|path| folder.path().join(path).display().to_string());
    let began = Instant::now();
    let output = run(&["import", "gdnsd", &from, "--to", &to]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let file = folder.path().join("out/meridian.toml");
    let text = fs::read_to_string(&file).expect("written");
    println!("imported in {:?}: {} octets", began.elapsed(), text.len());
    // Six maps give six policies, each with its fences; every name names one of them.
    assert_eq!(text.matches("\nfences = \"map-").count(), MAPS);
    assert_eq!(text.matches("\npolicy = \"").count(), NAMES);
    assert!(text.contains("[[fences.map-5]]") && !text.contains("[[services.fence]]"));
    assert!(text.len() < 1 << 20, "{} octets", text.len());
    let served = text
        .replace("\"127.0.0.1:1053\"", "\"127.0.0.1:0\"")
        .replace("[zones]", "[admin]\nlisten = \"127.0.0.1:0\"\n\n[zones]");
    fs::write(&file, served).expect("written");
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.args(["serve", "--config"]).arg(&file);
    let server = start(command, tempfile::tempdir().expect("a temporary folder"));
    let kib = peak(server.id());
    println!(
        "ready after {:?}: {} MB at most",
        began.elapsed(),
        kib / 1000
    );
    // Six sets of rules, a map of the world each. What every name had a copy of would be far more.
    assert!(kib < 400 << 10, "{kib} KiB");
    let question =
        Question::new("n849.example.com", types::A).option(8, &subnet_option("10.3.7.0/24"));
    let reply = exchange(server.address(), &question, Duration::from_secs(10)).expect("a reply");
    let first = order(849 % MAPS * 13 + 7);
    let first = DATACENTERS
        .iter()
        .position(|name| first.starts_with(name))
        .expect("one of them");
    assert_eq!(
        reply.answers[0].data,
        format!("10.{}.{}.{first}", 100 + 849 / 250, 849 % 250)
    );
}

/// The table of `benches/scale/run.sh`, for its smallest rows: every server that can have a World answers from it.
#[test]
fn the_bench_of_growth_starts_the_same_worlds_in_each_server() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("benches/scale/run.sh"))
        .arg(root.join("tests/data/mmdb/GeoIP2-City-Test.mmdb"))
        .args(["60", "10"])
        .env("MERIDIAN", env!("CARGO_BIN_EXE_meridian"))
        .env("ONLY_TABLE", "1")
        .env("FIRST_PORT", free_port().to_string())
        .output()
        .expect("bash is installed");
    let table = printed(&output);
    println!("{table}");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let whats: Vec<(&str, &str)> = rows.iter().skip(1).map(|row| (row[1], row[2])).collect();
    let expected = [
        ("rule sets", "1"),
        ("rule sets", "10"),
        ("regions", "4"),
        ("services", "1"),
        ("endpoints", "10"),
    ];
    assert_eq!(whats, expected, "{table}");
    for row in &rows[1..] {
        assert!(
            row[3].ends_with(')') && row[4].ends_with(')'),
            "{row:?}: {table}"
        );
    }
}
