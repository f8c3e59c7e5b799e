//! The example for BIRD and the unit in `packaging/anycast` are good.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::netns::find;

fn packaged(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/anycast")
        .join(name)
}

#[test]
fn bird_reads_the_example_and_it_starts_without_routes() {
    let path = packaged("bird.conf");
    let output = Command::new(find("bird"))
        .args(["-p", "-c"])
        .arg(&path)
        .output();
    let output = output.expect("bird runs");
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(path).expect("the example is there");
    let protocols = text.matches("protocol static ").count();
    let disabled = text.lines().filter(|line| line.trim() == "disabled;");
    assert_eq!(disabled.count(), protocols);
}

#[test]
fn the_unit_is_good_and_withdraws_however_the_announcer_ended() {
    let unit = std::fs::read_to_string(packaged("meridian-announce.service")).expect("it is there");
    assert!(unit.contains("\nExecStart=/usr/bin/meridian announce --config "));
    assert!(unit.contains("\nExecStopPost=/usr/bin/meridian announce --withdraw --config "));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("meridian-announce.service");
    let unit = unit.replace("/usr/bin/meridian", env!("CARGO_BIN_EXE_meridian"));
    std::fs::write(&path, unit).expect("the folder can be written");
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&path)
        .output()
        .expect("systemd-analyze is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("meridian-announce.service"), "{said}");
}
