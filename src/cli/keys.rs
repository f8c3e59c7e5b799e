//! `meridian keys`: makes, lists and moves the keys of signed zones.
//!
//! The commands work on the folder of keys alone and need no running server. A server takes new keys
//! in with its next reload. Of a key in a PKCS#11 token the folder has the public half and the place;
//! the token itself is asked only to make a key, and to take one in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::arguments::{
    DsOfZone, ExportKey, GenerateKey, ImportKey, KeyFolderArgs, KeysCommand, ListKeys, RollKeys,
};
use crate::config;
use crate::control::signing::{new_key, now};
use crate::dns::Name;
use crate::dnssec::rollover::{KeyLabel, RollRequest, RolledZone};
use crate::dnssec::{
    DigestType, KeyFile, KeyFolder, KeyPair, KeyTimes, SigningKey, TokenSetup, TokenUri, ZoneRoll,
    pkcs8,
};
use crate::files::{self, FileKind};
use crate::terminal::{put_octets, say, say_json};

/// Runs one of the commands.
pub fn run(command: &KeysCommand) -> Result<ExitCode, String> {
    match command {
        KeysCommand::Generate(generate) => self::generate(generate),
        KeysCommand::List(list) => self::list(list),
        KeysCommand::Roll(roll) => self::roll(roll),
        KeysCommand::Ds(ds) => self::ds(ds),
        KeysCommand::Import(import) => self::import(import),
        KeysCommand::Export(export) => self::export(export),
    }
}

/// Where the keys are.
struct KeyPlace {
    folder: PathBuf,
    tokens: TokenSetup,
}

/// Where the keys are, by the arguments or the configuration.
fn place(arguments: &KeyFolderArgs) -> Result<KeyPlace, String> {
    if let Some(folder) = &arguments.folder {
        return Ok(KeyPlace {
            folder: folder.clone(),
            tokens: TokenSetup::default(),
        });
    }
    let file = &arguments.config;
    let loaded = config::load(file).map_err(|mistakes| {
        let mut lines = Vec::new();
        for mistake in mistakes {
            lines.push(mistake.to_string());
        }
        lines.join("\nmeridian: ")
    })?;
    match loaded.config.dnssec {
        Some(dnssec) => Ok(KeyPlace {
            folder: dnssec.keys,
            tokens: dnssec.tokens,
        }),
        None => Err(format!(
            "{}: no zone is signed; add [zones.dnssec] with sign = [\"*\"], or name a folder with \
             --folder",
            file.display()
        )),
    }
}

fn read(arguments: &KeyFolderArgs) -> Result<KeyFolder, String> {
    read_folder(&place(arguments)?)
}

fn read_folder(place: &KeyPlace) -> Result<KeyFolder, String> {
    KeyFolder::read(&place.folder).map_err(|mistakes| mistakes.join("\nmeridian: "))
}

fn generate(generate: &GenerateKey) -> Result<ExitCode, String> {
    let mut place = place(&generate.keys)?;
    if let Some(token) = &generate.token {
        if token.has_object() {
            return Err(format!(
                "{token} names an object; a new key is given a name, and `meridian keys import \
                 --token` takes in one that is there"
            ));
        }
        place.tokens.new_keys = Some(token.clone());
    }
    let (algorithm, flags) = (generate.algorithm.algorithm(), generate.role.flags());
    let key = new_key(&generate.zone, flags, algorithm, now(), &place.tokens)?;
    write(&key, &place)
}

