//! Files below the root of a file system, the machine's own or that of an image.
//!
//! An image may hold links of its own, absolute ones too, and belong to somebody else than root:
//! every path is resolved inside of it, as chroot(2) would do it, and no write follows a link in
//! its last part.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustix::{
    fd::OwnedFd,
    fs::{
        AtFlags, FileType, Mode, OFlags, ResolveFlags, fchmod, mkdirat, open, openat, openat2,
        renameat, statat, unlinkat,
    },
    io::Errno,
};

/// Larger files are none of ours.
const LONGEST: u64 = 16 << 20;

#[derive(Debug)]
pub(in crate::cli) struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

/// A plain file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Found {
    pub(in crate::cli) text: String,
    pub(in crate::cli) mode: u32,
}

impl Tree {
    pub(in crate::cli) fn open(path: &Path) -> anyhow::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(path, flags, Mode::empty())
            .with_context(|| format!("cannot open the root `{}`", path.display()))?;
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// Whether it is the machine's own.
    pub(in crate::cli) fn is_own(&self) -> bool {
        self.path == Path::new("/")
    }

    /// What a path inside is called from outside.
    pub(in crate::cli) fn shown(&self, path: &Path) -> PathBuf {
        super::beneath(&self.path, path)
    }

    /// The file at a path that starts at the root; `None` where nothing is.
    pub(in crate::cli) fn read(&self, path: &Path) -> anyhow::Result<Option<Found>> {
        let shown = self.shown(path);
        let opened = match self.at(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(opened) => File::from(opened),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", shown.display()));
            }
        };
        let metadata = opened.metadata()?;
        if !metadata.is_file() || metadata.len() > LONGEST {
            bail!(
                "{} is no plain file, or too large: move it away",
                shown.display()
            );
        }
        let mut text = String::new();
        (&opened)
            .take(LONGEST)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read {}", shown.display()))?;
        let mode = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o7777;
        Ok(Some(Found { text, mode }))
    }

    pub(in crate::cli) fn exists(&self, path: &Path) -> bool {
        self.at(path, OFlags::PATH).is_ok()
    }

    /// Puts a whole file in place of what is there. The directories that had to be made are
    /// returned, the outermost first.
    pub(in crate::cli) fn write(
        &self,
        path: &Path,
        text: &str,
        mode: u32,
    ) -> anyhow::Result<Vec<PathBuf>> {
        let (parent, name, made) = self.parent(path)?;
        let shown = self.shown(path);
        match statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile => {
                bail!(
                    "{} is a link or something else than a plain file: move it away",
                    shown.display()
                );
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot look at {}", shown.display()));
            }
        }
        let fresh = format!(".{name}.egressctl-new-{}", std::process::id());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = openat(&parent, &fresh, flags, Mode::RUSR | Mode::WUSR)
            .map_err(io::Error::from)
            .and_then(|file| {
                fchmod(&file, Mode::from_raw_mode(mode))?;
                let mut file = File::from(file);
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                Ok(renameat(&parent, &fresh, &parent, &name)?)
            });
        written.with_context(|| {
            // Nothing may be there to remove.
            unlinkat(&parent, &fresh, AtFlags::empty()).ok();
            format!("cannot write {}", shown.display())
        })?;
        Ok(made)
    }

    /// Renames a file beside itself.
    pub(in crate::cli) fn rename(&self, from: &Path, to: &Path) -> anyhow::Result<()> {
        let (parent, old, _) = self.parent(from)?;
        let (other, new, _) = self.parent(to)?;
        renameat(&parent, &old, &other, &new)
            .with_context(|| format!("cannot put {} back", self.shown(from).display()))
    }

    /// `false` when there was none.
    pub(in crate::cli) fn remove(&self, path: &Path) -> anyhow::Result<bool> {
        if !self.exists_itself(path) {
            return Ok(false);
        }
        let (parent, name, _) = self.parent(path)?;
        unlinkat(&parent, &name, AtFlags::empty())
            .with_context(|| format!("cannot remove {}", self.shown(path).display()))?;
        Ok(true)
    }

    /// Removes a directory when nothing is in it; says whether.
    pub(in crate::cli) fn remove_directory(&self, path: &Path) -> bool {
        self.exists(path)
            && self
                .parent(path)
                .is_ok_and(|(parent, name, _)| unlinkat(parent, name, AtFlags::REMOVEDIR).is_ok())
    }

    /// Keeps a text beside a file, under a name that no other backup has.
    pub(in crate::cli) fn back_up(&self, path: &Path, found: &Found) -> anyhow::Result<PathBuf> {
        for number in 1..1_000 {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".egressctl-{number}"));
            let backup = PathBuf::from(name);
            if !self.exists_itself(&backup) {
                self.write(&backup, &found.text, found.mode)?;
                return Ok(backup);
            }
        }
        bail!(
            "there are too many backups beside {}: remove some",
            self.shown(path).display()
        )
    }

    fn exists_itself(&self, path: &Path) -> bool {
        self.at(path, OFlags::PATH | OFlags::NOFOLLOW).is_ok()
    }

    fn at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let relative = if relative.as_os_str().is_empty() {
            Path::new(".")
        } else {
            relative
        };
        // Links of the kernel in /proc lead out of everything.
        let resolve = if self.is_own() {
            ResolveFlags::empty()
        } else {
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS
        };
        openat2(
            &self.root,
            relative,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
    }

    /// The directory that a path is in, made where it is missing, and the last part.
    fn parent(&self, path: &Path) -> anyhow::Result<(OwnedFd, String, Vec<PathBuf>)> {
        let shown = self.shown(path);
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .with_context(|| format!("`{}` is no path of a file", shown.display()))?;
        let is_plain = path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !is_plain {
            bail!("`{}` must start with `/` and have no `..`", path.display());
        }
        let mut made = Vec::new();
        let mut at = PathBuf::from("/");
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        let mut directory = self.at(&at, flags)?;
        for part in path.parent().into_iter().flat_map(Path::components) {
            let Component::Normal(part) = part else {
                continue;
            };
            at.push(part);
            directory = match self.at(&at, flags) {
                Ok(next) => next,
                Err(Errno::NOENT) => {
                    let mode = Mode::from_raw_mode(0o755);
                    mkdirat(&directory, part, mode)
                        .and_then(|()| self.at(&at, flags))
                        .and_then(|next| fchmod(&next, mode).map(|()| next))
                        .with_context(|| format!("cannot make {}", self.shown(&at).display()))
                        .inspect(|_| made.push(at.clone()))?
                }
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot open {}", self.shown(&at).display()));
                }
            };
        }
        Ok((directory, name.to_owned(), made))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::open(directory.path()).unwrap();
        (directory, tree)
    }

    #[test]
    fn a_file_is_written_whole_with_its_directories() {
        let (directory, tree) = tree();
        let path = Path::new("/etc/egressd/policy.json");
        assert_eq!(tree.read(path).unwrap(), None);
        let made = tree.write(path, "one", 0o644).unwrap();
        assert_eq!(made, [Path::new("/etc"), Path::new("/etc/egressd")]);
        let found = Found {
            text: "one".to_owned(),
            mode: 0o644,
        };
        assert_eq!(tree.read(path).unwrap(), Some(found.clone()));
        assert!(tree.write(path, "two", 0o600).unwrap().is_empty());
        let real = directory.path().join("etc/egressd");
        assert_eq!(
            fs::metadata(real.join("policy.json"))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        let first = tree.back_up(path, &found).unwrap();
        let second = tree.back_up(path, &found).unwrap();
        assert_ne!(first, second);
        assert_eq!(fs::read_dir(real).unwrap().count(), 3);
        assert!(!tree.remove_directory(Path::new("/etc/egressd")));
        for file in [path, &first, &second] {
            assert!(tree.remove(file).unwrap());
            assert!(!tree.remove(file).unwrap());
        }
        assert!(tree.remove_directory(Path::new("/etc/egressd")));
    }

    #[test]
    fn links_of_an_image_stay_inside_of_it() {
        let (directory, tree) = tree();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("policy.json"), "theirs").unwrap();
        symlink(outside.path(), directory.path().join("etc")).unwrap();
        let path = Path::new("/etc/policy.json");
        assert_eq!(tree.read(path).unwrap(), None);
        assert!(tree.write(path, "ours", 0o644).is_err());
        fs::remove_file(directory.path().join("etc")).unwrap();
        fs::create_dir(directory.path().join("etc")).unwrap();
        symlink("/srv", directory.path().join("etc/egressd")).unwrap();
        fs::create_dir(directory.path().join("srv")).unwrap();
        tree.write(Path::new("/etc/egressd/x"), "ours", 0o644)
            .unwrap();
        assert_eq!(
            fs::read_to_string(directory.path().join("srv/x")).unwrap(),
            "ours"
        );
        // A link in the last part is not written through.
        symlink(
            outside.path().join("policy.json"),
            directory.path().join("srv/y"),
        )
        .unwrap();
        assert!(
            tree.write(Path::new("/etc/egressd/y"), "ours", 0o644)
                .is_err()
        );
        assert_eq!(
            fs::read_to_string(outside.path().join("policy.json")).unwrap(),
            "theirs"
        );
        for path in ["etc/x", "/etc/../x", "/"] {
            assert!(tree.write(Path::new(path), "", 0o644).is_err(), "{path}");
        }
    }
}
