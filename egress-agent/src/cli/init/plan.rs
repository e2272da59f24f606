//! What would change, decided before anything does.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{
    digest,
    manifest::{Backup, Manifest, Written},
    tree::{Found, Tree},
};

/// What becomes of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    New,
    Same,
    /// It is what an earlier run wrote.
    Update,
    /// Somebody else's file is kept under another name.
    Replace,
    /// It stays as it is, because of this.
    Kept(String),
}

/// One file and the text that belongs there.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) state: State,
    pub(super) old: Option<Found>,
}

/// What may be done to a file that is there already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct May {
    /// Put another text in place of one that an earlier run wrote.
    pub(super) update: bool,
    /// Put it in place of whatever is there.
    pub(super) replace: bool,
}

impl Change {
    pub(super) fn look(
        tree: &Tree,
        path: &Path,
        text: String,
        manifest: &Manifest,
        may: May,
    ) -> anyhow::Result<Self> {
        let old = tree.read(path)?;
        let state = state(old.as_ref(), &text, manifest.of(path), may);
        Ok(Self {
            path: path.to_owned(),
            text,
            state,
            old,
        })
    }

    /// Whether something is to be written.
    pub(super) fn writes(&self) -> bool {
        match self.state {
            State::New | State::Update | State::Replace => true,
            State::Same | State::Kept(_) => false,
        }
    }

    /// Writes the file, and notes it before and after.
    pub(super) fn apply(
        &self,
        tree: &Tree,
        manifest: &mut Manifest,
        place: &Path,
    ) -> anyhow::Result<()> {
        let backup = match (&self.old, &self.state) {
            (Some(old), State::Replace) => Some(Backup {
                path: tree.back_up(&self.path, old)?,
                digest: digest(old.text.as_bytes()),
            }),
            (_, State::New | State::Same | State::Update | State::Replace | State::Kept(_)) => None,
        };
        manifest.note(&self.path, digest(self.text.as_bytes()), backup);
        manifest.write(tree, place)?;
        let mode = self.old.as_ref().map_or(0o644, |old| old.mode);
        let mut made = tree.write(&self.path, &self.text, mode)?;
        if !made.is_empty() {
            manifest.made.append(&mut made);
            manifest.write(tree, place)?;
        }
        Ok(())
    }
}

fn state(old: Option<&Found>, text: &str, recorded: Option<&Written>, may: May) -> State {
    let Some(old) = old else { return State::New };
    if old.text == text {
        return State::Same;
    }
    let is_ours = recorded.is_some_and(|written| written.digest == digest(old.text.as_bytes()));
    if is_ours && (may.update || may.replace) {
        State::Update
    } else if may.replace {
        State::Replace
    } else {
        State::Kept(
            "another one is there; `--replace` puts this in its place and keeps a backup"
                .to_owned(),
        )
    }
}

/// What the service manager and the user database are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    pub(super) words: Vec<&'static str>,
    #[serde(skip)]
    pub(super) marks: Mark,
}

/// What a step makes that is to be taken back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Nothing,
    Group,
    Enabled,
}

/// What runs, as far as steps depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) systemd: bool,
    pub(super) has_group: bool,
    pub(super) is_enabled: bool,
    pub(super) is_active: bool,
    /// Units are there, or will be.
    pub(super) has_units: bool,
}

/// `units` and `policy` say whether they are written.
pub(super) fn steps(machine: Machine, units: bool, policy: bool) -> Vec<Step> {
    let step = |words: &[&'static str], marks| Step {
        words: words.to_vec(),
        marks,
    };
    let mut steps = Vec::new();
    let Machine {
        systemd,
        has_group,
        is_enabled,
        is_active,
        has_units,
    } = machine;
    if !has_group {
        let words: &[&'static str] = if systemd && has_units {
            &["systemd-sysusers"]
        } else {
            &["groupadd", "--system", "egressd"]
        };
        steps.push(step(words, Mark::Group));
    }
    if !systemd || !has_units {
        return steps;
    }
    if units {
        steps.push(step(&["systemctl", "daemon-reload"], Mark::Nothing));
    }
    if !is_enabled || !is_active {
        let mark = if is_enabled {
            Mark::Nothing
        } else {
            Mark::Enabled
        };
        let words = ["systemctl", "enable", "--now", "egressd.service"];
        steps.push(step(&words, mark));
    } else if units {
        steps.push(step(
            &["systemctl", "restart", "egressd.service"],
            Mark::Nothing,
        ));
    } else if policy {
        steps.push(step(
            &["systemctl", "reload", "egressd.service"],
            Mark::Nothing,
        ));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_somebody_else_is_never_overwritten_unasked() {
        let found = |text: &str| Found {
            text: text.to_owned(),
            mode: 0o644,
        };
        let written = |text: &str| Written {
            path: PathBuf::from("/x"),
            digest: digest(text.as_bytes()),
            backup: None,
        };
        let may = |update, replace| May { update, replace };
        let of = |old: Option<&str>, recorded: Option<&str>, may| {
            state(
                old.map(found).as_ref(),
                "new",
                recorded.map(written).as_ref(),
                may,
            )
        };
        assert_eq!(of(None, None, may(false, false)), State::New);
        assert_eq!(of(Some("new"), None, may(false, false)), State::Same);
        assert!(matches!(
            of(Some("old"), None, may(true, false)),
            State::Kept(_)
        ));
        assert_eq!(of(Some("old"), None, may(false, true)), State::Replace);
        // What an earlier run wrote, and nobody changed.
        assert_eq!(
            of(Some("old"), Some("old"), may(true, false)),
            State::Update
        );
        assert!(matches!(
            of(Some("old"), Some("old"), may(false, false)),
            State::Kept(_)
        ));
        assert!(matches!(
            of(Some("mine"), Some("old"), may(true, false)),
            State::Kept(_)
        ));
        assert_eq!(
            of(Some("mine"), Some("old"), may(true, true)),
            State::Replace
        );
    }

    #[track_caller]
    fn check(machine: Machine, units: bool, policy: bool, expected: &[&str]) {
        let steps = steps(machine, units, policy);
        let steps: Vec<String> = steps.iter().map(|step| step.words.join(" ")).collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn the_service_manager_is_told_what_changed() {
        let fresh = Machine {
            systemd: true,
            has_units: true,
            ..Machine::default()
        };
        check(
            fresh,
            true,
            true,
            &[
                "systemd-sysusers",
                "systemctl daemon-reload",
                "systemctl enable --now egressd.service",
            ],
        );
        let running = Machine {
            has_group: true,
            is_enabled: true,
            is_active: true,
            ..fresh
        };
        check(running, false, false, &[]);
        check(running, false, true, &["systemctl reload egressd.service"]);
        check(
            running,
            true,
            false,
            &[
                "systemctl daemon-reload",
                "systemctl restart egressd.service",
            ],
        );
        let without = Machine {
            systemd: false,
            ..fresh
        };
        check(without, true, true, &["groupadd --system egressd"]);
        // `--no-units`, and no package has brought any.
        let none = Machine {
            has_units: false,
            ..running
        };
        check(none, false, true, &[]);
    }
}
