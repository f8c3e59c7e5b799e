//! A world of servers, parents and caches around a roll: no cache that keeps its TTLs makes any
//! combination of what was served bogus.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Seconds of a step of the world.
const TICK: u64 = 10;
const PROPAGATION: u64 = 120;
const PARENT_PROPAGATION: u64 = 90;
const DS_TTL: u64 = 200;
/// Servers of the zone and of its parent.
const SERVERS: usize = 3;

fn pair(zone: &str, flags: u16, octet: u8) -> ZoneKey {
    let mut octets = [octet; 32];
    octets[0] = 7;
    ZoneKey::new(
        &zone.parse().unwrap(),
        flags,
        SigningAlgorithm::Ed25519,
        &octets,
    )
    .unwrap()
}

fn p256(flags: u16, octet: u8) -> ZoneKey {
    let zone = "example".parse().unwrap();
    ZoneKey::new(
        &zone,
        flags,
        SigningAlgorithm::EcdsaP256Sha256,
        &[octet; 64],
    )
    .unwrap()
}

fn ed25519(flags: u16, octet: u8) -> ZoneKey {
    pair("example", flags, octet)
}

/// What a server of the zone answers: keys by their labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Served {
    published: BTreeSet<KeyLabel>,
    sign_keys: BTreeSet<KeyLabel>,
    sign_zone: BTreeSet<KeyLabel>,
    ttls: (u64, u64),
}

/// Something that was served until a time.
type History<T> = Vec<(T, u64)>;

fn note<T: PartialEq>(history: &mut History<T>, served: T, now: u64) {
    match history.iter_mut().find(|(it, _)| *it == served) {
        Some((_, last)) => *last = now,
        None => history.push((served, now)),
    }
}

/// What the disk holds: the roll and the times of the keys.
#[derive(Debug, Clone)]
struct Disk {
    roll: ZoneRoll,
    keys: Vec<(ZoneKey, KeyTimes)>,
}

impl Disk {
    fn served(&self, wall: u64, ttls: (u64, u64)) -> Served {
        let mut standings = Vec::new();
        for (key, times) in &self.keys {
            standings.push(KeyStanding {
                label: KeyLabel::of(key),
                is_entry: key.is_entry(),
                can_sign: true,
                times: times.clone(),
            });
        }
        let roles = KeyRoles::of(&standings, Some(&self.roll), wall);
        let labels = |indexes: &[usize]| -> BTreeSet<KeyLabel> {
            indexes
                .iter()
                .map(|index| standings[*index].label)
                .collect()
        };
        Served {
            published: labels(&roles.published),
            sign_keys: labels(&roles.sign_keys),
            sign_zone: labels(&roles.sign_zone),
            ttls,
        }
    }

    /// What the zone asks of its parent.
    fn synced(&self, wall: u64) -> BTreeSet<KeyLabel> {
        if self.roll.asks_for_deletion() {
            return BTreeSet::new();
        }
        let mut labels = BTreeSet::new();
        for (key, times) in &self.keys {
            let mut times = times.clone();
            self.roll.set_times(KeyLabel::of(key), &mut times);
            if key.is_entry() && times.is_synced(self.roll.time_of_keys(wall)) {
                labels.insert(KeyLabel::of(key));
            }
        }
        labels
    }

    /// Copies the times of the roll to this many of its keys, as a crash may interrupt it.
    fn write_times(&mut self, count: usize) {
        for (key, times) in self.keys.iter_mut().take(count) {
            self.roll.set_times(KeyLabel::of(key), times);
        }
    }
}

