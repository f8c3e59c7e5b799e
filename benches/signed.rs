//! What signing costs: signatures a second, and the failure of a region under many signed services.
//!
//! `cargo bench --bench signed`. The zone of a million names is measured by `benches/zones/signed.sh`, and a signed answer
//! by `cargo bench --bench instructions -- signed`.

use std::fs;
use std::time::{Duration, Instant};

use meridian::catalog::LiveState;
use meridian::catalog::availability::Availability;
use meridian::control::signing::LoadPurpose;
use meridian::control::{ConfigOrigin, LoadedState};
use meridian::dns::{Name, RecordType};
use meridian::dnssec::{
    KeyPair, RrsetHead, SignedData, SigningAlgorithm, SigningKey, ValidityPeriod, sign_rrset,
};

/// How long each algorithm signs.
const LASTING: Duration = Duration::from_secs(2);
const SERVICES: usize = 10_000;
/// How often the region fails; the best is given.
const ROUNDS: usize = 5;

fn main() {
    println!("algorithm             signatures a second, one core");
    for algorithm in [SigningAlgorithm::EcdsaP256Sha256, SigningAlgorithm::Ed25519] {
        println!("{algorithm:20}  {:8.0}", signatures_a_second(algorithm));
    }
    println!("\na region of {SERVICES} services fails");
    println!("endpoints a reply   zone       until the answers are compiled   signatures");
    for answers in [1, 3] {
        for is_signed in [false, true] {
            region_fails(answers, is_signed);
        }
    }
}

fn signatures_a_second(algorithm: SigningAlgorithm) -> f64 {
    let zone: Name = "example.com".parse().expect("a name");
    let pair = KeyPair::generate(&zone, 257, algorithm).expect("the system has random octets");
    let key = SigningKey::new(&pair).expect("a good key");
    let owner: Name = "www.example.com".parse().expect("a name");
    let rrset = RrsetHead {
        owner: owner.as_wire(),
        rtype: RecordType::A,
        ttl: 60,
    };
    let times = ValidityPeriod {
        inception: 1_800_000_000,
        expiration: 1_801_000_000,
    };
    let mut data = SignedData::new();
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < LASTING {
        for _ in 0..256 {
            count += 1;
            let address = count.to_be_bytes();
            sign_rrset(&key, rrset, [&address[..]], times, &mut data).expect("it signs");
        }
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

fn region_fails(answers: u8, is_signed: bool) {
    let loaded = load(answers, is_signed);
    let catalog = &loaded.snapshot.catalog;
    let up = Availability::all_up(&loaded.config);
    let mut down = up.clone();
    for service in down.services_mut() {
        service.regions[0].endpoints.fill(false);
    }
    let live = &loaded.snapshot.live;
    let mut next = Some(0);
    while let Some(from) = next {
        next = live.sign_ahead(catalog, None, from, u32::MAX);
    }
    let before = live.signatures_made();
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let failed = LiveState::compile_at_once(catalog, &down, Some(live));
        best = best.min(start.elapsed());
        drop(failed);
    }
    println!(
        "{answers:17}   {:8}   {best:30.1?}   {:10}",
        if is_signed { "signed" } else { "unsigned" },
        live.signatures_made() - before
    );
}

/// Services with two regions of four endpoints each.
fn load(answers: u8, is_signed: bool) -> LoadedState {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("zones")).expect("it is ours");
    let zone = "$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n";
    fs::write(folder.path().join("zones/example.com.zone"), zone).expect("it is ours");
    let mut text =
        "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n".to_owned();
    if is_signed {
        text += "[zones.dnssec]\nsign = \"*\"\ngenerate = true\n";
    }
    for service in 0..SERVICES {
        let (high, low) = (service / 256, service % 256);
        text += &format!(
            "[[services]]\nname = \"s{service}.example.com\"\nttl = 30\nanswers = {answers}\n[services.endpoints]\n"
        );
        for (region, net) in [("fra", 10), ("iad", 11)] {
            text += &format!(
                "{region} = [\"{net}.{high}.{low}.1\", \"{net}.{high}.{low}.2\", \"{net}.{high}.{low}.3\", \"{net}.{high}.{low}.4\"]\n"
            );
        }
    }
    let file = folder.path().join("meridian.toml");
    fs::write(&file, text).expect("it is ours");
    ConfigOrigin::File(file)
        .load_for(LoadPurpose::Serve, None)
        .unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}
