//! What health costs: twenty thousand checks, and flips among 100,000 endpoints.
//!
//! `cargo bench --bench health`: probes 20,000 addresses by HTTP every 10 seconds for half a minute, all on loopback and
//! answered by a process of its own; then flips one of 20 regions of 1,000 services, one of 10 regions of 10,000
//! services, and one region of a single one of these services. Last, it folds the health of their 100,000 endpoints into
//! what is available, as every change of one of them does.

mod meter;

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use meridian::catalog::{Availability, LiveState};
use meridian::control::availability::{AvailabilityFacts, AvailabilityMemory};
use meridian::control::effect::EffectiveOverrides;
use meridian::control::targets::ProbePlan;
use meridian::health::check::{
    HealthCheck, HttpCheck, HttpExpectation, HttpMethod, ProbeKind, ProbeTarget,
};
use meridian::health::machine::{HealthRules, HealthState};
use meridian::health::monitor::{Monitor, TargetHealth};
use meridian::health::probe::{Prober, TrustStore};
use meridian::health::state::SavedStates;
use meridian::resolve::KnownNames;
use meridian::steering::Share;
use meter::{processor_time, resident};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CHECKS: u32 = 20_000;
const INTERVAL: Duration = Duration::from_secs(10);
const WATCHED: Duration = Duration::from_secs(30);
const IN_FLIGHT: usize = 256;
const FLIPS: u32 = 50;

fn main() {
    if std::env::args().any(|word| word == "answer") {
        return answer();
    }
    if !std::env::args().any(|word| word == "flips") {
        check();
    }
    flip(1000, 20);
    flip(10_000, 10);
    fold(10_000, 10);
}

/// One thread for the monitor, as on one core.
fn check() {
    let mut answering = Answering::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (trust, _) = TrustStore::from_system().expect("roots of trust");
        let monitor = Monitor::start(
            Arc::new(Prober::new(trust)),
            targets(answering.port()),
            &SavedStates::new(),
            IN_FLIGHT,
        );
        monitor.first_round().await;
        let begin = Instant::now();
        while monitor
            .health()
            .targets
            .values()
            .any(|target| target.last.is_none())
        {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "not every address was probed within a minute"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let (before, begin) = (processor_time(), Instant::now());
        tokio::time::sleep(WATCHED).await;
        let used = (processor_time() - before).as_secs_f64() / begin.elapsed().as_secs_f64();
        let up = monitor
            .health()
            .targets
            .values()
            .filter(|target| target.state == HealthState::Up)
            .count();
        println!(
            "{CHECKS} checks at {INTERVAL:?}: {:.0} % of one core, {} MB resident, {up} up",
            used * 100.0,
            resident("VmRSS:") / 1024
        );
    });
}

fn targets(port: u16) -> Vec<ProbeTarget> {
    let expect = HttpExpectation::default();
    let http = HttpCheck {
        tls: None,
        method: HttpMethod::Get,
        path: "/health".to_owned(),
        host: None,
        headers: Vec::new(),
        expect,
    };
    let rules = HealthRules {
        interval: INTERVAL,
        ..HealthRules::default()
    };
    let check = Arc::new(HealthCheck {
        name: "web".into(),
        rules,
        probe: ProbeKind::Http(http),
    });
    // 127.1.0.0 and on.
    let address =
        |number: u32| SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x7f01_0000 + number)), port);
    (0..CHECKS)
        .map(|number| ProbeTarget {
            address: address(number),
            check: check.clone(),
        })
        .collect()
}

/// The process that answers: on every loopback address at one port.
struct Answering(Child);

impl Answering {
    fn start() -> Answering {
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program)
            .arg("answer")
            .stdout(Stdio::piped())
            .spawn();
        Answering(child.expect("this program runs"))
    }

    fn port(&mut self) -> u16 {
        let mut line = String::new();
        let out = self.0.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        line.trim().parse().expect("a port")
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answer() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
            .await
            .expect("a free port");
        println!("{}", listener.local_addr().expect("bound").port());
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                continue;
            };
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer).await;
                let _ = stream
                    .write_all(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n",
                    )
                    .await;
            });
        }
    });
}

