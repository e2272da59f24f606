//! What `egressctl init` has done, kept so that `egressctl uninstall` can take it back. It is written
//! before each step, so that a step that was broken off is known too.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::tree::Tree;
use crate::cli::home::{Installed, User};

const VERSION: u32 = 1;
const SYSTEM: &str = "/var/lib/egressd/install.json";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Manifest {
    version: u32,
    /// The policy that was written or found in its place.
    #[serde(default)]
    pub(in crate::cli) policy: Option<PathBuf>,
    #[serde(default)]
    pub(in crate::cli) files: Vec<Written>,
    /// Directories that were made, in the order in which they were.
    #[serde(default)]
    pub(in crate::cli) made: Vec<PathBuf>,
    #[serde(default)]
    pub(in crate::cli) homes: Vec<Home>,
    /// The service was enabled.
    #[serde(default)]
    pub(in crate::cli) enabled: bool,
    /// The group was made.
    #[serde(default)]
    pub(in crate::cli) group: bool,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Written {
    pub(in crate::cli) path: PathBuf,
    /// SHA-256 of what was written.
    pub(in crate::cli) digest: String,
    /// The file that stood there before, kept under another name.
    #[serde(default)]
    pub(in crate::cli) backup: Option<Backup>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Backup {
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) digest: String,
}

/// The hooks in one person's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Home {
    pub(in crate::cli) uid: u32,
    pub(in crate::cli) gid: u32,
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) installed: Vec<Installed>,
}

impl Manifest {
    /// Where it is: root's in the system, anybody else's in the home.
    pub(in crate::cli) fn place(is_system: bool) -> anyhow::Result<PathBuf> {
        if is_system {
            return Ok(PathBuf::from(SYSTEM));
        }
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        let home = home.context("HOME is not set: nothing says where to keep what was done")?;
        Ok(Path::new(&home).join(".local/state/egressd/install.json"))
    }

    pub(in crate::cli) fn read(tree: &Tree, place: &Path) -> anyhow::Result<Option<Self>> {
        let Some(found) = tree.read(place)? else {
            return Ok(None);
        };
        let shown = tree.shown(place);
        let shown = shown.display();
        let manifest: Self = serde_json::from_str(&found.text).with_context(|| {
            format!("{shown} says what was installed and cannot be read: put it right or remove it")
        })?;
        if manifest.version != VERSION {
            bail!(
                "{shown} was written by another version of egressctl ({} instead of {VERSION})",
                manifest.version
            );
        }
        Ok(Some(manifest))
    }

    /// Writes it down; the directories that this makes are taken back with the rest.
    pub(in crate::cli) fn write(&mut self, tree: &Tree, place: &Path) -> anyhow::Result<()> {
        self.version = VERSION;
        let mut made = tree.write(place, &self.text()?, 0o644)?;
        if !made.is_empty() {
            self.made.append(&mut made);
            tree.write(place, &self.text()?, 0o644)?;
        }
        Ok(())
    }

    fn text(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub(in crate::cli) fn of(&self, path: &Path) -> Option<&Written> {
        self.files.iter().find(|written| written.path == path)
    }

    /// Keeps the first backup of a file: what stood there before anything was written.
    pub(in crate::cli) fn note(&mut self, path: &Path, digest: String, backup: Option<Backup>) {
        match self.files.iter_mut().find(|written| written.path == path) {
            Some(written) => written.digest = digest,
            None => self.files.push(Written {
                path: path.to_owned(),
                digest,
                backup,
            }),
        }
    }

    /// The same for settings: what one installation after another has changed is undone to the
    /// first.
    pub(in crate::cli) fn note_home(&mut self, user: &User, installed: Vec<Installed>) {
        if installed.is_empty() {
            return;
        }
        let known = self
            .homes
            .iter_mut()
            .find(|home| home.uid == user.uid && home.path == user.home);
        let Some(home) = known else {
            self.homes.push(Home {
                uid: user.uid,
                gid: user.gid,
                path: user.home.clone(),
                installed,
            });
            return;
        };
        for one in installed {
            match home.installed.iter_mut().find(|old| old.file == one.file) {
                Some(old) if Some(&old.after) == one.before.as_ref() => old.after = one.after,
                Some(old) => *old = one,
                None => home.installed.push(one),
            }
        }
    }
}

impl Home {
    pub(in crate::cli) fn user(&self) -> User {
        User::known(self.uid, self.gid, self.path.clone())
    }
}