/// What happens in a tick beside the passing of time.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// The server that drives the roll starts again.
    Restart,
    /// Its reloads fail, or work again.
    Reloads(bool),
    /// The wall clock is set by this many seconds.
    Clock(i64),
    /// A server of the zone takes the files over.
    Copy(usize),
    /// A server of the parent takes over what the parent has.
    ParentCopy(usize),
    /// The parent takes the CDS records, in two steps: 0 adds, 1 replaces.
    ParentTakes(u8),
    /// Somebody puts the old DS records beside the new ones, or back alone.
    ByHand(u8),
    /// A server of the parent does not answer.
    Silent(Option<usize>),
    /// Other TTLs are served: of keys and of the zone.
    Ttls(u64, u64),
    /// Somebody takes the roll back, if that is offered.
    Cancel,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        1 => Just(Happening::Restart),
        1 => any::<bool>().prop_map(Happening::Reloads),
        1 => (-2_000_000..2_000_000_i64).prop_map(Happening::Clock),
        4 => (0..SERVERS).prop_map(Happening::Copy),
        3 => (0..SERVERS).prop_map(Happening::ParentCopy),
        3 => (0..2_u8).prop_map(Happening::ParentTakes),
        2 => (0..3_u8).prop_map(Happening::ByHand),
        1 => prop::option::of(0..SERVERS).prop_map(Happening::Silent),
        1 => (30..400_u64, 30..600_u64).prop_map(|(keys, zone)| Happening::Ttls(keys, zone)),
    ]
}

struct World {
    now: u64,
    wall: i64,
    disk: Disk,
    /// What the driving server has loaded, with its progress.
    loaded: Disk,
    reloads_work: bool,
    ttls: (u64, u64),
    /// Other servers: what each has, and when it fell behind.
    copies: Vec<(Disk, Option<u64>)>,
    /// The DS set that the parent means, and those of its servers with when they fell behind.
    parent: BTreeSet<KeyLabel>,
    parents: Vec<(BTreeSet<KeyLabel>, Option<u64>)>,
    silent: Option<usize>,
    is_parent_bound: bool,
    ds_cache: History<BTreeSet<KeyLabel>>,
    cache: History<Served>,
}

impl World {
    fn new(kind: RollKind, keys: Vec<(ZoneKey, KeyTimes)>, old: usize) -> World {
        let labels: Vec<KeyLabel> = keys.iter().map(|(key, _)| KeyLabel::of(key)).collect();
        let (old_labels, new_labels) = labels.split_at(old);
        let replaced = |key: &ZoneKey| match kind {
            RollKind::Zsk => !key.is_entry(),
            RollKind::Ksk | RollKind::Csk => key.is_entry(),
            RollKind::Algorithm => true,
            RollKind::Unsign => false,
        };
        let mut gone = Vec::new();
        let mut secure = BTreeSet::new();
        for (label, (key, _)) in old_labels.iter().zip(&keys) {
            if replaced(key) {
                gone.push(*label);
            }
            if key.is_entry() {
                secure.insert(*label);
            }
        }
        let start = 1_000_000;
        let before = Disk {
            roll: ZoneRoll::begin(RollKind::Ksk, Vec::new(), Vec::new(), None, start),
            keys: keys[..old].to_vec(),
        };
        let disk = Disk {
            roll: ZoneRoll::begin(kind, gone, new_labels.to_vec(), None, start),
            keys,
        };
        World {
            now: start,
            wall: 0,
            loaded: disk.clone(),
            disk,
            reloads_work: true,
            ttls: (100, 300),
            copies: vec![(before, Some(start)); SERVERS],
            parents: vec![(secure.clone(), None); SERVERS],
            parent: secure,
            silent: None,
            is_parent_bound: false,
            ds_cache: Vec::new(),
            cache: Vec::new(),
        }
    }

    fn clock(&self) -> u64 {
        self.now.saturating_add_signed(self.wall)
    }

