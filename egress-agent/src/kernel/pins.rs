//! Where a guard stands under the BPF file system, and what is found there.
//!
//! `PIN_DIR/<guard>/<version>/` holds one directory of links and one of maps. The version names
//! the ABI and the program text, so what another build of egressd pinned is never mistaken for
//! our own. A set is pinned under a name that starts with `new-` and renamed when it is whole: a
//! daemon that is killed half-way leaves nothing that looks finished.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{StatFs, statfs};

/// Why pins cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    #[error(
        "{path} is not on a BPF file system; mount one with `mount -t bpf bpf /sys/fs/bpf`",
        path = .0.display()
    )]
    NotBpfFs(PathBuf),
    #[error("{op} {path}: {source}", path = path.display())]
    Io {
        op: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// The pins of one guarded cgroup.
#[derive(Clone, Debug)]
pub struct Pins {
    guard: PathBuf,
    version: String,
}

/// `BPF_FS_MAGIC`, include/uapi/linux/magic.h.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

impl Pins {
    /// `version` may hold neither dots nor slashes: bpffs refuses names with dots.
    pub fn new(pin_dir: &Path, cgroup: &str, version: &str) -> Self {
        Self {
            guard: pin_dir.join(escape(cgroup)),
            version: version.to_owned(),
        }
    }

    /// The directory of a whole set.
    pub fn current(&self) -> PathBuf {
        self.guard.join(&self.version)
    }

    /// The directory of a set that is being made.
    pub fn coming(&self) -> PathBuf {
        self.guard.join(format!("new-{}", self.version))
    }

    /// Refuses a place that is not on a BPF file system. Makes nothing.
    pub fn check(&self) -> Result<(), PinError> {
        let existing = self
            .guard
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("/"));
        let found: StatFs = statfs(existing).map_err(|errno| PinError::Io {
            op: "look at",
            path: existing.to_path_buf(),
            source: errno.into(),
        })?;
        if found.f_type == BPF_FS_MAGIC {
            Ok(())
        } else {
            Err(PinError::NotBpfFs(self.guard.clone()))
        }
    }

    /// Makes the guard's directory, where it may be.
    pub fn prepare(&self) -> Result<(), PinError> {
        self.check()?;
        make_dir(&self.guard)
    }

    /// Starts a set: empty directories for links and maps.
    pub fn begin(&self) -> Result<(PathBuf, PathBuf), PinError> {
        let coming = self.coming();
        remove_tree(&coming)?;
        let (links, maps) = (coming.join("links"), coming.join("maps"));
        make_dir(&links)?;
        make_dir(&maps)?;
        Ok((links, maps))
    }

    /// Makes a whole set the current one, then takes away every other.
    pub fn finish(&self) -> Result<(), PinError> {
        let (from, to) = (self.coming(), self.current());
        remove_tree(&to)?;
        fs::rename(&from, &to).map_err(|source| PinError::Io {
            op: "rename",
            path: from,
            source,
        })?;
        self.remove_others()
    }

    /// Versions that another daemon left, this one not counted.
    pub fn others(&self) -> Result<Vec<String>, PinError> {
        Ok(entries(&self.guard)?
            .into_iter()
            .filter(|name| *name != self.version)
            .collect())
    }

    pub fn is_whole(&self) -> bool {
        self.current().is_dir()
    }

    /// Takes away every set but the current one.
    pub fn remove_others(&self) -> Result<(), PinError> {
        for name in self.others()? {
            remove_tree(&self.guard.join(name))?;
        }
        Ok(())
    }

    /// Takes the guard off: links first, so that no program runs on maps that are gone.
    pub fn release(&self) -> Result<(), PinError> {
        for name in entries(&self.guard)? {
            let set = self.guard.join(name);
            remove_tree(&set.join("links"))?;
            remove_tree(&set)?;
        }
        remove_tree(&self.guard)
    }
}

/// The cgroup paths that have pins below a directory.
pub fn guarded(pin_dir: &Path) -> Result<Vec<String>, PinError> {
    Ok(entries(pin_dir)?
        .iter()
        .map(|name| unescape(name))
        .collect())
}

/// A cgroup path as one bpffs name: `/`, `.` and `%` become `%XX`.
fn escape(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '/' => out.push_str("%2F"),
            '.' => out.push_str("%2E"),
            '%' => out.push_str("%25"),
            other => out.push(other),
        }
    }
    out
}

fn unescape(name: &str) -> String {
    name.replace("%2F", "/")
        .replace("%2E", ".")
        .replace("%25", "%")
}

fn make_dir(path: &Path) -> Result<(), PinError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| PinError::Io {
            op: "make",
            path: path.to_path_buf(),
            source,
        })
}

/// Names in a directory; none when it is not there.
fn entries(path: &Path) -> Result<Vec<String>, PinError> {
    let failed = |source| PinError::Io {
        op: "read",
        path: path.to_path_buf(),
        source,
    };
    let listing = match fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in listing {
        names.push(
            entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}

fn remove_tree(path: &Path) -> Result<(), PinError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(PinError::Io {
            op: "remove",
            path: path.to_path_buf(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_path_survives_as_a_name() {
        for path in ["agent.slice", "a/b.slice/100%", "%2E"] {
            let name = escape(path);
            assert!(!name.contains(['.', '/']), "{name}");
            assert_eq!(unescape(&name), path);
        }
    }
}
