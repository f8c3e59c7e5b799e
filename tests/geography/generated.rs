//! Random configurations that are said twice: with policies, lists of fences and pools that services share, and written out
//! in full at each service.
//!
//! A service takes from its policy what it does not state itself, so both mean the same, whatever is drawn.

use std::fmt::Write as _;

use crate::world::Random;

const REGIONS: [&str; 6] = ["fra", "iad", "nrt", "gru", "syd", "jnb"];
const LISTS: usize = 3;
const POOLS: usize = 3;
const POLICIES: usize = 3;
const SERVICES: usize = 6;

/// What a service or a policy may state, and what of it.
const KEYS: [(&str, &[&str]); 7] = [
    ("order", &["\"nearest\"", "\"priority\"", "\"none\""]),
    ("pick", &["\"weighted\"", "\"sticky\"", "\"round-robin\""]),
    ("band", &["\"0%\"", "\"15%\"", "\"400km\""]),
    ("answers", &["1", "2", "3"]),
    ("ttl", &["7", "60", "{ max = 90, min = 6 }"]),
    (
        "all_down",
        &["\"nodata\"", "\"answer-all\"", "\"servfail\""],
    ),
    ("client_subnet", &["true", "true", "true", "false"]),
];

/// The clients of fences, beside random networks.
const PLACES: [&str; 5] = [
    "countries = [\"DE\", \"FR\"]",
    "continents = [\"NA\", \"SA\"]",
    "groups = [\"EU-27\"]",
    "subdivisions = [\"US-CA\"]",
    "countries = [\"JP\"], continents = [\"OC\"]",
];

/// One configuration, said twice.
pub struct TwoSpellings {
    pub shared: String,
    pub written_out: String,
    pub names: Vec<String>,
}

/// For each of [`KEYS`], which value is stated.
type StatedKeys = Vec<Option<usize>>;

#[derive(Clone)]
struct Fence {
    clients: String,
    /// Empty: an embargo.
    regions: Vec<usize>,
    denies_unknown: bool,
}

#[derive(Clone)]
struct Pool {
    /// Regions in the order listed, each with the text of its endpoints.
    regions: Vec<(usize, String)>,
}

struct Policy {
    keys: StatedKeys,
    lists: Option<Vec<usize>>,
}

/// Draws a configuration; the same seed gives the same one.
pub fn two_spellings(seed: u64) -> TwoSpellings {
    let mut draft = Draft::new(Random(seed));
    let mut spellings = TwoSpellings {
        shared: draft.head.clone() + &draft.shared_tables(),
        written_out: draft.head.clone(),
        names: Vec::new(),
    };
    for number in 0..SERVICES {
        draft.service(number, &mut spellings);
    }
    spellings
}

struct Draft {
    random: Random,
    head: String,
    lists: Vec<Vec<Fence>>,
    pools: Vec<Pool>,
    policies: Vec<Policy>,
}

impl Draft {
    fn new(mut random: Random) -> Draft {
        let head = head(&mut random);
        let mut lists = Vec::new();
        for _ in 0..LISTS {
            let count = 1 + random.below(3);
            lists.push((0..count).map(|_| fence(&mut random)).collect());
        }
        let pools = (0..POOLS).map(|at| pool(&mut random, at, 3)).collect();
        let mut policies = Vec::new();
        for _ in 0..POLICIES {
            policies.push(Policy {
                keys: stated_keys(&mut random, 60),
                lists: some_lists(&mut random, 60),
            });
        }
        Draft {
            random,
            head,
            lists,
            pools,
            policies,
        }
    }

    /// What services share.
    fn shared_tables(&self) -> String {
        let mut text = String::new();
        for (number, list) in self.lists.iter().enumerate() {
            for fence in list {
                let _ = writeln!(
                    text,
                    "[[fences.l{number}]]\n{}",
                    fence.lines(&fence.regions)
                );
            }
        }
        for (number, pool) in self.pools.iter().enumerate() {
            let _ = writeln!(text, "[pools.q{number}]\n{}", pool.lines());
        }
        for (number, policy) in self.policies.iter().enumerate() {
            let _ = writeln!(text, "[policies.p{number}]\n{}", key_lines(&policy.keys));
            text += &list_line(&policy.lists);
        }
        text
    }

