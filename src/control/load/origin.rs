//! Where a configuration comes from.
//!
//! A server reads a file, with a release beside it if its fleet has some. Commands look at a folder that
//! is to become a release, and the demo has its configuration in the program. A reload reads the same
//! origin as the start, unless it serves a release.

use std::path::PathBuf;

/// Where a configuration comes from.
#[derive(Debug, Clone)]
pub enum ConfigOrigin {
    /// A file, which names the folder of the zones.
    File(PathBuf),
    /// A file of which only the checks count, with the services that use them.
    Checks(PathBuf),
    /// A file with a release, whether that is the one that is served or not.
    Released {
        /// The server's own file.
        file: PathBuf,
        /// The folder of the release; `None`: the own file alone.
        release: Option<PathBuf>,
        /// Whether only the checks count, as of [`ConfigOrigin::Checks`].
        only_checks: bool,
    },
    /// A folder that is to become a release, without any server's own file.
    Pushed(PathBuf),
    /// Texts in the program: a configuration, and one zone instead of a folder of zones.
    BuiltIn {
        /// The text of the configuration.
        configuration: String,
        /// The text of the zone.
        zone: &'static str,
    },
}

impl std::fmt::Display for ConfigOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigOrigin::File(file)
            | ConfigOrigin::Checks(file)
            | ConfigOrigin::Released { file, .. }
            | ConfigOrigin::Pushed(file) => file.display().fmt(f),
            ConfigOrigin::BuiltIn { .. } => f.write_str("built-in"),
        }
    }
}
