//! Plays: small files in `tests/scenarios` that state a service, clients and what is down, and say what the answer is.
//! They run on the library's `answer`, without sockets. The words are explained in docs/testing.md.

#[path = "harness/mod.rs"]
mod harness;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use harness::query::subnet_option;
use harness::reply::{check_any, line};
use harness::{Message, Question, Reply, types};
use meridian::answer::{Transport, answer};
use meridian::catalog::{Availability, LiveState};
use meridian::control::{AtlasCache, LoadedState, load};
use meridian::dns::{QueryScratch, RecordType};
use meridian::steering::Share;
use meridian::steering::pick::next_draw;

/// Every zone of a play starts like this.
const ZONE: &str =
    "$ORIGIN example.test.\n$TTL 1h\n@ SOA ns hostmaster 1 4h 1h 2w 5m\n  NS ns\nns A 192.0.2.53\n";

/// Runs every play whose file name starts with `prefix`; all failures are told at once.
fn run_plays() -> (usize, Vec<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut plays: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .flatten()
        .map(|e| e.path())
        .collect();
    plays.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "play")
    });
    plays.sort();
    let mut failures = Vec::new();
    for path in &plays {
        let text = fs::read_to_string(path).expect("plays are text");
        if let Err(failure) = Play::run(&text) {
            failures.push(format!("{}:{failure}", path.display()));
        }
    }
    (plays.len(), failures)
}

#[test]
fn every_play_goes_as_written() {
    let (plays, failures) = run_plays();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(plays >= 20, "{plays} plays");
}

#[test]
fn a_play_can_fail() {
    let service = "region fra at 50.1,8.7\nservice www.example.test: fra 192.0.2.10\nask www.example.test A\n";
    assert_eq!(
        Play::run(&format!(
            "{service}expect NOERROR aa, www.example.test 30 A 192.0.2.10\n"
        )),
        Ok(())
    );
    for wrong in [
        "expect NOERROR aa, www.example.test 30 A 192.0.2.11",
        "expect NOERROR aa, www.example.test 31 A 192.0.2.10",
        "expect NXDOMAIN aa",
        "expect NOERROR, www.example.test 30 A 192.0.2.10",
        "expect NOERROR aa, www.example.test 30 A 192.0.2.10, scope 0",
        "expect NOERROR aa",
        "spread 100: 192.0.2.11 100",
        "nonsense",
    ] {
        assert!(
            Play::run(&format!("{service}{wrong}\n")).is_err(),
            "{wrong}"
        );
    }
}

/// What is stated before the first action.
#[derive(Default)]
struct Statement {
    config: String,
    networks: String,
    zone: String,
}

/// A play in performance.
struct Play {
    loaded: LoadedState,
    availability: Availability,
    /// Client subnet of the next questions.
    subnet: Option<String>,
    /// Where they come from.
    resolver: IpAddr,
    draw: u64,
    question: Option<(String, u16)>,
}

type Step = Result<(), String>;

impl Play {
    /// Performs a play; the error starts with the line.
    fn run(text: &str) -> Step {
        let lines = || {
            text.lines()
                .map(|line| line.split('#').next().unwrap_or("").trim())
                .zip(1..)
        };
        let mut statement = Statement::default();
        for (words, number) in lines() {
            statement
                .read(words)
                .map_err(|sentence| format!("{number}: {sentence}"))?;
        }
        let mut play = Play::open(&statement)?;
        for (words, number) in lines() {
            play.act(words)
                .map_err(|sentence| format!("{number}: {words}\n    {sentence}"))?;
        }
        Ok(())
    }

