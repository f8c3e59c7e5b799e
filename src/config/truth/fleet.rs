//! `[fleet]`: who votes about health together, and how this server reaches the others.
//!
//! The table is either absent, and the server decides alone, or it names the fleet. Certificates and the password are read here, so a missing or broken file is a mistake
//! of the configuration, reported at the key that names it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::certificates;
use crate::config::document::{ConfigReport, TableField, WithOffset, values_of};
use crate::config::tables;
use crate::config::values::fleet::{EngineAddress, QuorumValue, ReleaseKey};
use crate::files::FileKind;
use crate::health::probe::{CheckAuthorities, ClientIdentity};
use crate::health::quorum::QuorumSettings;

/// Most NATS servers.
const MOST_SERVERS: usize = 16;
/// Most keys of authors.
const MOST_KEYS: usize = 16;

/// `[fleet]`
#[derive(Debug, Clone, PartialEq)]
pub struct FleetConfig {
    /// The name of the fleet.
    pub name: String,
    /// The name of this server; absent: the host name.
    pub voter: Option<String>,
    /// Its vantage group; absent: the name of the server.
    pub group: Option<String>,
    /// The NATS servers; empty: this server votes alone.
    pub servers: Vec<EngineAddress>,
    /// The authorities of the NATS servers; absent: those of the system.
    pub authorities: Option<CheckAuthorities>,
    /// The certificate that this server shows.
    pub identity: Option<ClientIdentity>,
    /// The user and the password that it logs in with.
    pub login: Option<EngineLogin>,
    /// When votes decide.
    pub quorum: QuorumSettings,
    /// Whose releases this server serves; absent: its configuration is its own.
    pub releases: Option<ReleasesConfig>,
}

/// `[fleet.releases]`
#[derive(Debug, Clone, PartialEq)]
pub struct ReleasesConfig {
    /// The keys of the authors.
    pub trusted_keys: Vec<ReleaseKey>,
    /// The ring of this server.
    pub ring: u8,
    /// How long it serves a release before the next ring may.
    pub soak: Duration,
    /// By how much a share of bad answers may grow, 0.0 to 1.0.
    pub max_jump: f64,
}

/// A user of the engine. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineLogin {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for EngineLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineLogin")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl FleetConfig {
    /// Whether connections are encrypted, whatever the addresses say.
    pub fn has_tls(&self) -> bool {
        self.authorities.is_some() || self.identity.is_some()
    }

    /// Whether orders are the fleet's. Without an engine they are the server's own.
    pub fn keeps_orders(&self) -> bool {
        !self.servers.is_empty()
    }
}

/// The fleet of a configuration; `None`: the server decides alone.
pub fn resolve(
    raw: TableField<tables::Fleet>,
    folder: &Path,
    report: &mut ConfigReport,
) -> Option<FleetConfig> {
    let WithOffset { at, value: raw } = raw.given()?;
    let name = raw.name.required(
        at,
        "[fleet] needs a `name`, the same on all servers",
        report,
    );
    let servers = raw.servers.or_default();
    let authorities = raw
        .ca_file
        .given()
        .and_then(|file| certificates::read_authorities(&file, folder, report));
    let identity = certificates::resolve_identity(raw.client_cert, raw.client_key, folder, report);
    let user = raw.user.given().map(|user| (user.at, user.value.0));
    let login = resolve_login(user, raw.password_file, folder, report);
    let QuorumValue(rule) = raw.quorum.value;
    let min_groups = raw.min_groups.value.as_usize();
    if let Some(surplus) = servers.get(MOST_SERVERS) {
        let sentence = format!("there are more than {MOST_SERVERS} NATS servers");
        report.error(surplus.at, sentence);
    }
    let servers = values_of(servers);
    let releases = resolve_releases(raw.releases, servers.is_empty(), report);
    Some(FleetConfig {
        name: name?.value.0,
        voter: raw.voter.value().map(|voter| voter.0),
        group: raw.group.value().map(|group| group.0),
        servers,
        authorities,
        identity,
        login,
        quorum: QuorumSettings { rule, min_groups },
        releases,
    })
}

fn resolve_releases(
    raw: TableField<tables::Releases>,
    is_alone: bool,
    report: &mut ConfigReport,
) -> Option<ReleasesConfig> {
    let WithOffset { at, value: raw } = raw.given()?;
    if is_alone {
        let sentence = "releases travel through NATS servers; state `servers` in [fleet]";
        report.error(at, sentence.to_owned());
    }
    let sentence = "[fleet.releases] needs `trusted_keys`: whose releases are served here";
    let keys = raw.trusted_keys.required(at, sentence, report)?;
    if keys.value.is_empty() || keys.value.len() > MOST_KEYS {
        let sentence = format!("state 1 to {MOST_KEYS} keys of authors");
        report.error(keys.at, sentence);
    }
    Some(ReleasesConfig {
        trusted_keys: values_of(keys.value),
        ring: raw.ring.value.as_u8(),
        soak: raw.soak.value.0,
        max_jump: raw.max_jump.value.0,
    })
}

