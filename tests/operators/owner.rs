//! The state directory: one server at a time, and nobody else's files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::Server;
use crate::world::{self, TOKEN, call, say, www};

const SERVICE: &str = "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

/// What a second server says that is started on the same configuration: all ports are free ones.
#[track_caller]
fn refusal_of_a_second(server: &Server) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(["serve", "--config"])
        .arg(server.config_file())
        .current_dir(server.folder());
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_second_server_says_who_has_the_state_directory_and_what_to_do() {
    let mut server = world::start(SERVICE);
    say(&server, &["drain", "fra", "--reason", "x"]);
    let told = refusal_of_a_second(&server);
    let owner = format!(
        "state: another server (process {}) uses this state directory; stop it",
        server.id()
    );
    assert!(
        told.contains(&owner) && told.contains("`meridian serve --take-over`"),
        "{told}"
    );
    assert!(server.is_alive());
    let mut check = Command::new(env!("CARGO_BIN_EXE_meridian"));
    check.args(["check", "--config"]).arg(server.config_file());
    assert!(
        check.output().expect("it runs").status.success(),
        "a check needs no state directory"
    );
    // Who is killed owns nothing.
    let server = server.kill_and_start_again();
    assert_eq!(www(&server), "192.0.2.2");
    // Who takes over owns it from the first moment on.
    let server = server.succeeded();
    let told = refusal_of_a_second(&server);
    assert!(
        told.contains(&format!("(process {})", server.id())),
        "{told}"
    );
    say(&server, &["undrain", "fra"]);
    assert_eq!(www(&server.kill_and_start_again()), "192.0.2.1");
}

#[test]
fn what_is_kept_is_for_its_owner_alone_and_nothing_else_is_written_to() {
    let setup = world::setup("state", SERVICE);
    let (state, victim) = (setup.folder().join("state"), setup.folder().join("victim"));
    let server = setup.start();
    assert_eq!(mode(&state), 0o700);
    fs::write(&victim, "untouched").expect("the folder is ours");
    symlink(&victim, state.join(format!(".orders.json.{}", server.id())))
        .expect("the folder is ours");
    say(&server, &["drain", "fra", "--reason", "x"]);
    assert_eq!(
        fs::read_to_string(&victim).expect("it is there"),
        "untouched"
    );
    assert_eq!(mode(&state.join("orders.json")), 0o600);
    // What a crash has left is taken away by the next start.
    let left = state.join(".orders.json.4194399");
    fs::write(&left, "{\"version\":1,\"it").expect("the folder is ours");
    let server = server.kill_and_start_again();
    assert!(!left.exists());
    assert_eq!(www(&server), "192.0.2.2");
}

#[test]
fn a_reload_that_names_the_state_directory_of_another_server_is_refused() {
    let (one, other) = (world::start(SERVICE), world::start(SERVICE));
    let theirs = one.folder().join("state");
    let text = fs::read_to_string(other.config_file()).expect("it is there");
    let named = text.replace(
        "directory = \"state\"",
        &format!("directory = \"{}\"", theirs.display()),
    );
    fs::write(other.config_file(), named).expect("it can be written");
    let (_, told) = call(&other, "POST", "/v1/reload", TOKEN, "{}");
    assert!(
        told.contains(&format!(
            "another server (process {}) uses this state directory",
            one.id()
        )),
        "{told}"
    );
    say(&other, &["drain", "fra", "--reason", "x"]);
    fs::write(other.config_file(), text).expect("it can be written");
    assert_eq!(
        www(&other.kill_and_start_again()),
        "192.0.2.2",
        "it was kept where it was before"
    );
}
