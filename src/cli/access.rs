//! What the user that serves may read: `meridian check` as root, asked before the server finds out.
//!
//! Root may read everything, so a check as root finds good what the server, as the user `meridian`, is then refused. The
//! one true answer is the system's: a thread of its own takes on the user's rights, tries every file, and ends.

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

/// The user that the package makes.
const USUAL: &str = "meridian";

/// A user of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemUser {
    name: String,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl SystemUser {
    /// The user that was named, by its name or as `UID` or `UID:GID`. Without a name: the owner of the state directory,
    /// or the user `meridian`, if this is root and there is one; nobody otherwise.
    ///
    /// # Errors
    /// A sentence: there is no such user, or this is not root, who alone can try it.
    pub fn find(named: Option<&str>, config: &Config) -> Result<Option<SystemUser>, String> {
        let is_root = geteuid().is_root();
        match named {
            Some(_) if !is_root => {
                Err("--user needs root, who alone can try what another user may read".to_owned())
            }
            Some(name) => SystemUser::named(name).map(Some),
            None if !is_root => Ok(None),
            None => {
                let owner = config
                    .state_directory
                    .as_ref()
                    .and_then(|directory| fs::metadata(directory).ok());
                let owner = owner.map(|data| data.uid()).filter(|uid| *uid != 0);
                let name = owner.map_or_else(|| USUAL.to_owned(), |uid| uid.to_string());
                Ok(SystemUser::named(&name).ok())
            }
        }
    }

    fn named(name: &str) -> Result<SystemUser, String> {
        let read = |path: &str| {
            let content = files::read(Path::new(path), FileKind::Accounts)
                .map_err(|error| format!("{path} {error}"))?;
            Ok::<_, String>(String::from_utf8_lossy(&content.octets).into_owned())
        };
        let unknown =
            || format!("there is no user {name:?} in /etc/passwd; name one there, or give UID:GID");
        let mut user = user_in(&read("/etc/passwd")?, name)
            .or_else(|| numbers(name))
            .ok_or_else(unknown)?;
        user.groups = groups_in(&read("/etc/group").unwrap_or_default(), &user.name);
        Ok(user)
    }

    /// What this user may not read of what the server reads, a sentence for each file; and what a start of its finds.
    pub fn findings(&self, loaded: &LoadedState) -> (Vec<String>, StartReport) {
        let paths = paths(loaded);
        // Rights belong to threads: this one keeps its own.
        let tried = std::thread::scope(|scope| {
            let work = || self.try_all(&paths, loaded);
            let thread = std::thread::Builder::new().spawn_scoped(scope, work);
            let thread = thread
                .map_err(|error| format!("what {} may read is not known: {error}", self.name))?;
            thread
                .join()
                .unwrap_or_else(|_| Ok((Vec::new(), StartReport::default())))
        });
        tried.unwrap_or_else(|sentence| (vec![sentence], StartReport::default()))
    }

    /// Its name, or its number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes on the user's rights, on this thread and for good, and tries everything.
    fn try_all(
        &self,
        paths: &[PathBuf],
        loaded: &LoadedState,
    ) -> Result<(Vec<String>, StartReport), String> {
        let config = &loaded.config;
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let groups: Vec<Gid> = self
            .groups
            .iter()
            .map(|group| Gid::from_raw(*group))
            .collect();
        set_thread_groups(&groups)
            .and_then(|()| set_thread_res_gid(gid, gid, gid))
            .and_then(|()| set_thread_res_uid(uid, uid, uid))
            .map_err(|error| format!("cannot try what the user {} may read: {error}", self.name))?;
        let mut told = Vec::new();
        if let Err(error) = fs::read_dir(&config.zones_directory) {
            told.push(self.sentence(&config.zones_directory, &format!("cannot be read: {error}")));
        }
        for path in paths {
            if let Err(error) = OpenFile::open(path) {
                told.push(self.sentence(path, &error.to_string()));
            }
        }
        Ok((told, start::examine(config, &loaded.prints)))
    }

    fn sentence(&self, path: &Path, reason: &str) -> String {
        let (path, name) = (shown(path.display()), &self.name);
        format!(
            "{path}: as the user {name}, it {reason}; let this user read it, and enter the folders that it is in"
        )
    }
}

/// Everything that a server of this configuration reads when it loads it, each once.
fn paths(loaded: &LoadedState) -> Vec<PathBuf> {
    let config = &loaded.config;
    let mut paths: Vec<PathBuf> = loaded.files.iter().map(|file| file.path.clone()).collect();
    paths.extend(config.geo.databases.iter().cloned());
    paths.extend(
        config
            .server
            .cookie_secrets_file
            .clone()
            .filter(|_| config.server.cookies),
    );
    paths.extend(identity::paths(config).cloned());
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

/// `UID` or `UID:GID`; the highest number stands for none.
fn numbers(text: &str) -> Option<SystemUser> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| {
        text.parse::<u32>()
            .ok()
            .filter(|number| *number != u32::MAX)
    };
    Some(SystemUser {
        name: text.to_owned(),
        uid: number(uid)?,
        gid: number(gid)?,
        groups: Vec::new(),
    })
}

/// The groups that a user is a member of, from the text of group(5).
fn groups_in(text: &str, name: &str) -> Vec<u32> {
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let (gid, members) = (fields.nth(2)?, fields.next()?);
        members
            .split(',')
            .any(|member| member == name)
            .then(|| gid.parse().ok())
            .flatten()
    };
    text.lines().filter_map(of_line).collect()
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