    fn open(statement: &Statement) -> Result<Play, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).map_err(|e| e.to_string())
        };
        fs::create_dir(folder.path().join("zones")).map_err(|error| error.to_string())?;
        write(
            "zones/example.test.zone",
            &format!("{ZONE}{}", statement.zone),
        )?;
        write(
            "meridian.toml",
            &format!("{}{}", statement.networks, statement.config),
        )?;
        let atlas: Option<&AtlasCache> = None;
        let loaded = load(&folder.path().join("meridian.toml"), atlas)
            .map_err(|mistakes| mistakes.join("\n"))?;
        let availability = Availability::all_up(&loaded.config);
        let resolver = IpAddr::from([192, 0, 2, 250]);
        Ok(Play {
            loaded,
            availability,
            subnet: None,
            resolver,
            draw: 1,
            question: None,
        })
    }

    fn act(&mut self, words: &str) -> Step {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        match verb {
            "client" => self.subnet = Some(first_word(rest).to_owned()),
            "subnet" => self.subnet = (rest != "none").then(|| rest.to_owned()),
            "resolver" => self.resolver = rest.parse().map_err(|_| "no address")?,
            "down" => return self.set(rest, Share::NONE, false),
            "up" => return self.set(rest, Share::ALL, true),
            "share" => {
                let (region, fraction) = rest.split_once(' ').ok_or("share REGION FRACTION")?;
                let fraction = fraction.parse().map_err(|_| "no fraction")?;
                return self.set(region, Share::from_fraction(fraction), true);
            }
            "forget" => self.forget_last_good(rest)?,
            "glimpse" => self.glimpse(rest),
            "ask" => {
                let (name, rtype) = rest.split_once(' ').ok_or("ask NAME TYPE")?;
                let rtype: RecordType = rtype.parse().map_err(|_| "no such type")?;
                self.question = Some((name.to_owned(), rtype.0));
            }
            "expect" => return expect(&self.reply()?, rest),
            "spread" => return self.spread(rest),
            "steady" => return self.steady(rest),
            _ => {}
        }
        Ok(())
    }

    /// `REGION` or `REGION ADDRESS`.
    fn set(&mut self, rest: &str, share: Share, up: bool) -> Step {
        let mut words = rest.split_whitespace();
        let region = words.next().ok_or("which region?")?;
        let endpoint = words.next();
        for (service, now) in self
            .loaded
            .config
            .services
            .iter()
            .zip(self.availability.services_mut())
        {
            for (listed, now) in service.regions.iter().zip(&mut now.regions) {
                if self.loaded.config.regions[usize::from(listed.region.0)].name != region {
                    continue;
                }
                if endpoint.is_none() {
                    now.share = share;
                }
                for (known, now) in listed.endpoints.iter().zip(&mut now.endpoints) {
                    if endpoint.is_some_and(|endpoint| known.target.to_string() == endpoint) {
                        *now = up;
                    }
                }
            }
        }
        self.publish();
        Ok(())
    }

    /// The region was not available when some region last was.
    fn forget_last_good(&mut self, region: &str) -> Step {
        for (service, now) in self
            .loaded
            .config
            .services
            .iter()
            .zip(self.availability.services_mut())
        {
            for (listed, now) in service.regions.iter().zip(&mut now.regions) {
                now.last_good &=
                    self.loaded.config.regions[usize::from(listed.region.0)].name != region;
            }
        }
        self.publish();
        Ok(())
    }

    /// The last probe of the region was good, though it is down still.
    fn glimpse(&mut self, region: &str) {
        for (service, now) in self
            .loaded
            .config
            .services
            .iter()
            .zip(self.availability.services_mut())
        {
            for (listed, now) in service.regions.iter().zip(&mut now.regions) {
                if self.loaded.config.regions[usize::from(listed.region.0)].name == region {
                    now.seen_alive.fill(true);
                }
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        let snapshot = &mut self.loaded.snapshot;
        snapshot.live =
            LiveState::compile(&snapshot.catalog, &self.availability, Some(&snapshot.live));
    }

    /// Asks once more, with the next draw.
    fn reply(&mut self) -> Result<Message, String> {
        let (name, rtype) = self.question.clone().ok_or("nothing was asked")?;
        let mut question = Question::new(&name, rtype);
        if let Some(subnet) = &self.subnet {
            question = question.option(8, &subnet_option(subnet));
        }
        let sent = question.octets();
        self.draw = next_draw(self.draw);
        let mut buffer = [0; 4096];
        let moment = self.loaded.snapshot.context(self.draw);
        let answered = answer(
            &sent,
            self.resolver.into(),
            Transport::Udp,
            &moment,
            &mut QueryScratch::default(),
            &mut buffer,
        );
        let received = &buffer[..answered.length];
        check_any(&sent, harness::Transport::Udp, received);
        Ok(Reply::checked(&question, harness::Transport::Udp, received).message)
    }

    /// `4000: 192.0.2.10 75, 198.51.100.10 25`: per cent of the answers, within five standard deviations.
    fn spread(&mut self, rest: &str) -> Step {
        let (count, shares) = rest
            .split_once(':')
            .ok_or("spread COUNT: DATA PERCENT, ...")?;
        let count: u32 = count.trim().parse().map_err(|_| "no number")?;
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..count {
            for record in self.reply()?.answers {
                *seen
                    .entry(record.data.trim_end_matches('.').to_owned())
                    .or_default() += 1;
            }
        }
        for share in shares.split(',').map(str::trim) {
            let (data, percent) = share.split_once(' ').ok_or("DATA PERCENT")?;
            let part = percent.parse::<f64>().map_err(|_| "no number")? / 100.0;
            let expected = f64::from(count) * part;
            let tolerance = 5.0 * (expected * (1.0 - part)).sqrt();
            let got = seen.remove(data).unwrap_or(0);
            if (f64::from(got) - expected).abs() > tolerance {
                return Err(format!(
                    "{data} came {got} times of {count}, not {expected} +- {tolerance:.0}"
                ));
            }
        }
        if seen.is_empty() {
            Ok(())
        } else {
            Err(format!("these came too: {seen:?}"))
        }
    }

    /// `steady 100`: the same answer each time.
    fn steady(&mut self, count: &str) -> Step {
        let count: usize = count.parse().map_err(|_| "no number")?;
        let first = self.reply()?.answers;
        for _ in 1..count {
            let next = self.reply()?.answers;
            if next != first {
                return Err(format!("first {first:?}, then {next:?}"));
            }
        }
        Ok(())
    }
}

impl Statement {
    /// Takes what is a statement; an action is checked by its verb alone.
    fn read(&mut self, words: &str) -> Step {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        match verb {
            "region" => self.region(rest),
            "service" => self.service(rest),
            "with" => {
                // Goes before the tables of the last service.
                let at = self
                    .config
                    .rfind("[services.endpoints]")
                    .ok_or("with follows a service")?;
                self.config.insert_str(at, &format!("{rest}\n"));
                Ok(())
            }
            "fence" => self.fence(rest),
            "client" => self.client(rest),
            "zone" => {
                self.zone.push_str(rest);
                self.zone.push('\n');
                Ok(())
            }
            "" | "subnet" | "resolver" | "down" | "up" | "share" | "forget" | "glimpse" | "ask"
            | "expect" | "spread" | "steady" => Ok(()),
            other => Err(format!("{other:?} is no word of a play")),
        }
    }

    /// `NAME at LATITUDE,LONGITUDE [bias N] [weight N]`
    fn region(&mut self, rest: &str) -> Step {
        let mut words = rest.split_whitespace();
        let name = words.next().ok_or("region NAME")?;
        let mut table = format!("[regions.{name}]\n");
        while let Some(key) = words.next() {
            let value = words.next().ok_or("a key needs a value")?;
            let _ = match key {
                "at" => writeln!(table, "location = [{value}]"),
                key => writeln!(table, "{key} = {value}"),
            };
        }
        self.config.push_str(&table);
        Ok(())
    }

    /// `NAME: REGION TARGET [weight N], ...`
    fn service(&mut self, rest: &str) -> Step {
        let (name, endpoints) = rest
            .split_once(':')
            .filter(|(_, e)| e.starts_with(' '))
            .ok_or("service NAME: ...")?;
        let mut regions: Vec<(&str, Vec<String>)> = Vec::new();
        for endpoint in endpoints.split(',') {
            let words: Vec<&str> = endpoint.split_whitespace().collect();
            let (region, target, weight) = match words[..] {
                [region, target] => (region, target, String::new()),
                [region, target, "weight", weight] => {
                    (region, target, format!(", weight = {weight}"))
                }
                _ => return Err(format!("{endpoint:?} is no REGION TARGET [weight N]")),
            };
            let key = if target.parse::<IpAddr>().is_ok() {
                "address"
            } else {
                "cname"
            };
            let endpoint = format!("{{ {key} = \"{target}\"{weight} }}");
            match regions.iter_mut().find(|(known, _)| *known == region) {
                Some((_, endpoints)) => endpoints.push(endpoint),
                None => regions.push((region, vec![endpoint])),
            }
        }
        let _ = writeln!(
            self.config,
            "[[services]]\nname = \"{name}\"\n[services.endpoints]"
        );
        for (region, endpoints) in regions {
            let _ = writeln!(self.config, "{region} = [{}]", endpoints.join(", "));
        }
        Ok(())
    }

    /// `countries DE FR -> fra dub`, about the last service; `everybody -> fra` without a list; `countries DE unknown ->
    /// fra` with clients of unknown place.
    fn fence(&mut self, rest: &str) -> Step {
        let (clients, regions) = rest
            .split_once("->")
            .ok_or("fence KIND VALUE... -> REGION...")?;
        let mut clients = clients.split_whitespace();
        let kind = clients.next().ok_or("fence KIND")?;
        let quoted = |words: Vec<&str>| match kind {
            "asns" => words.join(", "),
            _ => words
                .iter()
                .map(|word| format!("\"{word}\""))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let mut words: Vec<&str> = clients.collect();
        let is_of_unknown = words.last() == Some(&"unknown");
        words.truncate(words.len() - usize::from(is_of_unknown));
        let unknown = if is_of_unknown {
            "unknown = \"deny\""
        } else {
            ""
        };
        let list = quoted(words);
        let regions: Vec<String> = regions
            .split_whitespace()
            .map(|region| format!("\"{region}\""))
            .collect();
        let clients = if kind == "everybody" {
            "{}".to_owned()
        } else {
            format!("{{ {kind} = [{list}] }}")
        };
        let regions = regions.join(", ");
        let _ = writeln!(
            self.config,
            "[[services.fence]]\nclients = {clients}\nregions = [{regions}]\n{unknown}"
        );
        Ok(())
    }

    /// `SUBNET [at LATITUDE,LONGITUDE] [in COUNTRY or COUNTRY-PART] [as NUMBER]`; a bare subnet states nothing.
    fn client(&mut self, rest: &str) -> Step {
        let mut words = rest.split_whitespace();
        let subnet = words.next().ok_or("client SUBNET")?;
        let mut table = format!("[[geo.networks]]\ncidr = \"{subnet}\"\n");
        let bare = table.len();
        while let Some(key) = words.next() {
            let value = words.next().ok_or("a word is missing")?;
            let _ = match key {
                "at" => writeln!(table, "location = [{value}]"),
                "in" if value.contains('-') => writeln!(table, "subdivision = \"{value}\""),
                "in" => writeln!(table, "country = \"{value}\""),
                "as" => writeln!(table, "asn = {value}"),
                key => return Err(format!("{key:?} is nothing that a client has")),
            };
        }
        if table.len() > bare && !self.networks.contains(&table) {
            self.networks.push_str(&table);
        }
        Ok(())
    }
}

/// `RCODE [aa] [tc], OWNER TTL TYPE DATA, ..., scope N, error CODE TEXT, denial SECONDS`; without `scope`, `error` or
/// `denial`, the reply may have any.
fn expect(message: &Message, rest: &str) -> Step {
    let mut parts = rest.split(',').map(str::trim);
    let head: Vec<&str> = parts.next().unwrap_or("").split_whitespace().collect();
    let code = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
    ];
    let mut got = vec![
        code.get(usize::from(message.rcode()))
            .copied()
            .unwrap_or("?"),
    ];
    got.extend(message.is_authoritative().then_some("aa"));
    got.extend(message.is_truncated().then_some("tc"));
    same(&got, &head)?;
    let is_about_all = |part: &&str| {
        ["scope ", "error ", "denial "]
            .iter()
            .any(|word| part.starts_with(word))
    };
    let (about_all, records): (Vec<&str>, Vec<&str>) = parts.partition(is_about_all);
    let mut expected: Vec<String> = records.iter().map(|record| dotted(record)).collect();
    let mut answers: Vec<String> = message.answers.iter().map(line).collect();
    expected.sort();
    answers.sort();
    same(&answers, &expected)?;
    let option = |code| message.opt.as_ref().and_then(|opt| opt.option(code).next());
    for expected in about_all {
        let got = match first_word(expected) {
            "scope" => option(8).map(|value| format!("scope {}", value[3])),
            "error" => Some(option(15).map_or_else(|| "error none".to_owned(), error_words)),
            _ => denial_ttl(message).map(|ttl| format!("denial {ttl}")),
        };
        same(&got.as_deref(), &Some(expected))?;
    }
    let negative = message.answers.is_empty() && message.is_authoritative();
    let has_soa = message
        .authorities
        .iter()
        .any(|record| record.rtype == types::SOA);
    if negative && !has_soa {
        Err("a negative answer without SOA".to_owned())
    } else {
        Ok(())
    }
}

/// `error 0 all regions down` (RFC 8914 section 2).
fn error_words(value: &[u8]) -> String {
    let (code, text) = value.split_at(2);
    format!(
        "error {} {}",
        u16::from_be_bytes([code[0], code[1]]),
        String::from_utf8_lossy(text)
    )
    .trim_end()
    .to_owned()
}

/// How long resolvers keep a negative answer (RFC 2308 section 5): the TTL of its SOA record, or MINIMUM if that is less.
fn denial_ttl(message: &Message) -> Option<u32> {
    let soa = message
        .authorities
        .iter()
        .find(|record| record.rtype == types::SOA)?;
    let minimum = soa.data.split_whitespace().last()?.parse().ok()?;
    Some(soa.ttl.min(minimum))
}

fn same<T: std::fmt::Debug + PartialEq<U>, U: std::fmt::Debug>(got: &T, expected: &U) -> Step {
    if got == expected {
        Ok(())
    } else {
        Err(format!("got {got:?}, expected {expected:?}"))
    }
}

/// A record as written in a play, names with their final dots and all in lower case.
fn dotted(record: &str) -> String {
    let words: Vec<String> = record
        .split_whitespace()
        .map(str::to_ascii_lowercase)
        .collect();
    let name_data = matches!(words.get(2).map(String::as_str), Some("cname" | "ns"));
    let dotted = |(at, word): (usize, &String)| match at {
        0 => format!("{word}."),
        3 if name_data => format!("{word}."),
        _ => word.clone(),
    };
    words
        .iter()
        .enumerate()
        .map(dotted)
        .collect::<Vec<_>>()
        .join(" ")
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or("")
}
