//! `[announce]`: the addresses that are announced, and by whom.
//!
//! The table is for `meridian announce`, a process beside the server, so nothing here opens a socket
//! or a pipe. The server itself uses the name of the test queries: a configuration whose zones do not
//! hold it is refused, because the server would withdraw itself.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::listen::AdminConfig;
use crate::config::document::{ConfigReport, SpannedList, TableField, WithOffset, values_of};
use crate::config::tables;
use crate::config::values::addresses::AdminListen;
use crate::config::values::announce::BirdProtocol;
use crate::dns::{Name, RecordType};

/// Most service addresses, and most protocols of BIRD.
const MOST: usize = 16;

/// `[announce]`
#[derive(Debug, Clone, PartialEq)]
pub struct AnnounceConfig {
    /// The service addresses.
    pub addresses: Vec<IpAddr>,
    /// The port of the test queries.
    pub port: u16,
    /// The name of the test queries.
    pub query: Name,
    /// Their record type.
    pub query_type: RecordType,
    /// Who announces.
    pub speaker: SpeakerConfig,
    /// The time between two rounds.
    pub interval: Duration,
    /// The longest that one answer may take.
    pub timeout: Duration,
    /// When the addresses are announced.
    pub rules: AnnounceRules,
}

/// The program that speaks BGP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpeakerConfig {
    /// BIRD.
    Bird {
        /// Its control socket.
        socket: PathBuf,
        /// The protocols that hold the routes.
        protocols: Vec<String>,
    },
    /// ExaBGP.
    Exabgp {
        /// The named pipe that it reads.
        pipe: PathBuf,
    },
}

/// When addresses are announced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnnounceRules {
    /// Rounds in a row that fail before a withdrawal, at least 1.
    pub fall: u32,
    /// Rounds in a row that are good before an announcement, at least 1.
    pub rise: u32,
    /// The least time from a withdrawal to the next announcement.
    pub pause: Duration,
    /// How many others go on where a server withdraws because it is outvoted.
    pub keep: usize,
    /// The part of its checks on which such a server is outvoted, 0.0..=1.0.
    pub outvoted: f64,
}

/// What else of the configuration matters.
pub struct AnnounceSurroundings<'c> {
    /// Whether there is a `[fleet]`.
    pub has_fleet: bool,
    /// `[server] listen`
    pub listen: &'c [SocketAddr],
    /// `[admin]`
    pub admin: &'c AdminConfig,
}

/// The announcement of a configuration; `None`: nothing is announced.
pub fn resolve(
    raw: TableField<tables::Announce>,
    surroundings: &AnnounceSurroundings<'_>,
    folder: &Path,
    report: &mut ConfigReport,
) -> Option<AnnounceConfig> {
    let WithOffset { at, value: raw } = raw.given()?;
    surroundings.warn(&raw, at, report);
    let query = raw.query.required(
        at,
        "[announce] needs a `query`: a name in a zone of this server, which it must answer",
        report,
    );
    let port = raw.port.value.as_u16();
    let addresses = resolve_addresses(raw.addresses, at, report);
    for address in addresses.iter().flatten() {
        surroundings.warn_unheard(address, port, report);
    }
    let protocols_at = raw.protocols.at();
    let protocols = protocol_names(raw.protocols.value);
    check_length(
        "protocols",
        protocols.len(),
        protocols_at.unwrap_or(at),
        report,
    );
    let routers = Routers {
        bird: raw.bird,
        exabgp: raw.exabgp,
        protocols,
        protocols_at,
    };
    Some(AnnounceConfig {
        speaker: routers.resolve(at, folder, report)?,
        addresses: values_of(addresses?),
        port,
        query: query?.value,
        query_type: raw.query_type.value,
        interval: raw.interval.value.0,
        timeout: raw.timeout.value.0,
        rules: AnnounceRules {
            fall: raw.fall.value.as_u32(),
            rise: raw.rise.value.as_u32(),
            pause: raw.pause.value.0,
            keep: raw.keep.value.as_usize(),
            outvoted: raw.outvoted.value.0,
        },
    })
}

