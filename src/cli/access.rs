//! Checks as root whether the user of the server can read its files, for `meridian check`.
//!
//! Root can read everything, so a plain check as root accepts files that the server, as the user
//! `meridian`, cannot open. Only the system can tell. A separate thread takes on the rights of the
//! user, tries to open every file, and ends.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::config::Config;
use crate::control::start::{self, StartReport};
use crate::control::{LoadedState, identity};
use crate::files::{self, FileKind, OpenFile};
use crate::text::shown;

/// The user that the package creates.
const USUAL: &str = "meridian";

/// A user of this system, for whom files are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemUser {
    name: String,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl SystemUser {
    /// Finds a user by its name, `UID` or `UID:GID`. Without one, root gets the owner of the state
    /// directory, or else the user `meridian` if it exists.
    ///
    /// # Errors
    /// A sentence: there is no such user, or this process is not root.
    pub fn find(named: Option<&str>, config: &Config) -> Result<Option<SystemUser>, String> {
        let is_root = geteuid().is_root();
        match named {
            Some(_) if !is_root => Err(
                "--user needs root, because only root can test what another user may read"
                    .to_owned(),
            ),
            Some(name) => SystemUser::named(name).map(Some),
            None if !is_root => Ok(None),
            None => Ok(SystemUser::named(&usual_user(config)).ok()),
        }
    }

    fn named(name: &str) -> Result<SystemUser, String> {
        let known = user_in(&read_accounts("/etc/passwd")?, name);
        let Some(mut user) = known.or_else(|| numbers(name)) else {
            return Err(format!(
                "there is no user {name:?} in /etc/passwd; use a name in that file, or UID:GID"
            ));
        };
        let groups = read_accounts("/etc/group").unwrap_or_default();
        user.groups = groups_in(&groups, &user.name);
        Ok(user)
    }

    /// A sentence for each file of the server that this user cannot read, and the findings of a
    /// start as this user.
    pub fn findings(&self, loaded: &LoadedState) -> (Vec<String>, StartReport) {
        let paths = paths(loaded);
        // Rights belong to a thread, so this one keeps its own.
        let tried = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .spawn_scoped(scope, || self.try_all(&paths, loaded))
                .map_err(|error| format!("cannot find out what {} may read: {error}", self.name))?;
            thread
                .join()
                .unwrap_or_else(|_| Ok((Vec::new(), StartReport::default())))
        });
        tried.unwrap_or_else(|sentence| (vec![sentence], StartReport::default()))
    }

    /// The name of the user, or its number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Permanently takes on the rights of the user in this thread, and tries every file.
    fn try_all(
        &self,
        paths: &[PathBuf],
        loaded: &LoadedState,
    ) -> Result<(Vec<String>, StartReport), String> {
        self.become_user().map_err(|error| {
            format!("cannot test what the user {} may read: {error}", self.name)
        })?;
        let config = &loaded.config;
        let unreadable = self.unreadable(&config.zones_directory, paths);
        Ok((unreadable, start::examine(config, &loaded.prints)))
    }

    /// Gives the rights of the user to this thread.
    fn become_user(&self) -> rustix::io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let mut groups = Vec::new();
        for group in &self.groups {
            groups.push(Gid::from_raw(*group));
        }
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)
    }

    /// A sentence for everything that this thread cannot read.
    fn unreadable(&self, zones: &Path, paths: &[PathBuf]) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Err(error) = fs::read_dir(zones) {
            sentences.push(self.sentence(zones, &format!("cannot be read: {error}")));
        }
        for path in paths {
            if let Err(error) = OpenFile::open(path) {
                sentences.push(self.sentence(path, &error.to_string()));
            }
        }
        sentences
    }

    fn sentence(&self, path: &Path, reason: &str) -> String {
        let (path, name) = (shown(path.display()), &self.name);
        format!(
            "{path}: as the user {name}, it {reason}; allow this user to read it and to enter its parent folders"
        )
    }
}

/// The user of the state directory, or else the one of the package.
fn usual_user(config: &Config) -> String {
    if let Some(directory) = &config.state_directory
        && let Ok(data) = fs::metadata(directory)
        && data.uid() != 0
    {
        return data.uid().to_string();
    }
    USUAL.to_owned()
}

/// The paths of all files that the server reads when it loads this configuration, each once.
fn paths(loaded: &LoadedState) -> Vec<PathBuf> {
    let config = &loaded.config;
    let mut paths = config.geo.databases.clone();
    for file in &loaded.files {
        paths.push(file.path.clone());
    }
    if config.server.cookies {
        paths.extend(config.server.cookie_secrets_file.clone());
    }
    paths.extend(identity::paths(config).cloned());
    if let Some(dnssec) = &config.dnssec {
        paths.extend(dnssec.tokens.pin_file.clone());
    }
    paths.sort();
    paths.dedup();
    paths
}

/// The line of a user in the text of passwd(5), by name or by number.
fn user_in(text: &str, wanted: &str) -> Option<SystemUser> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        let user = SystemUser {
            name: name.to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            groups: Vec::new(),
        };
        (name == wanted || uid == wanted).then_some(user)
    })
}

/// Parses `UID` or `UID:GID`. The highest number is invalid: it means "unchanged" to the system.
fn numbers(text: &str) -> Option<SystemUser> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
    if uid == u32::MAX || gid == u32::MAX {
        return None;
    }
    Some(SystemUser {
        name: text.to_owned(),
        uid,
        gid,
        groups: Vec::new(),
    })
}

/// The groups that a user is a member of, from the text of group(5).
fn groups_in(text: &str, name: &str) -> Vec<u32> {
    let mut groups = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [_, _, gid, members, ..] = fields[..]
            && members.split(',').any(|member| member == name)
        {
            groups.extend(gid.parse::<u32>());
        }
    }
    groups
}

fn read_accounts(path: &str) -> Result<String, String> {
    match files::read(Path::new(path), FileKind::Accounts) {
        Ok(content) => Ok(String::from_utf8_lossy(&content.octets).into_owned()),
        Err(error) => Err(format!("{path} {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_read_as_the_system_writes_them() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nmeridian:x:998:997::/var/lib/meridian:/usr/sbin/nologin\n";
        let expected = SystemUser {
            name: "meridian".to_owned(),
            uid: 998,
            gid: 997,
            groups: Vec::new(),
        };
        assert_eq!(user_in(passwd, "meridian"), Some(expected.clone()));
        assert_eq!(user_in(passwd, "998"), Some(expected));
        assert_eq!(user_in(passwd, "nobody"), None);
        let group = "root:x:0:\nssl-cert:x:110:postgres,meridian\nother:x:111:meridianx\nadm:x:4:meridian\n";
        assert_eq!(groups_in(group, "meridian"), [110, 4]);
        assert_eq!(
            numbers("5:6").map(|user| (user.uid, user.gid)),
            Some((5, 6))
        );
        assert_eq!(numbers("5").map(|user| (user.uid, user.gid)), Some((5, 5)));
        assert_eq!(numbers("-5"), None);
    }
}
