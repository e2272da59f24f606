//! Debian's kernels: which package is meant by a version, and what is in it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result};

use super::{CACHE, archive::Archive};

/// What was asked for on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Such as 6.1: the newest of that series.
    Series(u32, u32),
    Newest,
}

/// One kernel of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Release {
    /// As `uname -r` has it, without the flavour: `6.1.0-56`.
    name: String,
    /// Newer kernels come in two parts.
    packages: Vec<String>,
}

/// A kernel that is unpacked.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    pub(super) release: String,
    pub(super) image: PathBuf,
    pub(super) modules: PathBuf,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "newest" {
            return Ok(Self::Newest);
        }
        let series = text
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) =
            series.ok_or_else(|| format!("`{text}` is no kernel series; write 6.1 or newest"))?;
        Ok(Self::Series(major, minor))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(major, minor) => write!(f, "{major}.{minor}"),
            Self::Newest => f.write_str("newest"),
        }
    }
}

impl Release {
    /// The newest kernel among `packages` that is what was wanted.
    pub(super) fn choose(packages: &[String], wanted: &Wanted) -> Option<Self> {
        let releases = packages.iter().filter_map(|package| {
            let rest = package.strip_suffix("-cloud-amd64")?;
            let has = |part: &str, name: &str| {
                let other = format!("linux-{part}-{name}-cloud-amd64");
                packages.contains(&other).then_some(other)
            };
            if let Some(name) = rest.strip_prefix("linux-binary-") {
                return Some(Self {
                    name: name.to_owned(),
                    packages: vec![package.clone(), has("modules", name)?],
                });
            }
            let name = rest.strip_prefix("linux-image-")?;
            // Beside a `binary` package, the image package is an empty one that asks for it.
            has("binary", name).is_none().then(|| Self {
                name: name.to_owned(),
                packages: vec![package.clone()],
            })
        });
        releases
            .filter(|release| {
                let numbers = numbers(&release.name);
                let is_wanted = match wanted {
                    Wanted::Series(major, minor) => numbers.starts_with(&[*major, *minor]),
                    Wanted::Newest => true,
                };
                // The package that asks for the newest of a series has no third number.
                is_wanted && numbers.len() > 2
            })
            .max_by_key(|release| numbers(&release.name))
    }
}

impl Kernel {
    /// Finds it in the archive, or in the cache.
    pub(super) fn fetch(archive: &Archive, wanted: &Wanted) -> Result<Self> {
        let release = Release::choose(&archive.kernels()?, wanted).with_context(|| {
            format!(
                "Debian's archive offers no kernel {wanted}; write a series such as 6.1, or newest"
            )
        })?;
        let directory = Path::new(CACHE).join(&release.name);
        if !directory.is_dir() {
            let partial = directory.with_extension("partial");
            if partial.is_dir() {
                fs::remove_dir_all(&partial)?;
            }
            fs::create_dir_all(&partial)?;
            for package in &release.packages {
                archive.unpack(package, &partial)?;
            }
            fs::rename(partial, &directory)?;
        }
        Self::find(&directory).with_context(|| {
            format!(
                "{} is not a kernel: remove that directory, and try again",
                directory.display()
            )
        })
    }

    /// In an unpacked package: the image stands in `boot`, or with its modules.
    fn find(directory: &Path) -> Result<Self> {
        let modules = [
            directory.join("usr/lib/modules"),
            directory.join("lib/modules"),
        ]
        .into_iter()
        .find(|path| path.is_dir())
        .context("it has no modules")?;
        let release = fs::read_dir(&modules)?
            .next()
            .context("it has no modules")??
            .file_name()
            .to_string_lossy()
            .into_owned();
        let modules = modules.join(&release);
        let image = [
            directory.join("boot").join(format!("vmlinuz-{release}")),
            modules.join("vmlinuz"),
        ]
        .into_iter()
        .find(|path| path.is_file())
        .context("it has no image")?;
        Ok(Self {
            release,
            image,
            modules,
        })
    }
}

/// The numbers in a name, to find the newest.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, expected: &[&str]) {
        let packages = [
            "linux-image-6.1-cloud-amd64",
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-0.deb11.52-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            "linux-image-7.3.4+deb13-cloud-amd64",
            "linux-binary-7.3.4+deb13-cloud-amd64",
            "linux-modules-7.3.4+deb13-cloud-amd64",
            "linux-image-7.3.5+deb13-cloud-amd64",
            "linux-binary-7.3.5+deb13-cloud-amd64",
        ]
        .map(str::to_owned);
        let wanted = wanted.parse().expect("a version");
        let chosen = Release::choose(&packages, &wanted).map(|release| release.packages);
        assert_eq!(chosen.unwrap_or_default(), expected, "{wanted}");
    }

    #[test]
    fn the_newest_of_a_series_is_meant() {
        check("6.1", &["linux-image-6.1.0-56-cloud-amd64"]);
        check("6.12", &["linux-image-6.12.117+deb12-cloud-amd64"]);
        check("5.4", &[]);
    }

    #[test]
    fn a_kernel_in_two_parts_counts_when_both_are_there() {
        check(
            "newest",
            &[
                "linux-binary-7.3.4+deb13-cloud-amd64",
                "linux-modules-7.3.4+deb13-cloud-amd64",
            ],
        );
    }

    #[test]
    fn other_words_are_no_versions() {
        for text in ["", "6", "6.x", "latest"] {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
    }
}
