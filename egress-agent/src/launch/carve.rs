//! Everything but a few places, for a kernel that only knows what is allowed.
//!
//! Landlock grants rights to whole trees. To leave a place out, every directory on the way to it
//! goes without a grant of its own, and all that stands beside that way gets one.
//!
//! # Known gaps
//! What is made later directly in a directory on the way has no grant. Directories that the
//! session itself can write are therefore not put on the way: [`split`] says which places are left
//! to the permissions of their files.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// What stands in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: OsString,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Directory,
    /// Everything that is neither a directory nor a symbolic link.
    File,
    /// Leads to a place that has its grant, or none, by itself.
    Link,
}

/// What to grant so that nothing is granted in `protected`. `list` tells what stands in a
/// directory; of one that cannot be listed nothing is granted.
pub(super) fn carve(
    protected: &[PathBuf],
    list: &mut dyn FnMut(&Path) -> Vec<Entry>,
) -> BTreeSet<(PathBuf, Kind)> {
    let mut grants = BTreeSet::new();
    let root = Path::new("/");
    if protected.is_empty() {
        grants.insert((root.to_path_buf(), Kind::Directory));
    } else {
        beside(root, protected, list, &mut grants);
    }
    grants
}

fn beside(
    directory: &Path,
    protected: &[PathBuf],
    list: &mut dyn FnMut(&Path) -> Vec<Entry>,
    grants: &mut BTreeSet<(PathBuf, Kind)>,
) {
    if protected.iter().any(|place| place == directory) {
        return;
    }
    for Entry { name, kind } in list(directory) {
        let path = directory.join(name);
        let leads_on = protected.iter().any(|place| place.starts_with(&path));
        match kind {
            Kind::Link => {}
            Kind::Directory if leads_on => beside(&path, protected, list, grants),
            Kind::File if leads_on => {}
            Kind::Directory | Kind::File => {
                grants.insert((path, kind));
            }
        }
    }
}

/// Places that can be carved out, and places that cannot because the session may make new files on
/// the way to them.
pub(super) fn split(
    places: impl IntoIterator<Item = PathBuf>,
    is_writable: &mut dyn FnMut(&Path) -> bool,
) -> (Vec<PathBuf>, Vec<PathBuf>) {
    places
        .into_iter()
        .filter(|place| place.parent().is_some())
        .partition(|place| !place.ancestors().skip(1).any(&mut *is_writable))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A tree of directories, by the paths of all of them.
    fn tree(paths: &[&str]) -> BTreeMap<PathBuf, Vec<Entry>> {
        let mut tree: BTreeMap<PathBuf, Vec<Entry>> = BTreeMap::new();
        for path in paths {
            let (path, kind) = match path.strip_suffix('@') {
                Some(path) => (path, Kind::Link),
                None => (*path, Kind::Directory),
            };
            let path = Path::new(path);
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                continue;
            };
            tree.entry(parent.to_path_buf()).or_default().push(Entry {
                name: name.to_owned(),
                kind,
            });
        }
        tree
    }

    fn granted(paths: &[&str], protected: &[&str]) -> Vec<String> {
        let tree = tree(paths);
        let protected: Vec<_> = protected.iter().map(PathBuf::from).collect();
        let mut list = |path: &Path| tree.get(path).cloned().unwrap_or_default();
        let grants = carve(&protected, &mut list).into_iter();
        grants.map(|(path, _)| path.display().to_string()).collect()
    }

    const TREE: &[&str] = &[
        "/bin",
        "/lib@",
        "/sys",
        "/sys/fs",
        "/sys/fs/cgroup",
        "/sys/fs/bpf",
        "/sys/kernel",
        "/var",
        "/var/log",
        "/var/log/egressd",
        "/var/log/apt",
        "/var/lib",
    ];

    #[test]
    fn what_stands_beside_the_way_is_granted() {
        assert_eq!(granted(TREE, &[]), ["/"]);
        assert_eq!(
            granted(TREE, &["/sys/fs/cgroup"]),
            ["/bin", "/sys/fs/bpf", "/sys/kernel", "/var"]
        );
        assert_eq!(
            granted(TREE, &["/sys/fs/cgroup", "/var/log/egressd"]),
            [
                "/bin",
                "/sys/fs/bpf",
                "/sys/kernel",
                "/var/lib",
                "/var/log/apt"
            ]
        );
        assert_eq!(granted(TREE, &["/sys", "/sys/fs/cgroup"]), ["/bin", "/var"]);
        assert_eq!(granted(TREE, &["/nowhere"]), ["/bin", "/sys", "/var"]);
    }

    #[test]
    fn no_place_is_carved_out_of_a_directory_that_the_session_can_write() {
        let places =
            ["/tmp/policy.json", "/etc/egressd", "/home/u/p/policy.json"].map(PathBuf::from);
        let mut is_writable =
            |path: &Path| path == Path::new("/tmp") || path.starts_with("/home/u");
        let (carved, left) = split(places, &mut is_writable);
        assert_eq!(carved, [Path::new("/etc/egressd")]);
        assert_eq!(left.len(), 2);
    }

    proptest! {
        /// Nothing protected lies below a grant, and everything else does.
        #[test]
        fn a_place_is_granted_or_protected_and_never_both(
            protected in prop::collection::vec(prop::sample::select(TREE.to_vec()), 0..4)
        ) {
            let protected: Vec<&str> = protected.into_iter().filter(|path| !path.ends_with('@')).collect();
            let grants = granted(TREE, &protected);
            for path in TREE.iter().filter(|path| !path.ends_with('@')) {
                let path = Path::new(path);
                let is_granted = grants.iter().any(|grant| path.starts_with(grant));
                let is_protected = protected.iter().any(|place| path.starts_with(place));
                let is_on_the_way = protected.iter().any(|place| Path::new(place).starts_with(path));
                prop_assert_eq!(is_granted, !is_protected && !is_on_the_way, "{}", path.display());
            }
        }
    }
}
