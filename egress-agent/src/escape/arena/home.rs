//! The files and the cgroup of one run, and what dead runs have left of theirs.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::kernel::{Cgroup, Hierarchy};

const PREFIX: &str = "egressd-escape-";
/// As for a real daemon, only root can write on the way to its files. In a directory that is open
/// to all the launcher could not protect them from a session of root.
const PARENT: &str = "/var/lib";

/// A directory that only root can change, and a cgroup of the same name. Both go with it.
#[derive(Debug)]
pub struct Home {
    directory: PathBuf,
    cgroup: Cgroup,
}

impl Home {
    /// Makes both; `number` tells the runs of one process apart.
    pub fn make(number: u32) -> anyhow::Result<Self> {
        let hierarchy = Hierarchy::find()?;
        sweep(&hierarchy).context("remove what an earlier run has left")?;
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        fs::create_dir_all(PARENT).with_context(|| format!("make {PARENT}"))?;
        let directory = Path::new(PARENT).join(&name);
        fs::DirBuilder::new()
            .mode(0o755)
            .create(&directory)
            .with_context(|| format!("make {}", directory.display()))?;
        // The umask does not know that other users shall look in here.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        let cgroup = match hierarchy.create(&name) {
            Ok(cgroup) => cgroup,
            Err(error) => {
                fs::remove_dir(&directory)?;
                return Err(error.into());
            }
        };
        Ok(Self { directory, cgroup })
    }

    pub fn path(&self) -> &Path {
        &self.directory
    }

    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// A directory in here that belongs to `uid`.
    pub fn directory_of(&self, name: &str, uid: u32) -> anyhow::Result<PathBuf> {
        let path = self.directory.join(name);
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        chown(&path, Some(uid), Some(uid))?;
        Ok(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let gone = remove_cgroup(&self.cgroup).and_then(|()| fs::remove_dir_all(&self.directory));
        if let Err(error) = gone {
            tracing::warn!(%error, path = %self.directory.display(), "the next run removes what is left");
        }
    }
}

/// Ends what is in it, and removes it when that has gone.
fn remove_cgroup(cgroup: &Cgroup) -> io::Result<()> {
    if !cgroup.is_current() {
        return Ok(());
    }
    cgroup.kill().map_err(io::Error::other)?;
    let started = Instant::now();
    loop {
        match cgroup.remove() {
            Ok(()) => return Ok(()),
            Err(error) if started.elapsed() > Duration::from_secs(2) => {
                return Err(io::Error::other(error));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Removes what processes that are no more have left.
fn sweep(hierarchy: &Hierarchy) -> anyhow::Result<()> {
    for name in dead(hierarchy.root())? {
        remove_cgroup(&hierarchy.open(&name)?)?;
    }
    let directory = Path::new(PARENT);
    if directory.exists() {
        for name in dead(directory)? {
            fs::remove_dir_all(directory.join(name))?;
        }
    }
    Ok(())
}

/// The entries that belong to dead runs.
fn dead(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_dead = owner(&name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        if is_dead {
            names.push(name);
        }
    }
    Ok(names)
}

/// The process that made an entry of this name.
fn owner(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_have_an_owner() {
        assert_eq!(owner("egressd-escape-17-0"), Some(17));
        for name in [
            "egressd-escape-17",
            "egressd-escape-x-0",
            "egressd-17-0",
            "",
        ] {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}
