//! The settings files of agents: whether the hook is in them, put in, taken out again.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::Agent;
use crate::cli::{
    hook::install::{self, back_up, changes, write},
    init::digest,
};

/// Larger files are no settings.
const LONGEST: u64 = 4 << 20;

/// The hook of an agent, as it stands in its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct SeenHook {
    pub(in crate::cli) agent: Agent,
    /// Its settings; absent for an agent without a hook.
    pub(in crate::cli) file: Option<PathBuf>,
    pub(in crate::cli) found: Found,
    /// The lines that an installation would change.
    pub(in crate::cli) changes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Found {
    Current,
    /// It is there, and not as this version writes it.
    Old,
    Absent,
    /// The file cannot be understood, and is left alone.
    Broken(String),
    /// There is no hook for this agent.
    NoHook,
}

/// A change of a settings file, with what it takes to undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Installed {
    pub(in crate::cli) agent: Agent,
    pub(in crate::cli) file: PathBuf,
    /// Of the file as it was; absent when there was none.
    pub(in crate::cli) before: Option<String>,
    pub(in crate::cli) after: String,
    /// The file as it was.
    pub(in crate::cli) backup: Option<PathBuf>,
    /// Directories that were made for it, the outermost first.
    pub(in crate::cli) made: Vec<PathBuf>,
}

/// What became of a settings file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Removed {
    pub(in crate::cli) file: PathBuf,
    pub(in crate::cli) done: Undone,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Undone {
    /// It is byte for byte what it was.
    AsBefore,
    /// It was changed since: only the hook was taken out. The backup stays.
    TakenOut(Option<PathBuf>),
    /// There is nothing of it any more.
    Gone,
    Failed(String),
}

impl SeenHook {
    pub(super) const fn none(agent: Agent) -> Self {
        Self {
            agent,
            file: None,
            found: Found::NoHook,
            changes: Vec::new(),
        }
    }
}

pub(super) fn look(agent: Agent, file: &Path, program: &Path) -> SeenHook {
    let Some(hook) = agent.hook() else {
        return SeenHook::none(agent);
    };
    let (found, changes) = match seen(hook, file, program) {
        Ok(seen) => seen,
        Err(error) => (Found::Broken(format!("{error:#}")), Vec::new()),
    };
    SeenHook {
        agent,
        file: Some(file.to_owned()),
        found,
        changes,
    }
}

fn seen(hook: install::Agent, file: &Path, program: &Path) -> anyhow::Result<(Found, Vec<String>)> {
    let before = read(file)?.unwrap_or_default();
    let after = hook.with(&before, program)?;
    if after == before {
        return Ok((Found::Current, Vec::new()));
    }
    let lines = changes(&before, &after);
    let found = if install::without(&before)? == before {
        Found::Absent
    } else if hook.is_current(&before)? {
        // Another egressctl of this version, which is there, is as good.
        return Ok((Found::Current, Vec::new()));
    } else {
        Found::Old
    };
    Ok((found, lines))
}

/// `None` when there was nothing to do.
pub(super) fn install(
    agent: Agent,
    file: &Path,
    program: &Path,
) -> anyhow::Result<Option<Installed>> {
    let Some(hook) = agent.hook() else {
        return Ok(None);
    };
    if seen(hook, file, program)?.0 == Found::Current {
        return Ok(None);
    }
    let before = read(file)?;
    let text = before.as_deref().unwrap_or_default();
    let after = hook
        .with(text, program)
        .with_context(|| format!("{} was left as it is", file.display()))?;
    // Behind a symbolic link stands the file that somebody keeps elsewhere.
    let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let made: Vec<PathBuf> = real
        .ancestors()
        .skip(1)
        .take_while(|directory| !directory.exists())
        .map(Path::to_owned)
        .collect();
    let backup = match &before {
        Some(before) => Some(back_up(&real, before)?),
        None => None,
    };
    write(&real, &after)?;
    Ok(Some(Installed {
        agent,
        file: real,
        before: before.map(|before| digest(before.as_bytes())),
        after: digest(after.as_bytes()),
        backup,
        made: made.into_iter().rev().collect(),
    }))
}

pub(super) fn remove(installed: &Installed, dry_run: bool) -> Removed {
    let done = match undo(installed, dry_run) {
        Ok(done) => done,
        Err(error) => Undone::Failed(format!("{error:#}")),
    };
    Removed {
        file: installed.file.clone(),
        done,
    }
}

fn undo(installed: &Installed, dry_run: bool) -> anyhow::Result<Undone> {
    let Installed {
        agent: _,
        file,
        before,
        after,
        backup,
        made,
    } = installed;
    let Some(text) = read(file)? else {
        return Ok(Undone::Gone);
    };
    let is_ours = digest(text.as_bytes()) == *after;
    let kept = match backup {
        Some(backup) => read(backup)?,
        None => None,
    };
    let kept = kept.filter(|kept| Some(digest(kept.as_bytes())) == *before);
    match (is_ours, before, backup, kept) {
        (true, None, _, _) => {
            if !dry_run {
                remove_file(file)?;
                for directory in made.iter().rev() {
                    // What somebody else has put there stays, and so does its place.
                    drop(fs::remove_dir(directory));
                }
            }
            Ok(Undone::AsBefore)
        }
        (true, Some(_), Some(backup), Some(_)) => {
            if !dry_run {
                fs::rename(backup, file)
                    .with_context(|| format!("cannot put {} back", backup.display()))?;
            }
            Ok(Undone::AsBefore)
        }
        (_, _, backup, _) => {
            let without = install::without(&text)
                .with_context(|| format!("{} was left as it is", file.display()))?;
            if without != text && !dry_run {
                write(file, &without)?;
            }
            Ok(Undone::TakenOut(backup.clone()))
        }
    }
}

fn remove_file(file: &Path) -> anyhow::Result<()> {
    fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
}

/// The text of a plain file; nothing waits for a pipe that somebody put in its place.
fn read(file: &Path) -> anyhow::Result<Option<String>> {
    let shown = file.display();
    let opened = fs::File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(file);
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    };
    let found = opened.metadata()?;
    if !found.is_file() || found.len() > LONGEST {
        bail!("{shown} is no settings file: it is no plain file, or too large");
    }
    let text = io::read_to_string(opened).with_context(|| format!("cannot read {shown}"))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests;
