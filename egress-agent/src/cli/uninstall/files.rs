//! Files that init wrote: what may become of each.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{
    audit,
    cli::init::{
        digest,
        manifest::{Backup, Written},
        tree::Tree,
    },
    policy::Policy,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fate {
    Remove,
    /// What stood there before comes back.
    Restore,
    /// Somebody else has removed it.
    Gone,
    /// Somebody has changed it.
    Leave,
}

#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) fate: Fate,
    backup: Option<Backup>,
}

impl File {
    pub(super) fn look(tree: &Tree, written: &Written, force: bool) -> anyhow::Result<Self> {
        let current = tree.read(&written.path)?;
        let current = current.map(|found| digest(found.text.as_bytes()));
        let kept = match &written.backup {
            Some(backup) => tree
                .read(&backup.path)?
                .filter(|found| digest(found.text.as_bytes()) == backup.digest)
                .map(|_| backup.clone()),
            None => None,
        };
        let fate = fate(written, current.as_deref(), kept.is_some(), force);
        Ok(Self {
            path: written.path.clone(),
            fate,
            backup: kept,
        })
    }

    /// Whether there is nothing of it any more.
    pub(super) fn take_back(&self, tree: &Tree) -> anyhow::Result<bool> {
        match (self.fate, &self.backup) {
            (Fate::Leave, _) => Ok(false),
            (Fate::Gone, None) => Ok(true),
            // Whoever removed the file wanted none, and the backup is ours.
            (Fate::Gone, Some(backup)) => tree.remove(&backup.path).map(|_| true),
            (Fate::Restore, Some(backup)) => tree.rename(&backup.path, &self.path).map(|()| true),
            (Fate::Remove | Fate::Restore, _) => tree.remove(&self.path).map(|_| true),
        }
    }
}

/// `kept` says whether the backup is there, as it was made.
fn fate(written: &Written, current: Option<&str>, kept: bool, force: bool) -> Fate {
    let Some(current) = current else {
        return Fate::Gone;
    };
    let had = written.backup.as_ref();
    // Init was broken off between its note and the file.
    let is_as_before = had.is_some_and(|backup| backup.digest == current);
    if current != written.digest && !is_as_before && !force {
        return Fate::Leave;
    }
    match (had, kept) {
        (None, _) => Fate::Remove,
        (Some(_), true) => Fate::Restore,
        // The backup is gone: what is there is better than nothing.
        (Some(_), false) => Fate::Leave,
    }
}

/// The audit log of a policy and its rotated files, or the usual one.
pub(super) fn logs(tree: &Tree, policy: Option<&Path>) -> Vec<PathBuf> {
    let policy = policy.and_then(|policy| Policy::load(&tree.shown(policy)).ok());
    let file = policy.map_or_else(
        || PathBuf::from(audit::DEFAULT_FILE),
        |policy| policy.audit().file.clone(),
    );
    let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
        return Vec::new();
    };
    let name = name.to_string_lossy();
    let Ok(entries) = std::fs::read_dir(tree.shown(directory)) else {
        return Vec::new();
    };
    let mut logs: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|entry| is_log(entry, &name))
        .map(|entry| directory.join(entry))
        .collect();
    logs.sort();
    logs
}

/// `audit.jsonl`, `audit.jsonl.1`, `audit.jsonl.head`.
fn is_log(entry: &str, name: &str) -> bool {
    let Some(rest) = entry.strip_prefix(name) else {
        return false;
    };
    let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    rest.is_empty() || rest == ".head" || rest.strip_prefix('.').is_some_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_changed_is_left_unless_forced() {
        let plain = Written {
            path: PathBuf::from("/x"),
            digest: "ours".to_owned(),
            backup: None,
        };
        let backed = Written {
            backup: Some(Backup {
                path: PathBuf::from("/x.egressctl-1"),
                digest: "before".to_owned(),
            }),
            ..plain.clone()
        };
        for (written, current, kept, force, expected) in [
            (&plain, Some("ours"), false, false, Fate::Remove),
            (&plain, Some("other"), false, false, Fate::Leave),
            (&plain, Some("other"), false, true, Fate::Remove),
            (&plain, None, false, true, Fate::Gone),
            (&backed, Some("ours"), true, false, Fate::Restore),
            (&backed, Some("other"), true, false, Fate::Leave),
            (&backed, Some("other"), true, true, Fate::Restore),
            (&backed, Some("before"), true, false, Fate::Restore),
            (&backed, Some("ours"), false, true, Fate::Leave),
        ] {
            assert_eq!(
                fate(written, current, kept, force),
                expected,
                "{written:?} {current:?} {kept} {force}"
            );
        }
    }

    #[test]
    fn only_files_of_the_log_are_logs() {
        let name = "audit.jsonl";
        for entry in [
            "audit.jsonl",
            "audit.jsonl.1",
            "audit.jsonl.12",
            "audit.jsonl.head",
        ] {
            assert!(is_log(entry, name), "{entry}");
        }
        for entry in [
            "audit.jsonl.",
            "audit.jsonl.bak",
            "audit.jsonl-1",
            "other",
            "xaudit.jsonl",
        ] {
            assert!(!is_log(entry, name), "{entry}");
        }
    }
}
