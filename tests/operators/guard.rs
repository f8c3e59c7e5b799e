//! The guard of reloads: a change that moves too many clients waits for somebody who means it.

use std::fs;

use crate::world::{TOKEN, call, fail, say, start, www};

#[test]
fn a_reload_that_moves_too_much_is_refused_until_it_is_meant() {
    let endpoints = "fra = \"192.0.2.1\"\niad = \"198.51.100.1\"\n";
    let service =
        format!("[[services]]\nname = \"www.example.test\"\n[services.endpoints]\n{endpoints}");
    let server = start(&format!("[guard]\nmax_move = \"30%\"\n{service}"));
    assert_eq!(www(&server), "192.0.2.1");
    let good = fs::read_to_string(server.config_file()).expect("it is there");
    // The region of Frankfurt goes, and with it more than 30 % of the address space.
    let fewer = good.replace("fra = \"192.0.2.1\"\n", "");
    assert_ne!(fewer, good);
    fs::write(server.config_file(), &fewer).expect("writable");
    let sentence = fail(&server, &["reload"]);
    let expected = "of the address space of www.example.test (A) would be sent elsewhere, and [guard] max_move allows 30%";
    assert!(
        sentence.contains(expected) && sentence.contains("--yes-move"),
        "{sentence}"
    );
    server.reload();
    server.await_log("max_move allows 30%", 2);
    assert_eq!(www(&server), "192.0.2.1", "what was served is served on");
    let (status, body) = call(&server, "POST", "/v1/reload", TOKEN, "{\"yes_move\": 1}");
    assert_eq!(status, 400, "{body}");

    let planned = |file: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"));
        command
            .current_dir(server.folder())
            .args(["plan", file, "--config", "old.toml"])
            .output()
            .expect("it runs")
    };
    fs::write(server.folder().join("old.toml"), &good).expect("writable");
    let plan = planned("meridian.toml");
    let printed = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert_eq!(
        plan.status.code(),
        Some(2),
        "{printed}{}",
        String::from_utf8_lossy(&plan.stderr)
    );
    assert!(
        printed.contains("- services.www.example.test.endpoints.fra: \"192.0.2.1\""),
        "{printed}"
    );
    assert!(
        printed.contains(expected) && printed.contains("the server would refuse it: "),
        "{printed}"
    );

    say(&server, &["reload", "--yes-move"]);
    assert_eq!(www(&server), "198.51.100.1");
    // Another address in the same region moves nobody.
    fs::write(
        server.config_file(),
        fewer.replace("198.51.100.1", "198.51.100.2"),
    )
    .expect("writable");
    say(&server, &["reload"]);
    assert_eq!(www(&server), "198.51.100.2");
    // A service that is gone has moved whole.
    fs::write(
        server.config_file(),
        fewer.split("[[services]]").next().expect("a part"),
    )
    .expect("writable");
    let (status, body) = call(&server, "POST", "/v1/reload", TOKEN, "");
    assert!(
        status == 422 && body.contains("100% of the address space of www.example.test"),
        "{body}"
    );
    let (status, body) = call(&server, "POST", "/v1/reload", TOKEN, "{\"yes_move\": true}");
    assert_eq!(status, 200, "{body}");
}

#[test]
fn a_reload_that_leaves_clients_without_a_live_region_is_refused_until_it_is_meant() {
    let region = crate::harness::Region::start("127.0.1.1", 0);
    region.set_broken(true);
    let check = format!(
        "[checks.web]\ntype = \"http\"\nport = {}\ninterval = \"200ms\"\n",
        region.port
    );
    let service = "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\niad = \"198.51.100.1\"\n\
                   fra = { address = \"127.0.1.1\", check = \"web\" }\n";
    let server = start(&format!("[guard]\nmin_covered = \"99%\"\n{check}{service}"));
    assert_eq!(www(&server), "198.51.100.1");
    let good = fs::read_to_string(server.config_file()).expect("it is there");
    // Nobody but the dead region is left to Europe.
    let fence = "[[services.fence]]\nclients = { continents = [\"EU\"] }\nregions = [\"fra\"]\n";
    fs::write(server.config_file(), format!("{good}{fence}")).expect("writable");
    let sentence = fail(&server, &["reload"]);
    let expected =
        "of the clients of www.example.test (A) would have a live region instead of 100%: ";
    assert!(
        sentence.contains(expected) && sentence.contains("[guard] min_covered wants 99%"),
        "{sentence}"
    );
    assert!(
        fail(&server, &["reload", "--yes-move"]).contains("min_covered"),
        "that is another question"
    );
    assert_eq!(www(&server), "198.51.100.1", "what was served is served on");
    say(&server, &["reload", "--yes"]);
    assert_eq!(
        www(&server),
        "127.0.1.1",
        "what is down is all that is left"
    );
    // What is no worse than it was is not refused.
    fs::write(
        server.config_file(),
        format!("{good}{fence}").replace("198.51.100.1", "198.51.100.2"),
    )
    .expect("writable");
    say(&server, &["reload"]);

    // An embargo is known without health.
    fs::write(server.folder().join("old.toml"), &good).expect("writable");
    let embargo = fence.replace("\"EU\"", "\"AF\"").replace("\"fra\"", "");
    fs::write(server.config_file(), format!("{good}{embargo}")).expect("writable");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"));
    let command = command.current_dir(server.folder()).args([
        "plan",
        "meridian.toml",
        "--config",
        "old.toml",
    ]);
    let printed = String::from_utf8_lossy(&command.output().expect("it runs").stdout).into_owned();
    assert!(
        printed.contains("www.example.test A: ") && printed.contains("have a region, before 100%"),
        "{printed}"
    );
    assert!(
        printed.contains("the server would refuse it: ")
            && printed.contains("min_covered wants 99%"),
        "{printed}"
    );
}