fn protocol_names(protocols: SpannedList<BirdProtocol>) -> Vec<String> {
    let mut names = Vec::with_capacity(protocols.len());
    for protocol in values_of(protocols) {
        names.push(protocol.0);
    }
    names
}

fn resolve_addresses(
    raw: TableField<SpannedList<IpAddr>>,
    table: usize,
    report: &mut ConfigReport,
) -> Option<SpannedList<IpAddr>> {
    let sentence = "[announce] needs `addresses`: the service addresses of this server";
    let given = raw.required(table, sentence, report)?;
    check_length("addresses", given.value.len(), given.at, report);
    let mut seen = HashSet::new();
    for WithOffset { at, value } in &given.value {
        let at = *at;
        if value.is_unspecified() || value.is_multicast() {
            report.error(
                at,
                format!("{value} cannot be announced: it is no address of a host"),
            );
        } else if !seen.insert(*value) {
            report.error(at, format!("{value} is listed twice"));
        }
    }
    Some(given.value)
}

impl AnnounceSurroundings<'_> {
    /// Warns of keys without effect, and of an announcer that the fleet would not hear.
    fn warn(&self, raw: &tables::Announce, table: usize, report: &mut ConfigReport) {
        if self.has_fleet && !self.takes_calls() {
            let sentence = "[announce] tells the fleet what it does through the admin server, which \
                            takes calls from it only with a `token_file` in [admin] or on a unix socket";
            report.warning(table, sentence.to_owned());
        }
        for (key, place) in [("keep", raw.keep.at()), ("outvoted", raw.outvoted.at())] {
            if let Some(place) = place.filter(|_| !self.has_fleet) {
                let sentence = format!("{key} has no effect without [fleet]");
                report.warning(place, sentence);
            }
        }
    }

    fn warn_unheard(&self, address: &WithOffset<IpAddr>, port: u16, report: &mut ConfigReport) {
        let socket = SocketAddr::new(address.value, port);
        if !self.is_heard(socket) {
            let sentence =
                format!("{socket} is not in [server] listen, so the server does not answer there");
            report.warning(address.at, sentence);
        }
    }

    /// Whether the admin server takes calls that change something.
    fn takes_calls(&self) -> bool {
        self.admin.token_file.is_some() || matches!(self.admin.listen, AdminListen::Unix(_))
    }

    /// Whether the server listens at an address: itself, or every address of its family.
    fn is_heard(&self, address: SocketAddr) -> bool {
        self.listen.iter().any(|listen| covers(listen, address))
    }
}

fn check_length(key: &str, length: usize, at: usize, report: &mut ConfigReport) {
    if length == 0 || length > MOST {
        report.error(
            at,
            format!("{key} has {length} entries, and needs 1 to {MOST}"),
        );
    }
}

/// The keys that say who announces.
struct Routers {
    bird: TableField<PathBuf>,
    exabgp: TableField<PathBuf>,
    protocols: Vec<String>,
    protocols_at: Option<usize>,
}

impl Routers {
    fn resolve(
        self,
        table: usize,
        folder: &Path,
        report: &mut ConfigReport,
    ) -> Option<SpeakerConfig> {
        if let (Some(_), Some(at)) = (self.bird.at(), self.exabgp.at()) {
            let sentence = "state either `bird` or `exabgp`: one router announces the addresses";
            report.error(at, sentence.to_owned());
            return None;
        }
        if self.bird.is_absent() && self.exabgp.is_absent() {
            let sentence = "[announce] needs `bird` (its control socket) or `exabgp` (its pipe)";
            report.error(table, sentence.to_owned());
            return None;
        }
        if let (Some(_), Some(at)) = (self.exabgp.at(), self.protocols_at) {
            report.warning(at, "protocols has no effect with exabgp".to_owned());
        }
        if let Some(socket) = self.bird.path_in(folder) {
            return Some(SpeakerConfig::Bird {
                socket,
                protocols: self.protocols,
            });
        }
        let pipe = self.exabgp.path_in(folder)?;
        Some(SpeakerConfig::Exabgp { pipe })
    }
}