/// Writes a key and says where it is.
fn write(key: &KeyFile, place: &KeyPlace) -> Result<ExitCode, String> {
    let folder = &place.folder;
    fs::create_dir_all(folder)
        .map_err(|error| format!("{}: cannot be made: {error}", folder.display()))?;
    let path = key.write(folder)?;
    say!("{}", path.display());
    if key.public.is_entry() {
        say!(
            "When the zone is served with it, give its parent: {}",
            ds_text(key, DigestType::Sha256)
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// One key in JSON.
#[derive(Debug, Serialize)]
struct ListedKey {
    zone: String,
    algorithm: &'static str,
    tag: u16,
    /// `CSK or KSK`, or `ZSK`.
    role: &'static str,
    /// `signs`, `published`, `waits` or `gone`.
    state: &'static str,
    /// Whether the private half is there.
    private: bool,
    /// The PKCS#11 URI of the private half, if it is in a token.
    token: Option<String>,
    /// The last roll of the zone's keys.
    roll: Option<ListedRoll>,
}

/// A roll in JSON.
#[derive(Debug, Serialize)]
struct ListedRoll {
    /// What is replaced by what.
    what: String,
    /// `sign-ahead`, `publish`, `submit`, `retire`, `sign-behind` or `done`.
    step: &'static str,
    /// What it waits for.
    state: String,
}

impl ListedRoll {
    fn of(roll: &ZoneRoll) -> ListedRoll {
        ListedRoll {
            what: roll.title(),
            step: roll.phase.word(),
            state: roll.sentence(),
        }
    }
}

impl ListedKey {
    fn of(key: &KeyFile, roll: Option<&ZoneRoll>, now: u64) -> ListedKey {
        let mut key = key.clone();
        let now = roll.map_or(now, |roll| roll.time_of_keys(now));
        let mut is_ahead = false;
        if let Some(roll) = roll {
            roll.set_times_of(&mut key);
            is_ahead = roll.signs_unpublished(KeyLabel::of(&key.public));
        }
        let state = if key.pair.is_some() && (key.times.is_active(now) || is_ahead) {
            "signs"
        } else if key.times.is_published(now) {
            "published"
        } else if key.times.delete.is_some_and(|delete| delete <= now) {
            "gone"
        } else {
            "waits"
        };
        ListedKey {
            zone: key.public.zone().to_string(),
            algorithm: key.public.algorithm().mnemonic(),
            tag: key.public.tag(),
            role: if key.public.is_entry() {
                "KSK or CSK"
            } else {
                "ZSK"
            },
            state,
            private: key.pair.is_some(),
            token: token_of(&key).map(TokenUri::to_string),
            roll: roll.map(ListedRoll::of),
        }
    }
}

/// The place of a key in a token.
fn token_of(key: &KeyFile) -> Option<&TokenUri> {
    key.pair.as_ref()?.token()
}

fn list(list: &ListKeys) -> Result<ExitCode, String> {
    let folder = read(&list.keys)?;
    let now = now();
    let mut keys = Vec::new();
    for (zone, of_zone) in &folder.zones {
        let roll = folder.roll_of(zone);
        for key in of_zone {
            keys.push(ListedKey::of(key, roll, now));
        }
    }
    if list.json {
        let text = serde_json::to_string_pretty(&keys).map_err(|error| error.to_string())?;
        say_json(format_args!("{text}"));
        return Ok(ExitCode::SUCCESS);
    }
    if keys.is_empty() {
        say!("There are no keys.");
    }
    for key in &keys {
        let private = match &key.token {
            Some(token) => format!(", in {token}"),
            None if key.private => String::new(),
            None => ", without its private half".to_owned(),
        };
        say!(
            "{}  {:>5}  {:<15}  {:<10}  {}{private}",
            key.zone,
            key.tag,
            key.algorithm,
            key.role,
            key.state
        );
    }
    say_rolls(&keys);
    Ok(ExitCode::SUCCESS)
}

/// Says where the roll of each zone stands.
fn say_rolls(keys: &[ListedKey]) {
    let mut last = "";
    for key in keys {
        if let Some(roll) = key.roll.as_ref().filter(|_| key.zone != last) {
            say!("{} {}: {}", key.zone, roll.what, roll.state);
        }
        last = &key.zone;
    }
}

fn roll(roll: &RollKeys) -> Result<ExitCode, String> {
    if roll.cancel {
        return cancel(&roll.zone, &roll.keys);
    }
    let request = match roll.algorithm {
        Some(algorithm) => RollRequest::Algorithm(algorithm.algorithm()),
        None if roll.zsk => RollRequest::Zsk,
        None if roll.ksk => RollRequest::Ksk,
        None => RollRequest::OnlyKey,
    };
    begin(&roll.zone, &roll.keys, request)
}

/// A zone of a folder with its roll.
fn rolled<'f>(
    read: &'f KeyFolder,
    zone: &'f Name,
    place: &'f KeyPlace,
) -> Result<RolledZone<'f>, String> {
    Ok(RolledZone {
        zone,
        keys: of_zone(read, zone)?,
        roll: read.roll_of(zone.to_lower().as_wire()),
        tokens: &place.tokens,
    })
}

/// Takes a roll back.
fn cancel(zone: &Name, keys: &KeyFolderArgs) -> Result<ExitCode, String> {
    let place = place(keys)?;
    let read = read_folder(&place)?;
    let roll = rolled(&read, zone, &place)?.cancel(&place.folder, now())?;
    say!("{zone} {}: {}", roll.title(), roll.sentence());
    Ok(ExitCode::SUCCESS)
}

/// Begins a roll and says what it does.
fn begin(zone: &Name, keys: &KeyFolderArgs, request: RollRequest) -> Result<ExitCode, String> {
    let place = place(keys)?;
    let read = read_folder(&place)?;
    let rolled = rolled(&read, zone, &place)?;
    let now = now();
    let plan = rolled.plan(request, now)?;
    let (_, roll) = plan.begin(&rolled, &place.folder, now)?;
    say!("{zone} {}: {}", roll.title(), roll.sentence());
    Ok(ExitCode::SUCCESS)
}

/// A DS record as zone files have it.
fn ds_text(key: &KeyFile, digest: DigestType) -> String {
    let rdata = key.public.ds_rdata(digest);
    let mut digits = String::new();
    for octet in rdata.iter().skip(4) {
        digits.push_str(&format!("{octet:02X}"));
    }
    // Every name ends with a dot here.
    let zone = key.public.zone().to_string();
    format!(
        "{}. IN DS {} {} {} {digits}",
        zone.trim_end_matches('.'),
        key.public.tag(),
        key.public.algorithm().number(),
        digest.number()
    )
}

/// The keys of a zone.
fn of_zone<'f>(folder: &'f KeyFolder, zone: &Name) -> Result<&'f [KeyFile], String> {
    match folder.of_zone(zone.to_lower().as_wire()) {
        [] => Err(format!(
            "there is no key of {zone}; `meridian keys generate {zone}` makes one"
        )),
        keys => Ok(keys),
    }
}

