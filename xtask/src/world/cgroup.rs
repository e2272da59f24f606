//! The cgroup of a world: the daemon, the agents and those outside the guard have one each.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// Where cgroup2 is mounted, wherever that is: `/sys/fs/cgroup`, or below it on a hybrid machine.
pub fn mount_point() -> Result<PathBuf> {
    let table =
        fs::read_to_string("/proc/self/mountinfo").context("reading /proc/self/mountinfo")?;
    find_mount(&table).context(
        "no cgroup2 file system is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup",
    )
}

/// A directory of cgroups, made empty.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    name: String,
}

impl Cgroup {
    pub fn make(name: &str) -> Result<Self> {
        let path = mount_point()?.join(name);
        fs::create_dir_all(&path)
            .with_context(|| format!("making the cgroup {}", path.display()))?;
        Ok(Self {
            path,
            name: name.to_owned(),
        })
    }

    /// A cgroup below this one.
    pub fn child(&self, name: &str) -> Result<Self> {
        Self::make(&format!("{}/{name}", self.name))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path below the mount point, as `egressd run --cgroup` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Completes a command that runs `sh`: the shell enters this cgroup and becomes the program that
    /// is added next.
    pub fn join(&self, mut shell: Command) -> Command {
        shell
            .args(["-c", r#"echo 0 >"$0" && exec "$@""#])
            .arg(self.procs());
        shell
    }

    /// The processes in here and below.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        let mut pids = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let name = format!("{}/{}", self.name, entry.file_name().to_string_lossy());
                pids.extend(
                    Self {
                        path: entry.path(),
                        name,
                    }
                    .pids()?,
                );
            }
        }
        let text = fs::read_to_string(self.procs())?;
        pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        Ok(pids)
    }
}

/// The mount point is the fifth field; the type follows the ` - ` (`proc_pid_mountinfo(5)`).
fn find_mount(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let root = before.split(' ').nth(3)?;
        let point = before.split(' ').nth(4)?;
        (after.split(' ').next() == Some("cgroup2") && root == "/").then(|| PathBuf::from(point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_layout_has_its_cgroup2_below_the_first_version() {
        let table = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                     40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(
            find_mount(table),
            Some(PathBuf::from("/sys/fs/cgroup/unified"))
        );
    }

    #[test]
    fn no_cgroup2_is_none() {
        assert_eq!(
            find_mount("1 0 0:1 / /sys/fs/cgroup rw - tmpfs tmpfs rw\nnonsense\n"),
            None
        );
    }
}
