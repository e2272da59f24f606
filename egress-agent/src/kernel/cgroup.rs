//! Control groups, version 2: finding the hierarchy, making groups, putting processes in.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Why a cgroup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error(
        "no cgroup2 file system is mounted; mount one with `mount -t cgroup2 none /sys/fs/cgroup`"
    )]
    NotMounted,
    #[error(
        "this process is in a cgroup namespace of its own, where cgroup depths cannot be seen; start egressd on the host"
    )]
    Namespaced,
    #[error(
        "`{0}` is not a cgroup path: write it relative to the cgroup2 mount, like `agent.slice`, without `.`, `..` or empty parts"
    )]
    BadPath(String),
    #[error("{op} {path}: {source}", path = path.display())]
    Io {
        op: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// The cgroup2 mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    root: PathBuf,
}

/// `PROC_CGROUP_INIT_INO`, `include/linux/proc_ns.h`: the inode of the first cgroup namespace.
const INIT_CGROUP_NAMESPACE: u64 = 0xEFFF_FFFB;

impl Hierarchy {
    /// Finds the mount, in hybrid layouts too.
    pub fn find() -> Result<Self, CgroupError> {
        let path = Path::new("/proc/self/ns/cgroup");
        let namespace = fs::metadata(path).map_err(|source| io_error("look at", path, source))?;
        if namespace.ino() != INIT_CGROUP_NAMESPACE {
            return Err(CgroupError::Namespaced);
        }
        let path = Path::new("/proc/self/mountinfo");
        let mounts = fs::read_to_string(path).map_err(|source| io_error("read", path, source))?;
        let root = mount_point(&mounts).ok_or(CgroupError::NotMounted)?;
        Ok(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The cgroup of this name, made with its parents when it is missing.
    pub fn create(&self, path: &str) -> Result<Cgroup, CgroupError> {
        let path = normalise(path)?;
        let directory = self.root.join(&path);
        fs::create_dir_all(&directory).map_err(|source| io_error("make", &directory, source))?;
        self.open(&path)
    }

    /// The existing cgroup of this name.
    pub fn open(&self, path: &str) -> Result<Cgroup, CgroupError> {
        let path = normalise(path)?;
        let directory = self.root.join(&path);
        let metadata =
            fs::metadata(&directory).map_err(|source| io_error("open", &directory, source))?;
        Ok(Cgroup {
            level: u32::try_from(path.split('/').count()).unwrap_or(u32::MAX),
            path,
            directory,
            // The inode number of a cgroup directory is its 64-bit id (kernfs).
            id: metadata.ino(),
        })
    }

    /// The cgroup that a process is in, as a path below the mount.
    pub fn of_process(pid: u32) -> io::Result<String> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        unified_path(&text).ok_or_else(|| io::Error::other("the process is in no cgroup2 group"))
    }

    /// The cgroup that this process is in.
    pub fn of_self() -> io::Result<String> {
        let text = fs::read_to_string("/proc/self/cgroup")?;
        unified_path(&text).ok_or_else(|| io::Error::other("this process is in no cgroup2 group"))
    }
}

/// One cgroup that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    path: String,
    directory: PathBuf,
    id: u64,
    level: u32,
}

impl Cgroup {
    /// Relative to the mount, without slashes at either end.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the kernel calls it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Depth below the root of the hierarchy, which is 0.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// Whether the directory is still the cgroup that was opened, and not a new one of its name.
    pub fn is_current(&self) -> bool {
        fs::metadata(&self.directory).is_ok_and(|metadata| metadata.ino() == self.id)
    }

    /// Moves a process in.
    pub fn enter(&self, pid: u32) -> Result<(), CgroupError> {
        let path = self.directory.join("cgroup.procs");
        fs::write(&path, pid.to_string()).map_err(|source| io_error("write", &path, source))
    }

    /// Whether any process is in it or below.
    pub fn is_populated(&self) -> io::Result<bool> {
        let events = fs::read_to_string(self.directory.join("cgroup.events"))?;
        Ok(events.lines().any(|line| line == "populated 1"))
    }

