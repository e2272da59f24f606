//! The Debian package, the tarball of the same tree, and their checksums.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use xtask::program::run as output;

use super::stage::{self, Date};
use crate::workspace::{build_release, cargo, root};

/// What a package may weigh, unpacked: both programs together.
const LARGEST_PROGRAMS: u64 = 20_000_000;

/// One build of the programs, from which packages are made.
pub(super) struct Build {
    date: Date,
    program: PathBuf,
    directory: PathBuf,
}

/// What is handed out.
pub(super) struct Shipped {
    pub(super) package: PathBuf,
    tarball: PathBuf,
    programs: u64,
}

impl fmt::Display for Shipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in [&self.package, &self.tarball] {
            let size = fs::metadata(file).map_or(0, |file| file.len());
            writeln!(f, "dist: {} ({} bytes)", file.display(), size)?;
        }
        write!(
            f,
            "dist: both programs: {} bytes of {LARGEST_PROGRAMS}",
            self.programs
        )
    }
}

impl Build {
    pub(super) fn new() -> Result<Self> {
        println!("dist: building egressd (optimised as a whole: some minutes)");
        let build = Self {
            date: Date::of_sources()?,
            program: build_release()?,
            // The manifest names it, wherever cargo builds.
            directory: root().join("target/dist"),
        };
        println!("dist: manual pages, completions, licences of others");
        stage::make(&build.program, &build.directory.join("stage"), &build.date)?;
        Ok(build)
    }

    pub(super) fn ship(&self) -> Result<Shipped> {
        let programs = fs::metadata(&self.program)?.len();
        ensure!(
            programs <= LARGEST_PROGRAMS,
            "{} has {programs} bytes, and {LARGEST_PROGRAMS} are wanted: look at `nm --size-sort` of it, built with CARGO_PROFILE_RELEASE_STRIP=debuginfo",
            self.program.display()
        );
        let version = format!("{}-1", env!("CARGO_PKG_VERSION"));
        let package = self.package(&self.directory, &version, &[])?;
        let tarball = self.tarball(&package)?;
        self.sums(&[&package, &tarball])?;
        Ok(Shipped {
            package,
            tarball,
            programs,
        })
    }

    /// The same under a later version, to upgrade to.
    pub(super) fn next(&self) -> Result<PathBuf> {
        let version = format!("{}-2", env!("CARGO_PKG_VERSION"));
        self.package(&self.directory.join("next"), &version, &["--fast"])
    }

    /// The package once more, elsewhere and later: the same bytes.
    pub(super) fn is_reproducible(&self, shipped: &Shipped) -> Result<()> {
        let version = format!("{}-1", env!("CARGO_PKG_VERSION"));
        stage::make(&self.program, &self.directory.join("stage"), &self.date)?;
        let again = self.package(&self.directory.join("again"), &version, &[])?;
        ensure!(
            fs::read(&again)? == fs::read(&shipped.package)?,
            "two packages of the same sources differ: compare {} and {}",
            shipped.package.display(),
            again.display()
        );
        println!("dist: packed once more, with the same bytes");
        Ok(())
    }

    fn package(&self, into: &Path, version: &str, options: &[&str]) -> Result<PathBuf> {
        fs::create_dir_all(into)?;
        let package = into.join(format!("egressd_{version}_amd64.deb"));
        output(
            cargo()
                .env("SOURCE_DATE_EPOCH", self.date.seconds.to_string())
                .args(["deb", "--quiet", "--package", "egress-agent"])
                .args(options)
                // Built and stripped already; a second build could differ from what was measured.
                .args([
                    "--no-build",
                    "--no-strip",
                    "--deb-version",
                    version,
                    "--output",
                ])
                .arg(&package),
        )?;
        Ok(package)
    }

    /// What the package has, for systems without dpkg.
    fn tarball(&self, package: &Path) -> Result<PathBuf> {
        let name = format!("egressd-{}-x86_64-linux", env!("CARGO_PKG_VERSION"));
        let tree = self.directory.join(&name);
        if tree.is_dir() {
            fs::remove_dir_all(&tree)?;
        }
        output(Command::new("dpkg-deb").arg("-x").arg(package).arg(&tree))?;
        let tarball = self.directory.join(format!("{name}.tar.gz"));
        output(
            Command::new("tar")
                .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
                .args([
                    &format!("--mtime=@{}", self.date.seconds),
                    "--use-compress-program=gzip -9n",
                ])
                .arg("-cf")
                .arg(&tarball)
                .arg(&name)
                .current_dir(&self.directory),
        )?;
        fs::remove_dir_all(tree)?;
        Ok(tarball)
    }

    fn sums(&self, files: &[&Path]) -> Result<()> {
        let names = files.iter().filter_map(|file| file.file_name());
        let sums = output(
            Command::new("sha256sum")
                .args(names)
                .current_dir(&self.directory),
        )?;
        let file = self.directory.join("SHA256SUMS");
        fs::write(&file, sums).with_context(|| format!("writing {}", file.display()))
    }
}
