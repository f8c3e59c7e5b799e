//! `meridian fleet`: `init` writes what a fleet needs, ready to be copied to its machines, and `status`
//! shows all servers of a running one.
//!
//! There is a folder for each NATS server, with its configuration, certificate and key, and a folder
//! for each nameserver, with its `[fleet]` section and its password. A small authority is made on the
//! spot; it signs the certificates of the NATS servers, and nameservers trust it alone.

mod authority;
mod nats_conf;
mod status;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::arguments::{FleetCommand, FleetInit, NatsGiven, VoterGiven};
use crate::new_files::{NewFile, new_token, write_new};
use crate::terminal::say;
use crate::text::{counted, toml_text};
use authority::FleetAuthority;
use nats_conf::{NatsUser, nats_conf};

/// The port of NATS servers for each other is that for clients and this.
pub const CLUSTER_PORTS: u16 = 2000;

/// Runs a command of a fleet.
///
/// # Errors
/// A sentence: the options contradict each other, or a file cannot be written.
pub fn run(command: &FleetCommand) -> Result<ExitCode, String> {
    match command {
        FleetCommand::Init(arguments) => init(arguments),
        FleetCommand::Status(arguments) => status::run(arguments),
    }
}

fn init(arguments: &FleetInit) -> Result<ExitCode, String> {
    check(arguments)?;
    let authority = FleetAuthority::make(&arguments.name)?;
    let mut files = vec![
        NewFile::public(arguments.directory.join("ca.pem"), authority.certificate()),
        NewFile::secret(arguments.directory.join("ca.key"), authority.key()),
    ];
    let mut users = Vec::new();
    for voter in &arguments.voter {
        let password = new_token()?.trim_end().to_owned();
        files.extend(nameserver_files(arguments, voter, &authority, &password));
        users.push(NatsUser {
            name: voter.name.clone(),
            password,
        });
    }
    for server in &arguments.nats {
        files.extend(nats_files(arguments, server, &authority, &users)?);
    }
    write_new(&files)?;
    print_next_steps(arguments);
    Ok(ExitCode::SUCCESS)
}

/// Finds names and addresses that are given twice, and ports that there are not.
fn check(arguments: &FleetInit) -> Result<(), String> {
    let (mut folders, mut places) = (BTreeSet::new(), BTreeSet::new());
    let mut names: Vec<&str> = Vec::new();
    for server in &arguments.nats {
        names.push(&server.name);
        let NatsGiven { host, port, .. } = server;
        let Some(cluster) = port.checked_add(CLUSTER_PORTS) else {
            return Err(format!(
                "the port {port} leaves no room for that of the cluster, which is {CLUSTER_PORTS} more"
            ));
        };
        for port in [*port, cluster] {
            if !places.insert((host, port)) {
                return Err(format!(
                    "two NATS servers would use the port {port} of {host}"
                ));
            }
        }
    }
    for voter in &arguments.voter {
        names.push(&voter.name);
    }
    for name in names {
        if !folders.insert(name) {
            return Err(format!("two servers are named {name}"));
        }
    }
    Ok(())
}

/// The files of a nameserver, which belong beside its configuration.
fn nameserver_files(
    arguments: &FleetInit,
    voter: &VoterGiven,
    authority: &FleetAuthority,
    password: &str,
) -> [NewFile; 3] {
    let folder = arguments.directory.join(&voter.name);
    let at = |name: &str| folder.join(name);
    [
        NewFile::public(at("fleet.toml"), section(arguments, voter)),
        NewFile::public(at("nats-ca.pem"), authority.certificate()),
        NewFile::secret(at("nats.password"), format!("{password}\n")),
    ]
}

/// The `[fleet]` section of a nameserver.
fn section(arguments: &FleetInit, voter: &VoterGiven) -> String {
    let mut servers = Vec::new();
    for server in &arguments.nats {
        servers.push(toml_text(&format!("tls://{}", server.authority(0))));
    }
    let (fleet, name) = (toml_text(&arguments.name), toml_text(&voter.name));
    let group = match &voter.group {
        Some(group) => format!("group = {}\n", toml_text(group)),
        None => String::new(),
    };
    format!(
        "# Belongs into the meridian.toml of {}, and the other files of this folder beside it.\n\
         [fleet]\nname = {fleet}\nvoter = {name}\n{group}servers = [{}]\n\
         ca_file = \"nats-ca.pem\"\nuser = {name}\npassword_file = \"nats.password\"\n",
        voter.name,
        servers.join(", ")
    )
}

/// The files of a NATS server, which runs in its folder.
fn nats_files(
    arguments: &FleetInit,
    server: &NatsGiven,
    authority: &FleetAuthority,
    users: &[NatsUser],
) -> Result<[NewFile; 4], String> {
    let folder = arguments.directory.join(&server.name);
    let at = |name: &str| folder.join(name);
    let (certificate, key) = authority.certify(&server.host)?;
    let conf = nats_conf(&arguments.name, server, &arguments.nats, users);
    Ok([
        // It holds the passwords.
        NewFile::secret(at("nats.conf"), conf),
        NewFile::public(at("ca.pem"), authority.certificate()),
        NewFile::public(at("server.pem"), certificate),
        NewFile::secret(at("server.key"), key),
    ])
}

impl NatsGiven {
    /// Host and port, an IPv6 address in brackets; `beyond` is added to the port.
    pub fn authority(&self, beyond: u16) -> String {
        let port = self.port.saturating_add(beyond);
        if self.host.contains(':') {
            format!("[{}]:{port}", self.host)
        } else {
            format!("{}:{port}", self.host)
        }
    }
}

fn print_next_steps(arguments: &FleetInit) {
    let directory = &arguments.directory;
    let path = |name: &str| -> PathBuf { directory.join(name) };
    say!(
        "wrote {}: an authority, {} and {}\n\nnext:",
        directory.display(),
        counted(arguments.nats.len(), "NATS server"),
        counted(arguments.voter.len(), "nameserver")
    );
    say!(
        "1. Copy each folder of a NATS server to its machine, and start it there, in that folder:"
    );
    for server in &arguments.nats {
        let folder = path(&server.name);
        say!(
            "     {}   cd {} && nats-server -c nats.conf",
            server.host,
            folder.display()
        );
    }
    say!(
        "   They need nats-server 2.10 or later; 2.9 carries votes if you remove the block jetstream."
    );
    say!(
        "   Nameservers come to the port of the configuration, the NATS servers to one that is \
         {CLUSTER_PORTS} higher."
    );
    say!(
        "2. Copy the files of each nameserver beside its meridian.toml, and append fleet.toml to that:"
    );
    for voter in &arguments.voter {
        say!("     {}   {}", voter.name, path(&voter.name).display());
    }
    say!("   All of them serve the same zones, services and checks.");
    say!(
        "3. Restart one nameserver after the other. `meridian status` and /v1/status tell who votes."
    );
    say!(
        "4. Keep {} where nobody else can read it: it signs certificates for more NATS servers.",
        Path::new(&path("ca.key")).display()
    );
}
