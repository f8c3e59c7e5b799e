//! The real binary: what it prints, its JSON, its exit codes.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn meridian(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(arguments)
        .env_remove("MERIDIAN_TOKEN")
        .env_remove("MERIDIAN_LOG");
    command
}

fn run(arguments: &[&str]) -> Output {
    meridian(arguments).output().expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

/// A folder with a configuration and its zone.
fn folder(admin: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"{admin}\"\n\
         [[geo.networks]]\ncidr = \"5.0.0.0/16\"\nlocation = [52.52, 13.40]\ncountry = \"DE\"\n\
         [regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n\
         [[services]]\nname = \"www.example.com\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n"
    );
    std::fs::write(folder.path().join("meridian.toml"), configuration).expect("written");
    std::fs::create_dir(folder.path().join("zones")).expect("made");
    let zone = "$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n";
    std::fs::write(folder.path().join("zones/example.com.zone"), zone).expect("written");
    folder
}

fn config(folder: &tempfile::TempDir) -> String {
    folder.path().join("meridian.toml").display().to_string()
}

/// A server that ends with the test.
struct Server {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        let mut process = meridian(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(process.stdout.take().expect("piped"));
        Server { process, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn ended(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|status| status.is_some())
    }

    /// The admin address of the ready line.
    fn ready(&mut self) -> String {
        let line = self.line();
        let rest = line
            .strip_prefix("ready dns=127.0.0.1:")
            .unwrap_or_else(|| panic!("{line:?}"));
        rest.split_once(" admin=")
            .unwrap_or_else(|| panic!("{line:?}"))
            .1
            .to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn simulate_says_who_would_go_elsewhere_and_draws_it() {
    let folder = folder("127.0.0.1:0");
    let (config, map) = (
        config(&folder),
        folder.path().join("map.svg").display().to_string(),
    );
    let plain = run(&[
        "simulate", "--config", &config, "--down", "fra", "--map", &map,
    ]);
    let text = stdout(&plain);
    assert!(
        text.starts_with("www.example.com: ")
            && text.contains("most of it to iad, which goes from "),
        "{text}"
    );
    assert!(
        text.contains("\nGermany ") && text.contains("fra > iad"),
        "{text}"
    );
    let svg = std::fs::read_to_string(&map).expect("drawn");
    assert!(
        svg.starts_with("<svg ")
            && svg.trim_end().ends_with("</svg>")
            && svg.contains("iad 100.0%"),
        "{svg}"
    );
    let picture = map.replace(".svg", ".png");
    assert!(
        run(&[
            "simulate", "--config", &config, "--down", "fra", "--map", &picture
        ])
        .status
        .success()
    );
    let octets = std::fs::read(&picture).expect("drawn");
    assert!(
        octets.starts_with(b"\x89PNG\r\n\x1a\n") && octets[16..24] == [0, 0, 11, 64, 0, 0, 4, 192],
        "2880 by 1216"
    );
    let wrong = run(&["simulate", "--config", &config, "--map", "map.jpg"]);
    assert_eq!(
        stderr(&wrong),
        "meridian: map.jpg: the file name of a map must end in .svg or .png\n"
    );
    let now = json(&run(&[
        "simulate",
        "www.example.com",
        "--config",
        &config,
        "--json",
    ]));
    let part = |json: &Value, index: usize, key: &str| {
        json[0]["regions"][index][key].as_f64().expect("a number")
    };
    let sum = part(&now, 0, "before_percent") + part(&now, 1, "before_percent");
    assert!(
        (sum - 100.0).abs() < 0.01 && now[0]["moved_percent"] == 0.0,
        "{sum}"
    );
    let mut server = Server::start(&["serve", "--config", &config]);
    let admin = format!("http://{}", server.ready());
    let asked = json(&run(&[
        "simulate", "--admin", &admin, "--bias", "fra=50", "--json",
    ]));
    assert_eq!(
        part(&asked, 0, "before_percent"),
        part(&now, 0, "before_percent")
    );
    assert!(part(&asked, 0, "after_percent") > part(&now, 0, "before_percent"));
    let wrong = run(&["simulate", "--config", &config, "--down", "lhr"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(
        stderr(&wrong),
        "meridian: there is no region \"lhr\"; the regions are fra, iad\n"
    );
    assert_eq!(run(&["simulate", "--weight", "fra"]).status.code(), Some(2));
}

#[test]
fn simulate_compares_configurations_and_counts_people() {
    let folder = folder("127.0.0.1:0");
    let config = config(&folder);
    let without = std::fs::read_to_string(&config)
        .expect("it is there")
        .replace("iad = \"192.0.2.2\"\n", "");
    let capped = without.replace(
        "[services.endpoints]",
        "capacity = { fra = \"50%\" }\n[services.endpoints]",
    );
    let new = folder.path().join("new.toml").display().to_string();
    std::fs::write(&new, capped).expect("written");
    let compared = json(&run(&[
        "simulate",
        "--config",
        &config,
        "--against",
        &new,
        "--json",
    ]));
    let region = |name: &str| {
        let regions = compared[0]["regions"].as_array().expect("a list");
        regions
            .iter()
            .find(|region| region["region"] == name)
            .unwrap_or_else(|| panic!("{name}: {compared}"))
            .clone()
    };
    assert_eq!(region("iad")["after_percent"], 0.0);
    assert_eq!(
        (
            &region("fra")["after_percent"],
            &region("fra")["over_capacity"]
        ),
        (&100.0.into(), &true.into())
    );
    assert_eq!(
        compared[0]["moved_percent"],
        region("iad")["before_percent"]
    );
    let text = stdout(&run(&[
        "simulate",
        "--config",
        &config,
        "--against",
        &new,
        "--countries",
    ]));
    assert!(
        text.contains("over its capacity") && text.contains("beyond the nearest, mean"),
        "{text}"
    );
    let japan = text
        .lines()
        .rfind(|line| line.starts_with("Japan "))
        .expect("every country is there");
    assert!(japan.trim_end().ends_with("fra 100%"), "{japan}");

    let people = json(&run(&[
        "simulate",
        "--config",
        &config,
        "--over",
        "population",
        "--json",
    ]));
    let share = |json: &Value| {
        json["regions"][0]["before_percent"]
            .as_f64()
            .expect("a number")
    };
    let addresses = &json(&run(&["simulate", "--config", &config, "--json"]))[0];
    assert_eq!(
        (&people[0]["over"], &addresses["over"]),
        (&"population".into(), &"addresses".into())
    );
    // Most people live in Asia, Africa and Europe; a third of all addresses are in North America.
    assert!(
        share(&people[0]) > share(addresses) + 10.0,
        "{} and {}",
        share(&people[0]),
        share(addresses)
    );
    let mut server = Server::start(&["serve", "--config", &config]);
    let admin = format!("http://{}", server.ready());
    let asked = json(&run(&[
        "simulate",
        "--admin",
        &admin,
        "--over",
        "population",
        "--json",
    ]));
    assert_eq!(
        (&asked[0]["over"], share(&asked[0])),
        (&"population".into(), share(&people[0]))
    );
    let wrong = run(&["simulate", "--config", &config, "--over", "queries"]);
    assert!(
        stderr(&wrong).contains("addresses") && stderr(&wrong).contains("population"),
        "{}",
        stderr(&wrong)
    );
}

#[test]
fn verify_scopes_proves_and_counts() {
    let folder = folder("127.0.0.1:0");
    let config = config(&folder);
    let text = stdout(&run(&["verify-scopes", "--config", &config]));
    assert!(
        text.contains("no two scopes overlap, each has one outcome") && text.contains("band 500km"),
        "{text}"
    );
    let verified = json(&run(&[
        "verify-scopes",
        "www.example.com",
        "--config",
        &config,
        "--json",
    ]));
    let number = |key: &str| {
        verified[0][key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key}: {verified}"))
    };
    assert!(
        number("blocks") > 1000 && number("beyond_24") < number("blocks"),
        "{verified}"
    );
    assert!(
        number("widest") < number("narrowest") && number("narrowest") <= 32,
        "{verified}"
    );
    assert!(
        verified[0]["blocks_with_band"]["500km"]
            .as_u64()
            .is_some_and(|blocks| blocks > 1000),
        "{verified}"
    );
    assert!(
        verified[0]["blocks_with_squares"]["10"]
            .as_u64()
            .is_some_and(|blocks| blocks > 1000),
        "{verified}"
    );
    assert_eq!(
        run(&["verify-scopes", "host.example.com", "--config", &config])
            .status
            .code(),
        Some(1)
    );
    assert_eq!(
        run(&["verify-scopes", "--config", &config, "--type", "AAAA"])
            .status
            .code(),
        Some(1)
    );
}

#[test]
fn usage_is_exit_code_2() {
    for arguments in [
        &["nonsense"][..],
        &[],
        &["explain", "www.example.com"],
        &["locate", "x"],
        &["geodata", "build"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_version_credits_the_geodata() {
    let shown = stdout(&run(&["--version"]));
    assert!(
        shown.starts_with(&format!("meridian {}\n", env!("CARGO_PKG_VERSION"))),
        "{shown}"
    );
    assert!(
        shown.contains("IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0"),
        "{shown}"
    );
}

#[test]
fn locate_knows_the_world_without_a_configuration() {
    let output = run(&[
        "locate",
        "8.8.8.8",
        "::ffff:193.0.0.1",
        "10.0.0.1",
        "--json",
    ]);
    let located = json(&output);
    assert_eq!(located[0]["country"], "US");
    assert_eq!(
        (&located[1]["country"], &located[1]["looked_up"]),
        (&"NL".into(), &"193.0.0.1".into())
    );
    assert_eq!(
        (&located[2]["unroutable"], &located[2]["country"]),
        (&true.into(), &Value::Null)
    );
    let folder = folder("127.0.0.1:0");
    let located = json(&run(&[
        "locate",
        "5.0.0.1",
        "--json",
        "--config",
        &config(&folder),
    ]));
    assert_eq!(
        (&located[0]["latitude"], &located[0]["source"]),
        (&52.52.into(), &"geo.networks".into())
    );
    assert!(stdout(&run(&["locate", "8.8.8.8"])).starts_with("address"));
}

#[test]
fn explain_works_from_a_file() {
    let folder = folder("127.0.0.1:0");
    let file = config(&folder);
    let output = run(&[
        "explain",
        "www.example.com",
        "--client",
        "5.0.0.1",
        "--config",
        &file,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = stdout(&output);
    let first = "www.example.com A for 5.0.0.1 (DE, 52.52,13.40): fra, 192.0.2.1, because it is the nearest of 2 (";
    assert!(shown.starts_with(first), "{shown}");
    assert!(!shown.contains('\x1b'), "no colours in a pipe");
    let down = [
        "explain",
        "www.example.com",
        "A",
        "--client",
        "5.0.0.0/16",
        "--down",
        "fra",
        "--json",
        "--config",
        &file,
    ];
    let explanation = json(&run(&down));
    assert_eq!(explanation["records"][0]["data"], "192.0.2.2");
    assert_eq!(
        explanation["service"]["candidates"][0]["reason"],
        "is switched off in this what-if"
    );
    assert!(explanation["scope"].is_number());
}

#[test]
fn explain_says_what_to_do() {
    let empty = tempfile::tempdir().expect("a folder");
    let output = meridian(&["explain", "x", "--client", "::1"])
        .current_dir(&empty)
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output)
            .contains("there is no meridian.toml here; use a configuration with --config FILE")
    );
    let folder = folder("127.0.0.1:0");
    let wrong = run(&[
        "explain",
        "x",
        "--client",
        "::1",
        "--down",
        "lhr",
        "--config",
        &config(&folder),
    ]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(
        stderr(&wrong),
        "meridian: there is no region \"lhr\"; the regions are fra, iad\n"
    );
}

#[test]
fn a_running_server_is_asked_over_tcp() {
    let folder = folder("127.0.0.1:0");
    let mut server = Server::start(&["serve", "--config", &config(&folder)]);
    let admin = format!("http://{}", server.ready());
    let status = json(&run(&["status", "--json", "--admin", &admin]));
    assert_eq!(status["zones"][0]["name"], "example.com");
    assert!(stdout(&run(&["status", "--admin", &admin])).starts_with("meridian "));
    // A small machine may have no root certificates at all; nothing is encrypted here.
    let mut bare = meridian(&["status", "--admin", &admin]);
    let bare = bare
        .env("SSL_CERT_FILE", "/nowhere")
        .env("SSL_CERT_DIR", "/nowhere")
        .output()
        .expect("the binary runs");
    assert!(stdout(&bare).starts_with("meridian "), "{}", stderr(&bare));
    let explanation = json(&run(&[
        "explain",
        "www.example.com",
        "--client",
        "5.0.0.1",
        "--json",
        "--admin",
        &admin,
    ]));
    assert_eq!(explanation["records"][0]["data"], "192.0.2.1");
    let refused = run(&["reload", "--admin", &admin]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("token_file"),
        "{}",
        stderr(&refused)
    );
    drop(server);
    let gone = run(&["status", "--admin", &admin]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(stderr(&gone).contains("is it running"), "{}", stderr(&gone));
}

#[test]
fn a_running_server_reloads_over_its_unix_socket() {
    let folder = folder("unix:admin.sock");
    let mut server = Server::start(&["serve", "--config", &config(&folder)]);
    let admin = server.ready();
    assert_eq!(
        admin,
        format!("unix:{}", folder.path().join("admin.sock").display())
    );
    let done = run(&["reload", "--admin", &admin]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert!(stdout(&done).starts_with("reloaded in "));
    std::fs::write(folder.path().join("zones/example.com.zone"), "(").expect("written");
    let refused = run(&["reload", "--admin", &admin]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("example.com.zone:1:1: "),
        "{}",
        stderr(&refused)
    );
    let status = json(&run(&["status", "--json", "--admin", &admin]));
    assert_eq!(
        (&status["reloads"]["ok"], &status["reloads"]["refused"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn the_demo_starts_with_the_ready_line_and_says_what_to_try() {
    let mut server = Server::start(&[
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--port",
        "0",
    ]);
    let admin = server.ready();
    let lines: Vec<String> = std::iter::from_fn(|| Some(server.line()))
        .take_while(|line| !line.starts_with("end:"))
        .collect();
    let tries = lines
        .iter()
        .filter(|line| line.starts_with("dig @127.0.0.1 -p "));
    assert!(tries.clone().count() >= 8, "{lines:#?}");
    assert!(
        tries
            .clone()
            .all(|line| line.contains("+subnet=") && line.contains(" # ")),
        "{lines:#?}"
    );
    let explained = run(&[
        "explain",
        "www.example.com",
        "--client",
        "133.11.0.0/16",
        "--admin",
        &admin,
    ]);
    assert!(
        stdout(&explained).contains(": nrt, 127.0.5.1, because it is the nearest of 7"),
        "{}",
        stdout(&explained)
    );
}

#[test]
fn the_demo_asks_itself_unless_it_is_told_not_to() {
    let queries = |admin: &str| -> u64 {
        let status = json(&run(&["status", "--json", "--admin", admin]));
        status["queries"]
            .as_object()
            .expect("counters")
            .values()
            .filter_map(Value::as_u64)
            .sum()
    };
    let demo = [
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--port",
        "0",
    ];
    let mut silent = Server::start(&[&demo[..], &["--no-traffic"]].concat());
    let mut server = Server::start(&demo);
    let (silent_admin, admin) = (silent.ready(), server.ready());
    let start = Instant::now();
    while queries(&admin) < 20 {
        assert!(start.elapsed() < Duration::from_secs(30), "nobody asks");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(queries(&silent_admin), 0);
    let said = |server: &mut Server| {
        std::iter::from_fn(|| Some(server.line()))
            .take_while(|line| !line.starts_with("end:"))
            .collect::<String>()
    };
    assert!(said(&mut server).contains("traffic: 20 queries a second"));
    assert!(!said(&mut silent).contains("traffic:"));
}

#[test]
fn a_region_of_the_demo_breaks_and_its_clients_move_and_come_back() {
    let mut server = Server::start(&[
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--port",
        "0",
    ]);
    let admin = server.ready();
    let mut said = |wanted: &str| loop {
        let line = server.line();
        assert!(
            !line.is_empty() || !server.ended(),
            "the demo ended before it said {wanted:?}"
        );
        if line.contains(wanted) {
            return line;
        }
    };
    let broken = said("break:");
    let region = broken
        .split("http://")
        .nth(1)
        .expect("a URL")
        .trim_end_matches("/break")
        .to_owned();
    said("end:");
    assert_eq!(
        ask(&region, "GET /"),
        (200, "hello from fra (Frankfurt)\n".to_owned())
    );
    assert_eq!(ask(&region, "POST /break").0, 200);
    assert_eq!(ask(&region, "GET /health"), (503, "broken\n".to_owned()));
    said("Netherlands: www.example.com A was 127.0.1.1, is 127.0.2.1");
    let status = stdout(&run(&["status", "--admin", &format!("http://{admin}")]));
    assert!(
        status
            .lines()
            .any(|line| line.contains("fra") && line.contains("down")),
        "{status}"
    );
    assert_eq!(ask(&region, "POST /mend").0, 200);
    said("Netherlands: www.example.com A was 127.0.2.1, is 127.0.1.1");
}

/// Status and body of an HTTP answer.
fn ask(address: &str, call: &str) -> (u16, String) {
    let mut stream = std::net::TcpStream::connect(address).expect("the region listens");
    let head = format!(
        "{call} HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    (
        status,
        answer.split_once("\r\n\r\n").expect("a head").1.to_owned(),
    )
}

#[test]
fn geodata_is_built_and_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.mmdb"));
    std::fs::write(
        &input,
        "network,latitude,longitude,country\n5.0.0.0/16,52.52,13.40,DE\n",
    )
    .expect("written");
    let path = |path: &Path| path.display().to_string();
    let built = run(&["geodata", "build", &path(&input), "-o", &path(&output)]);
    assert!(
        stdout(&built).contains("1 IPv4 network and 0 IPv6 networks"),
        "{}{}",
        stdout(&built),
        stderr(&built)
    );
    let table = folder.path().join("cells.zst");
    let compiled = run(&["geodata", "compile", &path(&output), "-o", &path(&table)]);
    assert!(
        stdout(&compiled).contains("1 cell, "),
        "{}{}",
        stdout(&compiled),
        stderr(&compiled)
    );
    let missing = run(&["geodata", "build", "none.csv", "-o", &path(&output)]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn generated_texts_are_there() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            stdout(&run(&["completions", shell])).contains("meridian"),
            "{shell}"
        );
    }
    let man = stdout(&run(&["man"]));
    assert!(man.contains(".TH") && man.contains("explain"), "{man}");
    assert_eq!(json(&run(&["schema"]))["type"], "object");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_mistake() {
    let folder = folder("127.0.0.1:0");
    let config = config(&folder);
    for arguments in [
        &["simulate", "--config", &config][..],
        &["man"],
        &["locate", "192.0.2.1", "--config", &config],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
            .args(arguments)
            .stdout(writer)
            .output();
        let output = output.expect("the binary runs");
        assert_eq!(
            (output.status.code(), stderr(&output)),
            (Some(0), String::new()),
            "{arguments:?}"
        );
    }
}

/// A file that nobody ever writes to.
fn pipe(path: &Path) {
    assert!(
        Command::new("mkfifo")
            .arg(path)
            .status()
            .expect("mkfifo of coreutils")
            .success()
    );
}

/// What `check` says of a configuration that cannot be used; it must say it soon.
#[track_caller]
fn refused_soon(folder: &tempfile::TempDir, more: &[&str]) -> String {
    let mut arguments = vec!["check", "--config"];
    let config = config(folder);
    arguments.push(&config);
    arguments.extend(more);
    let mut command = meridian(&arguments);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let start = std::time::Instant::now();
    while child.try_wait().expect("it is ours").is_none() {
        if start.elapsed() > std::time::Duration::from_secs(60) {
            child.kill().expect("it is ours");
            panic!("it hangs");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("it ended");
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    stdout(&output)
}

#[test]
fn no_kind_of_file_can_hold_up_or_fill_what_reads_it() {
    let lines = [
        ("city.mmdb", "[geo]\ndatabases = [\"city.mmdb\"]\n"),
        (
            "ca.pem",
            "[checks.web]\ntype = \"https\"\nca_file = \"ca.pem\"\n",
        ),
        ("zones/other.zone", ""),
        ("zones/part", ""),
        ("secrets", ""),
        ("meridian.toml", ""),
    ];
    for (name, line) in lines {
        let folder = folder("127.0.0.1:0");
        let text = std::fs::read_to_string(config(&folder))
            .expect("there")
            .replace("[[geo.networks]]", &format!("{line}[[geo.networks]]"));
        let text = if name == "secrets" {
            text.replace(
                "workers = 1",
                "workers = 1\ncookie_secrets_file = \"secrets\"",
            )
        } else {
            text
        };
        std::fs::write(config(&folder), text).expect("written");
        if name == "zones/part" {
            let zone = folder.path().join("zones/example.com.zone");
            let text = std::fs::read_to_string(&zone).expect("there");
            std::fs::write(zone, format!("{text}$INCLUDE part\n")).expect("written");
        }
        let path = folder.path().join(name);
        let _ = std::fs::remove_file(&path);
        pipe(&path);
        let told = refused_soon(&folder, &[]);
        assert!(
            told.contains(name) && told.contains("is a pipe, not a regular file"),
            "{name}: {told}"
        );
        std::fs::remove_file(&path).expect("it is there");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
        let told = refused_soon(&folder, &[]);
        let expected = if name == "zones/part" {
            "lies outside the zones folder"
        } else {
            "is a device, not a regular file"
        };
        assert!(
            told.contains(name) && told.contains(expected),
            "{name}: {told}"
        );
        std::fs::remove_file(&path).expect("it is there");
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .expect("made");
        file.set_len(2 << 30).expect("a sparse file");
        let told = refused_soon(&folder, &[]);
        assert!(
            told.contains(name) && told.contains("is larger than "),
            "{name}: {told}"
        );
    }
}

#[test]
fn root_is_told_what_the_user_that_serves_may_not_read() {
    use std::os::unix::fs::chown;
    let folder = folder("127.0.0.1:0");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
    let path = config(&folder);
    let check = |more: &[&str]| {
        run(&["check", "--config", &path]
            .iter()
            .chain(more)
            .copied()
            .collect::<Vec<_>>())
    };
    // Where the tests are not root, nobody's rights can be tried.
    if !rustix::process::geteuid().is_root() {
        let told = check(&["--user", "nobody"]);
        assert_eq!(told.status.code(), Some(1));
        assert!(
            stderr(&told).contains("--user needs root"),
            "{}",
            stderr(&told)
        );
        return;
    }
    assert_eq!(check(&["--user", "nobody"]).status.code(), Some(0));
    let zone = folder.path().join("zones/example.com.zone");
    std::fs::set_permissions(&zone, Permissions::from_mode(0o600)).expect("it is ours");
    let told = check(&["--user", "nobody"]);
    assert_eq!(told.status.code(), Some(1), "{}", stdout(&told));
    let sentence = "zones/example.com.zone: as the user nobody, it cannot be read: Permission denied (os error 13); allow this user to \
                    read it and to enter its parent folders";
    assert!(stdout(&told).contains(sentence), "{}", stdout(&told));
    // Whoever owns the state directory is asked about by himself, and a guess refuses nothing.
    let text = std::fs::read_to_string(config(&folder)).expect("there");
    std::fs::write(
        config(&folder),
        format!("[state]\ndirectory = \"state\"\n{text}"),
    )
    .expect("written");
    std::fs::create_dir(folder.path().join("state")).expect("made");
    chown(folder.path().join("state"), Some(65_534), Some(65_534)).expect("this is root");
    let told = check(&[]);
    assert_eq!(told.status.code(), Some(0), "{}", stdout(&told));
    assert!(
        stdout(&told).contains("zones/example.com.zone: as the user nobody"),
        "{}",
        stdout(&told)
    );
    chown(&zone, Some(65_534), None).expect("this is root");
    assert!(
        !stdout(&check(&[])).contains("as the user"),
        "{}",
        stdout(&check(&[]))
    );
    // What it cannot write is told, too; whom the system does not know, as well.
    chown(folder.path().join("state"), Some(0), Some(0)).expect("this is root");
    let cannot = "nothing can be saved there yet: Permission denied";
    let told = check(&["--user", "65534:65534"]);
    assert!(
        stdout(&told).contains(cannot) && told.status.success(),
        "{}",
        stdout(&told)
    );
    assert_eq!(
        check(&["--user", "65534:65534", "--strict"]).status.code(),
        Some(1)
    );
    let told = stderr(&check(&["--user", "no such user"]));
    assert!(
        told.contains("there is no user \"no such user\" in /etc/passwd"),
        "{told}"
    );
}

/// A configuration with these lines in `[admin]` and before it.
fn with(folder: &tempfile::TempDir, admin: &str, before: &str) {
    let path = folder.path().join("meridian.toml");
    let text = std::fs::read_to_string(&path).expect("there");
    std::fs::write(
        &path,
        format!(
            "{before}{}",
            text.replace("[admin]\n", &format!("[admin]\n{admin}\n"))
        ),
    )
    .expect("written");
}

fn write_mode(folder: &tempfile::TempDir, name: &str, text: &str, mode: u32) {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn check_refuses_what_serve_refuses_in_the_same_words() {
    let token = "0123456789abcdef0123456789abcdef";
    let tls = "[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
    let made = rcgen::generate_simple_self_signed(["ns.example.test".to_owned()]).expect("made");
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    type Bad<'b> = (&'b str, &'b str, &'b [(&'b str, &'b str, u32)], &'b str);
    let bad: [Bad<'_>; 11] = [
        (
            "token_file = \"t\"",
            "",
            &[],
            "t: cannot read the token: No such file or directory",
        ),
        (
            "token_file = \"t\"",
            "",
            &[("t", "short", 0o600)],
            "t: the token is shorter than 16 characters",
        ),
        (
            "token_file = \"t\"",
            "",
            &[("t", token, 0o644)],
            "t: others may read the token (mode 644)",
        ),
        (
            "token_file = \"t\"",
            "",
            &[("t", "two words of a token", 0o600)],
            "t: the file must hold one token",
        ),
        (
            "token_file = \"zones\"",
            "",
            &[],
            "zones: the token file is a folder, not a regular file",
        ),
        (
            "listen = \"unix:t\"",
            "",
            &[("t", "", 0o600)],
            "t: the file there is no socket; remove it",
        ),
        (
            "",
            "cookie_secrets_file = \"s\"\n",
            &[("s", "", 0o600)],
            "s:1:1: the file holds no cookie secret",
        ),
        (
            "",
            "cookie_secrets_file = \"s\"\n",
            &[("s", token, 0o604)],
            "s: others may read the cookie secrets (mode 604)",
        ),
        (
            "",
            tls,
            &[("c.pem", &certificate, 0o644), ("k.pem", &key, 0o640)],
            "k.pem: others may read the private key",
        ),
        (
            "",
            tls,
            &[("c.pem", "", 0o644), ("k.pem", &key, 0o600)],
            "c.pem: it holds no certificate",
        ),
        (
            "",
            tls,
            &[("c.pem", &certificate, 0o644)],
            "k.pem: cannot read the private key: No such file",
        ),
    ];
    for (admin, more, files, sentence) in bad {
        let folder = folder("127.0.0.1:0");
        files
            .iter()
            .for_each(|(name, text, mode)| write_mode(&folder, name, text, *mode));
        let is_tls = more == tls;
        with(&folder, admin, if is_tls { more } else { "" });
        let path = folder.path().join("meridian.toml");
        let mut text = std::fs::read_to_string(&path).expect("there");
        if admin.starts_with("listen") {
            text = text.replace("listen = \"127.0.0.1:0\"\n", "");
        }
        let server = if is_tls {
            "listen_tls = [\"127.0.0.1:0\"]\n"
        } else {
            more
        };
        std::fs::write(
            &path,
            text.replace("workers = 1\n", &format!("workers = 1\n{server}")),
        )
        .expect("written");
        let (checked, served) = (
            run(&["check", "--config", &config(&folder)]),
            run(&["serve", "--config", &config(&folder)]),
        );
        assert_eq!(
            (checked.status.code(), served.status.code()),
            (Some(1), Some(1)),
            "{sentence}: {}",
            stderr(&served)
        );
        assert!(
            stdout(&checked).contains(sentence),
            "{sentence}: {}",
            stdout(&checked)
        );
        // To the last word.
        let line = stdout(&checked)
            .lines()
            .find(|line| line.contains(sentence))
            .expect("it is there")
            .to_owned();
        assert!(
            stderr(&served).contains(&line),
            "{line}: {}",
            stderr(&served)
        );
    }
}

#[test]
fn warnings_of_a_start_are_those_of_check_and_mistakes_where_that_is_wanted() {
    for (make, sentence) in [
        (
            true,
            "other users may write into this state directory (mode 777)",
        ),
        (false, "nothing can be saved there yet: "),
    ] {
        let folder = folder("127.0.0.1:0");
        // Serve ends at once, because of a mistake of another kind.
        with(
            &folder,
            "token_file = \"t\"",
            "[state]\ndirectory = \"state\"\n",
        );
        if make {
            std::fs::create_dir(folder.path().join("state")).expect("made");
            std::fs::set_permissions(folder.path().join("state"), Permissions::from_mode(0o777))
                .expect("it is ours");
        } else {
            write_mode(&folder, "state", "in the way", 0o600);
        }
        let served = stderr(&run(&["serve", "--config", &config(&folder)]));
        assert!(served.contains(sentence), "{served}");
        write_mode(&folder, "t", "0123456789abcdef0123456789abcdef", 0o600);
        let check = |more: &[&str]| {
            run(&["check", "--config", &config(&folder)]
                .iter()
                .chain(more)
                .copied()
                .collect::<Vec<_>>())
        };
        assert!(
            check(&[]).status.success() && stdout(&check(&[])).contains(sentence),
            "{}",
            stdout(&check(&[]))
        );
        let strict = check(&["--strict"]);
        assert!(
            strict.status.code() == Some(1) && !stdout(&strict).contains(": good: "),
            "{}",
            stdout(&strict)
        );
        let found: Value = serde_json::from_slice(&check(&["--json"]).stdout).expect("JSON");
        let file = folder.path().join("state").display().to_string();
        assert_eq!(found[0]["file"], file, "{found}");
        assert!(
            found[0]["severity"] == "warning" && found[0]["line"].is_null(),
            "{found}"
        );
    }
}

#[test]
fn a_state_directory_in_use_is_only_a_note() {
    let folder = folder("127.0.0.1:0");
    with(&folder, "", "[state]\ndirectory = \"state\"\n");
    let mut server = Server::start(&["serve", "--config", &config(&folder)]);
    server.ready();
    let checked = run(&["check", "--strict", "--config", &config(&folder)]);
    assert!(checked.status.success(), "{}", stdout(&checked));
    assert!(
        stderr(&checked).contains("uses this state directory now"),
        "{}",
        stderr(&checked)
    );
    let found = json(&run(&["check", "--json", "--config", &config(&folder)]));
    assert_eq!(found[0]["severity"], "note", "{found}");
}

#[test]
fn what_changed_under_its_serial_is_told_and_fingerprints_tell_what_is_served() {
    let folder = folder("127.0.0.1:0");
    with(&folder, "hosts = [\"ns1.example.net\"]", "");
    let path = folder.path().join("meridian.toml");
    let text = std::fs::read_to_string(&path).expect("there");
    std::fs::write(
        &path,
        text.replace("[admin]", "[zones]\nwatch = true\n[admin]"),
    )
    .expect("written");
    let mut server = Server::start(&["serve", "--config", &config(&folder)]);
    let address = server.ready();
    let admin = format!("http://{address}");
    let status = || json(&run(&["status", "--admin", &admin, "--json"]));
    let before = status();
    let page = get(&address, "/metrics", "127.0.0.1");
    let fingerprint = before["fingerprint"].as_str().expect("a text");
    assert!(
        page.contains(&format!(
            "meridian_configuration_info{{fingerprint=\"{fingerprint}\"}} 1"
        )),
        "{page}"
    );
    assert!(
        page.contains("meridian_zone_serial{zone=\"example.com\"} 7"),
        "{page}"
    );
    // It is asked by the name that was given, and by no other.
    assert!(get(&address, "/v1/status", "ns1.example.net").starts_with("HTTP/1.1 200 "));
    assert!(get(&address, "/v1/status", "ns2.example.net").starts_with("HTTP/1.1 421 "));
    // Nobody asks for a reload.
    let zone = folder.path().join("zones/example.com.zone");
    let text = std::fs::read_to_string(&zone).expect("there");
    std::fs::write(&zone, format!("{text}new A 192.0.2.9\n")).expect("written");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let after = loop {
        let now = status();
        if now["reloads"]["ok"] == 1 {
            break now;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "it was never reloaded: {now}"
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert_ne!(after["fingerprint"], before["fingerprint"]);
    let told = after["reloads"]["last"]["messages"].to_string();
    assert!(
        told.contains("have changed and the serial is 7 still"),
        "{told}"
    );
}

#[test]
fn check_and_the_next_start_tell_what_changed_under_its_serial() {
    let folder = folder("127.0.0.1:0");
    with(&folder, "", "[state]\ndirectory = \"state\"\n");
    let check = || stdout(&run(&["check", "--config", &config(&folder)]));
    let told = "zones/example.com.zone:2:1: the records of example.com have changed and the serial is 7 still";
    assert!(
        !check().contains("serial"),
        "nothing was served before: {}",
        check()
    );
    let mut server = Server::start(&["serve", "--config", &config(&folder)]);
    server.ready();
    assert!(!check().contains("serial"), "{}", check());
    // A server that ends has written what it served.
    // SAFETY: the process is our child and not waited for yet.
    assert_eq!(
        unsafe { libc::kill(server.process.id() as i32, libc::SIGTERM) },
        0
    );
    assert!(server.process.wait().expect("our child").success());
    let zone = folder.path().join("zones/example.com.zone");
    let text = std::fs::read_to_string(&zone).expect("there");
    std::fs::write(&zone, format!("{text}new A 192.0.2.9\n")).expect("written");
    assert!(check().contains(told), "{}", check());
    assert_eq!(
        run(&["check", "--strict", "--config", &config(&folder)])
            .status
            .code(),
        Some(1)
    );
    let mut command = meridian(&["serve", "--config", &config(&folder)]);
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let log = BufReader::new(process.stderr.take().expect("piped"));
    let is_told = log
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains(told));
    process.kill().expect("our child");
    process.wait().expect("our child");
    assert!(is_told, "the log of the next start");
    std::fs::write(
        &zone,
        format!("{}new A 192.0.2.9\n", text.replacen(" 7 ", " 8 ", 1)),
    )
    .expect("written");
    assert!(!check().contains("serial"), "{}", check());
}

/// The whole answer to GET.
fn get(address: &str, path: &str, host: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

/// A demo that runs, with its folder in this one.
fn demo_in(folder: &Path, more: &[&str]) -> Server {
    let arguments = [
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--port",
        "0",
    ];
    let mut command = meridian(&[&arguments[..], more].concat());
    command
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut process = command.spawn().expect("the binary runs");
    let lines = BufReader::new(process.stdout.take().expect("piped"));
    let mut server = Server { process, lines };
    while !server.line().starts_with("ready ") {
        assert!(!server.ended(), "it ended before it was ready");
    }
    assert!(left_in(folder) > 0, "it has a folder");
    server
}

fn left_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("there").count()
}

#[test]
fn a_demo_whose_terminal_is_closed_ends_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = demo_in(folder.path(), &[]);
    // SAFETY: the process is our child and not waited for yet.
    assert_eq!(
        unsafe { libc::kill(server.process.id() as i32, libc::SIGHUP) },
        0
    );
    assert!(server.process.wait().expect("our child").success());
    assert_eq!(left_in(folder.path()), 0);
}

#[test]
fn a_demo_that_nobody_reads_any_more_ends_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = demo_in(folder.path(), &["--show"]);
    // What it tells of the region that breaks by itself has no reader.
    let nothing = std::fs::File::open("/dev/null").expect("there");
    server.lines = BufReader::new(std::os::fd::OwnedFd::from(nothing).into());
    assert!(server.process.wait().expect("our child").success());
    assert_eq!(left_in(folder.path()), 0);
}

/// What may act on a terminal or on a reader: an escape sequence, a C1 control, an override of the writing direction, a
/// character that nobody sees, a separator of lines.
const EVIL: &str = "\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\u{2028}";

/// Nothing of [`EVIL`] is sent; what it is is shown.
#[track_caller]
fn assert_shown(told: &str) {
    assert_not_sent(told);
    for shown in [
        "\\u{1b}[2J",
        "\\u{9b}31m",
        "\\u{202e}",
        "\\u{200b}",
        "\\u{2028}",
    ] {
        assert!(told.contains(shown), "{shown} is not shown: {told}");
    }
}

#[track_caller]
fn assert_not_sent(told: &str) {
    assert!(
        !told.contains(|letter: char| EVIL.contains(letter) && !letter.is_ascii_graphic()),
        "{told:?}"
    );
}

#[test]
fn text_from_files_cannot_play_with_the_terminal() {
    let spoilt = |name: &str, text: &str| {
        let folder = folder("127.0.0.1:0");
        std::fs::write(folder.path().join(name), text).expect("written");
        let output = run(&["check", "--config", &config(&folder)]);
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        stdout(&output)
    };
    // In a zone file, its name, the path of an include, and the configuration.
    assert_shown(&spoilt(
        "zones/a.example.zone",
        &format!("$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nx {EVIL} y\n"),
    ));
    assert_shown(&spoilt(&format!("zones/{EVIL}.zone"), "x"));
    assert_shown(&spoilt(
        "zones/a.example.zone",
        &format!("$INCLUDE {EVIL}\n"),
    ));
    assert_shown(&spoilt(
        "meridian.toml",
        &format!("[regions.fra]\nlocation = \"{EVIL}\"\n")
            .replace('\u{1b}', "\\u001b")
            .replace('\u{9b}', "\\u009b"),
    ));
    // A mistake stays on its line, whatever the file is called.
    let told = spoilt("zones/a\nb: good.zone", "x");
    assert!(
        told.lines().all(|line| line.contains("a\\nb: good.zone")),
        "{told}"
    );
    // On stderr, too, and where the command line itself is wrong: clap takes escape sequences out by itself.
    let told = stderr(&run(&["check", &format!("--{EVIL}")]));
    assert_not_sent(&told);
    assert!(
        told.contains("unexpected argument") && told.contains("\\u{202e}"),
        "{told}"
    );
    let output = run(&["locate", "--config", &format!("{EVIL}.toml"), "192.0.2.1"]);
    assert_eq!(output.status.code(), Some(1));
    assert_shown(&stderr(&output));
}

#[test]
fn json_stays_json_and_sends_nothing_hidden() {
    let folder = folder("127.0.0.1:0");
    let text = std::fs::read_to_string(config(&folder)).expect("there");
    let text = text.replace(
        "[regions.fra]\nlocation = \"FRA\"",
        "[regions.fra]\nlocation = \"FRA\"\nbias = 1",
    );
    std::fs::write(config(&folder), text).expect("written");
    let named = folder.path().join(format!("{EVIL}.toml"));
    std::fs::copy(config(&folder), &named).expect("copied");
    let zone = "$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\nnote TXT \"\u{202e}\"\n";
    std::fs::write(folder.path().join("zones/example.com.zone"), zone).expect("written");
    let named = named.display().to_string();
    let output = run(&[
        "explain",
        "note.example.com",
        "TXT",
        "--client",
        "5.0.0.1",
        "--config",
        &named,
        "--json",
    ]);
    json(&output);
    let sent = stdout(&output);
    assert!(
        !sent.trim_end().contains(
            |letter: char| letter.is_control() || EVIL.contains(letter) && !letter.is_ascii()
        ),
        "{sent:?}"
    );
}

#[test]
fn a_log_is_safe_to_read() {
    let folder = folder("127.0.0.1:0");
    let zone = "$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\nx TXT a\nx 5 TXT b\n"
        .to_owned();
    std::fs::rename(
        folder.path().join("zones/example.com.zone"),
        folder.path().join("zones/com.zone"),
    )
    .expect("moved");
    std::fs::write(
        folder.path().join(format!("zones/{EVIL}.zone")),
        format!("$ORIGIN example.com.\n{zone}"),
    )
    .expect("written");
    std::fs::remove_file(folder.path().join("zones/com.zone")).expect("it is there");
    let mut server = meridian(&["serve", "--config", &config(&folder)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut ready = String::new();
    BufReader::new(server.stdout.take().expect("piped"))
        .read_line(&mut ready)
        .expect("a line");
    server.kill().expect("it runs");
    let mut told = String::new();
    server
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut told)
        .expect("text");
    server.wait().expect("it ended");
    assert!(
        told.contains("u{202e}") && told.contains("u{200b}"),
        "a warning names the file: {told}"
    );
    assert!(
        !told.contains(|letter: char| EVIL.contains(letter) && !letter.is_ascii_graphic()),
        "{told:?}"
    );
}

#[test]
fn check_warns_of_denials_that_outlive_what_is_steered() {
    let folder = folder("127.0.0.1:0");
    let zone = "$TTL 60\n@ SOA ns1 h 7 2 3 4 45\n NS ns1\nns1 A 192.0.2.53\n";
    std::fs::write(folder.path().join("zones/example.com.zone"), zone).expect("written");
    let told = stdout(&run(&["check", "--config", &config(&folder)]));
    let warning = "example.com.zone:2:1: the SOA minimum lets resolvers keep for 45 s that a name is missing, longer than \
                   the 30 s of www.example.com; lower it to 30";
    assert!(told.contains(warning), "{told}");
    std::fs::write(
        folder.path().join("zones/example.com.zone"),
        zone.replace("45", "30"),
    )
    .expect("written");
    let told = stdout(&run(&["check", "--config", &config(&folder)]));
    assert!(!told.contains("SOA"), "{told}");
}

#[test]
fn a_service_below_a_dname_is_a_mistake() {
    let folder = folder("127.0.0.1:0");
    let zone =
        "$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\nold DNAME new.example.net.\n";
    std::fs::write(folder.path().join("zones/example.com.zone"), zone).expect("written");
    let text = std::fs::read_to_string(config(&folder)).expect("there");
    let check = |name: &str| {
        std::fs::write(config(&folder), text.replace("www.example.com", name)).expect("written");
        run(&["check", "--config", &config(&folder)])
    };
    let told = check("www.a.old.example.com");
    assert_eq!(told.status.code(), Some(1), "{}", stdout(&told));
    let sentence = "www.a.old.example.com lies below the DNAME of old.example.com at ";
    assert!(stdout(&told).contains(sentence), "{}", stdout(&told));
    // Beside it everything is as ever; at its own name only what it cannot stand with is refused.
    let told = check("www.older.example.com");
    assert_eq!(told.status.code(), Some(0), "{}", stdout(&told));
}

#[test]
fn a_ca_file_is_read_before_a_server_is_asked_and_means_nothing_without_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "no certificate").expect("the folder can be written");
    let file = file.to_str().expect("a path of letters");
    for (admin, ca_file, sentence) in [
        (
            "http://127.0.0.1:1",
            file,
            "has no effect without TLS: use --admin https://HOST:PORT",
        ),
        (
            "https://127.0.0.1:1",
            file,
            "ca.pem: it holds no certificate",
        ),
        (
            "https://127.0.0.1:1",
            "/nowhere/ca.pem",
            "--ca-file /nowhere/ca.pem: ",
        ),
    ] {
        for command in [
            &["status"][..],
            &["explain", "www.example.com", "--client", "192.0.2.1"],
            &["simulate"],
        ] {
            let refused = run(&[command, &["--admin", admin, "--ca-file", ca_file]].concat());
            assert_ne!(refused.status.code(), Some(0), "{command:?}");
            assert!(
                stderr(&refused).contains(sentence),
                "{command:?}: {}",
                stderr(&refused)
            );
        }
    }
}
