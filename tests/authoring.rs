//! What is done before anything is served: `init` and `plan`, as people type them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn meridian(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

/// What it prints, with the exit code that it must have.
#[track_caller]
fn ends(code: i32, folder: &Path, arguments: &[&str]) -> String {
    let output = meridian(folder, arguments);
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {printed}");
    printed
}

const INIT: [&str; 7] = [
    "init",
    "--domain",
    "example.com",
    "--region",
    "fra=FRA@192.0.2.1",
    "--region",
    "iad=38.95,-77.45@192.0.2.2",
];

#[test]
fn init_writes_what_check_finds_good_and_overwrites_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let more = ["--region", "fra=FRA@2001:db8::1"];
    let told = ends(0, folder.path(), &[&INIT[..], &more].concat());
    assert!(
        told.contains("next: meridian check --config ./meridian.toml"),
        "{told}"
    );
    assert!(told.contains("fra is at airport FRA, Germany"), "{told}");
    let good = ends(0, folder.path(), &["check"]);
    assert!(
        good.starts_with("meridian.toml: good: 1 zone, 1 service\n"),
        "{good}"
    );
    let text = fs::read_to_string(folder.path().join("meridian.toml")).expect("it is written");
    assert!(
        text.contains("fra = [\"192.0.2.1\", \"2001:db8::1\"]") && text.contains("[38.95, -77.45]"),
        "{text}"
    );
    assert!(text.contains("\ncheck = \"web\""), "checks are on: {text}");
    let mode = |name: &str| {
        fs::metadata(folder.path().join(name))
            .expect("it is made")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("token"), mode("state")), (0o600, 0o700));
    let token = fs::read_to_string(folder.path().join("token")).expect("it is written");
    assert!(
        token.trim().len() == 64 && token.trim().bytes().all(|octet| octet.is_ascii_hexdigit()),
        "{token}"
    );
    let why = ends(
        0,
        folder.path(),
        &["explain", "www.example.com", "--client", "193.0.0.1"],
    );
    assert!(why.contains("192.0.2.1"), "{why}");
    let refused = ends(1, folder.path(), &INIT);
    assert!(
        refused.contains("./meridian.toml is there already and is not overwritten"),
        "{refused}"
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("meridian.toml")).expect("it is there"),
        text
    );
    fs::remove_file(folder.path().join("meridian.toml")).expect("it was there");
    let refused = ends(1, folder.path(), &INIT);
    assert!(
        refused.contains("example.com.zone is there already"),
        "{refused}"
    );
    assert!(
        !folder.path().join("meridian.toml").exists(),
        "all or nothing"
    );
    fs::remove_file(folder.path().join("zones/example.com.zone")).expect("it was there");
    let refused = ends(1, folder.path(), &INIT);
    assert!(refused.contains("token is there already"), "{refused}");
}

#[test]
fn init_leaves_nothing_that_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refused = ends(
        1,
        folder.path(),
        &[
            "init",
            "--domain",
            "example.com",
            "--region",
            "fra=FRA@0.0.0.0",
        ],
    );
    assert!(refused.contains("0.0.0.0"), "{refused}");
    for name in ["meridian.toml", "token", "state"] {
        assert!(!folder.path().join(name).exists(), "{name}");
    }
    let two = [
        "init",
        "--domain",
        "example.com",
        "--region",
        "a=FRA@192.0.2.1",
        "--region",
        "a=IAD@192.0.2.2",
    ];
    assert!(ends(1, folder.path(), &two).contains("a cannot be at FRA and at IAD at once"));
}

#[test]
fn init_takes_cities() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let regions = ["fra=Frankfurt@192.0.2.1", "pdx=Portland, US@192.0.2.2"];
    let told = ends(
        0,
        folder.path(),
        &[
            "init",
            "--domain",
            "example.com",
            "--region",
            regions[0],
            "--region",
            regions[1],
        ],
    );
    assert!(
        told.contains("fra is at Frankfurt am Main, Germany\npdx is at Portland, United States"),
        "{told}"
    );
    let why = ends(
        0,
        folder.path(),
        &["explain", "www.example.com", "--client", "193.0.0.1"],
    );
    assert!(why.contains("192.0.2.1"), "{why}");
}

