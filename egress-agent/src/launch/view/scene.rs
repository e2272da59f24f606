//! Looks at the machine for what the plan of a view needs to know.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use super::plan::{Kind, Scene, Thing};
use crate::{control::confinement::Confinement, launch::mounts};

/// Where programs find the configuration of name servers, below `/run`.
const RESOLVERS: [&str; 3] = [
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
];
/// ssh(1) refuses files here that belong to nobody whom it knows.
const SSH: &str = "/etc/ssh/ssh_config.d";

/// What root owns and may change without any capability: settings that name programs which the
/// kernel starts as root, outside of every cgroup, and that act at once.
const KERNEL: [&str; 3] = ["/proc/sys", "/proc/sysrq-trigger", "/sys"];

/// Looks. `uid` is who will see the view; `in_namespace` whether owners look different there.
pub(super) fn look(
    confinement: &Confinement,
    xdg: Option<PathBuf>,
    in_namespace: bool,
    uid: u32,
) -> std::io::Result<Scene> {
    let mounts = mounts::read()?;
    let of_kind = |kind: &str| -> Vec<PathBuf> {
        let mounts = mounts.iter().filter(|mount| mount.kind == kind);
        mounts.map(|mount| mount.point.clone()).collect()
    };
    let mut run = BTreeMap::from([(PathBuf::from("/run"), things(Path::new("/run")))]);
    let var_run = Path::new("/var/run");
    if is_directory(var_run) {
        run.insert(var_run.to_path_buf(), things(var_run));
    }
    let table = fs::read("/proc/net/unix")?;
    let mut sockets: Vec<PathBuf> = bound(&table)
        .filter_map(|path| real(&path))
        .filter(|path| is_socket(path))
        .collect();
    sockets.sort();
    sockets.dedup();
    let only_sockets: BTreeSet<PathBuf> = sockets
        .iter()
        .filter_map(|socket| socket.parent())
        .filter(|directory| !run.keys().any(|run| directory.starts_with(run)))
        .filter(|directory| holds_only_sockets(directory))
        .map(Path::to_path_buf)
        .collect();
    let listed = confinement.socket_paths().filter_map(|path| real(path));
    let mut cgroups = of_kind("cgroup2");
    cgroups.extend(of_kind("cgroup"));
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let kept = home.into_iter().chain(std::env::current_dir().ok());
    Ok(Scene {
        run,
        resolver_files: resolver_files(),
        only_sockets,
        listed: listed.filter(|path| is_socket(path)).collect(),
        sockets,
        runtime_dir: confinement
            .runtime_dir
            .canonicalize()
            .unwrap_or_else(|_| confinement.runtime_dir.clone()),
        protected: protected(confinement),
        cgroups,
        pins: of_kind("bpf"),
        xdg,
        kept: kept.filter(|path| path.parent().is_some()).collect(),
        kernel: if uid == 0 {
            KERNEL
                .map(PathBuf::from)
                .into_iter()
                .filter(|path| path.exists())
                .collect()
        } else {
            Vec::new()
        },
        // Nobody else can look into it.
        secret: if uid == 0 {
            let secret = confinement.secret.iter();
            secret.filter_map(|path| real(path)).collect()
        } else {
            Vec::new()
        },
        disks: if uid == 0 {
            disks(Path::new("/dev"))
        } else {
            Vec::new()
        },
        owned: if in_namespace {
            BTreeMap::from([(PathBuf::from(SSH), readable_files(Path::new(SSH)))])
        } else {
            BTreeMap::new()
        },
    })
}

/// The paths of bound sockets in `/proc/net/unix`; abstract and relative ones are left out.
fn bound(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        // Seven columns, and the path to the end of the line.
        let slash = line.iter().position(|byte| *byte == b'/')?;
        let path = line.get(slash..)?;
        let is_absolute = line.get(slash.checked_sub(1)?) == Some(&b' ');
        is_absolute.then(|| PathBuf::from(OsStr::from_bytes(path)))
    })
}

fn things(directory: &Path) -> Vec<Thing> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut things: Vec<Thing> = entries
        .flatten()
        .filter_map(|entry| {
            let (path, kind) = (entry.path(), entry.file_type().ok()?);
            let kind = if kind.is_symlink() {
                Kind::Link(fs::read_link(&path).ok()?)
            } else if kind.is_dir() {
                Kind::Directory
            } else if kind.is_file() {
                Kind::File
            } else {
                Kind::Other
            };
            Some(Thing { path, kind })
        })
        .collect();
    things.sort_by(|one, other| one.path.cmp(&other.path));
    things
}

fn resolver_files() -> Vec<PathBuf> {
    let listed = RESOLVERS
        .iter()
        .flat_map(|directory| things(Path::new(directory)));
    let mut files: Vec<PathBuf> = listed
        .filter(|thing| thing.kind == Kind::File)
        .map(|thing| thing.path)
        .filter(|path| path.extension() == Some(OsStr::new("conf")))
        .collect();
    let target = Path::new("/etc/resolv.conf").canonicalize().ok();
    files.extend(target.filter(|path| path.starts_with("/run")));
    files.sort();
    files.dedup();
    // Those directly in `/run` come back with everything that stands there.
    files.retain(|file| file.parent() != Some(Path::new("/run")));
    files
}

/// Directories that others may write, and files that are gone, are left to their permissions.
fn protected(confinement: &Confinement) -> Vec<(PathBuf, Kind)> {
    let mut places: Vec<(PathBuf, Kind)> = confinement
        .protected
        .iter()
        .filter_map(|path| {
            let path = path.canonicalize().ok()?;
            let there = fs::metadata(&path).ok()?;
            let is_open = there.is_dir() && there.permissions().mode() & 0o022 != 0;
            let kind = if there.is_dir() {
                Kind::Directory
            } else {
                Kind::File
            };
            (!is_open && path.parent().is_some()).then_some((path, kind))
        })
        .collect();
    places.sort_by(|one, other| one.0.cmp(&other.0));
    places.dedup();
    // What lies below another place is frozen with it.
    let all: Vec<PathBuf> = places.iter().map(|(path, _)| path.clone()).collect();
    places.retain(|(path, _)| {
        !all.iter()
            .any(|other| other != path && path.starts_with(other))
    });
    places
}

/// Block devices in a directory and below it.
fn disks(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_block_device() => found.push(entry.path()),
            Ok(kind) if kind.is_dir() => found.extend(disks(&entry.path())),
            Ok(_) | Err(_) => {}
        }
    }
    found.sort();
    found
}

fn readable_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && fs::File::open(path).is_ok())
        .collect();
    files.sort();
    files
}

fn holds_only_sockets(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| {
        entries.all(|entry| {
            entry.is_ok_and(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()))
        })
    })
}

/// With the symbolic links of its directories followed; `None` where the way cannot be seen.
fn real(path: &Path) -> Option<PathBuf> {
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}

pub(in crate::launch) fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket())
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_paths_are_found_and_abstract_ones_are_not() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0: 00000002 00000000 00010000 0001 01 19370 /run/a b.sock\n\
            0: 00000002 00000000 00010000 0001 01 19371 @/tmp/x\n\
            0: 00000002 00000000 00010000 0001 01 19372 relative/x\n\
            0: 00000003 00000000 00000000 0001 03 19373\n";
        let paths: Vec<_> = bound(table).collect();
        assert_eq!(paths, [Path::new("/run/a b.sock")]);
    }
}
