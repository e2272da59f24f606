//! The file system that an emulated machine starts with: an archive in memory.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use xtask::program::{need, run};

/// A tree that is being put together; gone with the value.
pub(super) struct Tree {
    root: PathBuf,
}

/// A packed tree; gone with the value.
pub(super) struct Image {
    path: PathBuf,
}

impl Tree {
    /// With busybox, and the directories that everything expects.
    pub(super) fn new(name: &str) -> Result<Self> {
        let root = std::env::temp_dir().join(format!("egressd-vm-{}-{name}", std::process::id()));
        let tree = Self { root };
        for directory in ["bin", "proc", "sys", "dev", "run", "root", "etc", "usr/bin"] {
            fs::create_dir_all(tree.root.join(directory))?;
        }
        tree.directory("tmp", 0o1777)?;
        tree.copy(&need("busybox")?, "bin/busybox")?;
        Ok(tree)
    }

    pub(super) fn directory(&self, at: &str, mode: u32) -> Result<()> {
        let path = self.root.join(at);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    pub(super) fn file(&self, at: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        let path = self.place(at)?;
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    pub(super) fn link(&self, at: &str, to: &str) -> Result<()> {
        symlink(to, self.place(at)?).with_context(|| format!("linking {at}"))
    }

    pub(super) fn mode(&self, at: &str, mode: u32) -> Result<()> {
        let path = self.root.join(at);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("setting the mode of {}", path.display()))
    }

    /// One file as it is.
    pub(super) fn copy(&self, from: &Path, at: &str) -> Result<()> {
        fs::copy(from, self.place(at)?).with_context(|| format!("copying {}", from.display()))?;
        Ok(())
    }

    /// A program with the libraries that it is linked to.
    pub(super) fn program(&self, from: &Path, at: &str) -> Result<()> {
        self.copy(from, at)?;
        let linked = run(Command::new("ldd").arg(from))?;
        for library in linked
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            self.copy(Path::new(library), library.trim_start_matches('/'))?;
        }
        Ok(())
    }

    pub(super) fn pack(self) -> Result<Image> {
        let image = Image {
            path: self.root.with_extension("cpio"),
        };
        run(Command::new("sh")
            .args(["-c", "find . | cpio --quiet -o -H newc -R 0:0 >\"$0\""])
            .arg(&image.path)
            .current_dir(&self.root))?;
        Ok(image)
    }

    fn place(&self, at: &str) -> Result<PathBuf> {
        let path = self.root.join(at);
        let parent = path.parent().context("a file stands in a directory")?;
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        Ok(path)
    }
}

impl Image {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).ok();
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}