    /// A service of both spellings.
    fn service(&mut self, number: usize, spellings: &mut TwoSpellings) {
        let policy = self.chance(80).then(|| self.below(POLICIES));
        let keys = stated_keys(&mut self.random, 25);
        let lists = some_lists(&mut self.random, 25);
        let own_fence = self.chance(30).then(|| fence(&mut self.random));
        let stated = policy.map(|policy| &self.policies[policy]);
        let in_force = lists.clone().or(stated.and_then(|it| it.lists.clone()));
        let mut fences: Vec<Fence> = own_fence.clone().into_iter().collect();
        for list in in_force.into_iter().flatten() {
            fences.extend(self.lists[list].clone());
        }
        let all_keys: StatedKeys = (0..KEYS.len())
            .map(|at| keys[at].or(stated.and_then(|it| it.keys[at])))
            .collect();
        // A pool that would leave a fence without any region is no choice.
        let fitting: Vec<usize> = (0..POOLS)
            .filter(|at| fences.iter().all(|fence| fence.fits(&self.pools[*at])))
            .collect();
        let shared_pool =
            (!fitting.is_empty() && self.chance(80)).then(|| fitting[self.below(fitting.len())]);
        let pool = match shared_pool {
            Some(at) => self.pools[at].clone(),
            None => pool(&mut self.random, POOLS + number, REGIONS.len()),
        };
        let name = format!("s{number}.example.test");
        let start = format!("[[services]]\nname = \"{name}\"\n");
        spellings.written_out += &start;
        spellings.written_out += &key_lines(&all_keys);
        spellings.written_out += &format!("[services.endpoints]\n{}", pool.lines());
        spellings.written_out += &fence_lines(&fences, &pool);
        spellings.shared += &start;
        if let Some(policy) = policy {
            let _ = writeln!(spellings.shared, "policy = \"p{policy}\"");
        }
        spellings.shared += &key_lines(&keys);
        spellings.shared += &list_line(&lists);
        match shared_pool {
            Some(at) => drop(writeln!(spellings.shared, "pool = \"q{at}\"")),
            None => spellings.shared += &format!("[services.endpoints]\n{}", pool.lines()),
        }
        spellings.shared += &fence_lines(own_fence.as_slice(), &pool);
        spellings.names.push(name);
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random.below(limit as u64) as usize
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }
}

/// Regions and networks, which both spellings have.
fn head(random: &mut Random) -> String {
    let mut text = "[[geo.networks]]\ncidr = [\"203.0.113.0/24\", \"10.7.0.0/16\", \"2001:db8:7::/48\"]\n\
                    location = \"FRA\"\n[[geo.networks]]\ncidr = \"10.7.9.128/25\"\nlocation = \"IAD\"\n"
        .to_owned();
    for region in REGIONS {
        let bias = [0, 0, 20, -15][random.below(4) as usize];
        let weight = [100, 100, 10, 250][random.below(4) as usize];
        let place = region.to_ascii_uppercase();
        let _ = writeln!(
            text,
            "[regions.{region}]\nlocation = \"{place}\"\nbias = {bias}\nweight = {weight}"
        );
    }
    text
}

/// Some regions in some order.
fn some_regions(random: &mut Random, least: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..REGIONS.len()).collect();
    let count = least + random.below((REGIONS.len() - least + 1) as u64) as usize;
    let mut chosen = Vec::new();
    for _ in 0..count {
        chosen.push(left.remove(random.below(left.len() as u64) as usize));
    }
    chosen
}