fn covers(listen: &SocketAddr, address: SocketAddr) -> bool {
    let (at, wanted) = (listen.ip(), address.ip());
    let is_everywhere = at.is_unspecified() && at.is_ipv4() == wanted.is_ipv4();
    listen.port() == address.port() && (at == wanted || is_everywhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The announcement of a configuration, or the first mistake.
    fn announce(keys: &str) -> Result<(AnnounceConfig, Vec<String>), String> {
        let listen = "[server]\nlisten = [\"192.0.2.53:53\"]\n";
        let text = format!("{listen}[announce]\n{keys}\n");
        match crate::config::parse(&text, Path::new("/etc/m/meridian.toml")) {
            Ok(loaded) => {
                let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
                Ok((loaded.config.announce.unwrap(), warnings))
            }
            Err(mistakes) => Err(mistakes[0].to_string()),
        }
    }

    const LEAST: &str = "addresses = [\"192.0.2.53\"]\nquery = \"example.com\"";

    #[test]
    fn the_least_has_defaults_and_paths_are_those_of_the_folder() {
        let (least, warnings) = announce(&format!("{LEAST}\nbird = \"bird.ctl\"")).unwrap();
        assert_eq!(least.port, 53);
        assert_eq!(least.query_type, RecordType(6));
        assert_eq!(
            least.speaker,
            SpeakerConfig::Bird {
                socket: "/etc/m/bird.ctl".into(),
                protocols: vec!["meridian".into()],
            }
        );
        assert_eq!(
            (least.rules.fall, least.rules.rise, least.rules.keep),
            (3, 5, 1)
        );
        assert!(warnings.is_empty(), "{warnings:?}");
        let keys = format!(
            "{LEAST}\nexabgp = \"/run/exabgp.in\"\nkeep = 2\nprotocols = [\"a\"]\nport = 54"
        );
        let (other, warnings) = announce(&keys).unwrap();
        let pipe = "/run/exabgp.in".into();
        assert_eq!(other.speaker, SpeakerConfig::Exabgp { pipe });
        assert_eq!(warnings.len(), 3, "{warnings:?}");
    }

    #[test]
    fn an_announcer_that_the_fleet_would_not_hear_is_warned_of() {
        let keys = format!("{LEAST}\nbird = \"a\"\nkeep = 2\n[fleet]\nname = \"world\"");
        let (_, warnings) = announce(&keys).unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("`token_file` in [admin]"));
        for admin in ["listen = \"unix:a\"", "token_file = \"a\""] {
            let (_, warnings) = announce(&format!("{keys}\n[admin]\n{admin}")).unwrap();
            assert!(warnings.is_empty(), "{warnings:?}");
        }
    }

    #[test]
    fn mistakes_are_named_at_their_keys() {
        let bird = format!("{LEAST}\nbird = \"a\"");
        for (keys, sentence) in [
            (LEAST, "needs `bird`"),
            (
                &format!("{bird}\nexabgp = \"b\""),
                "either `bird` or `exabgp`",
            ),
            ("query = \"a\"\nbird = \"a\"", "needs `addresses`"),
            (
                "addresses = [\"192.0.2.1\"]\nbird = \"a\"",
                "needs a `query`",
            ),
            (
                "addresses = []\nquery = \"a\"\nbird = \"a\"",
                "addresses has 0 entries",
            ),
            (
                &format!("{bird}\nprotocols = []"),
                "protocols has 0 entries",
            ),
            (
                &format!("{bird}\nprotocols = [\"a b\"]"),
                "a protocol of BIRD",
            ),
            (&format!("{bird}\ninterval = \"3s\""), "from 100ms to 2s"),
            (&format!("{bird}\nbrid = \"a\""), "unknown key \"brid\""),
            (
                "addresses = [\"0.0.0.0\"]\nquery = \"a\"\nbird = \"a\"",
                "cannot be announced",
            ),
            (
                "addresses = [\"192.0.2.1\", \"192.0.2.1\"]\nquery = \"a\"\nbird = \"a\"",
                "listed twice",
            ),
            (
                "addresses = [\"192.0.2.0/24\"]\nquery = \"a\"\nbird = \"a\"",
                "an address",
            ),
        ] {
            let mistake = announce(keys).unwrap_err();
            assert!(mistake.contains(sentence), "{keys}: {mistake}");
        }
    }
}