    fn entries(&self, labels: &[KeyLabel]) -> BTreeSet<KeyLabel> {
        let keys = self.disk.keys.iter().map(|(key, _)| key);
        let entries = keys.filter(|key| key.is_entry()).map(KeyLabel::of);
        entries.filter(|label| labels.contains(label)).collect()
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Restart => self.restart(),
            Happening::Reloads(work) => self.reloads_work = work,
            Happening::Clock(seconds) => self.wall += seconds,
            Happening::Copy(server) => self.copies[server] = (self.disk.clone(), None),
            Happening::ParentCopy(server) => self.parents[server] = (self.parent.clone(), None),
            Happening::ParentTakes(step) => self.parent_takes(step),
            Happening::ByHand(what) => self.by_hand(what),
            Happening::Silent(server) => self.silent = server,
            // Other TTLs come with a reload.
            Happening::Ttls(keys, zone) if self.reloads_work => self.ttls = (keys, zone),
            Happening::Ttls(..) => {}
            Happening::Cancel => self.cancel(),
        }
    }

    fn cancel(&mut self) {
        let before = self.disk.roll.clone();
        let Ok(roll) = before.cancelled(self.clock()) else {
            return;
        };
        for (key, times) in &mut self.disk.keys {
            if before.new.contains(&KeyLabel::of(key)) {
                roll.end_of_new(times);
            }
        }
        self.disk.roll = ZoneRoll::parse(&roll.text()).unwrap();
        assert!(self.disk.roll.is_cancelled());
        for (_, behind) in &mut self.copies {
            behind.get_or_insert(self.now);
        }
    }

    fn restart(&mut self) {
        if self.reloads_work {
            self.loaded = self.disk.clone();
        }
    }

    /// The parent may take what the driving server serves.
    fn parent_takes(&mut self, step: u8) {
        let wanted = self.loaded.synced(self.clock());
        if self.loaded.roll.phase == RollPhase::Publish || self.loaded.roll.kind == RollKind::Zsk {
            return;
        }
        if self.loaded.roll.phase == RollPhase::SignAhead {
            return;
        }
        let mut set = wanted;
        if step == 0 && !self.is_parent_bound {
            set.extend(self.parent.iter().copied());
        }
        self.set_parent(set);
    }

    /// Somebody changes the records at the parent, as long as the old keys are there to be used.
    fn by_hand(&mut self, what: u8) {
        if self.is_parent_bound || self.disk.roll.kind == RollKind::Zsk {
            return;
        }
        let (old, new) = (
            self.entries(&self.disk.roll.old),
            self.entries(&self.disk.roll.new),
        );
        let is_submitted = self.disk.roll.phase == RollPhase::Submit;
        match what {
            // What no server shows before the wait is over cannot be known to anybody.
            0 if !old.is_empty() && !self.is_nearly_over() => self.set_parent(old),
            1 => self.set_parent(old.union(&new).copied().collect()),
            2 if is_submitted && self.loaded.roll.phase == RollPhase::Submit => {
                self.set_parent(new);
            }
            _ => {}
        }
    }

    fn is_nearly_over(&self) -> bool {
        let roll = &self.loaded.roll;
        let left = roll.needed.saturating_sub(roll.waited);
        roll.is_parent_ready && left < PARENT_PROPAGATION + 2 * TICK
    }

    fn set_parent(&mut self, set: BTreeSet<KeyLabel>) {
        if set == self.parent || (set.is_empty() && !self.disk.roll.asks_for_deletion()) {
            return;
        }
        self.parent = set;
        for (_, behind) in &mut self.parents {
            behind.get_or_insert(self.now);
        }
    }

    /// What the servers of the parent answer to the one that drives the roll.
    fn answer(&self) -> ParentAnswer {
        let mut answer = ParentAnswer::default();
        for (index, (set, _)) in self.parents.iter().enumerate() {
            let mut records = Vec::new();
            for (key, _) in &self.disk.keys {
                if set.contains(&KeyLabel::of(key)) {
                    records.push(key.ds_rdata(crate::dnssec::DigestType::Sha256));
                }
            }
            let is_silent = self.silent == Some(index);
            answer.servers.push(DsAnswer {
                server: format!("ns{index}"),
                records: match is_silent {
                    true => Err("no answer".to_owned()),
                    false => Ok((records, DS_TTL as u32)),
                },
            });
        }
        answer
    }

    /// The server that drives the roll computes one step of it. A crash leaves only some files of
    /// keys written.
    fn drive(&mut self, written: usize) {
        let answer = self.answer();
        let keys: Vec<ZoneKey> = self.disk.keys.iter().map(|(key, _)| key.clone()).collect();
        if self.loaded.roll.serial != self.disk.roll.serial {
            self.restart();
            return;
        }
        let step = self.loaded.roll.step(&RollFacts {
            elapsed: Duration::from_secs(TICK),
            now: self.clock(),
            ttls: ZoneTtls {
                dnskey: self.ttls.0 as u32,
                longest: self.ttls.1 as u32,
            },
            parent: Some(&answer),
            delays: RollDelays {
                propagation: PROPAGATION as u32,
                parent_propagation: PARENT_PROPAGATION as u32,
                parent_ds_ttl: 60,
            },
            keys: &keys,
        });
        match step {
            RollStep::Waits(roll) => {
                self.loaded.roll = roll.clone();
                self.disk.roll = roll;
            }
            RollStep::Advances(roll) => {
                // From now on the parent is the parent of the new keys.
                self.is_parent_bound |= self.disk.roll.phase == RollPhase::Submit;
                self.disk.roll = ZoneRoll::parse(&roll.text()).unwrap();
                self.disk.write_times(written);
                for (_, behind) in &mut self.copies {
                    behind.get_or_insert(self.now);
                }
                self.restart();
            }
        }
    }

    /// Servers that are late take over what they lack.
    fn propagate(&mut self) {
        let now = self.now;
        for (disk, behind) in &mut self.copies {
            if behind.is_some_and(|since| since + PROPAGATION <= now + TICK) {
                (*disk, *behind) = (self.disk.clone(), None);
            }
        }
        for (set, behind) in &mut self.parents {
            if behind.is_some_and(|since| since + PARENT_PROPAGATION <= now + TICK) {
                (*set, *behind) = (self.parent.clone(), None);
            }
        }
    }

    /// Lets caches take what is served, and forgets what none may have any more.
    fn cache(&mut self) {
        let (now, wall, ttls) = (self.now, self.clock(), self.ttls);
        note(&mut self.cache, self.loaded.served(wall, ttls), now);
        for (disk, _) in &self.copies {
            note(&mut self.cache, disk.served(wall, ttls), now);
        }
        for (set, _) in &self.parents {
            note(&mut self.ds_cache, set.clone(), now);
        }
        self.ds_cache.retain(|(_, last)| last + DS_TTL >= now);
        self.cache
            .retain(|(served, last)| last + served.ttls.0.max(served.ttls.1) >= now);
    }

    /// Every combination of a DS set, a DNSKEY set and an answer that a cache may have.
    fn validate(&self) -> Result<(), TestCaseError> {
        for (ds, _) in &self.ds_cache {
            for (keys, last) in &self.cache {
                if last + keys.ttls.0 < self.now {
                    continue;
                }
                for (zone, last) in &self.cache {
                    if last + zone.ttls.1 >= self.now {
                        self.validate_one(ds, keys, zone)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A validator that insists on every algorithm of the DNSKEY set (RFC 4035 section 2.2).
    fn validate_one(
        &self,
        ds: &BTreeSet<KeyLabel>,
        keys: &Served,
        zone: &Served,
    ) -> Result<(), TestCaseError> {
        if ds.is_empty() {
            return Ok(());
        }
        let told = || {
            format!(
                "{:?} {:?} at {}: DS {ds:?}\nkeys {keys:?}\nzone {zone:?}",
                self.disk.roll.kind, self.disk.roll.phase, self.now
            )
        };
        let usable = |label: &&KeyLabel| keys.published.contains(*label);
        let is_chained = ds
            .iter()
            .filter(usable)
            .any(|label| keys.sign_keys.contains(label));
        prop_assert!(is_chained, "no chain: {}", told());
        for key in &keys.published {
            let signed = |by: &BTreeSet<KeyLabel>| {
                by.iter()
                    .filter(usable)
                    .any(|label| label.algorithm == key.algorithm)
            };
            prop_assert!(signed(&keys.sign_keys), "unsigned keys: {}", told());
            prop_assert!(signed(&zone.sign_zone), "unsigned zone: {}", told());
        }
        Ok(())
    }

    fn tick(&mut self, happenings: &[Happening], written: usize) -> Result<(), TestCaseError> {
        self.now += TICK;
        for happening in happenings {
            self.happen(*happening);
        }
        self.propagate();
        self.cache();
        self.validate()?;
        self.drive(written);
        self.cache();
        self.validate()
    }
}

fn old_times() -> KeyTimes {
    KeyTimes {
        sync_publish: Some(1000),
        ..KeyTimes::from_now(1000)
    }
}

fn new_times() -> KeyTimes {
    KeyTimes {
        created: Some(1_000_000),
        ..KeyTimes::default()
    }
}

/// A world for each kind of roll; the number picks the kind and the order of the keys.
fn world(kind: RollKind, order: bool) -> World {
    let (one, other) = if order { (1, 2) } else { (2, 1) };
    let (keys, old) = match kind {
        RollKind::Zsk => (vec![p256(257, 9), p256(256, one), p256(256, other)], 2),
        RollKind::Ksk => (vec![p256(256, 9), p256(257, one), p256(257, other)], 2),
        RollKind::Csk => (vec![p256(257, one), p256(257, other)], 1),
        RollKind::Unsign => (vec![p256(257, one)], 1),
        RollKind::Algorithm if order => (vec![p256(257, 1), ed25519(257, 2)], 1),
        RollKind::Algorithm => (
            vec![ed25519(257, 1), ed25519(256, 2), p256(257, 3), p256(256, 4)],
            2,
        ),
    };
    let timed = keys.into_iter().enumerate().map(|(index, key)| {
        let times = if index < old {
            old_times()
        } else {
            new_times()
        };
        (key, times)
    });
    World::new(kind, timed.collect(), old)
}

fn kind() -> impl Strategy<Value = RollKind> {
    prop_oneof![
        Just(RollKind::Zsk),
        Just(RollKind::Ksk),
        Just(RollKind::Csk),
        Just(RollKind::Algorithm),
        Just(RollKind::Unsign),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_cache_ever_sees_bogus(
        kind in kind(),
        order in any::<bool>(),
        ticks in prop::collection::vec((prop::collection::vec(happening(), 0..2), 0..4_usize), 300),
    ) {
        let mut world = world(kind, order);
        for (happenings, written) in ticks {
            world.tick(&happenings, written)?;
        }
        // When nothing more goes wrong, the roll comes to its end.
        world.happen(Happening::Reloads(true));
        world.happen(Happening::Silent(None));
        for _ in 0..400 {
            world.tick(&[Happening::ParentTakes(1)], 4)?;
        }
        prop_assert_eq!(world.disk.roll.phase, RollPhase::Done);
    }

    #[test]
    fn taking_a_roll_back_where_it_is_offered_hurts_no_cache(
        kind in kind(),
        order in any::<bool>(),
        ticks in prop::collection::vec((prop::collection::vec(happening(), 0..2), 0..4_usize), 0..60),
        later in prop::collection::vec((prop::collection::vec(happening(), 0..2), 0..4_usize), 100),
    ) {
        let mut world = world(kind, order);
        for (happenings, written) in ticks {
            world.tick(&happenings, written)?;
        }
        world.tick(&[Happening::Cancel], 4)?;
        for (happenings, written) in later {
            world.tick(&happenings, written)?;
        }
        world.happen(Happening::Reloads(true));
        world.happen(Happening::Silent(None));
        for _ in 0..400 {
            world.tick(&[Happening::ParentTakes(1)], 4)?;
        }
        prop_assert_eq!(world.disk.roll.phase, RollPhase::Done);
    }
}
