//! Where a world keeps its files, and who sweeps up after it.
//!
//! Every world has a directory and a cgroup of the same name, and a janitor: a shell in a session of
//! its own that waits for the end of a pipe whose other end this process holds. The pipe closes when
//! the world is dropped, and also when this process panics, is interrupted or is killed; the janitor
//! then kills what is left in the cgroup and removes both. A janitor that is killed itself leaves
//! something for [`clean`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};

use super::cgroup::{Cgroup, mount_point};

/// Not below /tmp or /run: the one is writable by everybody, the other may be mounted `noexec`.
const HOMES: &str = "/var/lib/egressd-world";
const PREFIX: &str = "egressd-world-";

/// Kills and removes until nothing is left, for at most 5 s: a process that was started just before
/// the end may join its cgroup after the first kill.
const SWEEP: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
tries=0
while [ -d "$1" ] && [ $tries -lt 250 ]; do
    echo 1 >"$1/cgroup.kill"
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.02
    tries=$((tries + 1))
done
rm -rf "$2"
[ ! -d "$1" ]
"#;

#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    cgroup: Cgroup,
    janitor: Child,
}

impl Home {
    pub fn make() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!(
            "{}-{}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(HOMES).join(&id);
        fs::create_dir_all(&path)
            .with_context(|| format!("making {}; this needs root", path.display()))?;
        let cgroup = Cgroup::make(&format!("{PREFIX}{id}"))?;
        let janitor = sweeper(cgroup.path(), &path)
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start `setsid` (package util-linux)")?;
        Ok(Self {
            path,
            cgroup,
            janitor,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        self.janitor.wait().ok();
    }
}

/// Removes what worlds of processes that are gone have left, and says what it removed.
pub fn clean() -> Result<Vec<String>> {
    let mut ids: Vec<String> = names_in(Path::new(HOMES))?;
    let cgroups = names_in(&mount_point()?)?;
    ids.extend(
        cgroups
            .iter()
            .filter_map(|name| name.strip_prefix(PREFIX))
            .map(str::to_owned),
    );
    ids.sort();
    ids.dedup();
    ids.retain(|id| is_dead(id));
    for id in &ids {
        let cgroup = mount_point()?.join(format!("{PREFIX}{id}"));
        let ended = sweeper(&cgroup, &Path::new(HOMES).join(id))
            .stdin(Stdio::null())
            .status()?;
        anyhow::ensure!(ended.success(), "cannot remove the world {id}: {ended}");
    }
    Ok(ids)
}

fn sweeper(cgroup: &Path, home: &Path) -> Command {
    let mut command = Command::new("setsid");
    command
        .args(["sh", "-c", SWEEP, "world-janitor"])
        .arg(cgroup)
        .arg(home)
        .current_dir("/")
        .stdout(Stdio::null());
    command
}

/// The id of a world starts with the process that made it.
fn is_dead(id: &str) -> bool {
    let maker = id.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
    maker.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

fn names_in(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("reading {}", directory.display()));
        }
    };
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_of_a_living_process_is_not_dead() {
        assert!(!is_dead(&format!("{}-0", process::id())));
    }

    #[test]
    fn a_name_that_is_no_world_is_left_alone() {
        assert!(!is_dead("someone-elses"));
    }

    #[test]
    fn a_world_of_a_process_that_is_gone_is_dead() {
        // Linux never gives out PID 4194304 (PID_MAX_LIMIT) itself.
        assert!(is_dead("4194304-0"));
    }
}
