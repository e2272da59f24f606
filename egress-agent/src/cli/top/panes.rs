//! The lists of the picture, and the columns of each.

use crate::control::overview::Overview;

/// One list of the picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pane {
    Sessions,
    Flows,
    Denials,
    Leases,
    Questions,
}

/// One column of a pane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// In windows narrower than [`WIDE`], and in others; 0 for what is left over.
    pub(super) width: (u16, u16),
    /// Left out in narrower windows.
    pub(super) above: u16,
    /// When it does not fit, its end is shown: names are read from there.
    pub(super) is_tail: bool,
}

/// From this width on there is room.
pub(super) const WIDE: u16 = 100;

const fn column(name: &'static str, narrow: u16, wide: u16, above: u16) -> Column {
    Column {
        name,
        width: (narrow, wide),
        above,
        is_tail: false,
    }
}

const fn tail(name: &'static str, narrow: u16, wide: u16, above: u16) -> Column {
    Column {
        is_tail: true,
        ..column(name, narrow, wide, above)
    }
}

impl Pane {
    pub(super) const ALL: [Self; 5] = [
        Self::Sessions,
        Self::Flows,
        Self::Denials,
        Self::Leases,
        Self::Questions,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Sessions => "Sessions",
            Self::Flows => "Live flows",
            Self::Denials => "Denials",
            Self::Leases => "Leases",
            Self::Questions => "DNS questions",
        }
    }

    pub(super) const fn columns(self) -> &'static [Column] {
        match self {
            Self::Sessions => {
                const {
                    &[
                        tail("SESSION", 20, 28, 0),
                        column("MODE", 8, 8, 70),
                        column("UID", 6, 6, 90),
                        column("AGE", 5, 5, 0),
                        column("DENIED", 7, 7, 0),
                        column("LEASES", 7, 7, 70),
                        column("COMMAND", 0, 0, 0),
                    ]
                }
            }
            Self::Flows => {
                const {
                    &[
                        tail("SESSION", 12, 22, 0),
                        tail("TO", 0, 0, 0),
                        column("VIA", 8, 8, 90),
                        column("STATE", 12, 12, 75),
                        column("SENT", 7, 7, 0),
                        column("RECEIVED", 8, 8, 0),
                        column("PID", 8, 8, 100),
                    ]
                }
            }
            Self::Denials => {
                const {
                    &[
                        column("AGE", 4, 4, 0),
                        column("TIMES", 6, 6, 0),
                        tail("SESSION", 12, 22, 0),
                        tail("WHAT", 0, 0, 0),
                        column("REASON", 16, 20, 0),
                        column("PROCESS", 20, 24, 100),
                    ]
                }
            }
            Self::Leases => {
                const {
                    &[
                        tail("SESSION", 12, 22, 0),
                        tail("NAME", 0, 0, 0),
                        tail("ADDRESS", 16, 39, 0),
                        column("LEFT", 5, 5, 0),
                    ]
                }
            }
            Self::Questions => {
                const {
                    &[
                        column("AGE", 4, 4, 0),
                        column("TIMES", 6, 6, 70),
                        tail("SESSION", 12, 22, 0),
                        tail("NAME", 0, 0, 0),
                        column("TYPE", 6, 6, 0),
                        column("ANSWER", 16, 39, 0),
                    ]
                }
            }
        }
    }

    /// How many there are, listed or not.
    pub(super) fn total(self, overview: &Overview) -> u64 {
        match self {
            Self::Sessions => overview.status.sessions.len() as u64,
            Self::Flows => overview.flows_total,
            Self::Denials => overview.denials_total,
            Self::Leases => overview.leases_total,
            Self::Questions => overview.questions_total,
        }
    }
}
