//! The package in a clean Debian: a root of its own, in namespaces of its own, under the kernel of
//! this machine and without systemd. One more root, with the tools for it, reads what the package
//! brings: manual pages, completions, Debian's own checker of packages.
//!
//! The checks are shell functions that run inside and say one line each (`root/*.sh`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use xtask::program::run as output;

use crate::{
    vm,
    workspace::{root, show},
};

/// What reads pages, completions and packages.
const TOOLS: &str = "man-db,mandoc,bash-completion,zsh,fish,lintian";

pub(super) fn check(package: &Path, next: &Path) -> Result<()> {
    vm::install_tools()?;
    let clean = Root::new("clean", "")?;
    clean.take(&[package, next])?;
    clean.run("package.sh")?;
    let tools = Root::new("tools", TOOLS)?;
    tools.take(&[package])?;
    tools.run("reads.sh")
}

/// An unpacked Debian; gone with the value.
pub(super) struct Root {
    directory: PathBuf,
}

impl Root {
    /// `include` has the packages that it has beside the smallest set, with commas.
    pub(super) fn new(name: &str, include: &str) -> Result<Self> {
        let archive = debian(name, include)?;
        let directory =
            std::env::temp_dir().join(format!("egressd-dist-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let root = Self { directory };
        output(
            Command::new("tar")
                .args(["--numeric-owner", "--xattrs", "-xf"])
                .arg(&archive)
                .arg("-C")
                .arg(&root.directory),
        )?;
        Ok(root)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Puts the checks and the packages where the checks look for them.
    pub(super) fn take(&self, packages: &[&Path]) -> Result<()> {
        let into = self.directory.join("opt/checks");
        fs::create_dir_all(&into)?;
        for file in [
            "checks.sh",
            "dist/root/package.sh",
            "dist/root/reads.sh",
            "dist/root/snapshot.sh",
            "dist/root/world.pl",
        ] {
            let from = root().join("xtask/src").join(file);
            let name = from.file_name().unwrap_or_default();
            fs::copy(&from, into.join(name)).with_context(|| format!("copying {file}"))?;
        }
        for (number, package) in packages.iter().enumerate() {
            fs::copy(package, into.join(format!("{number}.deb")))
                .with_context(|| format!("copying {}", package.display()))?;
        }
        Ok(())
    }

    /// In its own mounts and its own network, which has nothing but its own addresses.
    fn run(&self, checks: &str) -> Result<()> {
        println!("dist: {checks}");
        show(
            Command::new("unshare")
                .args(["--mount", "--net", "--propagation", "private", "sh"])
                .arg(root().join("xtask/src/dist/root/enter.sh"))
                .arg(&self.directory)
                .arg(checks),
        )
        .with_context(|| format!("the checks of {checks} say what failed above"))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).ok();
    }
}

/// The archive of a root, from the cache or made.
fn debian(name: &str, include: &str) -> Result<PathBuf> {
    let archive = Path::new(vm::CACHE).join(format!("root-{name}-1.tar"));
    if archive.is_file() {
        return Ok(archive);
    }
    println!("dist: making a clean Debian ({name}; about a minute)");
    fs::create_dir_all(vm::CACHE)?;
    let partial = archive.with_extension("partial.tar");
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", "--mode=root"]);
    if !include.is_empty() {
        command.arg(format!("--include={include}"));
    }
    output(command.arg("bookworm").arg(&partial).arg(vm::debian()))?;
    fs::rename(partial, &archive)?;
    Ok(archive)
}
