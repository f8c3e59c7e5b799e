//! ExaBGP, told through its named pipe, with a BIRD as the router that hears of it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::netns::{Namespaces, Program, find, inside, ip};
use crate::lab::{SERVICE, await_that};

/// A nameserver with ExaBGP in one namespace, and a router with BIRD in another.
struct Pair {
    name: String,
    net: Namespaces,
    folder: tempfile::TempDir,
    programs: Vec<Program>,
}

impl Pair {
    fn start() -> Pair {
        let name = format!("mexabgp{}", std::process::id());
        let pair = Pair {
            net: Namespaces::add(format!("{name}-"), &["ns", "router"]),
            name,
            folder: tempfile::tempdir().expect("a temporary folder"),
            programs: Vec::new(),
        };
        pair.net.cable("router", "ns", "10.78.0");
        let ours = pair.namespace("ns");
        ip(&format!("-n {ours} address add {SERVICE}/32 dev lo"));
        for pipe in [pair.pipe("in"), pair.pipe("out")] {
            let made = Command::new("mkfifo").arg(&pipe).status();
            assert!(made.expect("mkfifo runs").success());
        }
        pair
    }

    fn namespace(&self, part: &str) -> String {
        self.net.full_name(part)
    }

    /// A pipe, in one of the places where ExaBGP looks for it.
    fn pipe(&self, end: &str) -> PathBuf {
        format!("/run/{}.{end}", self.name).into()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(&path, text).expect("the folder can be written");
        path
    }

    fn run(&self, part: &str, name: &str, prepare: impl FnOnce(&mut Command)) -> Program {
        let mut command = Command::new(find("ip"));
        command.args(["netns", "exec", &self.namespace(part)]);
        command.current_dir(self.folder.path());
        prepare(&mut command);
        Program::start(command, &self.folder.path().join(format!("{name}.log")))
    }

    fn bird(&self) -> Program {
        let text = "router id 10.78.0.1;\nprotocol device { }\nprotocol bgp exabgp { local 10.78.0.1 as \
                    65000; neighbor 10.78.0.2 as 65011; passive; ipv4 { import all; export none; }; }\n";
        let config = self.file("bird.conf", text);
        self.run("router", "bird", |command| {
            command.arg(find("bird")).arg("-f").arg("-c").arg(config);
            command.args(["-s", "bird.ctl"]);
        })
    }

    fn exabgp(&self) -> Program {
        let text = "neighbor 10.78.0.1 {\n router-id 10.78.0.2;\n local-address 10.78.0.2;\n \
                    local-as 65011;\n peer-as 65000;\n family { ipv4 unicast; }\n}\n";
        let config = self.file("exabgp.conf", text);
        let name = self.name.clone();
        self.run("ns", "exabgp", |command| {
            command.env("exabgp_api_pipename", name);
            command.env("exabgp_daemon_user", "root");
            command.arg(find("exabgp")).arg(config);
        })
    }

    fn meridian(&self, word: &str) -> Program {
        let pipe = self.pipe("in");
        let text = format!(
            "[server]\nlisten = [\"{SERVICE}:53\"]\nworkers = 1\n\
             [announce]\naddresses = [\"{SERVICE}\"]\nquery = \"example.com\"\nexabgp = {pipe:?}\n\
             interval = \"200ms\"\ntimeout = \"500ms\"\nfall = 2\nrise = 3\npause = \"1s\"\n"
        );
        self.file("meridian.toml", &text);
        self.file(
            "zones/example.com.zone",
            "$TTL 60\n@ SOA ns1 hostmaster 1 14400 3600 1209600 60\n@ NS ns1\nns1 A 192.0.2.53\n",
        );
        self.run("ns", word, |command| {
            command.arg(env!("CARGO_BIN_EXE_meridian")).arg(word);
        })
    }

    /// Waits until the router has the route, or has it no more.
    #[track_caller]
    fn await_route(&self, is_there: bool) {
        let what = if is_there {
            "the route comes"
        } else {
            "the route goes"
        };
        await_that(what, || {
            let output = Command::new(find("birdc"))
                .arg("-s")
                .arg(self.folder.path().join("bird.ctl"))
                .args(["show", "route"])
                .output()
                .expect("birdc runs");
            let routes = String::from_utf8_lossy(&output.stdout).into_owned();
            routes.contains("BIRD") && routes.contains("192.0.2.53/32") == is_there
        });
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for program in &self.programs {
                eprintln!("{}", program.log());
            }
        }
        self.programs.clear();
        for pipe in [self.pipe("in"), self.pipe("out")] {
            let _ = fs::remove_file(pipe);
        }
    }
}

#[test]
fn a_route_comes_and_goes_with_the_server_and_is_said_again_to_a_new_exabgp() {
    let mut pair = Pair::start();
    let bird = pair.bird();
    let exabgp = pair.exabgp();
    let server = pair.meridian("serve");
    let announcer = pair.meridian("announce");
    pair.await_route(true);
    server.signal(libc::SIGSTOP);
    pair.await_route(false);
    server.signal(libc::SIGCONT);
    pair.await_route(true);
    // ExaBGP forgets everything that it was told when it ends.
    exabgp.kill();
    pair.await_route(false);
    let exabgp = pair.exabgp();
    pair.await_route(true);
    announcer.stop();
    pair.await_route(false);
    // The announcer has left, and the server answers on.
    let is_there = inside(&pair.namespace("ns"), || {
        std::net::TcpStream::connect((SERVICE, 53)).is_ok()
    });
    assert!(is_there, "the server itself answers all the time");
    pair.programs.extend([bird, exabgp, server]);
}