fn ds(ds: &DsOfZone) -> Result<ExitCode, String> {
    if ds.delete {
        return begin(&ds.zone, &ds.keys, RollRequest::Leave);
    }
    if ds.restore {
        return begin(&ds.zone, &ds.keys, RollRequest::Return);
    }
    let folder = read(&ds.keys)?;
    let roll = folder.roll_of(ds.zone.to_lower().as_wire());
    let now = roll.map_or_else(now, |roll| roll.time_of_keys(now()));
    let mut is_any = false;
    for key in of_zone(&folder, &ds.zone)? {
        if needs_ds(key, roll, now) {
            is_any = true;
            say!("{}", ds_text(key, DigestType::Sha256));
        }
    }
    if is_any {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(format!(
            "no published key of {} is an entry point; DS records are of a KSK or a CSK",
            ds.zone
        ))
    }
}

/// Whether the parent needs a DS record of a key.
fn needs_ds(key: &KeyFile, roll: Option<&ZoneRoll>, now: u64) -> bool {
    let mut key = key.clone();
    let mut is_new = false;
    if let Some(roll) = roll {
        roll.set_times_of(&mut key);
        is_new = roll.new.contains(&KeyLabel::of(&key.public));
    }
    // A key that leaves needs none, and one that comes only when the roll is there.
    let is_leaving = key.times.sync_delete.is_some_and(|time| time <= now);
    let is_early = is_new && !key.times.is_synced(now);
    key.public.is_entry() && key.times.is_published(now) && !is_leaving && !is_early
}

fn import(import: &ImportKey) -> Result<ExitCode, String> {
    let place = place(&import.keys)?;
    let (zone, flags) = (&import.zone, import.role.flags());
    let pair = match (&import.file, &import.token) {
        (Some(path), _) => from_file(zone, flags, path)?,
        (None, Some(token)) => from_token(zone, flags, token, &place.tokens)?,
        (None, None) => return Err("name a file or a token".to_owned()),
    };
    write(&KeyFile::new(pair, KeyTimes::from_now(now())), &place)
}

/// A key from a file in PEM.
fn from_file(zone: &Name, flags: u16, path: &Path) -> Result<KeyPair, String> {
    let (octets, _) = files::read_secret(path, FileKind::Key)
        .map_err(|error| format!("{}: the file {error}", path.display()))?;
    let text =
        std::str::from_utf8(&octets).map_err(|_| format!("{}: is no text", path.display()))?;
    pkcs8::from_pem(zone, flags, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A key that is in a token. It signs once, which shows whether both halves belong together.
fn from_token(
    zone: &Name,
    flags: u16,
    token: &TokenUri,
    tokens: &TokenSetup,
) -> Result<KeyPair, String> {
    if !token.has_object() {
        return Err(format!("{token} names no object; add object= or id="));
    }
    let (algorithm, octets) = tokens.public_half(token)?;
    let pair = KeyPair::in_token(&zone.to_lower(), flags, algorithm, &octets, token.clone());
    let pair = pair.map_err(|error| error.to_string())?;
    let key = SigningKey::with_tokens(&pair, tokens).map_err(|error| error.to_string())?;
    match key.sign(b"meridian keys import") {
        Ok(_) => Ok(pair),
        Err(error) => Err(error.to_string()),
    }
}

fn export(export: &ExportKey) -> Result<ExitCode, String> {
    let folder = read(&export.keys)?;
    let mut found = Vec::new();
    for key in of_zone(&folder, &export.zone)? {
        if export.tag.is_none_or(|tag| tag == key.public.tag()) {
            found.push(key);
        }
    }
    let [key] = found[..] else {
        let count = found.len();
        return Err(format!(
            "{} has {count} such keys; name one with --tag",
            export.zone
        ));
    };
    match &key.pair {
        Some(pair) => match pkcs8::to_pem(pair) {
            Some(text) => {
                put_octets(text.as_bytes());
                Ok(ExitCode::SUCCESS)
            }
            None => Err(format!(
                "the private half of {} is in a token, which does not give it away",
                key.public
            )),
        },
        None => Err(format!("the private half of {} is not there", key.public)),
    }
}
