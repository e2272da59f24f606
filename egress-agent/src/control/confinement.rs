//! What a session is to be held by, and what it says that it is held by.
//!
//! The daemon tells the first when a process enters; the process answers with the second on the
//! same connection, after the last step and before it becomes the command.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::policy::{Need, Places, SessionSettings};

/// What a session is to be held by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Confinement {
    pub seccomp: Need,
    pub landlock: Need,
    pub view: Need,
    /// UNIX sockets of other programs that it may reach.
    pub sockets: Vec<Listed>,
    /// Files and directories that it must not change.
    pub protected: Vec<PathBuf>,
    /// Directories that it must not look into, root included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret: Vec<PathBuf>,
    /// Where the control socket is: it stays in sight.
    pub runtime_dir: PathBuf,
}

/// A UNIX socket that the policy lists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// As the policy has it.
    pub name: String,
    /// Absent for an abstract one, and when the caller's environment does not say where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// One way of holding a command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    Seccomp,
    Landlock,
    View,
}

/// How one piece stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// With a word on how far it goes, or none.
    Active(String),
    /// Wanted as best effort, and not to be had: why.
    Missing(String),
    /// The policy does not want it.
    Off,
}

/// What a session is held by.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Held(pub Vec<(Piece, State)>);

impl Confinement {
    pub fn new(
        settings: &SessionSettings,
        places: &Places,
        protected: Vec<PathBuf>,
        secret: Vec<PathBuf>,
        runtime_dir: PathBuf,
    ) -> Self {
        let sockets = settings.sockets.iter().map(|socket| Listed {
            name: socket.to_string(),
            path: socket.resolve(places),
        });
        Self {
            seccomp: settings.seccomp,
            landlock: settings.landlock,
            view: settings.view,
            sockets: sockets.collect(),
            protected,
            secret,
            runtime_dir,
        }
    }

    /// Where the listed sockets are.
    pub fn socket_paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.sockets
            .iter()
            .filter_map(|listed| listed.path.as_ref())
    }

    /// Whether the policy lists an abstract socket.
    pub fn has_abstract(&self) -> bool {
        self.sockets
            .iter()
            .any(|listed| listed.name.starts_with('@'))
    }

    pub fn need(&self, piece: Piece) -> Need {
        match piece {
            Piece::Seccomp => self.seccomp,
            Piece::Landlock => self.landlock,
            Piece::View => self.view,
        }
    }
}

impl Piece {
    pub const ALL: [Self; 3] = [Self::Seccomp, Self::Landlock, Self::View];
}

impl Held {
    pub fn has(&self, piece: Piece) -> bool {
        self.0
            .iter()
            .any(|(one, state)| *one == piece && matches!(state, State::Active(_)))
    }

    /// The first required piece of `settings` that is not active.
    pub fn lacks(&self, settings: &SessionSettings) -> Option<Piece> {
        let need = |piece| match piece {
            Piece::Seccomp => settings.seccomp,
            Piece::Landlock => settings.landlock,
            Piece::View => settings.view,
        };
        Piece::ALL
            .into_iter()
            .find(|piece| need(*piece) == Need::Require && !self.has(*piece))
    }

    /// What was wanted and is not active.
    pub fn gaps(&self) -> Vec<String> {
        let gap = |(piece, state): &(Piece, State)| match state {
            State::Missing(why) => Some(format!("{piece}: best effort: {why}")),
            State::Active(_) | State::Off => None,
        };
        self.0.iter().filter_map(gap).collect()
    }

    /// Every piece that is not active, in words.
    pub fn inactive(&self) -> Vec<String> {
        let told = |(piece, state): &(Piece, State)| match state {
            State::Missing(why) => Some(format!("{piece} ({why})")),
            State::Off => Some(format!("{piece} (off in the policy)")),
            State::Active(_) => None,
        };
        self.0.iter().filter_map(told).collect()
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::View => "view",
        })
    }
}

/// `seccomp, landlock (ABI 7), view`; what is not active is left out, and nothing is `-`.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_first = true;
        for (piece, state) in &self.0 {
            let State::Active(detail) = state else {
                continue;
            };
            if !is_first {
                f.write_str(", ")?;
            }
            is_first = false;
            match detail.as_str() {
                "" => write!(f, "{piece}")?,
                detail => write!(f, "{piece} ({detail})")?,
            }
        }
        if is_first { f.write_str("-") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(landlock: Need) -> SessionSettings {
        SessionSettings {
            seccomp: Need::Require,
            landlock,
            view: Need::Off,
            observe: true,
            sockets: Vec::new(),
        }
    }

    #[test]
    fn what_holds_and_what_does_not_is_told_apart() {
        let held = Held(vec![
            (Piece::Seccomp, State::Active(String::new())),
            (
                Piece::Landlock,
                State::Missing("the kernel has no Landlock".to_owned()),
            ),
            (Piece::View, State::Off),
        ]);
        assert_eq!(held.to_string(), "seccomp");
        assert_eq!(
            held.gaps(),
            ["landlock: best effort: the kernel has no Landlock"]
        );
        assert_eq!(held.inactive().len(), 2);
        assert_eq!(held.lacks(&settings(Need::BestEffort)), None);
        assert_eq!(held.lacks(&settings(Need::Require)), Some(Piece::Landlock));
        assert_eq!(
            Held::default().lacks(&settings(Need::Off)),
            Some(Piece::Seccomp)
        );
        assert_eq!(Held::default().to_string(), "-");
        let whole = Held(vec![(Piece::Landlock, State::Active("ABI 7".to_owned()))]);
        assert_eq!(whole.to_string(), "landlock (ABI 7)");
        let text = serde_json::to_string(&held).unwrap();
        assert_eq!(serde_json::from_str::<Held>(&text).unwrap(), held);
    }
}
