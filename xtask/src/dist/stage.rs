//! What the package has and no source file is: `target/dist/stage`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use xtask::program::run as output;

use super::notices;
use crate::workspace::root;

/// Shells, the option of `egressctl completions`, and what they call the file of a program.
const SHELLS: [(&str, &str, &str); 3] = [("bash", "", ""), ("zsh", "_", ""), ("fish", "", ".fish")];
/// What of `policy/` is shipped: directories with JSON files, without their tests.
const POLICIES: [&str; 3] = ["", "profiles", "packs"];

/// What Debian wants said instead of the whole text.
const APACHE: &str = "\nOn Debian systems the Apache License 2.0 stands in \
/usr/share/common-licenses/Apache-2.0.\n";

/// Makes it anew. `date` is that of the manual pages, `seconds` the same since 1970.
pub(super) fn make(program: &Path, directory: &Path, date: &Date) -> Result<()> {
    if directory.is_dir() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("removing {}", directory.display()))?;
    }
    fs::create_dir_all(directory)?;
    let egressctl = Link::new(program)?;
    manuals(&egressctl, directory, date)?;
    for (shell, before, after) in SHELLS {
        for name in ["egressd", "egressctl"] {
            let text = output(
                egressctl
                    .command()
                    .args(["completions", "--program", name, shell]),
            )?;
            write(
                &directory.join(shell).join(format!("{before}{name}{after}")),
                &text,
            )?;
        }
    }
    let policy = root().join("policy");
    for part in POLICIES {
        policies(&policy.join(part), &directory.join("share").join(part))?;
    }
    write(&directory.join("third-party"), &notices::text()?)?;
    let license = fs::read_to_string(root().join("LICENSE")).context("reading LICENSE")?;
    write(&directory.join("license"), &format!("{license}{APACHE}"))?;
    write(&directory.join("changelog"), &changelog(date))
}

/// When the sources are from.
pub(super) struct Date {
    /// Since 1970.
    pub(super) seconds: u64,
    /// As manual pages have it.
    pub(super) day: String,
    /// As mails and Debian's changelogs have it.
    pub(super) mail: String,
}

impl Date {
    /// From the environment, as reproducible-builds.org names it, or of the commit.
    pub(super) fn of_sources() -> Result<Self> {
        let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(given) => given,
            Err(_) => output(
                Command::new("git")
                    .args(["log", "-1", "--format=%ct"])
                    .current_dir(root()),
            )
            .context("the date of the sources: there is no git here, so set SOURCE_DATE_EPOCH")?,
        };
        let seconds: u64 = seconds
            .trim()
            .parse()
            .context("SOURCE_DATE_EPOCH is a number of seconds")?;
        let date = |format: &str| {
            output(Command::new("date").env("LC_ALL", "C").args([
                "--utc",
                &format!("--date=@{seconds}"),
                format,
            ]))
            .map(|text| text.trim().to_owned())
        };
        Ok(Self {
            seconds,
            day: date("+%Y-%m-%d")?,
            mail: date("+%a, %d %b %Y %H:%M:%S +0000")?,
        })
    }
}

/// A link to the program, called as the package calls it; gone with the value.
struct Link {
    directory: PathBuf,
}

impl Link {
    fn new(program: &Path) -> Result<Self> {
        let name = format!("egressd-dist-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory)?;
        let link = Self { directory };
        let at = link.directory.join("egressctl");
        std::os::unix::fs::symlink(program, &at)
            .with_context(|| format!("linking {}", at.display()))?;
        Ok(link)
    }

    fn command(&self) -> Command {
        Command::new(self.directory.join("egressctl"))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).ok();
    }
}

/// All pages into one directory, then each to its section.
fn manuals(egressctl: &Link, directory: &Path, date: &Date) -> Result<()> {
    let all = directory.join("man");
    output(
        egressctl
            .command()
            .arg("man")
            .arg(&all)
            .args(["--date", &date.day]),
    )?;
    for entry in fs::read_dir(&all)? {
        let path = entry?.path();
        let section = path.extension().unwrap_or_default().to_string_lossy();
        let into = directory.join(format!("man{section}"));
        fs::create_dir_all(&into)?;
        fs::rename(&path, into.join(path.file_name().unwrap_or_default()))?;
    }
    fs::remove_dir(all)?;
    Ok(())
}

/// The JSON files of one directory, as they are: what they name stands beside them as here.
fn policies(from: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("reading {}", from.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_shipped(&name) {
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            write(&to.join(&*name), &text)?;
        }
    }
    Ok(())
}

fn is_shipped(name: &str) -> bool {
    let stem = name.strip_suffix(".json");
    stem.is_some_and(|stem| {
        Path::new(stem)
            .extension()
            .is_none_or(|kind| kind != "test")
    })
}

fn changelog(date: &Date) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "egressd ({version}-1) unstable; urgency=medium\n\n  * Version {version}.\n\n -- \
         The egressd developers <egressd@localhost.invalid>  {}\n",
        date.mail
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_shipped_without_their_tests() {
        assert!(is_shipped("pip.json"));
        assert!(is_shipped("pack.schema.json"));
        for name in ["pip.test.json", "README.md"] {
            assert!(!is_shipped(name), "{name}");
        }
    }
}
