//! Debian's archive, read with apt directories of our own: the machine's configuration stays as it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use xtask::program::run;

use super::CACHE;

/// Where kernels come from, oldest first: 5.10, 6.1, 6.12, and what is newest.
const SUITES: [(&str, &str); 8] = [
    ("debian", "bullseye"),
    ("debian-security", "bullseye-security"),
    ("debian", "bookworm"),
    ("debian-security", "bookworm-security"),
    ("debian", "bookworm-backports"),
    ("debian", "trixie"),
    ("debian-security", "trixie-security"),
    ("debian", "trixie-backports"),
];
pub(super) const MIRROR: &str = "http://deb.debian.org";
pub(super) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// How long a list of packages is good.
const FRESH: Duration = Duration::from_hours(24);

/// The lists of packages, at hand.
pub(super) struct Archive {
    directory: PathBuf,
}

impl Archive {
    pub(super) fn open() -> Result<Self> {
        let archive = Self {
            directory: Path::new(CACHE).join("apt"),
        };
        let directory = &archive.directory;
        let updated = directory.join("updated");
        let age = fs::metadata(&updated)
            .and_then(|found| found.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if age.is_none_or(|age| age > FRESH) {
            println!("vm: reading the package lists of Debian's archive");
            for part in ["lists/partial", "cache/archives/partial"] {
                fs::create_dir_all(directory.join(part))
                    .with_context(|| format!("making {}", directory.display()))?;
            }
            let sources: Vec<String> = SUITES
                .iter()
                .map(|(part, suite)| {
                    format!("deb [signed-by={KEYRING}] {MIRROR}/{part} {suite} main\n")
                })
                .collect();
            fs::write(directory.join("sources.list"), sources.concat())?;
            run(archive.apt("apt-get").args(["-qq", "update"]))?;
            fs::write(updated, "")?;
        }
        Ok(archive)
    }

    /// Every kernel package for cloud machines.
    pub(super) fn kernels(&self) -> Result<Vec<String>> {
        let found = run(self.apt("apt-cache").args([
            "--names-only",
            "search",
            "^linux-(image|binary|modules)-[0-9].*-cloud-amd64$",
        ]))?;
        let names = found.lines().filter_map(|line| line.split(' ').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Unpacks the newest version of a package.
    pub(super) fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        println!("vm: fetching {package}");
        let parcel = self.directory.join(package);
        fs::create_dir_all(&parcel)?;
        run(self
            .apt("apt-get")
            // The downloads belong to root alone; apt's own user could not write here.
            .args(["-qq", "-o", "APT::Sandbox::User=root", "download", package])
            .current_dir(&parcel))?;
        for entry in fs::read_dir(&parcel)? {
            run(Command::new("dpkg-deb")
                .arg("-x")
                .arg(entry?.path())
                .arg(into))?;
        }
        fs::remove_dir_all(parcel)?;
        Ok(())
    }

    fn apt(&self, program: &str) -> Command {
        let place = |name: &str| self.directory.join(name).display().to_string();
        let mut command = Command::new(program);
        for setting in [
            format!("Dir::Etc::SourceList={}", place("sources.list")),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            format!("Dir::State::Lists={}", place("lists")),
            format!("Dir::Cache={}", place("cache")),
            "Acquire::Languages=none".to_owned(),
        ] {
            command.arg("-o").arg(setting);
        }
        command
    }
}