#[test]
fn init_points_at_the_part_of_a_region_that_is_wrong() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (region, sentence) in [
        (
            "fra",
            "there is no \"=\" after the name; expected NAME=PLACE@ADDRESS",
        ),
        ("fra=FRA", "there is no \"@\" before the address"),
        ("fra=@192.0.2.1", "the place is empty"),
        ("=FRA@192.0.2.1", "the name \"\" must be 1 to 63"),
        ("Fra=FRA@192.0.2.1", "(did you mean \"fra\"?)"),
        (
            "fra=FRA@192.0.2",
            "the address \"192.0.2\" is not an IPv4 or IPv6 address",
        ),
        (
            "fra=Germany@192.0.2.1",
            "the place \"Germany\": no location is called \"Germany\"; did you mean \"DE\"?",
        ),
        (
            "fra=91,8@192.0.2.1",
            "the place \"91,8\" is not on the earth",
        ),
        (
            "fra=50,x@192.0.2.1",
            "expected LATITUDE,LONGITUDE in degrees",
        ),
    ] {
        let refused = ends(
            2,
            folder.path(),
            &["init", "--domain", "example.com", "--region", region],
        );
        assert!(
            refused.contains(&format!("invalid value '{region}' for '--region")),
            "{refused}"
        );
        assert!(refused.contains(sentence), "{region}: {refused}");
        assert!(!folder.path().join("meridian.toml").exists(), "{region}");
    }
}

#[test]
fn plan_tells_names_records_keys_and_who_moves() {
    let [old, new] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    for folder in [&old, &new] {
        ends(0, folder.path(), &INIT);
    }
    let was = old.path().join("meridian.toml").display().to_string();
    let arguments = ["plan", "meridian.toml", "--config", &was];
    assert_eq!(
        ends(0, new.path(), &arguments),
        "a reload would change nothing\n"
    );

    let edit = |file: &str, from: &str, to: &str| {
        let path = new.path().join(file);
        let text = fs::read_to_string(&path).expect("it is there");
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).expect("writable");
    };
    edit("zones/example.com.zone", "127.0.0.1", "192.0.2.53");
    edit("meridian.toml", "ttl = 30", "ttl = 60");
    let same = "warning: zones/example.com.zone:";
    let warned = ends(2, new.path(), &arguments);
    assert!(
        warned.contains(same) && warned.contains("raise it with each change"),
        "{warned}"
    );
    let told = ends(2, new.path(), &arguments);
    assert!(
        told.contains("~ ns1.example.com A: 3600 127.0.0.1 -> 3600 192.0.2.53\n"),
        "{told}"
    );
    assert!(
        told.contains("~ services.www.example.com.ttl: 30 -> 60\n"),
        "{told}"
    );
    assert!(
        told.starts_with(
            "a reload would change 1 key of the configuration and 1 RRset; no client moves"
        ),
        "{told}"
    );

    edit(
        "meridian.toml",
        "location = \"FRA\"",
        "location = \"FRA\"\nbias = 50",
    );
    let told = ends(2, new.path(), &arguments);
    assert!(
        told.contains("+ regions.fra.bias: 50\n") && told.contains("www.example.com A: "),
        "{told}"
    );
    assert!(!told.contains("would refuse"), "there is no guard: {told}");
    let json: serde_json::Value = serde_json::from_str(&ends(
        2,
        new.path(),
        &[&arguments[..], &["--json"]].concat(),
    ))
    .expect("JSON");
    let moved = &json["services"][0];
    assert!(
        moved["moved_percent"]
            .as_f64()
            .is_some_and(|percent| percent > 1.0),
        "{json}"
    );
    let regions = moved["regions"].as_array().expect("regions");
    let sum: f64 = regions
        .iter()
        .filter_map(|region| region["after_percent"].as_f64())
        .sum();
    assert!((sum - 100.0).abs() < 0.01, "{json}");
    assert_eq!(
        (&json["refused"], json["records"][0]["type"].as_str()),
        (&serde_json::Value::Null, Some("A"))
    );

    edit("meridian.toml", "[zones]", "[zone]");
    assert!(
        ends(1, new.path(), &arguments).contains("meridian.toml cannot be used"),
        "a mistake is exit 1"
    );
}