fn pool(random: &mut Random, number: usize, least: usize) -> Pool {
    let mut regions = Vec::new();
    for region in some_regions(random, least) {
        let mut endpoints = Vec::new();
        for at in 0..1 + random.below(3) {
            let weight = [100, 100, 1, 7][random.below(4) as usize];
            let host = region as u64 * 8 + at;
            endpoints.push(format!(
                "{{ address = \"192.0.{number}.{host}\", weight = {weight} }}"
            ));
        }
        if random.below(3) > 0 {
            endpoints.push(format!("\"2001:db8:{number}::{region}\""));
        }
        regions.push((region, endpoints.join(", ")));
    }
    Pool { regions }
}

fn fence(random: &mut Random) -> Fence {
    let clients = match random.below(3) {
        0 => {
            let (v4, v6) = (8 + random.below(19), 20 + random.below(20));
            let first = (random.next() as u32) & (u32::MAX << (32 - v4));
            let second = (0x2a00u128 << 112 | random.wide() >> 12) & (u128::MAX << (128 - v6));
            format!(
                "networks = [\"{}/{v4}\", \"{}/{v6}\"]",
                std::net::Ipv4Addr::from(first),
                std::net::Ipv6Addr::from(second)
            )
        }
        _ => PLACES[random.below(PLACES.len() as u64) as usize].to_owned(),
    };
    let is_embargo = random.below(12) == 0;
    Fence {
        clients,
        regions: if is_embargo {
            Vec::new()
        } else {
            some_regions(random, 1)
        },
        denies_unknown: random.below(5) == 0,
    }
}

fn stated_keys(random: &mut Random, percent: u64) -> StatedKeys {
    let mut keys = StatedKeys::new();
    for (_, values) in KEYS {
        let value = random.below(values.len() as u64) as usize;
        keys.push((random.below(100) < percent).then_some(value));
    }
    keys
}

fn some_lists(random: &mut Random, percent: u64) -> Option<Vec<usize>> {
    let first = random.below(LISTS as u64) as usize;
    let is_stated = random.below(100) < percent;
    let is_alone = random.below(2) == 0;
    let lists = if is_alone {
        vec![first]
    } else {
        vec![first, (first + 1) % LISTS]
    };
    is_stated.then_some(lists)
}

impl Fence {
    /// Whether it leaves a region of the pool, or none on purpose.
    fn fits(&self, pool: &Pool) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|region| pool.has(*region))
    }

    fn lines(&self, regions: &[usize]) -> String {
        let unknown = if self.denies_unknown { "deny" } else { "allow" };
        let names: Vec<&str> = regions.iter().map(|region| REGIONS[*region]).collect();
        format!(
            "clients = {{ {} }}\nregions = {names:?}\nunknown = \"{unknown}\"\n",
            self.clients
        )
    }
}

impl Pool {
    fn has(&self, region: usize) -> bool {
        self.regions.iter().any(|(known, _)| *known == region)
    }

    fn lines(&self) -> String {
        let mut text = String::new();
        for (region, endpoints) in &self.regions {
            let _ = writeln!(text, "{} = [{endpoints}]", REGIONS[*region]);
        }
        text
    }
}

fn key_lines(keys: &StatedKeys) -> String {
    let mut text = String::new();
    for ((key, values), stated) in KEYS.iter().zip(keys) {
        if let Some(at) = stated {
            let _ = writeln!(text, "{key} = {}", values[*at]);
        }
    }
    text
}

fn list_line(lists: &Option<Vec<usize>>) -> String {
    let Some(lists) = lists else {
        return String::new();
    };
    let names: Vec<String> = lists.iter().map(|list| format!("l{list}")).collect();
    format!("fences = {names:?}\n")
}

/// Fences of a service with these regions, which may name no others.
fn fence_lines(fences: &[Fence], pool: &Pool) -> String {
    let mut text = String::new();
    for fence in fences {
        let mut regions = fence.regions.clone();
        regions.retain(|region| pool.has(*region));
        let _ = writeln!(text, "[[services.fence]]\n{}", fence.lines(&regions));
    }
    text
}
