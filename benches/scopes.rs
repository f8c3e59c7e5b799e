//! How far answers may be shared by caches: the mean SCOPE PREFIX-LENGTH (RFC 7871) over located addresses.
//!
//! `MERIDIAN_CITY_DB=GeoLite2-City.mmdb cargo bench --bench scopes` (several files: separated by `:`). A smaller mean is
//! better: a resolver keeps fewer answers and asks less often. No answer is wrong for anybody in its scope, which
//! tests/geography shows.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use meridian::answer::{Transport, answer};
use meridian::control::{LoadedState, load};
use meridian::dns::QueryScratch;

#[path = "wire/mod.rs"]
mod wire;
use wire::Random;

/// Regions as a large cloud provider has them.
const REGIONS: [&str; 12] = [
    "FRA", "DUB", "ARN", "BOM", "SIN", "NRT", "SYD", "GRU", "CPT", "IAD", "PDX", "BAH",
];
/// How many located addresses are asked for.
const ADDRESSES: u32 = 1_000_000;
/// Who asks; the client subnet is what counts.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 250);

fn main() {
    let Some(databases) = std::env::var_os("MERIDIAN_CITY_DB") else {
        println!(
            "scopes: nothing to measure; name a City database in MERIDIAN_CITY_DB (several: separated by ':')"
        );
        return;
    };
    let databases: Vec<PathBuf> = std::env::split_paths(&databases).collect();
    let loaded = load_regions(&databases);
    let scopes = measure(&loaded);
    let total: u64 = scopes.iter().sum();
    let sum: u64 = (0..).zip(&scopes).map(|(bits, count)| bits * count).sum();
    println!(
        "{} regions, {total} located IPv4 addresses: mean scope /{:.2}",
        REGIONS.len(),
        sum as f64 / total as f64
    );
    for (bits, count) in scopes.iter().enumerate().filter(|(_, count)| **count > 0) {
        println!("/{bits:<2} {:>5.1} %", 100.0 * *count as f64 / total as f64);
    }
}

/// A service with an endpoint in every region, loaded as a server loads it.
fn load_regions(databases: &[PathBuf]) -> LoadedState {
    let folder = std::env::temp_dir().join(format!("meridian-scopes-{}", std::process::id()));
    let loaded = write(&folder, databases).map(|()| load(&folder.join("meridian.toml"), None));
    let _ = fs::remove_dir_all(&folder);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    loaded.unwrap_or_else(|mistakes| panic!("{}", mistakes.join("\n")))
}

fn write(folder: &Path, databases: &[PathBuf]) -> std::io::Result<()> {
    let names = databases.iter().map(|path| {
        Ok(format!(
            "{:?}",
            fs::canonicalize(path)?.display().to_string()
        ))
    });
    let names: Vec<String> = names.collect::<std::io::Result<_>>()?;
    let mut config = format!("[geo]\ndatabases = [{}]\n", names.join(", "));
    let mut endpoints =
        String::from("[[services]]\nname = \"www.example.com\"\n[services.endpoints]\n");
    for (index, place) in REGIONS.iter().enumerate() {
        let name = place.to_lowercase();
        config.push_str(&format!("[regions.{name}]\nlocation = \"{place}\"\n"));
        endpoints.push_str(&format!("{name} = \"192.0.2.{index}\"\n"));
    }
    fs::create_dir_all(folder.join("zones"))?;
    let zone = "$TTL 1h\n@ SOA ns h 1 4h 1h 2w 5m\n  NS ns\nns A 192.0.2.53\n";
    fs::write(folder.join("zones/example.com.zone"), zone)?;
    fs::write(folder.join("meridian.toml"), config + &endpoints)
}

/// How many located addresses have each scope.
fn measure(loaded: &LoadedState) -> [u64; 33] {
    let atlas = &loaded.snapshot.catalog.atlas;
    let mut scopes = [0; 33];
    let mut random = Random(1);
    let mut asked = 0;
    while asked < ADDRESSES {
        let address = Ipv4Addr::from(random.next() as u32);
        if atlas
            .place(atlas.locate(address.into()).place)
            .point
            .is_some()
        {
            scopes[usize::from(scope(loaded, address))] += 1;
            asked += 1;
        }
    }
    scopes
}

/// SCOPE PREFIX-LENGTH of the answer for one address; the subnet is all of it, so that the scope is the answer's own.
fn scope(loaded: &LoadedState, client: Ipv4Addr) -> u8 {
    let query = wire::query(
        1,
        "www.example.com",
        1,
        &[&[0, 8, 0, 8, 0, 1, 32, 0], &client.octets()[..]].concat(),
    );
    let mut buffer = [0; 1232];
    let answered = answer(
        &query,
        RESOLVER.into(),
        Transport::Udp,
        &loaded.snapshot.context(0),
        &mut QueryScratch::default(),
        &mut buffer,
    );
    let reply = &buffer[..answered.length];
    // The subnet is the only option and so the end of the reply: ..., scope, four octets of address at most.
    let option = reply
        .windows(7)
        .rposition(|window| window[..2] == [0, 8] && window[4..] == [0, 1, 32]);
    reply[option.expect("a client subnet in the reply") + 7]
}