fn resolve_login(
    user: Option<(usize, String)>,
    file: TableField<PathBuf>,
    folder: &Path,
    report: &mut ConfigReport,
) -> Option<EngineLogin> {
    let Some((at, user)) = user else {
        if let Some(at) = file.at() {
            report.error(at, "a password_file goes with a `user`".to_owned());
        }
        return None;
    };
    let Some(file) = file.given() else {
        report.error(at, "a `user` needs a `password_file`".to_owned());
        return None;
    };
    let path = folder.join(&file.value);
    let read = report.read_secret(&path, FileKind::Secret);
    let password = read.and_then(|octets| {
        let text = str::from_utf8(&octets).map_err(|_| "the file is no UTF-8".to_owned())?;
        let password = text.trim_end_matches(['\n', '\r']);
        if password.is_empty() {
            return Err("the file holds no password".to_owned());
        }
        Ok(Zeroizing::new(password.to_owned()))
    });
    match password {
        Ok(password) => Some(EngineLogin { user, password }),
        Err(sentence) => {
            report.error(file.at, format!("{}: {sentence}", path.display()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::health::quorum::QuorumRule;

    /// The fleet of a configuration in a folder with a file `password`, or the first mistake.
    fn fleet(keys: &str) -> Result<FleetConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        fs::write(&password, "of mine\n").unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!("[fleet]\n{keys}\n");
        match crate::config::parse(&text, &folder.path().join("meridian.toml")) {
            Ok(loaded) => Ok(loaded.config.fleet.unwrap()),
            Err(mistakes) => {
                let folder = folder.path().display().to_string();
                Err(mistakes[0].to_string().replace(&format!("{folder}/"), ""))
            }
        }
    }

    const KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    const LEAST: &str = "name = \"world\"\nservers = [\"nats://127.0.0.1\"]";

    #[test]
    fn a_fleet_needs_a_name_and_servers_and_the_rest_has_defaults() {
        let least = fleet(LEAST).unwrap();
        assert_eq!(least.name, "world");
        assert_eq!(least.servers[0].url(), "nats://127.0.0.1:4222");
        assert_eq!(least.quorum.rule, QuorumRule::Majority);
        assert_eq!(least.quorum.min_groups, 1);
        assert!(least.voter.is_none() && least.login.is_none() && !least.has_tls());
        let login = format!("{LEAST}\nuser = \"ns1\"\npassword_file = \"password\"");
        let login = fleet(&login).unwrap().login.unwrap();
        assert_eq!(login.password.as_str(), "of mine");
        assert!(!format!("{login:?}").contains("mine"));
        for (quorum, rule) in [
            ("\"18%\"", QuorumRule::Percent(18)),
            ("2", QuorumRule::Count(2)),
            ("\"majority\"", QuorumRule::Majority),
        ] {
            let fleet = fleet(&format!("{LEAST}\nquorum = {quorum}")).unwrap();
            assert_eq!(fleet.quorum.rule, rule);
        }
    }

    #[test]
    fn mistakes_are_named_at_their_keys() {
        for (keys, sentence) in [
            ("servers = [\"nats://a\"]", "[fleet] needs a `name`"),
            (
                "name = \"a.b\"\nservers = [\"nats://a\"]",
                "a name of 1 to 63",
            ),
            (
                "name = \"world\"\nservers = [\"http://a\"]",
                "the address of a NATS server",
            ),
            (
                "name = \"world\"\nservers = [\"nats://u:p@a\"]",
                "no user and no password",
            ),
            (&format!("{LEAST}\nquorum = \"0%\""), "a whole percentage"),
            (&format!("{LEAST}\nquorum = 0"), "a whole percentage"),
            (&format!("{LEAST}\nuser = \"a\""), "needs a `password_file`"),
            (
                &format!("{LEAST}\npassword_file = \"password\""),
                "goes with a `user`",
            ),
            (
                &format!("{LEAST}\nuser = \"a\"\npassword_file = \"none\""),
                "none: the file",
            ),
            (
                &format!("{LEAST}\n[fleet.releases]"),
                "[fleet.releases] needs `trusted_keys`",
            ),
            (
                &format!(
                    "{LEAST}\n[fleet.releases]\ntrusted_keys = [\"abc\"]\n[state]\ndirectory = \"s\""
                ),
                "a public key of 44 characters",
            ),
            (
                &format!("{LEAST}\n[fleet.releases]\ntrusted_keys = [\"{KEY}\"]"),
                "releases are kept in the [state] directory",
            ),
            (
                &format!("name = \"world\"\n[fleet.releases]\ntrusted_keys = [\"{KEY}\"]"),
                "releases travel through NATS servers",
            ),
            (
                &format!("{LEAST}\nca_file = \"none.pem\""),
                "none.pem: the file",
            ),
            (
                &format!("{LEAST}\nclient_cert = \"password\""),
                "go together",
            ),
        ] {
            let mistake = fleet(keys).unwrap_err();
            assert!(mistake.contains(sentence), "{keys}: {mistake}");
        }
    }
}
