//! The options of `meridian push` and `meridian releases`.

use std::path::PathBuf;

use clap::Args;

use super::RemoteArgs;

/// `meridian push`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["directory", "back", "new_key"]))]
pub struct PushArgs {
    /// The folder with `meridian.toml` and everything that it names
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Go back to the release before, at once on all servers that have served it
    #[arg(long, conflicts_with_all = ["directory", "watch", "url"])]
    pub back: bool,
    /// Make a key to sign releases with, write it to this file, and print its public half
    #[arg(long, value_name = "FILE", conflicts_with_all = ["directory", "back", "key"])]
    pub new_key: Option<PathBuf>,
    /// The file with the key to sign with (Ed25519, PKCS#8 in PEM)
    #[arg(long, value_name = "FILE", env = "MERIDIAN_RELEASE_KEY", required_unless_present_any = ["new_key", "dry_run", "write_archive"])]
    pub key: Option<PathBuf>,
    /// Why; it is signed and shown with the release [default with --watch: the subject of the last commit]
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Who makes the release [default: the user of the system; with --watch the author of the last commit]
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// Confirm that clients move further than `[guard]` allows
    #[arg(long)]
    pub yes: bool,
    /// Check and pack the folder, and publish nothing
    #[arg(long, requires = "directory")]
    pub dry_run: bool,
    /// Stay, and push the folder whenever it has changed, such as a Git checkout
    #[arg(long, requires = "directory", conflicts_with_all = ["dry_run", "url", "write_archive"])]
    pub watch: bool,
    /// Write the archive to this file and publish nothing, so that it can be put on an HTTPS server
    #[arg(long, value_name = "FILE", requires = "directory")]
    pub write_archive: Option<PathBuf>,
    /// The servers take the archive from this HTTPS address, and the engine carries none
    #[arg(long, value_name = "URL", requires = "directory")]
    pub url: Option<String>,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `meridian releases`
#[derive(Debug, Args)]
pub struct ReleasesArgs {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub remote: RemoteArgs,
}