    /// The processes in it and below. One that a thread-mode group hides is not seen.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        processes(&self.directory)
    }

    /// Whether a path, relative to the mount, is this cgroup or lies below it.
    pub fn holds(&self, path: &str) -> bool {
        holds(&self.path, path)
    }

    /// Kills every process in it and below (Linux 5.14).
    pub fn kill(&self) -> Result<(), CgroupError> {
        let path = self.directory.join("cgroup.kill");
        fs::write(&path, "1").map_err(|source| io_error("write", &path, source))
    }

    /// Removes it; it must be empty.
    pub fn remove(&self) -> Result<(), CgroupError> {
        remove_tree(&self.directory).map_err(|source| io_error("remove", &self.directory, source))
    }
}

/// Whether `inner` is `outer` or lies below it; both relative to the mount.
pub fn holds(outer: &str, inner: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Removes a cgroup and the empty groups that were made below it.
fn remove_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}

fn processes(directory: &Path) -> io::Result<Vec<u32>> {
    let listed = fs::read_to_string(directory.join("cgroup.procs"))?;
    let mut found: Vec<u32> = listed
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(processes(&entry.path())?);
        }
    }
    Ok(found)
}

fn io_error(op: &'static str, path: &Path, source: io::Error) -> CgroupError {
    CgroupError::Io {
        op,
        path: path.to_path_buf(),
        source,
    }
}

/// A path below the mount without leading or trailing slash, or a refusal.
fn normalise(path: &str) -> Result<String, CgroupError> {
    let trimmed = path.trim_matches('/');
    let is_sound = !trimmed.is_empty()
        && trimmed
            .split('/')
            .all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'));
    if is_sound {
        Ok(trimmed.to_owned())
    } else {
        Err(CgroupError::BadPath(path.to_owned()))
    }
}

/// The mount point of the cgroup2 file system in a mountinfo text (`proc_pid_mountinfo(5)`): the
/// first that shows the hierarchy's root.
pub(super) fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        (root == "/" && right.split(' ').next()? == "cgroup2")
            .then(|| PathBuf::from(unescape(point)))
    })
}

/// mountinfo writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

/// The `0::` line of a /proc/PID/cgroup text (cgroups(7)), without its leading slash.
pub(super) fn unified_path(text: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.strip_prefix("0::"))
        .map(|path| path.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_in_both_layouts() {
        let unified =
            "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(mount_point(unified), Some("/sys/fs/cgroup".into()));
        let hybrid = "\
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
38 31 0:31 / /sys/fs/cgroup/unified\\040two rw,relatime - cgroup2 cgroup2 rw
";
        assert_eq!(
            mount_point(hybrid),
            Some("/sys/fs/cgroup/unified two".into())
        );
        let bound = "38 31 0:31 /part /mnt rw - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(bound), None);
        assert_eq!(mount_point("garbage\n - \n"), None);
    }

    #[test]
    fn a_path_is_relative_and_plain() {
        assert_eq!(normalise("/agent.slice/").unwrap(), "agent.slice");
        assert_eq!(normalise("a/b").unwrap(), "a/b");
        for bad in ["", "/", "a//b", "../a", "a/./b"] {
            assert!(normalise(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_that_only_begins_alike_is_not_inside() {
        assert!(holds("agent.slice", "agent.slice"));
        assert!(holds("agent.slice", "agent.slice/session-1"));
        assert!(!holds("agent.slice", "agent.slice2"));
        assert!(!holds("agent.slice", "agent"));
    }

    #[test]
    fn the_unified_line_is_the_one_that_counts() {
        assert_eq!(
            unified_path("3:cpu:/x\n0::/agent.slice/s1\n").unwrap(),
            "agent.slice/s1"
        );
        assert_eq!(unified_path("0::/\n").unwrap(), "");
        assert_eq!(unified_path("3:cpu:/x\n"), None);
    }
}