/// The first region goes and comes: that of every service, then that of one service.
fn flip(services: usize, regions: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("meridian.toml");
    std::fs::create_dir(folder.path().join("zones")).expect("made");
    std::fs::write(
        folder.path().join("zones/example.com.zone"),
        "$TTL 60\n@ SOA ns h 1 2 3 4 5\n NS ns\nns A 192.0.2.1\n",
    )
    .expect("written");
    std::fs::write(&file, configuration(services, regions)).expect("written");
    let loaded =
        meridian::control::load(&file, None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let (catalog, mut availability) = (
        &loaded.snapshot.catalog,
        Availability::all_up(&loaded.config),
    );
    let mut present = LiveState::compile(catalog, &availability, None);
    for flipped in [services, 1] {
        let begin = Instant::now();
        for number in 0..FLIPS {
            let share = if number % 2 == 0 {
                Share::NONE
            } else {
                Share::ALL
            };
            for service in availability.services_mut().take(flipped) {
                service.regions[0].share = share;
            }
            present = black_box(LiveState::compile_at_once(
                catalog,
                &availability,
                Some(&present),
            ));
        }
        println!(
            "a flip in {flipped} of {services} services with {regions} regions: {:.1?}",
            begin.elapsed() / FLIPS
        );
    }
    let begin = Instant::now();
    black_box(present.widened(catalog));
    println!(
        "its blocks as wide as can be, some time after: {:.1?}",
        begin.elapsed()
    );
}

/// One endpoint of 100,000 goes and comes.
fn fold(services: usize, regions: usize) {
    let checked = "check = \"web\"\n[services.endpoints]";
    let text = configuration(services, regions).replace("[services.endpoints]", checked);
    let text = format!("[checks.web]\ntype = \"tcp\"\nport = 80\n{text}");
    let config = meridian::config::parse(&text, Path::new("meridian.toml"));
    let config = config
        .unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
        .config;
    let plan = ProbePlan::of(&config, &KnownNames::default());
    let mut targets = HashMap::new();
    for target in &plan.targets {
        targets.insert(target.key(), healthy());
    }
    let flipping = plan
        .targets
        .first()
        .expect("every endpoint is checked")
        .key();
    let (effect, mut memory) = (EffectiveOverrides::default(), AvailabilityMemory::default());
    let begin = Instant::now();
    for number in 0..FLIPS {
        let target = targets.get_mut(&flipping).expect("it was just put in");
        target.state = if number % 2 == 0 {
            HealthState::Down
        } else {
            HealthState::Up
        };
        black_box(memory.fold(&AvailabilityFacts {
            config: &config,
            plan: &plan,
            targets: &targets,
            effect: &effect,
            catalog: None,
            now: Duration::from_secs(u64::from(number)),
        }));
    }
    println!(
        "the health of {} endpoints of {services} services folded: {:.1?}",
        targets.len(),
        begin.elapsed() / FLIPS
    );
}

fn healthy() -> TargetHealth {
    TargetHealth {
        state: HealthState::Up,
        lasting: Duration::ZERO,
        observed_ago: None,
        last: None,
        not_made: None,
        settled: true,
        held: false,
        flip_possible_in: Duration::ZERO,
        outvoted: false,
    }
}

/// Every service has another set of weights of endpoints, and four rules of order are spread among them.
fn configuration(services: usize, regions: usize) -> String {
    let mut text = String::new();
    for region in 0..regions {
        let (latitude, longitude) = (region as f64 * 6.0 - 55.0, region as f64 * 17.0 - 170.0);
        text.push_str(&format!(
            "[regions.r{region}]\nlocation = [{latitude}, {longitude}]\n"
        ));
    }
    for service in 0..services {
        let band = service % 4 * 5;
        text.push_str(&format!(
            "[[services]]\nname = \"s{service}.example.com\"\nband = \"{band}%\"\n[services.endpoints]\n"
        ));
        for region in 0..regions {
            text.push_str(&format!(
                "r{region} = [\"10.{region}.{}.{}\"]\n",
                service / 250,
                service % 250 + 1
            ));
        }
    }
    text
}
