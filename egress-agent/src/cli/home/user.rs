//! Whose home it is.

use std::{
    env,
    ffi::OsStr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustix::process::{getegid, geteuid};

use super::Agent;

/// The person whose agents are guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct User {
    pub(in crate::cli) uid: u32,
    pub(in crate::cli) gid: u32,
    pub(in crate::cli) home: PathBuf,
    /// Whether variables of this process say where its agents have their settings.
    is_moved: bool,
}

impl User {
    /// Under sudo, doas or pkexec the person who called it; otherwise the owner of the home. `home`
    /// is one that was named, `root` the file system that it lies in.
    pub(in crate::cli) fn find(home: Option<&Path>, root: &Path) -> anyhow::Result<Self> {
        let is_root = geteuid().is_root();
        let caller = is_root.then(caller).flatten();
        let own = || env::var_os("HOME").filter(|home| !home.is_empty());
        let is_named = home.is_some();
        let home = match (home, &caller) {
            (Some(home), _) => home.to_owned(),
            (None, Some(caller)) => caller.dir.clone(),
            (None, None) => own().map(PathBuf::from).context(
                "HOME is not set: say whose settings with `--home DIR`, or leave them with \
                 `--no-hooks`",
            )?,
        };
        if !home.is_absolute() {
            bail!("`{}` is no home: name it from `/` on", home.display());
        }
        let is_moved = !is_named && caller.is_none() && root == Path::new("/");
        let home = super::super::init::beneath(root, &home);
        let (uid, gid) = match &caller {
            Some(caller) => (caller.uid.as_raw(), caller.gid.as_raw()),
            None if is_root => match std::fs::symlink_metadata(&home) {
                Ok(found) => (found.uid(), found.gid()),
                Err(_absent) => (0, 0),
            },
            None => (geteuid().as_raw(), getegid().as_raw()),
        };
        Ok(Self {
            uid,
            gid,
            home,
            is_moved,
        })
    }

    /// One that was found before.
    pub(in crate::cli) const fn known(uid: u32, gid: u32, home: PathBuf) -> Self {
        Self {
            uid,
            gid,
            home,
            is_moved: false,
        }
    }

    /// Whether this process has no more rights than the person.
    pub(in crate::cli) fn is_self(&self) -> bool {
        self.uid == geteuid().as_raw()
    }

    /// Where each agent that takes a hook has its settings.
    pub(in crate::cli) fn files(&self) -> Vec<(Agent, PathBuf)> {
        Agent::ALL
            .into_iter()
            .filter_map(|agent| {
                let file = agent.hook()?.file(&self.home, self.is_moved);
                Some((agent, file))
            })
            .collect()
    }

    /// Where programs of the person are.
    pub(in crate::cli) fn search(&self, root: &Path) -> Vec<PathBuf> {
        let mut places: Vec<PathBuf> = [".local/bin", "bin", ".npm-global/bin", ".bun/bin"]
            .map(|place| self.home.join(place))
            .into();
        places.extend(
            ["/usr/local/bin", "/usr/bin", "/opt/bin"]
                .map(|place| super::super::init::beneath(root, Path::new(place))),
        );
        if root == Path::new("/") {
            let path = env::var_os("PATH").unwrap_or_default();
            places.extend(env::split_paths(&path).filter(|place| place.is_absolute()));
        }
        places
    }
}

/// Who called sudo, doas or pkexec. They set these themselves, whatever the caller had in them.
fn caller() -> Option<nix::unistd::User> {
    let number = |name: &str| -> Option<u32> { env::var_os(name)?.to_str()?.parse().ok() };
    let by_number = number("SUDO_UID")
        .or_else(|| number("PKEXEC_UID"))
        .and_then(|uid| nix::unistd::User::from_uid(uid.into()).ok().flatten());
    let by_name = || {
        let name = env::var_os("DOAS_USER")?;
        let name = OsStr::to_str(&name)?;
        nix::unistd::User::from_name(name).ok().flatten()
    };
    by_number
        .or_else(by_name)
        .filter(|user| !user.uid.is_root())
}
